//! The console: the web page and the OpenAI-compatible API, on the loopback address.
//!
//! It owns the sign-in, the sessions, the API tokens and the conversations. It holds no model and decides nothing about one: it
//! asks the other services over their role sockets. Everything that arrives on its port is untrusted, and so is every word
//! that a model writes.

pub mod account;
pub mod app;
pub mod assets;
pub mod auth;
pub mod chat;
pub mod config;
pub mod conversation;
pub mod guard;
pub mod history;
pub mod markdown;
pub mod neighbours;
pub mod openai;
pub mod pages;
pub mod passphrase;
pub mod places;
pub mod routes;
pub mod secret;
pub mod session;
pub mod store;
pub mod tokens;
pub mod upload;
pub mod words;

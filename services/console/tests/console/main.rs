//! The console as a whole, with made-up neighbours behind real sockets.

#[path = "../fakes/mod.rs"]
mod fakes;

mod access;
mod browser;
mod chat;
mod guard;
mod openai;
mod pages;
mod upload;
mod wire;

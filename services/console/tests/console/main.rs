//! The console as a whole, with made-up neighbours behind real sockets.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "../fakes/mod.rs"]
mod fakes;

mod access;
mod browser;
mod chat;
mod guard;
mod openai;
mod pages;
mod upload;
mod vault;
mod wire;

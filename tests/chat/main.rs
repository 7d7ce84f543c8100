//! What users see, over real sockets against the whole stack, with the function as a child process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

mod bad_input;
mod connecting;
mod cost;
mod dialects;
mod direct;
mod gone;
mod groups;
mod history;
mod inbox;
mod lobby;
mod logs;
mod messages;
mod once;
mod presence;
mod resuming;
mod stack;
mod tokens;
mod typing;

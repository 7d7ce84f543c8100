//! What users see, over real sockets against the whole stack, with the function as a child process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

mod bad_input;
mod connecting;
mod cost;
mod dialects;
mod direct;
mod doors;
mod fan_out;
mod faults;
mod formats;
mod gone;
mod groups;
mod history;
mod http;
mod inbox;
mod leniency;
mod lobby;
mod logs;
mod messages;
mod moderation;
mod once;
mod places;
mod presence;
mod private;
mod resuming;
mod stack;
mod sweeping;
mod tokens;
mod typing;
mod uploads;

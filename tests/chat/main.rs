//! What users see, over real sockets against the whole stack, with the function as a child process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../harness/mod.rs"]
mod harness;

mod access;
mod admin;
mod bad_input;
mod changes;
mod compatibility;
mod connecting;
mod consent;
mod cost;
mod crowds;
mod direct;
mod erasure;
mod events;
mod export;
mod fan_out;
mod faults;
mod formats;
mod groups;
mod history;
mod http;
mod http_and_websocket;
mod idempotency;
mod inbox;
mod issuers;
mod leniency;
mod limits;
mod lobby;
mod logs;
mod mentions;
mod messages;
mod mixed_versions;
mod moderation;
mod modes;
mod nearby;
mod outbox;
mod presence;
mod private_rooms;
mod program;
mod restarts;
mod resume;
mod review;
mod revocation;
mod search;
mod sessions;
mod stale_connections;
mod sweep;
mod tickets;
mod tokens;
mod typing;
mod uploads;

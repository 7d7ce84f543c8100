//! Shared by the test binaries: a WebSocket client, an HTTP client, a log reader, and a stack for each test.

// Each binary uses only part of it.
#![allow(dead_code, unused_imports)]

mod bucket;
mod contract;
mod http;
mod log;
mod outgoing;
mod signing;
mod socket;
mod user;
mod world;

use std::time::Duration;

use serde_json::Value;
use switchboard::domain::Timestamp;

pub use contract::{read as published, sent_frame};
pub use http::{Answer, request};
pub use log::Logs;
pub use outgoing::{Outgoing, unchecked, with_aliases};
pub use signing::Signing;
pub use socket::Socket;
pub use user::User;
pub use world::{SECRET, World, token};

/// Timeout of every step of a test.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The time in a field of a frame.
pub fn time_of(field: &Value) -> Timestamp {
    let time = field.as_str().and_then(Timestamp::from_iso);
    time.unwrap_or_else(|| panic!("{field} is not a time"))
}

/// Awaits a future for at most [`PATIENCE`]. On a timeout the test fails with the message `otherwise`.
pub async fn soon<T>(otherwise: &str, what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.unwrap_or_else(|_| panic!("{otherwise}"))
}

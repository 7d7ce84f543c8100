//! What the test binaries share: one WebSocket client, one HTTP client, one reader of logs, and a world for each test.

// Each binary uses a part of it.
#![allow(dead_code, unused_imports)]

mod bucket;
mod contract;
mod http;
mod log;
mod outgoing;
mod socket;
mod user;
mod world;

use std::time::Duration;

pub use contract::sent_frame;
pub use http::{Answer, request};
pub use log::Logs;
pub use outgoing::{Outgoing, unchecked, with_aliases};
pub use socket::Socket;
pub use user::User;
pub use world::{World, token};

/// Nothing in a test may take longer.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What comes within [`PATIENCE`]; else the test fails, because `otherwise`.
pub async fn soon<T>(otherwise: &str, what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.unwrap_or_else(|_| panic!("{otherwise}"))
}

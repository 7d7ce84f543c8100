//! Delivery of frames to live connections. One primitive, [`Delivery::publish`], which knows nothing of rooms or users:
//! a frame goes to channels.

mod cleanup;
mod encoded;
mod erasure;
mod export;
mod fan_out;
mod outbound;
mod post;
mod presence;
mod recipients;

use std::sync::Arc;

use futures_util::stream::{Stream, StreamExt};
use tokio::time::Instant;

use crate::domain::Timestamp;
use crate::file_links::FileLinks;
use crate::store::Store;

pub use cleanup::Cleanup;
pub use erasure::ErasureStep;
pub use export::ExportStep;
pub use fan_out::Continuation;
pub use outbound::{Except, OutboundFrame};

/// Posts under way at once.
const CONCURRENCY: usize = 128;
/// A connection this young (milliseconds) may answer 410 because it is not open yet.
const OPENING_MS: i64 = 30_000;

/// The request in which something is published.
#[derive(Clone, Copy)]
pub struct RequestContext<'a> {
    pub now: Timestamp,
    /// When the function has to have answered.
    pub deadline: Instant,
    pub request_id: &'a str,
}

/// What was delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    pub recipients: u64,
    /// Connections that turned out to be gone, and were removed.
    pub gone: u64,
    /// Posts that failed otherwise: the client catches up by `resume`. A fan-out that was not finished counts as well.
    pub failed: u64,
    /// Ranges of recipients that were handed on to other invocations.
    pub handed_on: u64,
}

impl std::ops::AddAssign for Delivered {
    fn add_assign(&mut self, more: Self) {
        self.recipients += more.recipients;
        self.gone += more.gone;
        self.failed += more.failed;
        self.handed_on += more.handed_on;
    }
}

impl Delivered {
    /// What was delivered in all.
    pub async fn total(parts: impl Stream<Item = Self>) -> Self {
        let mut parts = std::pin::pin!(parts);
        let mut all = Self::default();
        while let Some(part) = parts.next().await {
            all += part;
        }
        all
    }
}

/// The function's own name and version, which it invokes.
#[derive(Clone, Debug)]
pub struct Function {
    pub name: String,
    pub version: String,
}

/// Posts frames by API Gateway's `@connections`, and invokes the function again where one invocation is not enough.
pub struct Delivery {
    client: aws_sdk_apigatewaymanagement::Client,
    store: Store,
    lambda: aws_sdk_lambda::Client,
    function: Function,
    links: Arc<FileLinks>,
}

impl Delivery {
    /// Nothing is sent before the first frame.
    pub fn new(
        client: aws_sdk_apigatewaymanagement::Client,
        store: Store,
        lambda: aws_sdk_lambda::Client,
        function: Function,
        links: Arc<FileLinks>,
    ) -> Self {
        Self { client, store, lambda, function, links }
    }
}

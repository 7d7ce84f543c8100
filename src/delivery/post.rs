//! One frame to one connection, by API Gateway's `@connections`.

use std::pin::pin;

use aws_sdk_apigatewaymanagement::error::SdkError;
use aws_sdk_apigatewaymanagement::primitives::Blob;
use futures_util::future;
use futures_util::stream::{Stream, StreamExt};

use super::{CONCURRENCY, Delivered, Delivery, OPENING_MS, OutboundFrame};
use crate::domain::{ConnectionId, Timestamp};
use crate::error::{Error, chain};
use crate::store::Subscription;

enum Posted {
    Delivered,
    /// 410: API Gateway does not know the connection.
    Gone,
    /// The client catches up by `resume`.
    Failed,
    /// The connection's session has ended: it hears nothing more and is closed.
    SessionEnded,
}

impl Delivery {
    /// Posts a text, an answer, to one connection: it is not counted as a recipient. A failure is logged and counted.
    pub async fn post_text(&self, connection: &ConnectionId, text: String) -> Delivered {
        let posted = self.post(connection, Blob::new(text)).await;
        Delivered { failed: u64::from(matches!(posted, Posted::Failed)), ..Delivered::default() }
    }

    /// Closes a connection, if it exists.
    pub async fn close(&self, connection: &ConnectionId) {
        if let Err(error) = self.close_or_fail(connection).await {
            tracing::warn!(connection_id = %connection, error = error.cause(), "failed to close a connection");
        }
    }

    /// Closes a connection. Returns whether it was open.
    ///
    /// # Errors
    /// It may be open still.
    pub(super) async fn close_or_fail(&self, connection: &ConnectionId) -> Result<bool, Error> {
        match self.client.delete_connection().connection_id(connection.as_str()).send().await {
            Ok(_) => Ok(true),
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(Error::Unavailable(error.into())),
        }
    }

    /// Posts a frame, and those after it, to each recipient. Returns what was delivered, and the connections that are
    /// gone, or whose sessions have ended.
    pub(super) async fn post_each(
        &self,
        recipients: impl Stream<Item = Subscription>,
        what: &OutboundFrame,
        now: Timestamp,
    ) -> (Delivered, Vec<Subscription>) {
        let mut delivered = Delivered::default();
        let mut gone = Vec::new();
        let outcomes = recipients
            .filter_map(|live| {
                let texts = what.texts_for(&live, &self.links, now).map(|text| Blob::new(text.into_owned()));
                let texts: Vec<_> = texts.collect();
                future::ready((!texts.is_empty()).then_some((texts, live)))
            })
            .map(|(texts, live)| async move {
                let posted = if live.has_session_ended(now) {
                    Posted::SessionEnded
                } else {
                    self.post_in_order(&live.connection_id, texts).await
                };
                (posted, live)
            })
            .buffer_unordered(CONCURRENCY);
        let mut outcomes = pin!(outcomes);
        while let Some((posted, live)) = outcomes.next().await {
            match posted {
                Posted::Delivered => delivered.recipients += 1,
                Posted::Failed => delivered.failed += 1,
                Posted::SessionEnded => gone.push(live),
                Posted::Gone if now.millis_since(live.connected_at) > OPENING_MS => gone.push(live),
                Posted::Gone => {}
            }
        }
        delivered.gone = gone.len() as u64;
        (delivered, gone)
    }

    /// None is posted after one that failed: the client catches up, and nobody waits for a dead connection repeatedly.
    async fn post_in_order(&self, connection: &ConnectionId, texts: Vec<Blob>) -> Posted {
        for text in texts {
            match self.post(connection, text).await {
                Posted::Delivered => {}
                failed => return failed,
            }
        }
        Posted::Delivered
    }

    async fn post(&self, connection: &ConnectionId, data: Blob) -> Posted {
        let posted = self.client.post_to_connection().connection_id(connection.as_str()).data(data).send().await;
        match posted {
            Ok(_) => Posted::Delivered,
            Err(error) if is_gone(&error) => Posted::Gone,
            Err(error) => {
                tracing::warn!(connection_id = %connection, error = chain(&error), "failed to deliver a frame");
                Posted::Failed
            }
        }
    }
}

/// Whether API Gateway does not know the connection.
pub(super) fn is_gone<E>(error: &SdkError<E>) -> bool {
    error.raw_response().is_some_and(|answer| answer.status().as_u16() == 410)
}

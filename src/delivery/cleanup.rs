//! Removing stale connections: those that API Gateway no longer knows. The sender of a message does not wait for it:
//! another invocation does it.

use std::time::Duration;

use futures_util::future;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::post::is_gone;
use super::{CONCURRENCY, Delivered, Delivery, OPENING_MS, RequestContext};
use crate::domain::{ConnectionId, Timestamp};
use crate::error::Error;
use crate::store::{Channel, Connection, Subscription};

/// Most connections in one event: an asynchronous invocation takes 256 KB.
const CLEANED_AT_ONCE: usize = 500;
/// How often a connection is closed that may not be open yet, and how long it is waited in between.
const OPENING_TRIES: u32 = 8;
const OPENING_PAUSE: Duration = Duration::from_millis(250);

/// Connections that answered 410: the event that asks another invocation to remove them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cleanup {
    source: String,
    /// Of the request that found them.
    pub request_id: String,
    /// When that was.
    pub at: Timestamp,
    pub connections: Vec<Gone>,
}

/// A connection, and the channel on which it was found stale.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gone {
    connection_id: ConnectionId,
    channel: Channel,
    /// Whether its subscription says that its session has ended.
    #[serde(default)]
    has_ended: bool,
}

impl Gone {
    fn of(live: &Subscription, now: Timestamp) -> Self {
        let (connection_id, channel) = (live.connection_id.clone(), live.channel.clone());
        Self { connection_id, channel, has_ended: live.has_session_ended(now) }
    }
}

impl Cleanup {
    /// What tells these events from those of other sources.
    pub const SOURCE: &str = "switchboard.cleanup";
}

impl Delivery {
    /// Removes the stale connections of a channel, and returns how many these were.
    ///
    /// # Errors
    /// The channel cannot be read.
    pub async fn prune_stale(&self, channel: &Channel, request: RequestContext<'_>) -> Result<u64, Error> {
        let now = request.now;
        let live = self.store.all_subscribers(channel, now).await?;
        let gone: Vec<Gone> = stream::iter(&live)
            .filter(|live| future::ready(now.millis_since(live.connected_at) > OPENING_MS))
            .map(|live| async move {
                let known = self.client.get_connection().connection_id(live.connection_id.as_str()).send().await;
                known.is_err_and(|error| is_gone(&error)).then(|| Gone::of(live, now))
            })
            .buffer_unordered(CONCURRENCY)
            .filter_map(future::ready)
            .collect()
            .await;
        self.clean_up(&gone, request).await;
        Ok(gone.len() as u64)
    }

    /// Asks another invocation to remove connections, such as those that answered 410. Where that fails they are found
    /// again.
    pub async fn request_cleanup(&self, gone: Vec<Subscription>, request: RequestContext<'_>) {
        for some in gone.chunks(CLEANED_AT_ONCE) {
            let event = Cleanup {
                source: Cleanup::SOURCE.to_owned(),
                request_id: request.request_id.to_owned(),
                at: request.now,
                connections: some.iter().map(|live| Gone::of(live, request.now)).collect(),
            };
            if let Err(error) = self.invoke(&event).await {
                tracing::warn!(error = error.cause(), "failed to request the cleanup of stale connections");
            }
        }
    }

    /// Removes connections, and tells their rooms who went offline with them: all at once.
    pub async fn clean_up(&self, gone: &[Gone], request: RequestContext<'_>) -> Delivered {
        let removed: Vec<_> = stream::iter(gone)
            .map(|gone| self.remove(gone, request.now))
            .buffer_unordered(CONCURRENCY)
            .filter_map(future::ready)
            .collect()
            .await;
        self.announce_gone(&removed, request).await
    }

    /// Closes connections, removes them and tells their rooms. Returns how many they were.
    ///
    /// # Errors
    /// One of them may be open still: a repeat finds its rows.
    pub async fn disconnect(&self, live: &[Subscription], request: RequestContext<'_>) -> Result<usize, Error> {
        let removed: Vec<_> = stream::iter(live)
            .map(|live| self.disconnect_one(live, request.now))
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await?;
        let removed: Vec<_> = removed.into_iter().flatten().collect();
        self.announce_gone(&removed, request).await;
        Ok(live.len())
    }

    /// First the connection, then its rows, by which a repeat would find it.
    async fn disconnect_one(&self, live: &Subscription, now: Timestamp) -> Result<Option<Connection>, Error> {
        let mut is_closed = self.close_or_fail(&live.connection_id).await?;
        let removed = self.store.remove_connection(&live.connection_id, Some(&live.channel)).await?;
        // One that is about to open answers 410 as well. Without its rows it hears nothing and can do nothing.
        let mut tries = if now.millis_since(live.connected_at) < OPENING_MS { OPENING_TRIES } else { 0 };
        while !is_closed && tries > 0 {
            sleep(OPENING_PAUSE).await;
            is_closed = self.close_or_fail(&live.connection_id).await?;
            tries -= 1;
        }
        Ok(removed)
    }

    /// The connection is also closed: were it alive after all, its client reconnects.
    async fn remove(&self, gone: &Gone, now: Timestamp) -> Option<Connection> {
        let removed = match self.is_extended(gone, now).await {
            Ok(true) => return None,
            Ok(false) => self.store.remove_connection(&gone.connection_id, Some(&gone.channel)).await,
            Err(error) => Err(error),
        };
        self.close(&gone.connection_id).await;
        removed.unwrap_or_else(|error| {
            let error = error.cause();
            tracing::warn!(connection_id = %gone.connection_id, error, "failed to remove a stale connection");
            None
        })
    }

    /// Whether a session goes on although a subscription says that it has ended: that was not told of its new end. It
    /// is now.
    async fn is_extended(&self, gone: &Gone, now: Timestamp) -> Result<bool, Error> {
        if !gone.has_ended {
            return Ok(false);
        }
        match self.store.connection(&gone.connection_id, now).await? {
            Some(connection) if !connection.has_session_ended(now) => {
                self.store.copy_session(&connection).await.map(|()| true)
            }
            _ => Ok(false),
        }
    }
}

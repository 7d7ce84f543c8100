//! Removing stale connections: those that API Gateway no longer knows.

use futures_util::future;
use futures_util::stream::{self, StreamExt};

use super::post::is_gone;
use super::{CONCURRENCY, Delivery, OPENING_MS};
use crate::domain::Timestamp;
use crate::error::Error;
use crate::store::{Channel, Subscription};

impl Delivery {
    /// Removes the stale connections of a channel, and returns how many these were.
    ///
    /// # Errors
    /// The channel cannot be read.
    pub async fn prune_stale(&self, channel: &Channel, now: Timestamp) -> Result<u64, Error> {
        let live = self.store.all_subscribers(channel, now).await?;
        let gone = stream::iter(&live)
            .filter(|live| future::ready(now.millis_since(live.connected_at) > OPENING_MS))
            .map(|live| async move {
                let asked = self.client.get_connection().connection_id(live.connection_id.as_str()).send().await;
                let is_gone = asked.is_err_and(|error| is_gone(&error));
                if is_gone {
                    Box::pin(self.remove(live, now)).await;
                }
                u64::from(is_gone)
            })
            .buffer_unordered(CONCURRENCY);
        Ok(gone.fold(0, |all, one| future::ready(all + one)).await)
    }

    /// Removes connections that answered 410.
    pub(super) async fn clean_up(&self, gone: Vec<Subscription>, now: Timestamp) {
        // Boxed: telling that somebody went offline is a publication too, which can meet other stale connections.
        stream::iter(gone)
            .for_each_concurrent(CONCURRENCY, |live| Box::pin(async move { self.remove(&live, now).await }))
            .await;
    }

    /// The connection is also closed: were it alive after all, its client reconnects.
    async fn remove(&self, live: &Subscription, now: Timestamp) {
        match self.store.remove_connection(&live.connection_id, Some(&live.channel)).await {
            Ok(Some(connection)) => {
                self.announce_gone(&connection, now).await;
            }
            Ok(None) => {}
            Err(error) => {
                let error = error.cause();
                tracing::warn!(connection_id = %live.connection_id, error, "failed to remove a stale connection");
            }
        }
        self.close(&live.connection_id).await;
    }
}

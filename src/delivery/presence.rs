//! Who came online and who went offline. Not told above [`MAX_ANNOUNCED`] connections: it would cost more than the
//! chat.

use super::{Delivered, Delivery, Except, OutboundFrame};
use crate::domain::{RoomId, Timestamp};
use crate::store::{Channel, Connection, Subscription};
use crate::wire::frames::{Presence, PresenceStatus};

use futures_util::stream;

/// Most connections of a channel that hear who comes and goes.
const MAX_ANNOUNCED: usize = 100;
/// When a connection closes and a user's next one was opened so much later (milliseconds), the user is announced as
/// online again: recipients may know only when the closed one would have ended.
const RENEWED_AFTER_MS: i64 = 60_000;

impl Delivery {
    /// As [`Delivery::publish`], but to nobody when more than [`MAX_ANNOUNCED`] connections hear the channel.
    pub async fn announce(&self, channel: &Channel, what: &OutboundFrame, now: Timestamp) -> Delivered {
        match self.small_audience(channel, now).await {
            Some(recipients) => self.post_to(recipients, what, now).await,
            None => Delivered::default(),
        }
    }

    /// Tells the others in a room that a user came online or went offline with this connection, unless another
    /// connection of the user makes that no news. Its rows were written or deleted before: so of two that open at once
    /// the older one tells, of two that close the last one to read, and somebody always does. A frame about an online
    /// user says until when, so that a lost `$disconnect` is not shown for ever.
    pub async fn announce_presence(
        &self,
        room: &RoomId,
        connection: &Connection,
        status: PresenceStatus,
        now: Timestamp,
    ) -> Delivered {
        let Some(recipients) = self.small_audience(&Channel::of_room(room), now).await else {
            return Delivered::default();
        };
        let mine = (connection.connected_at, &connection.connection_id);
        let of_user = recipients.iter().filter(|live| live.user_id == connection.user_id);
        let mut others = of_user.filter(|live| live.connection_id != connection.connection_id);
        let ends_at = match status {
            PresenceStatus::Online if others.any(|other| (other.connected_at, &other.connection_id) < mine) => {
                return Delivered::default();
            }
            PresenceStatus::Online => Some(connection.ttl),
            PresenceStatus::Offline => match others.max_by_key(|other| other.connected_at) {
                Some(newest) if newest.connected_at.millis_since(connection.connected_at) > RENEWED_AFTER_MS => {
                    Some(newest.ttl)
                }
                Some(_) => return Delivered::default(),
                None => None,
            },
        };
        let user_id = connection.user_id.clone();
        let except = Except::User(user_id.clone());
        let status = if ends_at.is_some() { PresenceStatus::Online } else { PresenceStatus::Offline };
        let until = ends_at.map(|seconds| Timestamp::from_secs(seconds).into());
        let frame = Presence { room_id: room.clone(), user_id, status, at: now.into(), until, copies: None };
        self.post_to(recipients, &OutboundFrame::new(&frame.into(), except), now).await
    }

    /// Tells the rooms that a connection was live in, once its rows are gone.
    pub async fn announce_gone(&self, connection: &Connection, now: Timestamp) -> Delivered {
        let mut delivered = Delivered::default();
        for room in connection.rooms() {
            delivered += self.announce_presence(&room, connection, PresenceStatus::Offline, now).await;
        }
        delivered
    }

    /// All connections of a channel, unless these are too many.
    async fn small_audience(&self, channel: &Channel, now: Timestamp) -> Option<Vec<Subscription>> {
        match self.store.first_subscribers(channel, MAX_ANNOUNCED + 1, now).await {
            Ok(live) => (live.len() <= MAX_ANNOUNCED).then_some(live),
            Err(error) => {
                tracing::warn!(error = error.cause(), "failed to read subscribers");
                None
            }
        }
    }

    async fn post_to(&self, recipients: Vec<Subscription>, what: &OutboundFrame, now: Timestamp) -> Delivered {
        let (delivered, gone) = self.post_each(stream::iter(recipients), what, now).await;
        self.clean_up(gone, now).await;
        delivered
    }
}

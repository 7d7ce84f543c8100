//! Who came online and who went offline. Not told above [`MAX_ANNOUNCED`] connections: it would cost more than the
//! chat.

use super::{Delivered, Delivery, Except, OutboundFrame};
use crate::domain::{RoomId, Timestamp};
use crate::store::{Channel, Connection, Subscription};
use crate::wire::frames::{Presence, PresenceStatus};

use futures_util::stream;

/// Most connections of a channel that hear who comes and goes.
const MAX_ANNOUNCED: usize = 100;

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
    /// the older one tells, of two that close the last one to read, and somebody always does.
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
        let is_known = recipients.iter().filter(|live| live.user_id == connection.user_id).any(|other| {
            let other = (other.connected_at, &other.connection_id);
            other != mine && (status == PresenceStatus::Offline || other < mine)
        });
        if is_known {
            return Delivered::default();
        }
        let user_id = connection.user_id.clone();
        let except = Except::User(user_id.clone());
        let frame = Presence { room_id: room.clone(), user_id, status, at: now.into(), copies: None };
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

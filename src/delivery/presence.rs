//! Who came online and who went offline. Not told above [`MAX_ANNOUNCED`] connections: it would cost more than the
//! chat.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream;

use super::{Delivered, Delivery, Except, OutboundFrame, RequestContext};
use crate::domain::{RoomId, Timestamp, UserId};
use crate::store::{Channel, Connection, Subscription};
use crate::wire::frames::{Presence, PresenceStatus};

/// Most connections of a channel that hear who comes and goes.
const MAX_ANNOUNCED: usize = 100;

impl Delivery {
    /// As [`Delivery::publish`], but to nobody when more than [`MAX_ANNOUNCED`] connections hear the channel.
    pub async fn announce(&self, channel: &Channel, what: &OutboundFrame, request: RequestContext<'_>) -> Delivered {
        match self.small_audience(channel, request.now).await {
            Some(recipients) => self.post_to(recipients, what, request).await,
            None => Delivered::default(),
        }
    }

    /// Tells the others in a room that a user came online with this connection, unless an older connection of the user
    /// makes that no news. Its row was written before: so of two that open at once the older one tells.
    pub async fn announce_online(
        &self,
        room: &RoomId,
        connection: &Connection,
        request: RequestContext<'_>,
    ) -> Delivered {
        let Some(recipients) = self.small_audience(&Channel::of_room(room), request.now).await else {
            return Delivered::default();
        };
        let mine = (connection.connected_at, &connection.connection_id);
        let mut own = recipients.iter().filter(|live| live.user_id == connection.user_id);
        if own.any(|other| (other.connected_at, &other.connection_id) < mine) {
            return Delivered::default();
        }
        let frame = presence(room, &connection.user_id, PresenceStatus::Online, request.now);
        self.post_to(recipients, &frame, request).await
    }

    /// Tells the rooms that connections were live in who went offline with them, once their rows are gone: each user
    /// once, and nobody who has another connection.
    pub async fn announce_gone(&self, gone: &[Connection], request: RequestContext<'_>) -> Delivered {
        let mut users: BTreeMap<RoomId, BTreeSet<&UserId>> = BTreeMap::new();
        for connection in gone {
            for room in connection.rooms() {
                users.entry(room).or_default().insert(&connection.user_id);
            }
        }
        let mut delivered = Delivered::default();
        for (room, users) in users {
            let Some(recipients) = self.small_audience(&Channel::of_room(&room), request.now).await else { continue };
            for user in users {
                if recipients.iter().all(|live| live.user_id != *user) {
                    let frame = presence(&room, user, PresenceStatus::Offline, request.now);
                    delivered += self.post_to(recipients.clone(), &frame, request).await;
                }
            }
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

    async fn post_to(
        &self,
        recipients: Vec<Subscription>,
        what: &OutboundFrame,
        request: RequestContext<'_>,
    ) -> Delivered {
        let (delivered, gone) = self.post_each(stream::iter(recipients), what, request.now).await;
        self.request_cleanup(gone, request).await;
        delivered
    }
}

fn presence(room: &RoomId, user: &UserId, status: PresenceStatus, now: Timestamp) -> OutboundFrame {
    let frame = Presence { room_id: room.clone(), user_id: user.clone(), status, at: now.into(), copies: None };
    OutboundFrame::new(&frame.into(), Except::User(user.clone()))
}

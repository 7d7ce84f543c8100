//! Who came online and who went offline. Not told above [`MAX_ANNOUNCED`] connections: it would cost more than the
//! chat.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt};

use super::{Delivered, Delivery, Except, OutboundFrame, RequestContext};
use crate::domain::{RoomId, Timestamp, UserId};
use crate::store::{Channel, Connection, Subscription};
use crate::wire::frames::{Presence, PresenceStatus};

/// Most connections of a channel that hear who comes and goes.
const MAX_ANNOUNCED: usize = 100;
/// Rooms whose members are told at once that a user came online.
const ROOMS_AT_ONCE: usize = 16;
/// When a connection closes and a user's next one was opened so much later (milliseconds), the user is announced as
/// online again: recipients may know only when the closed one would have ended.
const RENEWED_AFTER_MS: i64 = 60_000;

impl Delivery {
    /// As [`Delivery::publish`], but to nobody when more than [`MAX_ANNOUNCED`] connections hear the channel.
    pub async fn announce(&self, channel: &Channel, what: &OutboundFrame, request: RequestContext<'_>) -> Delivered {
        match self.small_audience(channel, request.now).await {
            Some(recipients) => self.post_to(recipients, what, request).await,
            None => Delivered::default(),
        }
    }

    /// Tells the others in rooms that a user came online with this connection, unless an older connection of the user
    /// makes that no news; and not those whom the user has blocked. The connection's row was written before: so of two
    /// that open at once the older one tells. The frame says until when, so that a lost `$disconnect` is not shown for
    /// ever.
    pub async fn announce_online(
        &self,
        rooms: impl Iterator<Item = &RoomId>,
        connection: &Connection,
        request: RequestContext<'_>,
    ) -> Delivered {
        let mut rooms = rooms.peekable();
        if rooms.peek().is_none() {
            return Delivered::default();
        }
        let Some(blocked) = &self.blocked_by(&connection.user_id).await else { return Delivered::default() };
        let announced = stream::iter(rooms).map(|room| self.announce_in(room, connection, blocked, request));
        Delivered::total(announced.buffer_unordered(ROOMS_AT_ONCE)).await
    }

    async fn announce_in(
        &self,
        room: &RoomId,
        connection: &Connection,
        blocked: &BTreeSet<UserId>,
        request: RequestContext<'_>,
    ) -> Delivered {
        let Some(mut recipients) = self.small_audience(&Channel::of_room(room), request.now).await else {
            return Delivered::default();
        };
        recipients.retain(|live| !blocked.contains(&live.user_id));
        let mine = (connection.connected_at, &connection.connection_id);
        let mut own = recipients.iter().filter(|live| live.user_id == connection.user_id);
        if own.any(|other| (other.connected_at, &other.connection_id) < mine) {
            return Delivered::default();
        }
        let frame = presence(room, &connection.user_id, Some(connection.ttl), request.now);
        self.post_to(recipients, &frame, request).await
    }

    /// Tells the rooms that connections were live in who went offline with them, once their rows are gone: each user
    /// once, and nobody who has another connection.
    pub async fn announce_gone(&self, gone: &[Connection], request: RequestContext<'_>) -> Delivered {
        let mut users: BTreeMap<RoomId, BTreeMap<&UserId, Timestamp>> = BTreeMap::new();
        for connection in gone {
            for room in connection.rooms() {
                let opened = users.entry(room).or_default().entry(&connection.user_id);
                let opened = opened.or_insert(connection.connected_at);
                *opened = (*opened).max(connection.connected_at);
            }
        }
        let mut delivered = Delivered::default();
        let mut blocked = BTreeMap::new();
        for &user in users.values().flat_map(BTreeMap::keys) {
            if !blocked.contains_key(user) {
                let Some(others) = self.blocked_by(user).await else { return delivered };
                blocked.insert(user.clone(), others);
            }
        }
        for (room, users) in users {
            let Some(recipients) = self.small_audience(&Channel::of_room(&room), request.now).await else { continue };
            for (user, opened) in users {
                let others = recipients.iter().filter(|live| live.user_id == *user);
                let ends_at = match others.max_by_key(|other| other.connected_at) {
                    Some(newest) if newest.connected_at.millis_since(opened) > RENEWED_AFTER_MS => Some(newest.ttl),
                    Some(_) => continue,
                    None => None,
                };
                let frame = presence(&room, user, ends_at, request.now);
                let mut recipients = recipients.clone();
                recipients.retain(|live| !blocked.get(user).is_some_and(|blocked| blocked.contains(&live.user_id)));
                delivered += self.post_to(recipients, &frame, request).await;
            }
        }
        delivered
    }

    /// Whom a user has blocked; `None` if it cannot be read: then nobody is told.
    async fn blocked_by(&self, user: &UserId) -> Option<BTreeSet<UserId>> {
        let blocked = self.store.hidden_from(user).await;
        blocked.inspect_err(|error| tracing::warn!(error = error.cause(), "failed to read blocks")).ok()
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

/// Online until `ends_at` (epoch seconds), or offline.
fn presence(room: &RoomId, user: &UserId, ends_at: Option<i64>, now: Timestamp) -> OutboundFrame {
    let frame = Presence {
        room_id: room.clone(),
        user_id: user.clone(),
        status: if ends_at.is_some() { PresenceStatus::Online } else { PresenceStatus::Offline },
        at: now.into(),
        until: ends_at.map(|seconds| Timestamp::from_secs(seconds).into()),
        copies: None,
    };
    OutboundFrame::new(&frame.into(), Except::User(user.clone()))
}

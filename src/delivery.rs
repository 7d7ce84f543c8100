//! Frames on their way to live connections.

use aws_sdk_apigatewaymanagement::Client;
use aws_sdk_apigatewaymanagement::error::SdkError;
use aws_sdk_apigatewaymanagement::primitives::Blob;
use futures_util::future;
use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};

use crate::domain::{ConnectionId, RoomId, Timestamp, UserId};
use crate::error::{Error, chain};
use crate::store::{Channel, Connection, Store, Subscription};
use crate::wire::{Frame, Presence};

/// Posts under way at once.
const CONCURRENCY: usize = 128;
/// A connection this young may answer 410 because it is not open yet.
const OPENING_MS: i64 = 30_000;
/// In larger rooms it is not told who comes and goes: it would cost more than the chat.
const MOST_TOLD: usize = 100;

/// Who on a channel is left out.
#[derive(Clone, Copy)]
pub enum Except<'a> {
    Nobody,
    Connection(&'a ConnectionId),
    /// Every device of a user.
    User(&'a UserId),
}

impl<'a> Except<'a> {
    /// The connection that asked, if one did.
    pub fn caller(connection: Option<&'a ConnectionId>) -> Self {
        connection.map_or(Self::Nobody, Self::Connection)
    }
}

/// A frame and who is to hear it.
#[derive(Clone, Copy)]
pub struct Publication<'a> {
    pub frame: &'a Frame,
    /// What a user's own devices hear instead.
    pub for_own: Option<(&'a UserId, &'a Frame)>,
    pub except: Except<'a>,
}

impl<'a> Publication<'a> {
    /// The same frame for everybody but some.
    pub fn new(frame: &'a Frame, except: Except<'a>) -> Self {
        Self { frame, for_own: None, except }
    }

    fn reaches(&self, live: &Subscription) -> bool {
        match self.except {
            Except::Nobody => true,
            Except::Connection(connection) => live.connection_id != *connection,
            Except::User(user) => live.user_id != *user,
        }
    }
}

/// What came of a publication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    pub recipients: u64,
    /// Connections that turned out to be gone, and were cleaned up.
    pub gone: u64,
}

impl std::ops::AddAssign for Delivered {
    fn add_assign(&mut self, more: Self) {
        self.recipients += more.recipients;
        self.gone += more.gone;
    }
}

pub struct Delivery {
    client: Client,
    store: Store,
}

enum Posted {
    Delivered,
    Gone,
    /// Left to the client's catch-up.
    Failed,
}

impl Delivery {
    pub fn new(client: Client, store: Store) -> Self {
        Self { client, store }
    }

    /// Sends a frame to everybody live on `channels`. What is published is in the log or of the moment; so nothing
    /// that goes wrong here is the sender's affair: it is logged, and clients catch up.
    pub async fn publish(&self, channels: &[Channel], what: Publication<'_>, now: Timestamp) -> Delivered {
        let pages = channels.iter().map(|channel| self.store.subscribers(channel, now));
        self.post_all(stream::select_all(pages), what, now).await
    }

    /// As [`Delivery::publish`], on from a first page that the caller has read already.
    pub async fn publish_from(
        &self,
        first: Vec<Subscription>,
        rest: impl Stream<Item = Result<Vec<Subscription>, Error>> + Send + Unpin,
        what: Publication<'_>,
        now: Timestamp,
    ) -> Delivered {
        self.post_all(stream::iter([Ok(first)]).chain(rest), what, now).await
    }

    /// As [`Delivery::publish`], but to nobody when more than a hundred are live on the channel.
    pub async fn announce(&self, channel: &Channel, what: Publication<'_>, now: Timestamp) -> Delivered {
        match self.few(channel, now).await {
            Some(live) => self.post_all(stream::iter([Ok(live)]), what, now).await,
            None => Delivered::default(),
        }
    }

    /// Tells the others in a room that a user has come or gone with this connection, unless another connection of
    /// the user shows that this is no news. Whoever comes or goes has written that before: so of two that come at
    /// once the older one tells, of two that go the last one to look; and it never ends in silence.
    pub async fn announce_presence(
        &self,
        room: &RoomId,
        connection: &Connection,
        status: Presence,
        now: Timestamp,
    ) -> Delivered {
        let Some(live) = self.few(&Channel::of_room(room), now).await else { return Delivered::default() };
        let mine = (connection.connected_at, &connection.connection_id);
        let is_known = live.iter().filter(|live| live.user_id == connection.user_id).any(|other| {
            let other = (other.connected_at, &other.connection_id);
            other != mine && (status == Presence::Offline || other < mine)
        });
        if is_known {
            return Delivered::default();
        }
        let user = &connection.user_id;
        let frame = Frame::Presence { room_id: room.clone(), user_id: user.clone(), status, at: now };
        self.post_all(stream::iter([Ok(live)]), Publication::new(&frame, Except::User(user)), now).await
    }

    /// Everybody live on a channel, if that is not too many to be told who comes and goes.
    async fn few(&self, channel: &Channel, now: Timestamp) -> Option<Vec<Subscription>> {
        let mut pages = self.store.subscribers(channel, now);
        let mut live = Vec::new();
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => live.extend(page),
                Err(error) => {
                    tracing::warn!(error = error.cause(), "subscribers could not be read");
                    return None;
                }
            }
            if live.len() > MOST_TOLD {
                return None;
            }
        }
        Some(live)
    }

    /// Sends a frame to one connection. Whether it arrived is nobody's concern.
    pub async fn tell(&self, connection: &ConnectionId, frame: String) {
        self.post(connection, Blob::new(frame)).await;
    }

    /// Closes a connection, if it is there.
    pub async fn close(&self, connection: &ConnectionId) {
        if let Err(error) = self.client.delete_connection().connection_id(connection.as_str()).send().await
            && !is_gone(&error)
        {
            tracing::warn!(connection_id = %connection, error = chain(&error), "a connection was not closed");
        }
    }

    async fn post_all(
        &self,
        pages: impl Stream<Item = Result<Vec<Subscription>, Error>> + Send,
        what: Publication<'_>,
        now: Timestamp,
    ) -> Delivered {
        let data = Blob::new(what.frame.to_json());
        let for_own = what.for_own.map(|(user, frame)| (user, Blob::new(frame.to_json())));
        let outcomes: Vec<_> = pages
            .inspect_err(|error| tracing::warn!(error = error.cause(), "subscribers could not be read"))
            .filter_map(|page| future::ready(page.ok()))
            .flat_map(stream::iter)
            .filter(|live| future::ready(what.reaches(live)))
            .map(|live| {
                let own = for_own.as_ref().filter(|(user, _)| live.user_id == **user);
                let data = own.map_or(&data, |(_, data)| data).clone();
                async move { (self.post(&live.connection_id, data).await, live) }
            })
            .buffer_unordered(CONCURRENCY)
            .filter_map(|(posted, live)| {
                future::ready(match posted {
                    Posted::Delivered => Some(None),
                    Posted::Gone if now.millis_since(live.connected_at) > OPENING_MS => Some(Some(live)),
                    Posted::Gone | Posted::Failed => None,
                })
            })
            .collect()
            .await;

        let total = outcomes.len();
        let gone: Vec<_> = outcomes.into_iter().flatten().collect();
        let delivered = Delivered { recipients: (total - gone.len()) as u64, gone: gone.len() as u64 };
        // Boxed, since the news that somebody has gone is a publication too, which can find others gone.
        stream::iter(gone)
            .for_each_concurrent(CONCURRENCY, |live| Box::pin(async move { self.clean(&live, now).await }))
            .await;
        delivered
    }

    /// Cleans up the connections on a channel that API Gateway no longer knows, and tells how many these were.
    pub async fn weed(&self, channel: &Channel, now: Timestamp) -> Result<u64, Error> {
        let live = self.store.all_subscribers(channel, now).await?;
        let gone = stream::iter(&live)
            .filter(|live| future::ready(now.millis_since(live.connected_at) > OPENING_MS))
            .map(|live| async move {
                let asked = self.client.get_connection().connection_id(live.connection_id.as_str()).send().await;
                let is_gone = asked.is_err_and(|error| is_gone(&error));
                if is_gone {
                    Box::pin(self.clean(live, now)).await;
                }
                u64::from(is_gone)
            })
            .buffer_unordered(CONCURRENCY);
        Ok(gone.fold(0, |all, one| future::ready(all + one)).await)
    }

    /// Forgets a connection that answered 410. It is closed too: were it alive after all, its client reconnects.
    async fn clean(&self, live: &Subscription, now: Timestamp) {
        match self.store.forget(&live.connection_id, Some(&live.channel)).await {
            Ok(Some(connection)) => {
                self.tell_gone(&connection, now).await;
            }
            Ok(None) => {}
            Err(error) => {
                let error = error.cause();
                tracing::warn!(connection_id = %live.connection_id, error, "a gone connection was not cleaned up");
            }
        }
        self.close(&live.connection_id).await;
    }

    /// Tells the rooms that a connection was live in, once its rows are gone.
    pub async fn tell_gone(&self, connection: &Connection, now: Timestamp) -> Delivered {
        let mut told = Delivered::default();
        for room in connection.rooms() {
            told += self.announce_presence(&room, connection, Presence::Offline, now).await;
        }
        told
    }

    async fn post(&self, connection: &ConnectionId, data: Blob) -> Posted {
        let posted = self.client.post_to_connection().connection_id(connection.as_str()).data(data).send().await;
        match posted {
            Ok(_) => Posted::Delivered,
            Err(error) if is_gone(&error) => Posted::Gone,
            Err(error) => {
                tracing::warn!(connection_id = %connection, error = chain(&error), "a frame was not delivered");
                Posted::Failed
            }
        }
    }
}

fn is_gone<E>(error: &SdkError<E>) -> bool {
    error.raw_response().is_some_and(|answer| answer.status().as_u16() == 410)
}

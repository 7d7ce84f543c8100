//! Frames on their way to live connections.

mod audience;
mod encoded;

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_apigatewaymanagement::Client;
use aws_sdk_apigatewaymanagement::error::SdkError;
use aws_sdk_apigatewaymanagement::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use futures_util::future;
use futures_util::stream::{self, Stream, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use self::audience::Audience;
use self::encoded::Encoded;
use crate::domain::{ConnectionId, RoomId, Timestamp, UserId};
use crate::error::{Error, chain};
use crate::file_links::FileLinks;
use crate::store::{Channel, Connection, Part, Store, Subscription};
use crate::wire::{Frame, Presence};

/// Posts under way at once.
const CONCURRENCY: usize = 128;
/// A connection this young may answer 410 because it is not open yet.
const OPENING_MS: i64 = 30_000;
/// In larger rooms it is not told who comes and goes: it would cost more than the chat.
const MOST_TOLD: usize = 100;
/// After so long the rest of a large channel is left to other invocations.
const ALONE: Duration = Duration::from_secs(10);
/// As it is when no more than this is left: time for the posts under way, and to hand on the rest.
const FOR_THE_REST: Duration = Duration::from_secs(3);
/// Of that, what is kept for the last parts.
const TO_HAND_ON: Duration = Duration::from_secs(1);
/// Parts of a channel that are handed on at once.
const PARTS_AT_ONCE: usize = 16;

/// Who on a channel is left out.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Except {
    Nobody,
    Connection(ConnectionId),
    /// Every device of a user.
    User(UserId),
}

impl Except {
    /// The connection that asked, if one did.
    pub fn caller(connection: Option<&ConnectionId>) -> Self {
        connection.cloned().map_or(Self::Nobody, Self::Connection)
    }
}

/// A frame and who is to hear it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Publication {
    frame: Encoded,
    /// What a user's own devices hear instead.
    for_own: Option<(UserId, Encoded)>,
    except: Except,
    /// Whether the frame tells of a file, to which many recipients get a link of their own.
    #[serde(default)]
    has_file: bool,
    /// Whether nothing more is told there: whoever has been told is live there no longer.
    is_last: bool,
}

impl Publication {
    /// The same frame for everybody but some.
    pub fn new(frame: &Frame, except: Except) -> Self {
        let has_file = matches!(frame, Frame::Message(message) if message.file.is_some());
        Self { frame: Encoded::new(frame, false), for_own: None, except, has_file, is_last: false }
    }

    /// After which nothing is told there any more.
    pub fn last(self) -> Self {
        Self { is_last: true, ..self }
    }

    /// Another frame for a user's own devices.
    pub fn with_own(self, user: &UserId, frame: &Frame) -> Self {
        Self { for_own: Some((user.clone(), Encoded::new(frame, true))), ..self }
    }

    /// What a connection hears of it; `None` where it is left out.
    fn text_for(&self, live: &Subscription, links: &FileLinks, now: Timestamp) -> Option<Cow<'_, str>> {
        let is_left_out = match &self.except {
            Except::Nobody => false,
            Except::Connection(connection) => live.connection_id == *connection,
            Except::User(user) => live.user_id == *user,
        };
        if is_left_out {
            return None;
        }
        let own = self.for_own.as_ref().filter(|(user, _)| live.user_id == *user);
        let text = own.map_or(&self.frame, |(_, own)| own).text_in(live.format)?;
        Some(if self.has_file && live.format.wants_links() {
            links.personalise(text, &live.user_id, now).into()
        } else {
            text.into()
        })
    }
}

/// The invocation in which something is told.
#[derive(Clone, Copy)]
pub struct Occasion<'a> {
    pub now: Timestamp,
    /// When the function has to have answered.
    pub deadline: Instant,
    pub request_id: &'a str,
}

/// A part of a fan-out for which an invocation had no time: the event that another one gets.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Continuation {
    source: String,
    /// Of the request that began it.
    pub request_id: String,
    /// When that was.
    pub at: Timestamp,
    part: Part,
    publication: Publication,
}

impl Continuation {
    /// What tells these events from those of other sources.
    pub const SOURCE: &str = "switchboard.fan-out";

    /// The room, if it is told to one.
    pub fn room(&self) -> Option<RoomId> {
        self.part.channel.room()
    }
}

/// What came of a publication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    pub recipients: u64,
    /// Connections that turned out to be gone, and were cleaned up.
    pub gone: u64,
    /// Parts that were left to other invocations.
    pub handed_on: u64,
}

impl std::ops::AddAssign for Delivered {
    fn add_assign(&mut self, more: Self) {
        self.recipients += more.recipients;
        self.gone += more.gone;
        self.handed_on += more.handed_on;
    }
}

pub struct Delivery {
    client: Client,
    store: Store,
    lambda: aws_sdk_lambda::Client,
    /// The function's own name.
    function: String,
    links: Arc<FileLinks>,
}

enum Posted {
    Delivered,
    Gone,
    /// Left to the client's catch-up.
    Failed,
}

impl Delivery {
    pub fn new(
        client: Client,
        store: Store,
        lambda: aws_sdk_lambda::Client,
        function: String,
        links: Arc<FileLinks>,
    ) -> Self {
        Self { client, store, lambda, function, links }
    }

    /// Sends a frame to everybody live on `channels`; other invocations go on with it where there are more than this
    /// one has time for. What is published is in the log or of the moment; so nothing that goes wrong here is the
    /// sender's affair: it is logged, and clients catch up.
    pub async fn publish(&self, channels: &[Channel], what: &Publication, occasion: Occasion<'_>) -> Delivered {
        let parts = channels.iter().map(|channel| {
            let whole = Part::from(channel);
            let pages = self.store.subscribers(&whole, occasion.now);
            (whole, pages)
        });
        self.publish_parts(parts, what, occasion).await
    }

    /// As [`Delivery::publish`], on one channel, on from a first page that the caller has read already.
    pub async fn publish_from(
        &self,
        channel: &Channel,
        first: Vec<Subscription>,
        rest: impl Stream<Item = Result<Vec<Subscription>, Error>> + Send + Unpin + 'static,
        what: &Publication,
        occasion: Occasion<'_>,
    ) -> Delivered {
        self.publish_parts([(Part::from(channel), stream::iter([Ok(first)]).chain(rest))], what, occasion).await
    }

    /// Goes on with what another invocation had no time for. To do it twice does no harm: clients drop by seq.
    ///
    /// # Errors
    /// Those who are to hear it cannot all be read, or handed on.
    pub async fn go_on(&self, with: &Continuation, occasion: Occasion<'_>) -> (Delivered, Result<(), Error>) {
        let pages = self.store.subscribers(&with.part, occasion.now);
        self.post_all([(with.part.clone(), pages)], &with.publication, occasion).await
    }

    async fn publish_parts<P>(
        &self,
        parts: impl IntoIterator<Item = (Part, P)>,
        what: &Publication,
        occasion: Occasion<'_>,
    ) -> Delivered
    where
        P: Stream<Item = Result<Vec<Subscription>, Error>> + Send + Unpin + 'static,
    {
        let (delivered, all) = self.post_all(parts, what, occasion).await;
        if let Err(error) = all {
            tracing::warn!(error = error.cause(), "not everybody was told");
        }
        delivered
    }

    /// As [`Delivery::publish`], but to nobody when more than a hundred are live on the channel.
    pub async fn announce(&self, channel: &Channel, what: &Publication, now: Timestamp) -> Delivered {
        match self.few(channel, now).await {
            Some(live) => self.post_to_few(live, what, now).await,
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
        let frame = Frame::Presence { room_id: room.clone(), user_id: user.clone(), status, at: now, copies: None };
        self.post_to_few(live, &Publication::new(&frame, Except::User(user.clone())), now).await
    }

    /// Everybody live on a channel, if that is not too many to be told who comes and goes.
    async fn few(&self, channel: &Channel, now: Timestamp) -> Option<Vec<Subscription>> {
        match self.store.first_subscribers(channel, MOST_TOLD + 1, now).await {
            Ok(live) => (live.len() <= MOST_TOLD).then_some(live),
            Err(error) => {
                tracing::warn!(error = error.cause(), "subscribers could not be read");
                None
            }
        }
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

    /// Tells what was delivered, and what kept it from being all.
    async fn post_all<P>(
        &self,
        parts: impl IntoIterator<Item = (Part, P)>,
        what: &Publication,
        occasion: Occasion<'_>,
    ) -> (Delivered, Result<(), Error>)
    where
        P: Stream<Item = Result<Vec<Subscription>, Error>> + Send + Unpin + 'static,
    {
        let begun = Instant::now();
        let until = occasion.deadline.checked_sub(FOR_THE_REST).unwrap_or(begun).min(begun + ALONE);
        let last_moment = occasion.deadline.checked_sub(TO_HAND_ON).unwrap_or(occasion.deadline);
        let mut audience = Audience::new(parts, until, last_moment.max(begun + TO_HAND_ON), occasion.request_id);
        let (mut handed_on, mut all) = (0, Ok(()));
        // The rest is handed on while the last posts are under way.
        let everybody =
            stream::unfold((&mut audience, &mut handed_on, &mut all), async |(audience, handed_on, all)| {
                match audience.next().await {
                    Ok(Some(live)) => return Some((live, (audience, handed_on, all))),
                    Ok(None) => *all = self.hand_on(audience, what, occasion, handed_on).await,
                    Err(error) => *all = Err(error),
                }
                None
            });
        let mut told = Vec::new();
        let everybody = everybody.inspect(|live: &Subscription| {
            if what.is_last {
                told.push(live.clone());
            }
        });
        let (delivered, gone) = self.post_each(everybody, what, occasion.now).await;
        // Who is not cleaned up in time is found gone again.
        let cleaning = async {
            if let Err(error) = self.store.clear(&told).await {
                tracing::warn!(error = error.cause(), "a channel was not cleared");
            }
            self.clean_all(gone, occasion.now).await;
        };
        let _ = timeout_at(last_moment, cleaning).await;
        (Delivered { handed_on, ..delivered }, all)
    }

    async fn post_to_few(&self, live: Vec<Subscription>, what: &Publication, now: Timestamp) -> Delivered {
        let (delivered, gone) = self.post_each(stream::iter(live), what, now).await;
        self.clean_all(gone, now).await;
        delivered
    }

    /// Tells what was delivered, and who is gone.
    async fn post_each(
        &self,
        everybody: impl Stream<Item = Subscription>,
        what: &Publication,
        now: Timestamp,
    ) -> (Delivered, Vec<Subscription>) {
        let outcomes: Vec<_> = everybody
            .filter_map(|live| {
                let text = what.text_for(&live, &self.links, now).map(|text| Blob::new(text.into_owned()));
                future::ready(text.map(|text| (text, live)))
            })
            .map(|(data, live)| async move { (self.post(&live.connection_id, data).await, live) })
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
        let delivered = Delivered { recipients: (total - gone.len()) as u64, gone: gone.len() as u64, handed_on: 0 };
        (delivered, gone)
    }

    async fn clean_all(&self, gone: Vec<Subscription>, now: Timestamp) {
        // Boxed, since the news that somebody has gone is a publication too, which can find others gone.
        stream::iter(gone)
            .for_each_concurrent(CONCURRENCY, |live| Box::pin(async move { self.clean(&live, now).await }))
            .await;
    }

    /// Leaves those who are left to other invocations: a thousand each, so that none of these has to leave much to a
    /// next one, since Lambda stops an invocation that is the sixteenth in a row. Where there is no time even to read
    /// how many they are, the last part has no end.
    async fn hand_on(
        &self,
        audience: &mut Audience,
        what: &Publication,
        occasion: Occasion<'_>,
        handed_on: &mut u64,
    ) -> Result<(), Error> {
        let parts = stream::unfold(audience, async |audience| Some((audience.part().await.transpose()?, audience)));
        let mut invoked = pin!(
            parts
                .map(|part| async {
                    let event = Continuation {
                        source: Continuation::SOURCE.to_owned(),
                        request_id: occasion.request_id.to_owned(),
                        at: occasion.now,
                        part: part?,
                        publication: what.clone(),
                    };
                    self.invoke(&event).await
                })
                .buffer_unordered(PARTS_AT_ONCE)
        );
        let mut all = Ok(());
        while let Some(one) = invoked.next().await {
            *handed_on += u64::from(one.is_ok());
            all = all.and(one);
        }
        all
    }

    async fn invoke(&self, event: &Continuation) -> Result<(), Error> {
        let event = serde_json::to_vec(event).map_err(Error::internal)?;
        let asked = self
            .lambda
            .invoke()
            .function_name(&self.function)
            .invocation_type(InvocationType::Event)
            .payload(aws_sdk_lambda::primitives::Blob::new(event));
        asked.send().await.map(drop).map_err(|error| Error::Unavailable(error.into()))
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

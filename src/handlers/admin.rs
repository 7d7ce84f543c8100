//! What backends do; `admin_rooms` has what they do with rooms and their members. Each of their requests is signed,
//! recorded, and carried out once for each idempotency key.

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::message;
use crate::access::{Backend, Sender, Writer};
use crate::context::Context;
use crate::domain::{Body, ClientMessageId, Name, Timestamp, UserId};
use crate::error::Error;
use crate::store::{self, Channel, Subscription};
use crate::wire::frames::{
    self, Acts, Disconnected, LiveConnection, Position, Posted, PostedResult, Refusal, Reports, Sent, UserConnections,
};
use crate::wire::requests::{AboutUser, DisconnectUser, ListActs, ListReports, PostMessage, Recipient};

/// Conversations that a message is written to at once.
const TARGETS_AT_ONCE: usize = 8;

/// Revokes a user's tokens and closes their connections. First that is written, then the connections are read: one
/// that opens at the same time is found here, or finds that it is revoked.
pub async fn disconnect(ctx: &Context, backend: Backend, request: DisconnectUser) -> Result<Disconnected, Error> {
    let DisconnectUser { user_id, not_before, block_until } = request;
    // A token says in which second it was issued: this one counts as before.
    let this_second = || Timestamp::from_secs(backend.at.as_secs() + 1);
    let not_before = not_before.map_or_else(this_second, |moment| moment.0);
    let block_until = block_until.map(|moment| moment.0);
    ctx.store.revoke(&user_id, not_before, block_until).await?;
    let live = ctx.store.all_subscribers(&Channel::of_user(&user_id), ctx.now).await?;
    let connections = ctx.delivery.disconnect(&live, ctx.request()).await?;
    Ok(Disconnected { user_id, connections, not_before: not_before.into(), block_until: block_until.map(Into::into) })
}

/// Sends a message to rooms and users. It is written once in each: the idempotency key of the request is its
/// `clientMessageId`, so a repeat after a crash goes on with those that it did not reach.
pub async fn post(ctx: &Context, backend: Backend, request: PostMessage) -> Result<Posted, Error> {
    let speaker = request.speaker.clone().unwrap_or_else(UserId::system);
    let name = request.introduction.user_name.clone().unwrap_or_else(|| speaker.as_name());
    let results = stream::iter(request.recipients())
        .map(|recipient| post_to(ctx, &backend, (&speaker, &name), recipient, &request))
        .buffered(TARGETS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(Posted { results })
}

async fn post_to(
    ctx: &Context,
    backend: &Backend,
    speaker: (&UserId, &Name),
    recipient: Recipient,
    request: &PostMessage,
) -> Result<PostedResult, Error> {
    let client_message_id = backend.key.clone().and_then(|key| ClientMessageId::try_from(key).ok());
    let posted = async {
        let writer = Writer::for_backend(ctx, backend, speaker, &recipient).await?;
        let room = writer.sender.room.clone();
        if !room.is_direct() && !room.is_lobby() && *speaker.0 != UserId::system() {
            // Who need not be a member leaves no other trace of having written here.
            ctx.store.note_writing(speaker.0, &room, ctx.now).await?;
        }
        let draft = |sender: &Sender| body(sender, request, client_message_id);
        let sent = message::post(ctx, writer, &request.introduction, draft).await?;
        Ok::<_, Error>((room, sent))
    };
    let (room_id, sent) = match posted.await {
        Ok((room, sent)) => (Some(room), Ok(sent)),
        Err(error) if error.status() < 500 => (None, Err(error)),
        Err(error) => return Err(error),
    };
    let (room_id, user_id) = match recipient {
        Recipient::Room(room) => (Some(room), None),
        Recipient::User(user) => (room_id, Some(user)),
        Recipient::Unnamed => (room_id, None),
    };
    let (position, duplicate) = sent.as_ref().map_or((None, false), written);
    Ok(PostedResult { room_id, user_id, position, duplicate, refusal: sent.err().as_ref().map(Refusal::from) })
}

fn body(sender: &Sender, request: &PostMessage, client_message_id: Option<ClientMessageId>) -> Body {
    Body { client_message_id, data: request.data.clone(), ..sender.body(request.content.clone()) }
}

fn written(sent: &Sent) -> (Option<Position>, bool) {
    match sent {
        Sent::Message(message) => (Some(message.position.clone()), message.duplicate),
        Sent::Ack(ack) | Sent::AckIfAsked(ack) => (ack.position.clone(), ack.duplicate),
    }
}

/// The live connections of a user.
pub async fn connections(ctx: &Context, _: Backend, request: AboutUser) -> Result<UserConnections, Error> {
    let live = ctx.store.all_subscribers(&Channel::of_user(&request.user_id), ctx.now).await?;
    let shown = |live: Subscription| LiveConnection {
        connection_id: live.connection_id,
        connected_at: live.connected_at.into(),
        format: live.format.name(),
        auth_until: live.auth_until.map(|end| Timestamp::from_secs(end).into()),
    };
    Ok(UserConnections { user_id: request.user_id, items: live.into_iter().map(shown).collect() })
}

/// A page of what moderators and backends did on a day.
pub async fn audit(ctx: &Context, _: Backend, request: ListActs) -> Result<Acts, Error> {
    let today = || ctx.now.to_iso().chars().take_while(|letter| *letter != 'T').collect();
    let day = request.day.map_or_else(today, |day| day.0);
    let (items, next_cursor) = ctx.store.acts(&day, request.cursor.as_ref().map(|cursor| cursor.0.as_str())).await?;
    let items = items.into_iter().map(Into::into).collect();
    Ok(Acts { day, items, next_cursor })
}

/// A page of the reports of a room's messages.
pub async fn reports(ctx: &Context, _: Backend, request: ListReports) -> Result<Reports, Error> {
    let cursor = request.cursor.as_ref().map(|cursor| cursor.0.as_str());
    let (items, next_cursor) = ctx.store.reports(&request.room_id, cursor, ctx.now).await?;
    let items = items.into_iter().map(Into::into).collect();
    Ok(Reports { room_id: request.room_id, items, next_cursor })
}

impl From<store::RecordedAct> for frames::RecordedAct {
    fn from(act: store::RecordedAct) -> Self {
        let store::RecordedAct { at, action, by, room_id, user_id, detail, source_ip } = act;
        Self { at, action, by, room_id, user_id, detail, source_ip }
    }
}

impl From<store::StoredReport> for frames::Report {
    fn from(report: store::StoredReport) -> Self {
        let store::StoredReport { by, reason, at, message } = report;
        let store::ReportedMessage { message_id, user_id, content, created_at } = message;
        let seq = message_id.trim_start_matches('0').parse().unwrap_or_default();
        Self { seq, by, reason, at, user_id, content, created_at }
    }
}

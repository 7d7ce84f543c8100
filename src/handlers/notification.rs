//! Whom to notify of a message, for push notifications: who has no live connection, and wants to be told.

use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::context::Context;
use crate::domain::{Body, Entry, Event as EntryEvent, Member, NotifyLevel, RoomId, UserId};
use crate::error::Error;
use crate::store::Channel;
use crate::wire::events::{Cause, Event, EventKey, Fact, Notification};

/// Users of whom it is asked at once whether they are connected.
const USERS_AT_ONCE: usize = 16;

/// An event for each user who is to be told of a message: not for its sender, nor for who has blocked the sender. In
/// rooms of more than 100 members only those are told whom the message mentions.
pub async fn wanted(ctx: &Context, entry: &Entry) -> Result<Vec<Event>, Error> {
    let EntryEvent::Said(body) = &entry.event else { return Ok(Vec::new()) };
    if entry.room.is_lobby() {
        return Ok(Vec::new());
    }
    let (members, is_large) = ctx.store.members(&entry.room, None).await?;
    let in_room = members.into_iter().filter(|_| !is_large).map(|member| member.user);
    let mut users: Vec<UserId> = in_room.chain(body.mentions.iter().cloned()).collect();
    users.sort();
    users.dedup();
    users.retain(|user| *user != body.user_id);
    // As many as one request reads.
    users.truncate(100);
    let members = ctx.store.memberships_among(users, &entry.room, ctx.now).await?;
    let told: Vec<_> = members
        .into_iter()
        .map(|member| (cause(&entry.room, body, &member.user), member))
        .filter(|(cause, member)| is_told(ctx, member, *cause))
        .collect();
    let users = told.iter().map(|(_, member)| member.user.clone()).collect();
    let absent = absent(ctx, &entry.room, ctx.store.not_blocking(users, &body.user_id).await?).await?;
    let told = told.into_iter().filter(|(_, member)| absent.contains(&member.user));
    Ok(told.map(|(cause, member)| event(entry, body, member.user, cause)).collect())
}

fn cause(room: &RoomId, body: &Body, user: &UserId) -> Cause {
    if room.is_direct() {
        Cause::Direct
    } else if body.mentions.contains(user) {
        Cause::Mention
    } else if body.mention_room {
        Cause::RoomMention
    } else {
        Cause::Message
    }
}

/// By the table of levels in the protocol.
fn is_told(ctx: &Context, member: &Member, cause: Cause) -> bool {
    let is_muted = member.notify.muted_until.is_some_and(|end| end > ctx.now);
    !is_muted
        && match member.notify.level {
            NotifyLevel::All => true,
            NotifyLevel::Mentions => cause != Cause::Message,
            NotifyLevel::None => false,
        }
}

/// Those of these users who have no live connection, wherever they are connected.
async fn absent(ctx: &Context, room: &RoomId, mut users: Vec<UserId>) -> Result<Vec<UserId>, Error> {
    if users.is_empty() {
        return Ok(users);
    }
    if !room.is_direct() {
        let here = ctx.store.all_subscribers(&Channel::of_room(room), ctx.now).await?;
        let is_here = |user: &UserId| here.iter().any(|live| live.user_id == *user && !live.has_session_ended(ctx.now));
        users.retain(|user| !is_here(user));
    }
    let asked = stream::iter(users).map(|user| async move {
        let live = ctx.store.all_subscribers(&Channel::of_user(&user), ctx.now).await?;
        let is_absent = live.iter().all(|live| live.has_session_ended(ctx.now));
        Ok::<_, Error>(is_absent.then_some(user))
    });
    let absent: Vec<_> = asked.buffered(USERS_AT_ONCE).try_collect().await?;
    Ok(absent.into_iter().flatten().collect())
}

fn event(entry: &Entry, body: &Body, user: UserId, cause: Cause) -> Event {
    let identity = [entry.seq.to_string(), user.to_string()];
    let excerpt = Some(body.content.excerpt()).filter(|excerpt| !excerpt.is_empty());
    let (room_id, sender_id) = (entry.room.clone(), body.user_id.clone());
    let sender_name = body.user_name.to_string();
    let wanted = Notification { user_id: user, room_id, seq: entry.seq, cause, sender_id, sender_name, excerpt };
    let key = EventKey::of_entry(&entry.room, entry.seq);
    let identity = identity.each_ref().map(String::as_str);
    Event::new(Fact::NotificationWanted(wanted), key, entry.created_at, &identity)
}

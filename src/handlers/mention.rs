//! Mentions: which of the named users can be mentioned, and who may mention a whole room.

use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::access::{self, Sender};
use crate::context::Context;
use crate::domain::UserId;
use crate::error::Error;

/// In rooms with more participants only owners and admins mention the whole room.
const LARGE_ROOM: u64 = 50;
/// Users who are looked up at once.
const USERS_AT_ONCE: usize = 20;

/// Those of `wanted` who are in the conversation and have not blocked the sender, each once; and the others.
pub async fn split(ctx: &Context, sender: &Sender, wanted: &[UserId]) -> Result<(Vec<UserId>, Vec<UserId>), Error> {
    let mut users: Vec<UserId> = Vec::with_capacity(wanted.len());
    for user in wanted {
        if !users.contains(user) {
            users.push(user.clone());
        }
    }
    if users.is_empty() {
        return Ok((users, Vec::new()));
    }
    let present: Vec<_> = stream::iter(users.iter().cloned())
        .map(|user| async move { Ok::<_, Error>(is_in(ctx, sender, &user).await?.then_some(user)) })
        .buffered(USERS_AT_ONCE)
        .try_collect()
        .await?;
    let mentioned = ctx.store.not_blocking(present.into_iter().flatten().collect(), &sender.user).await?;
    users.retain(|user| !mentioned.contains(user));
    Ok((mentioned, users))
}

async fn is_in(ctx: &Context, sender: &Sender, user: &UserId) -> Result<bool, Error> {
    if let Some(peer) = &sender.peer {
        return Ok(user == peer || *user == sender.user);
    }
    Ok(ctx.store.member(user, &sender.room, ctx.now).await?.is_some())
}

/// # Errors
/// `FORBIDDEN` for who may not mention the whole room.
pub async fn require_room_mention(ctx: &Context, sender: &Sender) -> Result<(), Error> {
    let is_large = match ctx.store.room(&sender.room, ctx.now).await? {
        // Everybody is in the lobby.
        Some(room) => sender.room.is_lobby() || room.participant_count > LARGE_ROOM,
        None => sender.room.is_lobby(),
    };
    if is_large && !access::moderates(ctx, sender).await? {
        return Err(Error::Forbidden("only owners and admins mention everybody in a room of more than 50"));
    }
    Ok(())
}

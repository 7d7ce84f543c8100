//! Mentions: which of the named users can be mentioned, and who may mention a whole room.

use crate::access::{self, Sender};
use crate::context::Context;
use crate::domain::UserId;
use crate::error::Error;

/// In rooms with more participants only owners and admins mention the whole room.
const LARGE_ROOM: u64 = 50;

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
    let present = match &sender.peer {
        Some(peer) => users.iter().filter(|user| *user == peer || **user == sender.user).cloned().collect(),
        None => ctx.store.members_among(users.clone(), &sender.room, ctx.now).await?,
    };
    let mentioned = ctx.store.not_blocking(present, &sender.user).await?;
    users.retain(|user| !mentioned.contains(user));
    Ok((mentioned, users))
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

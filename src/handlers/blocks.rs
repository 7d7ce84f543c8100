//! Blocking users.

use crate::access::Caller;
use crate::context::Context;
use crate::error::Error;
use crate::wire::frames::{Ack, Blocked};
use crate::wire::requests::{AboutUser, ListBlocked};

/// Keeps another user from writing to the caller, and from adding the caller to rooms.
pub async fn block(ctx: &Context, caller: Caller, request: AboutUser) -> Result<Ack, Error> {
    if request.user_id == caller.user {
        return Err(Error::invalid("userId", "must be another user's"));
    }
    ctx.store.block(&caller.user, &request.user_id, ctx.now).await?;
    Ok(Ack::confirming(ctx.route))
}

/// Succeeds also when the user is not blocked: the outcome is the same.
pub async fn unblock(ctx: &Context, caller: Caller, request: AboutUser) -> Result<Ack, Error> {
    ctx.store.unblock(&caller.user, &request.user_id).await?;
    Ok(Ack::confirming(ctx.route))
}

/// A page of the users whom the caller has blocked.
pub async fn list(ctx: &Context, caller: Caller, request: ListBlocked) -> Result<Blocked, Error> {
    let (items, more) = ctx.store.blocked_by(&caller.user, request.cursor.as_ref()).await?;
    Ok(Blocked { next_cursor: items.last().cloned().filter(|_| more), items })
}

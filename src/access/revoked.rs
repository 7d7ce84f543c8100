//! Tokens that were revoked.

use crate::auth::Identity;
use crate::context::Context;
use crate::domain::{Timestamp, UserId};
use crate::error::Error;

/// Refuses who was disconnected for good. A connection needs this once, when it opens, after its rows are written: who
/// revokes writes that first and then closes the connections that there are. So a connection is refused, or found and
/// closed.
///
/// # Errors
/// `FORBIDDEN` for a user who is blocked; `UNAUTHORIZED` for a token that was issued before the user's were revoked.
pub async fn require_unrevoked(ctx: &Context, identity: &Identity) -> Result<(), Error> {
    let revocation = ctx.store.revocation(&identity.user).await?;
    if revocation.blocks(ctx.now) {
        return Err(Error::Forbidden("this user is blocked; only the operator of this chat can change that"));
    }
    if identity.issued_at.is_some_and(|at| revocation.is_after(at)) {
        return Err(Error::Unauthorized("the token was revoked; get a new one"));
    }
    Ok(())
}

/// Whether what a user was given at a time is of no use any more.
pub async fn was_revoked_since(ctx: &Context, user: &UserId, at: Timestamp) -> Result<bool, Error> {
    let revocation = ctx.store.revocation(user).await?;
    Ok(revocation.blocks(ctx.now) || revocation.is_after(at))
}

//! Tickets in the place of tokens: a page puts one into the address of its WebSocket, where a token does not belong.

use super::Access;
use crate::auth::Identity;
use crate::context::Context;
use crate::domain::UserId;
use crate::error::Error;
use crate::event::HttpCredentials;
use crate::store::Ticket;

/// What a request's token says, which is neither expired nor revoked.
pub struct Bearer(pub Identity);

impl<R> Access<HttpCredentials, R> for Bearer {
    async fn resolve(ctx: &Context, origin: &HttpCredentials, _: &R) -> Result<Self, Error> {
        origin.identity(ctx).await.map(Self)
    }
}

impl From<Identity> for Ticket {
    fn from(identity: Identity) -> Self {
        let Identity { user, name, is_admin, issued_at, session_ends_at } = identity;
        Self { user_id: user, name, is_admin, issued_at, session_ends_at }
    }
}

/// Who a ticket lets in. It is used up.
///
/// # Errors
/// `UNAUTHORIZED` for a ticket that there is not, or not any more; `FORBIDDEN` with a `userId` that is not its user's.
pub async fn redeem(ctx: &Context, code: &str, claimed: Option<&UserId>) -> Result<Identity, Error> {
    const INVALID: Error = Error::Unauthorized("this ticket is expired, was used or never existed; get a new one");
    let Ticket { user_id, name, is_admin, issued_at, session_ends_at } =
        ctx.store.redeem_ticket(code, ctx.now).await?.ok_or(INVALID)?;
    if claimed.is_some_and(|claimed| *claimed != user_id) {
        return Err(Error::Forbidden("`userId` is not the user that the ticket is for"));
    }
    Ok(Identity { user: user_id, name, is_admin, issued_at, session_ends_at })
}

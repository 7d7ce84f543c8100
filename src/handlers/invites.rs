//! Invites into private rooms.

use crate::access::Moderator;
use crate::context::Context;
use crate::domain::{InviteCode, RoomStatus, Timestamp};
use crate::error::Error;
use crate::store;
use crate::wire::frames::{Ack, Invite};
use crate::wire::requests::{CreateInvite, RevokeInvite};

/// Creates an invite into an open room.
pub async fn create(ctx: &Context, moderator: Moderator, request: CreateInvite) -> Result<Invite, Error> {
    if moderator.room.status == RoomStatus::Closed {
        return Err(Error::RoomClosed);
    }
    let invite = store::Invite {
        room_id: request.room_id,
        invite: InviteCode::fresh(),
        creator: moderator.user,
        uses_left: request.max_uses.0,
        ttl: ctx.now.as_secs() + request.expires_in_seconds.0,
    };
    ctx.store.add_invite(&invite).await?;
    let expires_at = Timestamp::from_secs(invite.ttl).into();
    Ok(Invite { room_id: invite.room_id, invite: invite.invite, expires_at, max_uses: invite.uses_left })
}

/// Succeeds also when there is no such invite: the outcome is the same.
pub async fn revoke(ctx: &Context, _: Moderator, request: RevokeInvite) -> Result<Ack, Error> {
    ctx.store.revoke_invite(&request.room_id, &request.invite).await?;
    Ok(Ack::of(ctx.route, request.room_id))
}

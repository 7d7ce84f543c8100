//! Invites into private rooms: made and revoked by those who look after the room.

use super::moderation::{self, Rank};
use super::seat;
use crate::app::App;
use crate::domain::{InviteCode, RoomStatus, Timestamp};
use crate::error::Error;
use crate::event::Call;
use crate::store::Invite;
use crate::wire::{Frame, MakeInvite, RevokeInvite};

pub async fn make(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let MakeInvite { room: id, max_uses, lifetime_seconds } = call.request()?;
    let me = seat::caller(app, call).await?;
    call.trace.room = Some(id.clone());

    let room = moderation::ruled_by(app, &me, &id, Rank::Admin).await?;
    if room.status == RoomStatus::Closed {
        return Err(Error::RoomClosed);
    }
    let invite = Invite {
        room_id: id,
        invite: InviteCode::fresh(),
        creator: me.user,
        uses_left: max_uses,
        ttl: call.at.as_secs() + lifetime_seconds,
    };
    app.store.add_invite(&invite).await?;
    let expires_at = Timestamp::from_secs(invite.ttl);
    Ok(Frame::Invite { room_id: invite.room_id, invite: invite.invite, expires_at, max_uses })
}

/// Whether there is such an invite or not: there is none afterwards.
pub async fn revoke(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let RevokeInvite { room: id, invite } = call.request()?;
    let me = seat::caller(app, call).await?;
    call.trace.room = Some(id.clone());

    moderation::ruled_by(app, &me, &id, Rank::Admin).await?;
    app.store.revoke_invite(&id, &invite).await?;
    Ok(Frame::ack(call.route, Some(id)))
}

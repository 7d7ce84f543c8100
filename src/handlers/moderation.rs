//! What moderators do: remove, ban and readmit users, and share the work.

use super::{membership, room};
use crate::access::{Moderator, Owner};
use crate::context::Context;
use crate::delivery::OutboundFrame;
use crate::domain::RoomStatus;
use crate::error::Error;
use crate::store::{Channel, Membership};
use crate::wire::frames::{Ack, LeaveReason};
use crate::wire::requests::{AboutMember, SetRole};

/// Ends the membership of another user, or their invitation.
pub async fn remove(ctx: &Context, moderator: Moderator, request: AboutMember) -> Result<Ack, Error> {
    let AboutMember { room_id, user_id } = request;
    let known = moderator.outranks(ctx, &user_id).await?;

    let is_stranger = matches!(known, Membership::Stranger);
    let is_member = matches!(known, Membership::Member(_));
    let is_gone = membership::end(ctx, known, &user_id, &moderator.room, LeaveReason::Removed).await?;
    // Who is only invited is no longer.
    let was_invited = !is_member && ctx.store.end_pending(&user_id, &room_id).await?;
    if is_stranger && !is_gone && !was_invited { Err(Error::UserNotFound) } else { Ok(Ack::of(ctx.route, room_id)) }
}

/// Bans members, and strangers before they join.
pub async fn ban(ctx: &Context, moderator: Moderator, request: AboutMember) -> Result<Ack, Error> {
    let AboutMember { room_id, user_id } = request;
    moderator.outranks(ctx, &user_id).await?;
    if moderator.room.status == RoomStatus::Closed {
        return Err(Error::RoomClosed);
    }

    let was_member = ctx.store.ban(&user_id, &moderator.room, ctx.now).await?;
    membership::depart(ctx, &user_id, &room_id, LeaveReason::Banned, was_member).await?;
    if !was_member {
        ctx.store.end_pending(&user_id, &room_id).await?;
    }
    Ok(Ack::of(ctx.route, room_id))
}

/// Lets a user join again; joining is left to them.
pub async fn unban(ctx: &Context, _: Moderator, request: AboutMember) -> Result<Ack, Error> {
    ctx.store.unban(&request.user_id, &request.room_id, ctx.now).await?;
    Ok(Ack::of(ctx.route, request.room_id))
}

/// Nobody changes their own role, and the creator stays an owner: so there always is one.
pub async fn set_role(ctx: &Context, owner: Owner, request: SetRole) -> Result<Ack, Error> {
    let SetRole { room_id, user_id, role } = request;
    if owner.room.status == RoomStatus::Closed {
        return Err(Error::RoomClosed);
    }
    if user_id == owner.user || user_id == owner.room.creator {
        return Err(Error::Forbidden("nobody changes their own role, and the creator's stays as it is"));
    }
    if !ctx.store.set_role(&user_id, &room_id, role).await? {
        return Err(Error::UserNotFound);
    }
    let member = ctx.store.member(&user_id, &room_id, ctx.now).await?;
    let frame = room::describe(ctx, owner.room, None, member.as_slice()).await?.into();
    ctx.publish(&[Channel::of_room(&room_id)], &OutboundFrame::new(&frame, ctx.others())).await;
    Ok(Ack::of(ctx.route, room_id))
}

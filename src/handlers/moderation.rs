//! What moderators do: remove, ban, readmit and mute users, and share the work; and what is reported to them.

use super::{membership, room};
use crate::access::{Moderator, Owner, Sender, audit};
use crate::context::Context;
use crate::delivery::OutboundFrame;
use crate::domain::{Member, Role, Room, RoomStatus, Timestamp, UserId};
use crate::error::Error;
use crate::store::{Channel, Membership};
use crate::wire::frames::{Ack, LeaveReason};
use crate::wire::requests::{AboutMember, MuteMember, ReportMessage, SetRole};

/// The end of a mute that has none: the end of the year 9999.
const FOREVER: Timestamp = Timestamp::from_secs(253_402_300_799);

/// Ends the membership of another user, or their invitation.
pub async fn remove(ctx: &Context, moderator: Moderator, request: AboutMember) -> Result<Ack, Error> {
    let AboutMember { room_id, user_id } = request;
    let known = moderator.outranks(ctx, &user_id).await?;

    if matches!(known, Membership::Member(_)) {
        audit::record(ctx, &moderator.user, &room_id, Some(&user_id), None).await?;
    }
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

    audit::record(ctx, &moderator.user, &room_id, Some(&user_id), None).await?;
    let was_member = ctx.store.ban(&user_id, &moderator.room, ctx.now).await?;
    membership::depart(ctx, &user_id, &room_id, LeaveReason::Banned, was_member).await?;
    if !was_member {
        ctx.store.end_pending(&user_id, &room_id).await?;
    }
    Ok(Ack::of(ctx.route, room_id))
}

/// Lets a user join again; joining is left to them.
pub async fn unban(ctx: &Context, moderator: Moderator, request: AboutMember) -> Result<Ack, Error> {
    audit::record(ctx, &moderator.user, &request.room_id, Some(&request.user_id), None).await?;
    ctx.store.unban(&request.user_id, &request.room_id, ctx.now).await?;
    Ok(Ack::of(ctx.route, request.room_id))
}

/// Keeps a member from sending messages, typing indicators and files, until a time or until `unmute`. It outlasts
/// leaving the room.
pub async fn mute(ctx: &Context, moderator: Moderator, request: MuteMember) -> Result<Ack, Error> {
    let until = request.until.as_ref().map_or(FOREVER, |until| until.0);
    set_mute(ctx, &moderator, &request.user_id, Some(until)).await?;
    Ok(Ack::of(ctx.route, request.room_id))
}

/// Lets a muted member speak again.
pub async fn unmute(ctx: &Context, moderator: Moderator, request: AboutMember) -> Result<Ack, Error> {
    set_mute(ctx, &moderator, &request.user_id, None).await?;
    Ok(Ack::of(ctx.route, request.room_id))
}

/// First the membership says so, then its subscriptions: a subscription that is made in between learns it from there.
async fn set_mute(ctx: &Context, moderator: &Moderator, user: &UserId, until: Option<Timestamp>) -> Result<(), Error> {
    let room = &moderator.room.id;
    let known = moderator.outranks(ctx, user).await?;
    if moderator.room.status == RoomStatus::Closed {
        return Err(Error::RoomClosed);
    }
    let member = known.member().ok_or(Error::UserNotFound)?;
    let detail = until.map(Timestamp::to_iso);
    audit::record(ctx, &moderator.user, room, Some(user), detail.as_deref()).await?;
    let muted_until = until.map(Timestamp::as_secs);
    if !ctx.store.mute_member(user, room, muted_until).await? {
        return Err(Error::UserNotFound);
    }
    membership::mute_devices(ctx, &Member { muted_until, ..member }).await
}

/// Keeps a copy of a message for those who look after the chat.
pub async fn report(ctx: &Context, sender: Sender, request: ReportMessage) -> Result<Ack, Error> {
    let message = (&sender.room, request.seq);
    if ctx.store.add_report(message, &sender.user, &request.reason, ctx.now).await? {
        Ok(Ack::of(ctx.route, sender.room))
    } else {
        Err(Error::MessageNotFound)
    }
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
    audit::record(ctx, &owner.user, &room_id, Some(&user_id), Some(role.as_str())).await?;
    give_role(ctx, owner.room, &user_id, role).await?;
    Ok(Ack::of(ctx.route, room_id))
}

/// Gives a member a role, and tells the room.
///
/// # Errors
/// `USER_NOT_FOUND` for a user who is no member.
pub async fn give_role(ctx: &Context, room: Room, user: &UserId, role: Role) -> Result<(), Error> {
    let id = room.id.clone();
    if !ctx.store.set_role(user, &id, role).await? {
        return Err(Error::UserNotFound);
    }
    let member = ctx.store.member(user, &id, ctx.now).await?;
    let frame = room::describe(ctx, room, None, None, member.as_slice()).await?.into();
    ctx.publish(&[Channel::of_room(&id)], &OutboundFrame::new(&frame, ctx.others())).await;
    Ok(())
}

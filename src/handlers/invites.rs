//! Invites into private rooms.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::access::{Moderator, audit};
use crate::context::Context;
use crate::domain::{InviteCode, Room, RoomStatus, Timestamp, UserId};
use crate::error::Error;
use crate::store::{self, Membership};
use crate::wire::frames::{Ack, Invite, Invites, ListedInvite};
use crate::wire::requests::{CreateInvite, ListInvites, RevokeInvite};

/// The membership of an invite whose maker needs none.
const NO_MEMBERSHIP: Timestamp = Timestamp::from_millis(0);
/// Makers of invites that are looked up at once.
const MAKERS_AT_ONCE: usize = 16;

/// Creates an invite into an open room.
pub async fn create(ctx: &Context, moderator: Moderator, request: CreateInvite) -> Result<Invite, Error> {
    if moderator.room.status == RoomStatus::Closed {
        return Err(Error::RoomClosed);
    }
    let invite = store::Invite {
        room_id: request.room_id,
        invite: InviteCode::fresh(),
        creator: moderator.user,
        membership: Some(moderator.membership.unwrap_or(NO_MEMBERSHIP)),
        uses_left: request.max_uses.0,
        ttl: ctx.now.as_secs() + request.expires_in_seconds.0,
    };
    ctx.store.add_invite(&invite).await?;
    let expires_at = Timestamp::from_secs(invite.ttl).into();
    Ok(Invite { room_id: invite.room_id, invite: invite.invite, expires_at, max_uses: invite.uses_left })
}

/// A page of the invites that can be used.
pub async fn list(ctx: &Context, moderator: Moderator, request: ListInvites) -> Result<Invites, Error> {
    let (mut invites, next) = ctx.store.invites(&request.room_id, request.cursor.as_ref(), ctx.now).await?;
    let makers: BTreeMap<UserId, ()> = invites.iter().map(|invite| (invite.creator.clone(), ())).collect();
    let room = &moderator.room;
    let makers: BTreeMap<UserId, Membership> = stream::iter(makers.into_keys())
        .map(|maker| async move { Ok::<_, Error>((maker.clone(), membership_of(ctx, room, &maker).await?)) })
        .buffer_unordered(MAKERS_AT_ONCE)
        .try_collect()
        .await?;
    invites.retain(|invite| makers.get(&invite.creator).is_some_and(|maker| is_backed_by(invite, maker)));
    let listed = |invite: store::Invite| ListedInvite {
        invite: invite.invite,
        created_by: invite.creator,
        expires_at: Timestamp::from_secs(invite.ttl).into(),
        uses_left: invite.uses_left,
    };
    let items = invites.into_iter().map(listed).collect();
    Ok(Invites { room_id: request.room_id, items, next_cursor: next })
}

/// Succeeds also when there is no such invite: the outcome is the same.
pub async fn revoke(ctx: &Context, moderator: Moderator, request: RevokeInvite) -> Result<Ack, Error> {
    audit::record(ctx, &moderator.user, &moderator.room.id, None, Some(request.invite.as_str())).await?;
    ctx.store.revoke_invite(&request.room_id, &request.invite).await?;
    Ok(Ack::of(ctx.route, request.room_id))
}

/// # Errors
/// `INVITE_REQUIRED` for an invite that is used up, expired or revoked, or whose maker is no longer a member.
pub async fn require_valid(ctx: &Context, room: &Room, invite: &InviteCode) -> Result<(), Error> {
    let invite = ctx.store.invite(&room.id, invite, ctx.now).await?.ok_or(Error::InviteRequired)?;
    let maker = membership_of(ctx, room, &invite.creator).await?;
    if is_backed_by(&invite, &maker) { Ok(()) } else { Err(Error::InviteRequired) }
}

async fn membership_of(ctx: &Context, room: &Room, maker: &UserId) -> Result<Membership, Error> {
    Ok(ctx.store.membership(maker, &room.id, ctx.now).await?.within(room))
}

/// Whether the membership in which an invite was made still lasts.
fn is_backed_by(invite: &store::Invite, maker: &Membership) -> bool {
    match (invite.membership, maker) {
        (Some(NO_MEMBERSHIP), _) => true,
        (Some(made_in), Membership::Member(member)) => member.joined_at == made_in,
        (None, Membership::Member(_)) => true,
        _ => false,
    }
}

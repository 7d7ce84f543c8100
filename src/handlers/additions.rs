//! Adding other users to rooms: at once, or with their consent.

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::membership;
use crate::access::{Caller, Moderator};
use crate::context::Context;
use crate::delivery::{Except, OutboundFrame};
use crate::domain::{Member, Role, Room, RoomStatus, Timestamp, UserId};
use crate::error::Error;
use crate::store::{Admission, Channel, Membership, Pass, Pending};
use crate::wire::frames::{Ack, Added, Invited, RefusedUser};
use crate::wire::requests::{AboutRoom, AddMembers};

/// Users that are added or invited at once.
const USERS_AT_ONCE: usize = 16;
/// Most rooms to which others can add a user without asking.
const MAX_ADDED_ROOMS: usize = 100;
/// Most invitations that wait for a user's answer.
const MAX_INVITATIONS: usize = 100;
/// Most of them by one inviter.
const MAX_INVITATIONS_OF_ONE: usize = 5;

/// Who invites: their user, and since when they are a member of the room.
pub struct Inviter {
    pub user: UserId,
    pub membership: Option<Timestamp>,
}

/// What became of a user.
enum Outcome {
    Added,
    Invited,
    Refused(&'static str),
}

/// Adds users to a room, or invites them. Repeating it does no harm.
pub async fn add(ctx: &Context, moderator: Moderator, request: AddMembers) -> Result<Added, Error> {
    let room = &moderator.room;
    if room.status == RoomStatus::Closed {
        return Err(Error::RoomClosed);
    }
    let inviter = &Inviter { membership: moderator.membership()?, user: moderator.user };
    let users: Vec<_> = request.users().into_iter().filter(|user| *user != inviter.user).collect();
    let willing = ctx.store.not_blocking(users.clone(), &inviter.user).await?;
    let outcomes: Vec<_> = stream::iter(users)
        .map(|user| {
            let is_willing = willing.contains(&user);
            async move {
                let outcome = match is_willing {
                    true => add_one(ctx, inviter, room, &user).await?,
                    false => Outcome::Refused(Error::Blocked.code()),
                };
                Ok::<_, Error>((user, outcome))
            }
        })
        .buffered(USERS_AT_ONCE)
        .try_collect()
        .await?;
    let mut answer = Added { room_id: room.id.clone(), added: vec![], invited: vec![], refused: vec![] };
    for (user_id, outcome) in outcomes {
        match outcome {
            Outcome::Added => answer.added.push(user_id),
            Outcome::Invited => answer.invited.push(user_id),
            Outcome::Refused(code) => answer.refused.push(RefusedUser { user_id, code }),
        }
    }
    Ok(answer)
}

/// Adds a user to a room without asking, as a backend does: but only to so many rooms.
///
/// # Errors
/// `ROOM_CLOSED`, `BANNED`, `ROOM_FULL`; `TOO_MANY_INVITATIONS` where the user would have to be asked.
pub async fn add_directly(ctx: &Context, room: &Room, user: &UserId) -> Result<(), Error> {
    if room.status == RoomStatus::Closed {
        return Err(Error::RoomClosed);
    }
    if add_at_once(ctx, room, user, true).await? { Ok(()) } else { Err(Error::TooManyInvitations) }
}

async fn add_one(ctx: &Context, inviter: &Inviter, room: &Room, user: &UserId) -> Result<Outcome, Error> {
    match add_at_once(ctx, room, user, ctx.config.adds_directly).await {
        Ok(true) => Ok(Outcome::Added),
        Ok(false) => invite(ctx, inviter, room, user).await,
        Err(error) if error.status() < 500 => Ok(Outcome::Refused(error.code())),
        Err(error) => Err(error),
    }
}

/// Makes a user a member, unless they are one. `false` for one who has to be asked: always where others are not added
/// directly, and where others have added the user to too many rooms.
///
/// # Errors
/// `BANNED`, `ROOM_CLOSED`, `ROOM_FULL`
async fn add_at_once(ctx: &Context, room: &Room, user: &UserId, adds_directly: bool) -> Result<bool, Error> {
    match ctx.store.standing(user, &room.id, ctx.now).await?.within(room) {
        Membership::Banned { .. } => return Err(Error::Banned),
        Membership::Member(member) => {
            // The request that added the user may have ended before it told anybody.
            if member.is_unannounced {
                membership::welcome(ctx, &member).await?;
            }
            return Ok(true);
        }
        Membership::Stranger | Membership::Former => {}
    }
    if !adds_directly || !has_places(ctx, user).await? {
        return Ok(false);
    }
    let member = Member::new(user.clone(), user.as_name(), room.id.clone(), Role::Member, ctx.now);
    let member = Member { is_added: true, ..member };
    if let Admission::Joined(member) = ctx.store.admit(member, room, Pass::Open, ctx.now).await? {
        membership::welcome(ctx, &member).await?;
    }
    Ok(true)
}

/// # Errors
/// `TOO_MANY_INVITATIONS` for a user whom others have added to so many rooms that they have to be asked.
pub async fn require_places(ctx: &Context, user: &UserId) -> Result<(), Error> {
    if has_places(ctx, user).await? { Ok(()) } else { Err(Error::TooManyInvitations) }
}

/// Whether others can add a user to one more room.
async fn has_places(ctx: &Context, user: &UserId) -> Result<bool, Error> {
    Ok(ctx.store.count_added_rooms(user, ctx.now).await? < MAX_ADDED_ROOMS)
}

/// Divides the first members of a room into those who are added at once and those who are invited. Who has blocked the
/// caller is neither.
pub async fn divide(ctx: &Context, caller: &Caller, users: Vec<UserId>) -> Result<(Vec<UserId>, Vec<UserId>), Error> {
    let willing = ctx.store.not_blocking(users, &caller.user).await?;
    if !ctx.config.adds_directly {
        return Ok((Vec::new(), willing));
    }
    let divided: Vec<_> = stream::iter(willing)
        .map(|user| async move { Ok::<_, Error>((has_places(ctx, &user).await?, user)) })
        .buffered(USERS_AT_ONCE)
        .try_collect()
        .await?;
    let (added, invited): (Vec<_>, Vec<_>) = divided.into_iter().partition(|(is_added, _)| *is_added);
    let users = |list: Vec<(bool, UserId)>| list.into_iter().map(|(_, user)| user).collect();
    Ok((users(added), users(invited)))
}

/// Invites users into a new room; those who have too many invitations are left out.
pub async fn invite_all(ctx: &Context, inviter: &Inviter, room: &Room, users: Vec<UserId>) -> Result<(), Error> {
    stream::iter(users)
        .map(|user| async move { invite(ctx, inviter, room, &user).await.map(drop) })
        .buffer_unordered(USERS_AT_ONCE)
        .try_collect()
        .await
}

async fn invite(ctx: &Context, inviter: &Inviter, room: &Room, user: &UserId) -> Result<Outcome, Error> {
    let limit = i32::try_from(MAX_INVITATIONS).unwrap_or(i32::MAX);
    let mut others = ctx.store.invitations(user, limit, ctx.now).await?;
    let known = others.iter().position(|pending| pending.room == room.id).map(|at| others.swap_remove(at));
    if known.is_some_and(|known| known.by == inviter.user && known.membership == inviter.membership) {
        return Ok(Outcome::Invited);
    }
    let by_inviter = others.iter().filter(|pending| pending.by == inviter.user).count();
    if others.len() >= MAX_INVITATIONS || by_inviter >= MAX_INVITATIONS_OF_ONE {
        return Ok(Outcome::Refused(Error::TooManyInvitations.code()));
    }
    let pending = Pending {
        user: user.clone(),
        room: room.id.clone(),
        by: inviter.user.clone(),
        at: ctx.now,
        name: room.name.clone(),
        membership: inviter.membership,
    };
    ctx.store.add_pending(&pending).await?;
    let frame = OutboundFrame::new(&Invited::from(pending).into(), Except::Nobody);
    ctx.publish(&[Channel::of_user(user)], &frame).await;
    Ok(Outcome::Invited)
}

/// Refuses an invitation. Succeeds also when there is none: the outcome is the same.
pub async fn decline(ctx: &Context, caller: Caller, request: AboutRoom) -> Result<Ack, Error> {
    ctx.store.end_pending(&caller.user, &request.room_id).await?;
    Ok(Ack::of(ctx.route, request.room_id))
}

impl From<Pending> for Invited {
    fn from(pending: Pending) -> Self {
        Self { room_id: pending.room, room_name: pending.name, by: pending.by, at: pending.at.into() }
    }
}

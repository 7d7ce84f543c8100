//! What a user may do in a room: membership and rank.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio::try_join;

use super::{Access, Origin, Sender};
use crate::context::{Context, Services};
use crate::domain::{Member, Name, Role, Room, RoomId, Timestamp, UserId};
use crate::error::Error;
use crate::store::{IsModerator, Membership};
use crate::wire::requests::{
    AboutMember, AboutMessage, AboutRoom, AddMembers, CreateInvite, ListInvites, MuteMember, RenameRoom, RevokeInvite,
    RoomInfo, SetRole, SetRoomMode,
};

/// A user who may see a room and its participants: a member; everybody in the lobby.
pub struct Visitor {
    pub user: UserId,
    /// The other user, in a direct conversation.
    pub peer: Option<UserId>,
}

impl<O: Origin> Access<O, RoomInfo> for Visitor {
    async fn resolve(ctx: &Context, origin: &O, request: &RoomInfo) -> Result<Self, Error> {
        let (caller, room) = (origin.caller(ctx).await?, &request.room_id);
        ctx.note_room(room);
        let mut peer = None;
        if room.is_lobby() {
            require_lobby(ctx)?;
        } else if room.is_direct() {
            peer = Some(direct_peer(ctx, &caller.user, room).await?);
        } else {
            membership(ctx, &caller.user, room).await?;
        }
        Ok(Self { user: caller.user, peer })
    }
}

/// # Errors
/// `ROOM_NOT_FOUND` where the lobby is switched off.
pub fn require_lobby(services: &Services) -> Result<(), Error> {
    if services.config.lobby { Ok(()) } else { Err(Error::RoomNotFound) }
}

/// The other user of a direct conversation.
///
/// # Errors
/// `NOT_A_MEMBER`, whether the conversation exists or not: who talks to whom is private.
pub async fn direct_peer(ctx: &Context, user: &UserId, room: &RoomId) -> Result<UserId, Error> {
    match ctx.store.member(user, room, ctx.now).await?.and_then(|member| member.peer) {
        Some(peer) => Ok(peer),
        // A request can be read before it is answered.
        None => Ok(ctx.store.pending(user, room, ctx.now).await?.ok_or(Error::NotAMember)?.by),
    }
}

/// # Errors
/// `NOT_A_MEMBER` for a user who is not, or no longer, in a room; everybody is in the lobby, where there is one.
pub async fn require_member(ctx: &Context, user: &UserId, room: &RoomId) -> Result<(), Error> {
    if room.is_lobby() {
        return require_lobby(ctx);
    }
    if room.is_direct() {
        return direct_peer(ctx, user, room).await.map(drop);
    }
    ctx.store.member(user, room, ctx.now).await?.map(drop).ok_or(Error::NotAMember)
}

/// As [`require_member`], if what was read of the membership at first may be out of date: the response was slow, and
/// the user may have been removed in the meantime.
///
/// # Errors
/// `NOT_A_MEMBER`.
pub async fn confirm_member(ctx: &Context, user: &UserId, room: &RoomId) -> Result<(), Error> {
    if ctx.timing().is_late() && !room.is_direct() { require_member(ctx, user, room).await } else { Ok(()) }
}

/// Those of several rooms that a user may no longer read, as [`confirm_member`] has it.
pub async fn lost_rooms(
    ctx: &Context,
    user: &UserId,
    rooms: impl Iterator<Item = &RoomId>,
) -> Result<BTreeSet<RoomId>, Error> {
    if !ctx.timing().is_late() {
        return Ok(BTreeSet::new());
    }
    let current: BTreeSet<_> =
        ctx.store.memberships(user, ctx.now).await?.into_iter().map(|member| member.room).collect();
    let with_members = rooms.filter(|id| !id.is_lobby() && !id.is_direct());
    Ok(with_members.filter(|id| !current.contains(id)).cloned().collect())
}

/// # Errors
/// As [`require_member`], and `MUTED` for a member who may not send anything.
pub async fn require_voice(ctx: &Context, user: &UserId, room: &RoomId) -> Result<(), Error> {
    if room.is_lobby() {
        return require_lobby(ctx);
    }
    let member = ctx.store.member(user, room, ctx.now).await?.ok_or(Error::NotAMember)?;
    if member.is_muted(ctx.now) { Err(Error::Muted) } else { Ok(()) }
}

/// A join and a message that are sent back to back are handled by two invocations at once: how long a send waits for
/// the join.
const JOIN_PATIENCE: Duration = Duration::from_millis(300);
const JOIN_POLL: Duration = Duration::from_millis(30);

/// A user's membership in a room. Waits up to 300 ms for a join that is in progress.
///
/// # Errors
/// `ROOM_NOT_FOUND`, at once; `NOT_A_MEMBER`.
pub async fn membership(ctx: &Context, user: &UserId, room: &RoomId) -> Result<Member, Error> {
    // A request that a limit refuses does not wait.
    let patience = if ctx.limited().is_some() { Duration::ZERO } else { JOIN_PATIENCE };
    let until = Instant::now() + patience;
    let (known, mut membership) = try_join!(ctx.store.room(room, ctx.now), ctx.store.membership(user, room, ctx.now))?;
    let known = known.ok_or(Error::RoomNotFound)?;
    loop {
        if let Some(member) = membership.within(&known).member() {
            return Ok(member);
        }
        if Instant::now() >= until {
            return Err(Error::NotAMember);
        }
        sleep(JOIN_POLL).await;
        membership = ctx.store.membership(user, room, ctx.now).await?;
    }
}

/// A user's rank in a room, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Stranger,
    Member,
    Admin,
    /// Also the creator, whatever role is set.
    Owner,
    /// The role `admin` of a token: in every room.
    AdminOfAll,
}

impl Rank {
    /// A room, and the membership and the rank of a user in it.
    async fn read(
        ctx: &Context,
        user: &UserId,
        is_admin: bool,
        id: &RoomId,
    ) -> Result<(Room, Membership, Self), Error> {
        let (room, membership) = try_join!(ctx.store.room(id, ctx.now), ctx.store.membership(user, id, ctx.now))?;
        let room = room.ok_or(Error::RoomNotFound)?;
        let membership = membership.within(&room);
        let rank = if is_admin { Self::AdminOfAll } else { Self::of(ctx, user, &room, &membership).await? };
        Ok((room, membership, rank))
    }

    async fn of(ctx: &Context, user: &UserId, room: &Room, membership: &Membership) -> Result<Self, Error> {
        Ok(match membership {
            Membership::Banned { .. } => Self::Stranger,
            Membership::Member(_) if room.creator == *user => Self::Owner,
            // Who created a room and left it is still in charge, unless banned.
            _ if room.creator == *user && ctx.store.is_banned(user, room, ctx.now).await? => Self::Stranger,
            _ if room.creator == *user => Self::Owner,
            Membership::Stranger | Membership::Former => Self::Stranger,
            Membership::Member(member) => match member.role {
                Role::Owner => Self::Owner,
                Role::Admin => Self::Admin,
                Role::Member => Self::Member,
            },
        })
    }
}

/// A user who may moderate a room: its creator, an owner, an admin, or a global admin.
pub struct Moderator {
    pub user: UserId,
    /// The display name.
    pub name: Name,
    pub room: Room,
    /// The moderator's own membership in the room. The creator and global admins need none.
    pub membership: Option<Timestamp>,
    rank: Rank,
}

macro_rules! moderated {
    ($($request:ident),+) => {$(
        impl<O: Origin> Access<O, $request> for Moderator {
            async fn resolve(ctx: &Context, origin: &O, request: &$request) -> Result<Self, Error> {
                Self::ranked(ctx, origin, &request.room_id, Rank::Admin).await
            }
        }
    )+};
}

moderated! {
    AboutMember, AboutMessage, AboutRoom, AddMembers, CreateInvite, ListInvites, MuteMember, RenameRoom, RevokeInvite,
    SetRoomMode
}

impl Moderator {
    async fn ranked<O: Origin>(ctx: &Context, origin: &O, id: &RoomId, least: Rank) -> Result<Self, Error> {
        let caller = origin.caller(ctx).await?;
        ctx.note_room(id);
        if id.is_lobby() || id.is_direct() {
            return Err(Error::Forbidden("nobody is in charge of the lobby or of a direct conversation"));
        }
        let (room, membership, rank) = Rank::read(ctx, &caller.user, caller.is_admin, id).await?;
        if rank < least {
            return Err(Error::Forbidden(match least {
                Rank::Owner | Rank::AdminOfAll => "only an owner of the room may do that",
                _ => "only the room's creator, an owner or an admin may do that",
            }));
        }
        let membership = membership.member().map(|member| member.joined_at);
        Ok(Self { name: caller.display_name(), user: caller.user, room, membership, rank })
    }

    /// Since when the moderator is a member; `None` for a global admin who is none.
    ///
    /// # Errors
    /// `NOT_A_MEMBER` for the creator of a room who has left it.
    pub fn membership(&self) -> Result<Option<Timestamp>, Error> {
        match self.membership {
            None if self.rank != Rank::AdminOfAll => Err(Error::NotAMember),
            joined_at => Ok(joined_at),
        }
    }

    /// The membership of a user whom the moderator outranks.
    ///
    /// # Errors
    /// `FORBIDDEN` for a user of the same rank or above.
    pub async fn outranks(&self, ctx: &Context, user: &UserId) -> Result<Membership, Error> {
        let membership = ctx.store.membership(user, &self.room.id, ctx.now).await?.within(&self.room);
        if Rank::of(ctx, user, &self.room, &membership).await? >= self.rank {
            return Err(Error::Forbidden("that is for somebody who ranks higher in the room than they do"));
        }
        Ok(membership)
    }
}

/// As [`moderates`], for who asks only if need be: a user, and whether they have the role `admin` of a token.
pub fn asking_rank<'a>(ctx: &'a Context, user: &'a UserId, is_admin: bool, room: &'a RoomId) -> Box<IsModerator<'a>> {
    Box::new(move || Box::pin(ranks_as_moderator(ctx, user, is_admin, room)))
}

/// Whether a sender moderates their room; nobody does in a direct conversation or the lobby, but a global admin.
pub async fn moderates(ctx: &Context, sender: &Sender) -> Result<bool, Error> {
    ranks_as_moderator(ctx, &sender.user, sender.is_admin, &sender.room).await
}

async fn ranks_as_moderator(ctx: &Context, user: &UserId, is_admin: bool, room: &RoomId) -> Result<bool, Error> {
    if is_admin {
        return Ok(true);
    }
    if room.is_lobby() || room.is_direct() {
        return Ok(false);
    }
    let (.., rank) = Rank::read(ctx, user, is_admin, room).await?;
    Ok(rank >= Rank::Admin)
}

/// An owner of a room, or a global admin.
pub struct Owner {
    pub user: UserId,
    pub room: Room,
}

impl<O: Origin> Access<O, SetRole> for Owner {
    async fn resolve(ctx: &Context, origin: &O, request: &SetRole) -> Result<Self, Error> {
        let Moderator { user, room, .. } = Moderator::ranked(ctx, origin, &request.room_id, Rank::Owner).await?;
        Ok(Self { user, room })
    }
}

//! What those who look after a room do in it: remove, ban, let back in, and share the work.

use tokio::try_join;

use super::seat::{self, Caller};
use super::{membership, room};
use crate::app::App;
use crate::delivery::{Except, Publication};
use crate::domain::{Role, Room, RoomId, RoomStatus, UserId};
use crate::error::Error;
use crate::event::Call;
use crate::store::{Channel, Standing};
use crate::wire::{AboutMember, Frame, LeaveReason, SetRole};

/// How much somebody has to say in a room, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    Stranger,
    Member,
    Admin,
    /// The creator always is one, whatever else is said.
    Owner,
    /// By its token, in every room.
    AdminOfAll,
}

impl Rank {
    fn of(user: &UserId, room: &Room, standing: &Standing) -> Self {
        match standing {
            Standing::Banned => Self::Stranger,
            _ if room.creator == *user => Self::Owner,
            Standing::Stranger => Self::Stranger,
            Standing::Member(member) => match member.role {
                Role::Owner => Self::Owner,
                Role::Admin => Self::Admin,
                Role::Member => Self::Member,
            },
        }
    }
}

/// A room in which the caller ranks at least so high.
///
/// # Errors
/// `ROOM_NOT_FOUND`, `FORBIDDEN`.
pub async fn ruled_by(app: &App, me: &Caller, id: &RoomId, least: Rank) -> Result<Room, Error> {
    ranked(app, me, id, least).await.map(|(room, _)| room)
}

async fn ranked(app: &App, me: &Caller, id: &RoomId, least: Rank) -> Result<(Room, Rank), Error> {
    if id.is_lobby() || id.is_direct() {
        return Err(Error::Forbidden("nobody is in charge of the lobby or of a direct conversation"));
    }
    let (room, standing) = try_join!(app.store.room(id), app.store.standing(&me.user, id))?;
    let room = room.ok_or(Error::RoomNotFound)?;
    let rank = if me.is_admin { Rank::AdminOfAll } else { Rank::of(&me.user, &room, &standing) };
    if rank < least {
        return Err(Error::Forbidden(match least {
            Rank::Owner | Rank::AdminOfAll => "only an owner of the room may do that",
            _ => "only the room's creator, an owner or an admin may do that",
        }));
    }
    Ok((room, rank))
}

pub async fn remove(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let AboutMember { room: id, user } = call.request()?;
    let (_, standing) = outranked(app, call, &id, &user).await?;

    let was_member = app.store.dismiss(&user, &id).await?;
    membership::depart(app, call, &user, &id, LeaveReason::Removed, was_member).await?;
    if standing.member().is_none() {
        return Err(Error::UserNotFound);
    }
    Ok(Frame::ack(call.route, Some(id)))
}

/// Of members and of strangers: these are kept from joining.
pub async fn ban(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let AboutMember { room: id, user } = call.request()?;
    let (room, _) = outranked(app, call, &id, &user).await?;
    if room.status == RoomStatus::Closed {
        return Err(Error::RoomClosed);
    }

    let was_member = app.store.ban(&user, &id, call.at).await?;
    membership::depart(app, call, &user, &id, LeaveReason::Banned, was_member).await?;
    Ok(Frame::ack(call.route, Some(id)))
}

/// Lets somebody join again; to become a member is left to them.
pub async fn unban(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let AboutMember { room: id, user } = call.request()?;
    let me = seat::caller(app, call).await?;
    call.trace.room = Some(id.clone());

    ruled_by(app, &me, &id, Rank::Admin).await?;
    app.store.unban(&user, &id).await?;
    Ok(Frame::ack(call.route, Some(id)))
}

/// An owner's to do. Nobody changes their own role, and the creator stays an owner: so there always is one.
pub async fn set_role(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let SetRole { room: id, user, role } = call.request()?;
    let me = seat::caller(app, call).await?;
    call.trace.room = Some(id.clone());

    let room = ruled_by(app, &me, &id, Rank::Owner).await?;
    if room.status == RoomStatus::Closed {
        return Err(Error::RoomClosed);
    }
    if user == me.user || user == room.creator {
        return Err(Error::Forbidden("nobody changes their own role, and the creator's stays as it is"));
    }
    if !app.store.set_role(&user, &id, role).await? {
        return Err(Error::UserNotFound);
    }
    let frame = room::describe(app, call, room, None).await?;
    let publication = Publication::new(&frame, Except::caller(call.connection.as_ref()));
    call.trace.delivered += app.delivery.publish(&[Channel::of_room(&id)], &publication, call.occasion()).await;
    Ok(Frame::ack(call.route, Some(id)))
}

/// A room in which the caller ranks high enough, and higher than somebody; and how that one stands to it.
async fn outranked(app: &App, call: &mut Call, id: &RoomId, user: &UserId) -> Result<(Room, Standing), Error> {
    let me = seat::caller(app, call).await?;
    call.trace.room = Some(id.clone());

    let (room, rank) = ranked(app, &me, id, Rank::Admin).await?;
    let standing = app.store.standing(user, id).await?;
    if Rank::of(user, &room, &standing) >= rank {
        return Err(Error::Forbidden("that is for somebody who ranks higher in the room than they do"));
    }
    Ok((room, standing))
}

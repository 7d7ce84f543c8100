//! What backends do with rooms and their members.

use tokio::try_join;

use super::{additions, membership, moderation, nearby, room, settings};
use crate::access::Backend;
use crate::context::Context;
use crate::delivery::{Except, OutboundFrame};
use crate::domain::{self, Member, Role, RoomId, RoomStatus, UserId};
use crate::error::Error;
use crate::metrics::Metric;
use crate::store::{Channel, Membership, Setting};
use crate::wire::frames::{Ack, LeaveReason, Room};
use crate::wire::requests::{AboutMember, PutMember, PutRoom};

/// Makes a room, or changes one. Each step looks at the room as it is, and leaves alone what is so already: the repeat
/// of a request that a crash cut off finishes it.
pub async fn put(ctx: &Context, _: Backend, request: PutRoom) -> Result<Room, Error> {
    let id = &request.room_id;
    ctx.note_room(id);
    settings::require_review_function(ctx, &request.mode())?;
    let members = match ctx.store.room(id, ctx.now).await? {
        Some(known) => {
            change(ctx, known, &request).await?;
            Vec::new()
        }
        None => match create(ctx, &request).await? {
            Some(owner) => owner,
            // Somebody else created it in between.
            None => {
                change(ctx, room::existing(ctx, id).await?, &request).await?;
                Vec::new()
            }
        },
    };
    room::describe(ctx, room::existing(ctx, id).await?, None, None, &members).await
}

/// Creates a room. Returns its members; `None` if there is one of that id.
async fn create(ctx: &Context, request: &PutRoom) -> Result<Option<Vec<Member>>, Error> {
    let place = request.place()?;
    if let Some(place) = &place {
        nearby::require_place(ctx, place.location).await?;
    }
    if let Some(owner) = &request.owner {
        additions::require_places(ctx, owner).await?;
    }
    let creator = request.owner.clone().unwrap_or_else(UserId::system);
    let room = domain::Room {
        name: request.room_name.clone(),
        room_type: request.room_type.as_ref().map(|room_type| room_type.0).unwrap_or_default(),
        max_participants: request.max_participants.as_ref().map(|capacity| capacity.0),
        auto_close: request.auto_close.unwrap_or_default(),
        place,
        mode: request.mode(),
        ..domain::Room::new(request.room_id.clone(), creator, ctx.now)
    };
    let owner = request.owner.as_ref().map(|owner| Member {
        is_added: true,
        is_unannounced: true,
        ..Member::new(owner.clone(), owner.as_name(), room.id.clone(), Role::Owner, ctx.now)
    });
    let Some(room) = ctx.store.create_chosen_room(room, owner.as_ref()).await? else { return Ok(None) };
    ctx.count(Metric::RoomsOpened, 1);
    let owner = owner.map(|owner| Member { joined_at: room.created_at, ..owner });
    if let Some(owner) = &owner {
        membership::welcome(ctx, owner).await?;
    }
    Ok(Some(owner.into_iter().collect()))
}

/// Changes a room: its name and its mode as entries of its log, the rest in its row. Those who are live in it hear the
/// room as it is then, also of a repeat: the first request may have ended before that.
async fn change(ctx: &Context, known: domain::Room, request: &PutRoom) -> Result<(), Error> {
    if known.status == RoomStatus::Closed {
        return Err(Error::RoomClosed);
    }
    let changed = domain::Room {
        room_type: request.room_type.as_ref().map_or(known.room_type, |room_type| room_type.0),
        max_participants: request.max_participants.as_ref().map(|capacity| capacity.0).or(known.max_participants),
        auto_close: request.auto_close.unwrap_or(known.auto_close),
        place: request.place()?.or_else(|| known.place.clone()),
        ..known.clone()
    };
    if request.max_participants.is_some() && known.is_count_spread {
        const SPREAD: &str =
            "cannot be set any more: so many joined this room at once that they are counted in several rows";
        return Err(Error::invalid("maxParticipants", SPREAD));
    }
    let is_moved = |place: &domain::Place| known.place.as_ref().is_none_or(|known| known.location != place.location);
    if let Some(place) = changed.place.as_ref().filter(|place| is_moved(place)) {
        nearby::require_place(ctx, place.location).await?;
    }
    ctx.store.update_room(&known, &changed).await?;
    if let Some(owner) = &request.owner {
        add(ctx, &known, owner, Some(Role::Owner)).await?;
    }
    let name = request.room_name.clone().map(Setting::Name);
    let mode = Some(request.mode()).filter(|mode| !mode.is_empty()).map(Setting::Mode);
    let system = UserId::system();
    for setting in name.into_iter().chain(mode) {
        settings::change(ctx, &known, (&system, &system.as_name()), &setting).await?;
    }
    let frame = room::describe(ctx, room::existing(ctx, &known.id).await?, None, None, &[]).await?.into();
    ctx.publish(&[Channel::of_room(&known.id)], &OutboundFrame::new(&frame, Except::Nobody)).await;
    Ok(())
}

/// Adds a user to a room at once. Who is a member already stays one, and has the role from now on.
pub async fn put_member(ctx: &Context, _: Backend, request: PutMember) -> Result<Ack, Error> {
    let PutMember { room_id, user_id, role } = request;
    let room = open_to_members(ctx, &room_id).await?;
    add(ctx, &room, &user_id, role).await?;
    Ok(Ack::of(ctx.route, room_id))
}

async fn add(ctx: &Context, room: &domain::Room, user: &UserId, role: Option<Role>) -> Result<(), Error> {
    if *user == room.creator && role.is_some_and(|role| role != Role::Owner) {
        return Err(Error::Forbidden("the creator of a room stays an owner"));
    }
    additions::add_directly(ctx, room, user).await?;
    match role {
        Some(role) => moderation::give_role(ctx, room.clone(), user, role).await,
        None => Ok(()),
    }
}

/// Ends a user's membership, or their invitation. Who is neither member nor invited stays so.
pub async fn remove_member(ctx: &Context, _: Backend, request: AboutMember) -> Result<Ack, Error> {
    let AboutMember { room_id, user_id } = request;
    let (room, known) = try_join!(open_to_members(ctx, &room_id), ctx.store.membership(&user_id, &room_id, ctx.now))?;
    let known = known.within(&room);
    let is_member = matches!(known, Membership::Member(_));
    membership::end(ctx, known, &user_id, &room, LeaveReason::Removed).await?;
    if !is_member {
        ctx.store.end_pending(&user_id, &room_id).await?;
    }
    Ok(Ack::of(ctx.route, room_id))
}

/// # Errors
/// `ROOM_NOT_FOUND`, also for the lobby and direct conversations, which have no members.
async fn open_to_members(ctx: &Context, id: &RoomId) -> Result<domain::Room, Error> {
    ctx.note_room(id);
    if id.is_lobby() || id.is_direct() {
        return Err(Error::RoomNotFound);
    }
    ctx.store.room(id, ctx.now).await?.ok_or(Error::RoomNotFound)
}

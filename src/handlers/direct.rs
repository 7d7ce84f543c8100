//! Direct conversations: a first message of a stranger is a request, which its recipient accepts by an answer.

use std::collections::BTreeSet;

use tokio::try_join;

use crate::access::Sender;
use crate::context::Context;
use crate::delivery::{Except, OutboundFrame};
use crate::domain::{RoomId, UserId};
use crate::error::Error;
use crate::store::{Channel, Pending};
use crate::wire::frames::DirectRequest;

/// Prepares a direct conversation for a message: begins it, or accepts it. `is_first`: nothing was written to it yet.
pub async fn begin(ctx: &Context, sender: &mut Sender, peer: &UserId, is_first: bool) -> Result<(), Error> {
    let (me, name) = (sender.user.clone(), sender.name.clone());
    if is_first {
        let is_request = !sender.is_backend && is_stranger(ctx, &me, peer).await?;
        let is_new = ctx.store.open_direct(&me, peer, name.clone(), is_request, ctx.now).await?;
        if is_new && is_request {
            return Ok(());
        }
    }
    if !sender.consent.by_me {
        ctx.store.accept_direct(&me, peer, name, ctx.now).await?;
    }
    sender.ask_consent(ctx).await
}

/// Whether a user is asked before a conversation with the caller: if they are in no common room.
async fn is_stranger(ctx: &Context, me: &UserId, peer: &UserId) -> Result<bool, Error> {
    if ctx.config.adds_directly || me == peer {
        return Ok(false);
    }
    let rooms = async |user| {
        let members = ctx.store.memberships(user, ctx.now).await?.into_iter();
        let accepted = members.filter(|member| !member.is_over && !member.is_added);
        Ok::<BTreeSet<RoomId>, Error>(accepted.map(|member| member.room).collect())
    };
    let (mine, theirs) = try_join!(rooms(me), rooms(peer))?;
    Ok(mine.is_disjoint(&theirs))
}

/// Tells the recipient of a request that there is one: once, until it is answered or dismissed.
pub async fn request(ctx: &Context, sender: &Sender) -> Result<(), Error> {
    let Some(peer) = sender.peer.as_ref().filter(|_| !sender.consent.by_peer) else { return Ok(()) };
    let pending = Pending {
        user: peer.clone(),
        room: sender.room.clone(),
        by: sender.user.clone(),
        at: ctx.now,
        name: Some(sender.name.clone()),
        membership: None,
    };
    if ctx.store.add_pending(&pending).await? {
        let frame = OutboundFrame::new(&DirectRequest::from(pending).into(), Except::Nobody);
        ctx.publish(&[Channel::of_user(peer)], &frame).await;
    }
    Ok(())
}

/// Takes a conversation off its user's list until the next message.
pub async fn hide(ctx: &Context, user: &UserId, room: &RoomId) -> Result<(), Error> {
    let end = ctx.store.tail(room).await?.map(|tail| tail.seq).unwrap_or_default();
    if !ctx.store.hide_direct(user, room, end).await? {
        ctx.store.end_pending(user, room).await?;
    }
    Ok(())
}

impl From<Pending> for DirectRequest {
    fn from(pending: Pending) -> Self {
        Self { room_id: pending.room, by: pending.by, user_name: pending.name, at: pending.at.into() }
    }
}

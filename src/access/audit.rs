//! The record of what moderators do.

use crate::context::Context;
use crate::domain::{RoomId, UserId};
use crate::error::Error;
use crate::store::Act;

/// Records an act of a moderator, before it is carried out: an act that nobody can look up does not happen, and a row
/// may be of one that failed.
///
/// # Errors
/// The row cannot be written.
pub async fn record(
    ctx: &Context,
    by: &UserId,
    room: &RoomId,
    whom: Option<&UserId>,
    detail: Option<&str>,
) -> Result<(), Error> {
    let source_ip = ctx.source_ip.map(|address| address.to_string());
    let act = Act { action: ctx.route, by, room_id: room, user_id: whom, detail, source_ip };
    ctx.store.add_act(&act, &ctx.request_id, ctx.now).await
}

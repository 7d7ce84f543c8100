//! The record of what moderators and backends do.

use crate::context::Context;
use crate::domain::{RoomId, UserId};
use crate::error::Error;
use crate::event::Signed;
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
    write(ctx, by.as_str(), Some(room.as_str()), whom.map(UserId::as_str), detail).await
}

/// Records a call of a backend, before it is carried out.
///
/// # Errors
/// The row cannot be written.
pub(super) async fn record_call(ctx: &Context, call: &Signed) -> Result<(), Error> {
    write(ctx, &call.arn, call.room.as_deref(), call.user.as_deref(), None).await
}

async fn write(
    ctx: &Context,
    by: &str,
    room_id: Option<&str>,
    user_id: Option<&str>,
    detail: Option<&str>,
) -> Result<(), Error> {
    let source_ip = ctx.source_ip.map(|address| address.to_string());
    let act = Act { action: ctx.route, by, room_id, user_id, detail, source_ip };
    ctx.store.add_act(&act, &ctx.request_id, ctx.now).await
}

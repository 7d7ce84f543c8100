//! Requests about what is unread, and what a user wants to be told of.

use macro_rules_attribute::apply;

use crate::domain::{NotifyLevel, RoomId, Seq};
use crate::wire::types::Moment;

/// Where a page of the caller's conversations begins.
#[apply(received)]
pub struct ListUnreads {
    /// The `nextCursor` of the page before.
    pub cursor: Option<RoomId>,
}

/// A message from which on a room is unread again.
#[apply(received)]
pub struct MarkUnread {
    pub room_id: RoomId,
    pub seq: Seq,
}

/// What the caller wants to be told of in a room.
#[apply(received)]
pub struct SetNotify {
    pub room_id: RoomId,
    pub level: NotifyLevel,
    /// Until then of nothing.
    pub muted_until: Option<Moment>,
}

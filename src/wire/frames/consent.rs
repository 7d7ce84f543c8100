//! Frames about what users agree to: invitations, requests of strangers, blocks.

use macro_rules_attribute::apply;

use super::Iso;
use crate::domain::{Name, RoomId, UserId};

/// A member invites the user into a room.
#[apply(sent)]
pub struct Invited {
    pub room_id: RoomId,
    pub room_name: Option<Name>,
    /// Who invites.
    pub by: UserId,
    pub at: Iso,
}

/// A stranger began a direct conversation.
#[apply(sent)]
pub struct DirectRequest {
    pub room_id: RoomId,
    /// The stranger.
    pub by: UserId,
    pub user_name: Option<Name>,
    pub at: Iso,
}

/// What became of the users that a moderator named.
#[apply(sent)]
pub struct Added {
    pub room_id: RoomId,
    /// Those who are members now.
    pub added: Vec<UserId>,
    /// Those who are asked, and become members when they join.
    pub invited: Vec<UserId>,
    pub refused: Vec<RefusedUser>,
}

/// A user who is neither added nor invited.
#[apply(sent)]
pub struct RefusedUser {
    pub user_id: UserId,
    pub code: &'static str,
}

/// A page of the users whom the caller has blocked.
#[apply(sent)]
pub struct Blocked {
    pub items: Vec<UserId>,
    pub next_cursor: Option<UserId>,
}

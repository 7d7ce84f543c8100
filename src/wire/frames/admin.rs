//! Answers to backends.

use std::collections::BTreeMap;
use std::ops::Not;

use macro_rules_attribute::apply;

use super::{Iso, Position, Refusal};
use crate::domain::{ConnectionId, RoomId, UserId};

/// A user whose tokens were revoked.
#[apply(sent)]
pub struct Disconnected {
    pub user_id: UserId,
    /// How many connections were closed.
    pub connections: usize,
    /// Tokens that were issued before are refused.
    pub not_before: Iso,
    /// Until then the user is refused.
    pub block_until: Option<Iso>,
}

/// What became of a backend's message, by its targets.
#[apply(sent)]
pub struct Posted {
    /// The rooms first, then the users, each in the order of the request.
    pub results: Vec<PostedResult>,
}

/// A message in one conversation, or why it is not there.
#[apply(sent)]
pub struct PostedResult {
    pub room_id: Option<RoomId>,
    /// The user of a direct conversation.
    pub user_id: Option<UserId>,
    #[serde(flatten)]
    pub position: Option<Position>,
    #[serde(skip_serializing_if = "Not::not")]
    pub duplicate: bool,
    /// Why it is not there.
    #[serde(flatten)]
    pub refusal: Option<Refusal>,
}

/// How far the erasure of a user is.
#[apply(sent)]
pub struct Erasure {
    pub user_id: UserId,
    pub status: ErasureStatus,
    pub started_at: Option<Iso>,
    pub finished_at: Option<Iso>,
    /// How many of each kind went: `messages`, `files`, `reactions`, `mentions`, `memberships`, `invitations`,
    /// `invites`, `blocks`, `reports` and `acts` of moderation, whose addresses went.
    pub erased: BTreeMap<String, u64>,
}

/// Whether the erasure of a user is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ErasureStatus {
    /// There is none.
    None,
    Running,
    Done,
}

/// The live connections of a user.
#[apply(sent)]
pub struct UserConnections {
    pub user_id: UserId,
    pub items: Vec<LiveConnection>,
}

/// A live connection.
#[apply(sent)]
pub struct LiveConnection {
    pub connection_id: ConnectionId,
    pub connected_at: Iso,
    pub format: &'static str,
    /// When its session ends.
    pub auth_until: Option<Iso>,
}

/// A page of what moderators and backends did on a day, newest first.
#[apply(sent)]
pub struct Acts {
    pub day: String,
    pub items: Vec<RecordedAct>,
    pub next_cursor: Option<String>,
}

/// What somebody did.
#[apply(sent)]
pub struct RecordedAct {
    /// When, in ISO 8601.
    pub at: String,
    /// The action or route.
    pub action: String,
    /// The user, or the ARN of a backend.
    pub by: String,
    pub room_id: Option<String>,
    pub user_id: Option<String>,
    pub detail: Option<String>,
    pub source_ip: Option<String>,
}

/// A page of the reports of a room's messages.
#[apply(sent)]
pub struct Reports {
    pub room_id: RoomId,
    pub items: Vec<Report>,
    pub next_cursor: Option<String>,
}

/// A reported message, as it was then.
#[apply(sent)]
pub struct Report {
    pub seq: u64,
    /// Who reported it.
    pub by: String,
    pub reason: String,
    pub at: String,
    /// Who sent it.
    pub user_id: String,
    pub content: String,
    pub created_at: String,
}

//! Answers to backends.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Not;

use macro_rules_attribute::apply;

use super::{Iso, Position, Refusal};
use crate::domain::{ConnectionId, ExportId, Name, NotifyLevel, Role, RoomId, Seq, UserId};
use crate::wire::size::json;

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

/// How far an export of a user is.
#[apply(sent)]
pub struct Export {
    pub user_id: UserId,
    pub export_id: ExportId,
    pub status: WorkStatus,
    pub started_at: Option<Iso>,
    pub finished_at: Option<Iso>,
    /// Signed addresses of its parts, once it is done: together they are one file of JSON lines.
    pub urls: Option<Vec<String>>,
    /// Until when these can be used.
    pub expires_at: Option<Iso>,
    /// How many lines of each type it has.
    pub lines: BTreeMap<String, u64>,
}

/// A line of an export; messages are in it as the frames that they are.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ExportLine<'a> {
    /// The user is, or was, in a room, or in a direct conversation with `peer`.
    Membership {
        room_id: &'a RoomId,
        /// Whether the membership lasts.
        is_member: bool,
        role: Role,
        joined_at: Iso,
        user_name: &'a Name,
        #[serde(skip_serializing_if = "Option::is_none")]
        peer: Option<&'a UserId>,
        last_read_seq: Seq,
        notify: NotifyLevel,
        #[serde(skip_serializing_if = "Option::is_none")]
        muted_until: Option<Iso>,
    },
    /// The user has blocked another one.
    Blocked { user_id: &'a UserId },
    /// How the user reacted to a message.
    Reacted { room_id: &'a RoomId, seq: Seq, emojis: &'a BTreeSet<String> },
}

impl ExportLine<'_> {
    /// The line, without its end.
    pub fn to_json(&self) -> String {
        json(self)
    }
}

/// How far the erasure of a user is.
#[apply(sent)]
pub struct Erasure {
    pub user_id: UserId,
    pub status: WorkStatus,
    pub started_at: Option<Iso>,
    pub finished_at: Option<Iso>,
    /// How many of each kind went: `messages`, `files`, `reactions`, `mentions`, `memberships`, `invitations`,
    /// `invites`, `blocks`, `exports`, `reports` and `acts` of moderation, whose addresses went.
    pub erased: BTreeMap<String, u64>,
}

/// Whether a work that takes several invocations is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum WorkStatus {
    /// There is none.
    None,
    Running,
    Done,
}

impl WorkStatus {
    /// Of a work that is known, whether it is done.
    pub fn of(is_done: Option<bool>) -> Self {
        match is_done {
            None => Self::None,
            Some(false) => Self::Running,
            Some(true) => Self::Done,
        }
    }
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

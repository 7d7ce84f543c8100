//! The record of a client: what it asked for, what it was answered, and what it heard.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::view::{Shown, View};

/// A request without an answer may have its effect so many milliseconds later.
const STRAY_MS: u64 = 8_000;

/// A clock for all clients.
pub struct Clock {
    ticks: AtomicU64,
    started: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self { ticks: AtomicU64::new(1), started: Instant::now() }
    }
}

impl Clock {
    pub fn now(&self) -> Moment {
        let tick = self.ticks.fetch_add(1, Ordering::SeqCst);
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap();
        Moment { tick, ms }
    }
}

/// A place in the one order of all events, and the milliseconds since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    pub tick: u64,
    pub ms: u64,
}

/// From the first attempt of a request to its last answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    pub began: Moment,
    pub ended: Moment,
    /// The last attempt that was not answered.
    pub stray: Option<Moment>,
}

impl Span {
    /// Whether the request has no effect any more from `moment` on.
    pub fn is_over_before(&self, moment: Moment) -> bool {
        self.ended < moment && self.stray.is_none_or(|stray| stray.ms + STRAY_MS < moment.ms)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// By this code, and none of the attempts can have had an effect.
    Refused(String),
    #[default]
    Unknown,
}

impl Outcome {
    pub fn is_done(&self) -> bool {
        *self == Self::Done
    }

    pub fn is_refused(&self, by: &str) -> bool {
        matches!(self, Self::Refused(code) if code == by)
    }
}

/// Any request about one room.
#[derive(Clone, Debug)]
pub struct Request {
    pub action: String,
    pub room: String,
    pub span: Span,
    pub outcome: Outcome,
    /// The connection of the last attempt.
    pub connection: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Join,
    Leave,
    Decline,
    Invite,
    Remove,
    Ban,
    Unban,
    Promote,
    Demote,
    Block,
    Unblock,
    Mute,
    Unmute,
}

/// What a user does to the membership, the role or the rights of a user: of another one, or their own.
#[derive(Clone, Debug)]
pub struct Act {
    pub what: What,
    /// Empty for blocks.
    pub room: String,
    pub actor: String,
    pub subject: String,
    pub span: Span,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// Unknown for a direct message that was never acknowledged.
    pub room: Option<String>,
    pub peer: Option<String>,
    pub id: String,
    pub content: String,
    pub span: Span,
    pub outcome: Outcome,
    /// The position in the acknowledgement.
    pub acked: Option<u64>,
    /// The users whom it is to mention, and who could not be mentioned, if that was answered.
    pub mentions: BTreeSet<String>,
    pub not_mentioned: Option<BTreeSet<String>>,
    /// Whether it is to mention the whole room.
    pub mentions_room: bool,
    /// Whether the acknowledgement is that of a repeat.
    pub is_duplicate: bool,
}

/// A read mark that was set.
#[derive(Clone, Debug)]
pub struct Mark {
    pub room: String,
    /// The last message that counts as read.
    pub up_to: u64,
    pub how: Marking,
    pub span: Span,
    pub outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marking {
    Read,
    /// By a device that has not learned that the mark was set back: it has no effect.
    ReadBefore,
    Unread,
}

/// What was answered as unread, on all pages.
#[derive(Clone, Debug)]
pub struct Unreads {
    pub span: Span,
    pub rooms: BTreeMap<String, UnreadRoom>,
    /// Whether nothing changes any more.
    pub is_settled: bool,
}

#[derive(Clone, Debug)]
pub struct UnreadRoom {
    pub last_seq: u64,
    pub last_read: u64,
    pub unread: u64,
    pub has_more: bool,
    pub mentions: u64,
    pub is_room_mentioned: bool,
}

/// What is set of a room's mode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// Whether only admins write.
    pub is_read_only: Option<bool>,
    /// Whether only admins react.
    pub is_without_reactions: Option<bool>,
    pub slow_seconds: Option<u64>,
    pub max_per_second: Option<u64>,
}

impl Mode {
    /// After a change.
    pub fn with(&self, change: &Self) -> Self {
        Self {
            is_read_only: change.is_read_only.or(self.is_read_only),
            is_without_reactions: change.is_without_reactions.or(self.is_without_reactions),
            slow_seconds: change.slow_seconds.or(self.slow_seconds),
            max_per_second: change.max_per_second.or(self.max_per_second),
        }
    }
}

/// A change of a room's mode.
#[derive(Clone, Debug)]
pub struct ModeChange {
    pub room: String,
    pub change: Mode,
    pub span: Span,
    pub outcome: Outcome,
    /// Where it is in the log, if that was answered and it is not a repeat.
    pub seq: Option<u64>,
}

/// A file that was announced.
#[derive(Clone, Debug)]
pub struct Upload {
    pub room: String,
    pub file: String,
    /// When it was announced.
    pub span: Span,
    /// When the upload began, if it succeeded.
    pub uploaded: Option<Moment>,
    /// Whether it can be downloaded in the end.
    pub is_there: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Edit(String),
    Delete,
    React(String, bool),
    Pin(bool),
}

impl Kind {
    /// How the log of changes calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Edit(_) => "edit",
            Self::Delete => "delete",
            Self::React(..) => "react",
            Self::Pin(true) => "pin",
            Self::Pin(false) => "unpin",
        }
    }
}

/// A change of messages.
#[derive(Clone, Debug)]
pub struct Change {
    pub kind: Kind,
    pub room: String,
    pub seqs: Vec<u64>,
    pub span: Span,
    pub outcome: Outcome,
    /// The position in the answer, if it was this request that changed something.
    pub rev: Option<u64>,
}

/// A content that arrived without having been asked for.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub at: Moment,
    pub room: String,
    pub content: String,
    pub connection: usize,
}

/// The contents in an answer, or in a frame that was heard.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Of a frame that was heard: when.
    pub span: Span,
    /// The room whose messages were asked for, if it is one.
    pub room: String,
    pub contents: BTreeSet<String>,
}

/// A `lastSeq`.
#[derive(Clone, Debug)]
pub struct LastSeq {
    pub room: String,
    pub began: Moment,
    pub seq: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct Connected {
    pub at: Moment,
    /// Whether its session ends before the clock is moved.
    pub is_short: bool,
}

#[derive(Default)]
pub struct Record {
    pub user: String,
    /// Whether it catches up on changes too.
    pub follows_changes: bool,
    pub operations: usize,
    pub connections: Vec<Connected>,
    pub requests: Vec<Request>,
    pub acts: Vec<Act>,
    pub sent: Vec<Sent>,
    pub changes: Vec<Change>,
    pub modes: Vec<ModeChange>,
    pub marks: Vec<Mark>,
    pub unreads: Vec<Unreads>,
    pub uploads: Vec<Upload>,
    pub deliveries: Vec<Delivery>,
    /// By the answers.
    pub answers: Vec<Seen>,
    pub heard: Vec<Seen>,
    pub last_seqs: Vec<LastSeq>,
    /// By room: what it shows in the end.
    pub views: BTreeMap<String, View>,
    /// By room: the history, read at the end. Those of the rooms that it can read.
    pub histories: BTreeMap<String, BTreeMap<u64, Shown>>,
    /// Whole messages that were received, by room, `seq` and `rev`.
    pub states: BTreeMap<(String, u64, u64), Shown>,
    /// Anything that should not have been received.
    pub anomalies: Vec<String>,
}

/// The marks of all contents in a text. A content begins with a mark that no other has.
pub fn marks_in(text: &str) -> BTreeSet<String> {
    let ends = text.match_indices("[user-").filter_map(|(at, _)| Some((at, at + text[at..].find(']')?)));
    ends.map(|(at, end)| text[at..=end].to_owned()).collect()
}

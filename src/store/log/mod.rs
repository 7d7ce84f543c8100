//! The log of a room: dense, the same for every reader.

mod append;
mod carry;
mod closing;
mod ends;
mod idempotency;
mod outbox;
mod permit;
mod read;
mod scan;
mod settings;

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::changes::counts_of;
use super::{Item, Store, item_of, row_of};
use crate::config::Config;
use crate::domain::{
    Body, Changes, CloseReason, Entry, Epoch, Event, MessageId, RoomId, Seq, Style, System, Timestamp, UserId,
};
use crate::error::Error;

pub use append::Appended;
pub(super) use carry::mode_in;
use carry::{CARRY, Carry};
pub use ends::RoomEnds;
pub use permit::{Author, IsModerator};
pub use read::{EntryPage, ReadBudget};
pub use scan::Part;
pub use settings::Setting;

/// A user's message.
pub(super) const MESSAGE: &str = "message";
/// What a moderator changed; what that is, is in the attribute of the same name.
pub(super) const SYSTEM: &str = "system";
/// The room was closed: the last entry of its log.
const CLOSED: &str = "closed";
/// The content. Readers of the table know it by this name from other chats.
const TEXT: &str = "text";

/// What a row of the log has besides the message. Only the key is required: a later version may write less or more.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryRow {
    room_id: RoomId,
    message_id: MessageId,
    /// `messageId` once more, for readers of the table.
    #[serde(default)]
    id: Option<MessageId>,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    created_at: String,
    /// Which attempt to write this entry succeeded.
    #[serde(default)]
    attempt: String,
    /// Of the digest in the idempotency row: without it the digest tells nothing of the content. Absent in rows of
    /// earlier versions, and once the message is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    salt: Option<String>,
    /// Absent: the entry counts as expired, and the log restarts above it.
    #[serde(default)]
    ttl: i64,
}

/// When an append happens, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub now: Timestamp,
    /// When the invocation began: what it knows of the sender's membership is not older.
    pub begun: Instant,
    /// Until when it is tried.
    pub deadline: Instant,
}

impl Timing {
    /// For how long a membership that was read is relied on. An append takes a few milliseconds; one that other writers
    /// or a slow response delay must not be carried out after the sender was removed.
    const RELIANCE: Duration = Duration::from_millis(250);

    /// Whether what the invocation read at first may be out of date.
    pub fn is_late(&self) -> bool {
        self.begun.elapsed() > Self::RELIANCE
    }
}

/// The position of the next entry.
#[derive(Clone, Debug)]
pub struct Next {
    pub seq: Seq,
    /// Not before that of the entry before it.
    created_at: Timestamp,
    /// What the entry takes over.
    carry: Carry,
}

/// The end of a log, as the next writer must know it.
#[derive(Clone, Debug)]
pub struct Tail {
    pub seq: Seq,
    pub created_at: Timestamp,
    /// Epoch seconds.
    pub expires_at: i64,
    /// Whether it closed its room: then no entry follows, unless a room is made again under the same id after that.
    is_closing: bool,
    /// `None` in entries of early versions: the room's own row knows.
    carry: Option<Carry>,
}

impl Tail {
    /// The epoch of the log.
    pub fn epoch(&self) -> Epoch {
        self.carry.as_ref().map(Carry::epoch).unwrap_or_default()
    }

    /// The last message that mentioned the whole room.
    pub fn room_mention(&self) -> Seq {
        self.carry.as_ref().map_or(Seq::ZERO, Carry::room_mention)
    }

    /// The last position that can have a message.
    pub fn last_seq(&self) -> Seq {
        if self.is_closing { self.seq.previous() } else { self.seq }
    }

    /// Whether it closes the room. Once it has expired, so has the room that it closed.
    pub fn closes_room(&self, now: Timestamp) -> bool {
        self.is_closing && !self.is_expired(now)
    }

    /// Whether the entry has expired.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now.has_passed(self.expires_at)
    }

    fn of(mut item: Item) -> Result<Self, Error> {
        let carry = Carry::take(&mut item);
        let row: EntryRow = row_of(item)?;
        Ok(Self {
            seq: row.seq()?,
            created_at: row.created_at()?,
            expires_at: row.ttl,
            is_closing: row.kind == CLOSED,
            carry,
        })
    }
}

impl Store {
    /// Reads the membership of a sender again if what the invocation knows of it may be out of date.
    async fn confirm_sender(&self, room: &RoomId, user: &UserId, timing: &mut Timing) -> Result<(), Error> {
        if room.is_lobby() || room.is_direct() || !timing.is_late() {
            return Ok(());
        }
        timing.begun = Instant::now();
        self.member(user, room, timing.now).await?.map(drop).ok_or(Error::NotAMember)
    }
}

impl EntryRow {
    fn seq(&self) -> Result<Seq, Error> {
        Seq::of(&self.message_id).ok_or_else(|| Error::internal("the key of an entry is not a position"))
    }

    fn created_at(&self) -> Result<Timestamp, Error> {
        match Timestamp::from_iso(&self.created_at) {
            Some(moment) => Ok(moment),
            None if [MESSAGE, CLOSED].contains(&&*self.kind) => {
                Err(Error::internal("the time of an entry is not ISO 8601"))
            }
            None => Ok(Timestamp::from_millis(0)),
        }
    }

    /// The item of the row and the message. Where a file is found is never stored: the deployment's address may change.
    fn item(&self, body: &Body, carry: &Carry) -> Result<Item, Error> {
        let mut item = item_of(self)?;
        let mut stored = Body { data: None, ..body.clone() };
        if let Some(file) = &mut stored.file {
            file.file_url.clear();
        }
        item.extend(item_of(&stored)?);
        if let Some(content) = item.remove("content") {
            item.insert(TEXT.to_owned(), content);
        }
        if let Some(data) = &body.data {
            // As the client wrote it: a table's numbers hold less than JSON's.
            item.insert("data".to_owned(), AttributeValue::S(data.as_str().to_owned()));
        }
        item.insert(CARRY.to_owned(), carry.value());
        Ok(item)
    }
}

/// Why a room was closed, if the item is the entry that closed it.
pub(super) fn closing_in(item: &Item) -> Option<CloseReason> {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str);
    let is_idle = text(TEXT) == Some(CloseReason::Idle.as_str());
    (text("kind") == Some(CLOSED)).then_some(if is_idle { CloseReason::Idle } else { CloseReason::Closed })
}

/// When an entry expires (epoch seconds).
pub(super) fn expiry_of(item: &Item) -> i64 {
    item.get("ttl").and_then(|ttl| ttl.as_n().ok()?.parse().ok()).unwrap_or_default()
}

/// The entry of an item. What a later version wrote is a system event, and lacks what a message has.
pub(super) fn entry_of(mut item: Item, config: &Config) -> Result<Entry, Error> {
    let mut changes: Changes = row_of(item.clone()).unwrap_or_default();
    changes.reactions = counts_of(&item);
    let epoch = Carry::take(&mut item).unwrap_or_default().epoch();
    let row: EntryRow = row_of(item.clone())?;
    let content = item.remove(TEXT).and_then(|text| text.as_s().ok().cloned()).unwrap_or_default();
    let known = match item.remove(SYSTEM) {
        Some(AttributeValue::M(system)) => row_of(system).ok(),
        _ => None,
    };
    item.insert("content".to_owned(), AttributeValue::S(content.clone()));
    let body: Result<Body, Error> = row_of(item);
    let (seq, created_at) = (row.seq()?, row.created_at()?);
    let event = if row.kind == MESSAGE {
        let mut body = body?;
        if let Some(file) = &mut body.file {
            file.file_url = config.file_url(&file.file_id);
        }
        Event::Said(body)
    } else {
        let system = UserId::system();
        let unknown = |_| Body::new(system.clone(), system.as_name(), Style::default(), content.into());
        let body = body.unwrap_or_else(unknown);
        Event::System { system: known.unwrap_or_else(|| System::unknown(row.kind)), body }
    };
    Ok(Entry { room: row.room_id, epoch, seq, created_at, event, changes })
}

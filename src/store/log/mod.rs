//! The log of a room: dense, the same for every reader.

mod append;
mod outbox;
mod read;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use super::{Item, item_of, row_of};
use crate::config::Config;
use crate::domain::{Body, Entry, Event, MessageId, RoomId, Seq, Style, Timestamp, UserId};
use crate::error::Error;

pub use append::Appended;
pub use read::{EntryPage, ReadBudget};

/// A user's message.
const MESSAGE: &str = "message";
/// The room was closed: the last entry of its log.
const CLOSED: &str = "closed";
/// The content. Readers of the table know it by this name from other chats.
const TEXT: &str = "text";
/// The attribute that every entry takes over from the one before it, whatever later versions keep there.
const CARRY: &str = "carry";

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
    /// Absent: the entry counts as expired, and the log restarts above it.
    #[serde(default)]
    ttl: i64,
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
    carry: Option<AttributeValue>,
}

impl Tail {
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
        let carry = item.remove(CARRY);
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
    fn item(&self, body: &Body, carry: Option<&AttributeValue>) -> Result<Item, Error> {
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
        if let Some(carry) = carry {
            item.insert(CARRY.to_owned(), carry.clone());
        }
        Ok(item)
    }
}

/// The entry of an item. What a later version wrote is a system event, and lacks what a message has.
fn entry_of(mut item: Item, config: &Config) -> Result<Entry, Error> {
    item.remove(CARRY);
    let row: EntryRow = row_of(item.clone())?;
    let content = item.remove(TEXT).and_then(|text| text.as_s().ok().cloned()).unwrap_or_default();
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
        Event::System { what: row.kind, body: body.unwrap_or_else(unknown) }
    };
    Ok(Entry { room: row.room_id, seq, created_at, event })
}

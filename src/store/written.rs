//! What the streams of the tables tell: which rows were written, and what that means.
//!
//! DynamoDB puts each write into the stream of its table in the same moment as into the table, so no process can die in
//! between. A stream keeps a record for 24 hours.

use std::collections::HashMap;

use serde::Deserialize;

use super::changes::{Change, change_rev};
use super::log::{closing_in, entry_of};
use super::{Item, Store, StoredReport, members, rooms, row_of};
use crate::domain::{CloseReason, Entry, Member, MessageId, Room, RoomId, Seq, Timestamp, UserId};
use crate::error::Error;
use crate::tables::{MEMBERS, MESSAGES, REPORTS, ROOMS};

/// What deletes expired rows, as a record names it.
const TTL_PRINCIPAL: &str = "dynamodb.amazonaws.com";

/// A row was written or deleted, as a stream tells it.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html>
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamRecord {
    event_name: String,
    /// The ARN of the stream, which has the name of its table.
    #[serde(rename = "eventSourceARN")]
    source: String,
    dynamodb: Images,
    user_identity: Option<Identity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Images {
    /// Epoch seconds.
    approximate_creation_date_time: f64,
    new_image: Option<HashMap<String, serde_dynamo::AttributeValue>>,
    old_image: Option<HashMap<String, serde_dynamo::AttributeValue>>,
    sequence_number: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    principal_id: Option<String>,
}

/// What a record means.
pub enum Written {
    /// An entry of a log that is not its last one.
    Entry(Box<Entry>),
    /// The last entry of the log of a room, which is closed.
    Closed {
        room: RoomId,
        seq: Seq,
        at: Timestamp,
        reason: CloseReason,
        by: UserId,
    },
    /// A change of messages.
    Change(Change),
    Joined(Box<Member>),
    Left {
        member: Box<Member>,
        at: Timestamp,
    },
    Banned {
        room: RoomId,
        user: UserId,
        at: Timestamp,
    },
    RoomCreated(Box<Room>),
    /// What no entry of its log tells.
    RoomChanged {
        room: Box<Room>,
        at: Timestamp,
    },
    Reported {
        room: RoomId,
        report: Box<StoredReport>,
    },
}

impl StreamRecord {
    /// Its position in the stream, for a retry from there.
    pub fn sequence_number(&self) -> &str {
        &self.dynamodb.sequence_number
    }

    /// About when the row was written: to the second.
    pub fn at(&self) -> Timestamp {
        Timestamp::from_millis((self.dynamodb.approximate_creation_date_time * 1000.0) as i64)
    }

    /// `arn:aws:dynamodb:us-east-1:123456789012:table/Messages/stream/2026-11-27T00:00:00.000`
    fn table(&self) -> &str {
        self.source.split_once(":table/").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default()
    }

    fn is_expiry(&self) -> bool {
        let principal = self.user_identity.as_ref().and_then(|identity| identity.principal_id.as_deref());
        principal == Some(TTL_PRINCIPAL)
    }
}

impl Store {
    /// What a record means; `None` for a row that tells nothing to others, such as an idempotency row.
    ///
    /// # Errors
    /// The row cannot be read.
    pub fn written(&self, record: StreamRecord) -> Result<Option<Written>, Error> {
        if record.is_expiry() {
            return Ok(None);
        }
        let (at, is_new) = (record.at(), record.event_name == "INSERT");
        let table = record.table().to_owned();
        let Images { new_image, old_image, .. } = record.dynamodb;
        let (old, new) = (old_image.map(item), new_image.map(item));
        match table.as_str() {
            name if name == self.name(&MESSAGES) => match new.filter(|_| is_new) {
                Some(new) => self.written_in_log(new),
                None => Ok(None),
            },
            name if name == self.name(&MEMBERS) => members::written(old, new, at),
            name if name == self.name(&ROOMS) => rooms::written(old, new, at),
            name if name == self.name(&REPORTS) => new.map_or(Ok(None), |new| reported(new).map(Some)),
            _ => Ok(None),
        }
    }

    /// Of the partition of a room's log: an entry, a change, or a row that only the function needs.
    fn written_in_log(&self, new: Item) -> Result<Option<Written>, Error> {
        if change_rev(&new).is_some() {
            return Ok(Some(Written::Change(Change::of(new)?)));
        }
        let key = new.get("messageId").and_then(|key| key.as_s().ok()).cloned().unwrap_or_default();
        if Seq::of(&MessageId::stored(key)).is_none() {
            return Ok(None);
        }
        let closing = closing_in(&new);
        let entry = entry_of(new, &self.config)?;
        Ok(Some(match closing {
            Some(reason) => {
                let Entry { room, seq, created_at, event, .. } = entry;
                Written::Closed { room, seq, at: created_at, reason, by: event.into_body().user_id }
            }
            None => Written::Entry(Box::new(entry)),
        }))
    }
}

fn item(image: HashMap<String, serde_dynamo::AttributeValue>) -> Item {
    image.into_iter().map(|(name, value)| (name, value.into())).collect()
}

fn reported(new: Item) -> Result<Written, Error> {
    let room = new.get("roomId").and_then(|room| room.as_s().ok()).cloned().unwrap_or_default();
    Ok(Written::Reported { room: RoomId::stored(room), report: Box::new(row_of(new)?) })
}

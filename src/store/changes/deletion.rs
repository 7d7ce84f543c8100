//! Deletions.
//!
//! The content leaves the row in the transaction of the deletion, and a file can no longer be downloaded from then on.
//! Its object is removed after that. If the process ends before, the row that the transaction wrote in the partition of
//! unfinished removals is found by the sweep.

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::super::{FileStatus, Key, Statement, Store, TRANSACTION_ITEMS, failed, item_of, row_of};
use super::{DELETE, Plan, Seen, Write};
use crate::domain::{Deletion, Entry, Event, FileId, Iso, ObjectKey, Reason, Rev, RoomId, Seq, Timestamp, UserId};
use crate::error::Error;
use crate::tables::{FILES, MESSAGES};

/// The partition of the rows of unfinished removals. No room has it: ids have no control characters.
const REMOVALS: &str = "\u{1}removals";
/// After this time nobody is at work on a removal any more (seconds). A function lives 29 seconds.
const OVERDUE_SECS: i64 = 60;
/// Removals that a sweep finishes.
const REMOVALS_PER_SWEEP: i32 = 100;
/// How long the row of a removal lives (seconds).
const REMOVAL_SECS: i64 = 30 * 86_400;

/// An object that must leave the bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Removal {
    room_id: String,
    message_id: String,
    pub object_key: ObjectKey,
    ttl: i64,
}

impl Removal {
    fn new(file: &FileId, object_key: ObjectKey, now: Timestamp) -> Self {
        Self {
            room_id: REMOVALS.to_owned(),
            message_id: format!("{}#{file}", now.to_iso()),
            object_key,
            ttl: now.as_secs() + REMOVAL_SECS,
        }
    }

    fn key(&self) -> Key {
        MESSAGES.key_of(REMOVALS, &self.message_id)
    }
}

/// What a deletion came to.
#[derive(Debug)]
pub struct Deleted {
    /// The messages that were deleted just now: none if all had been deleted before.
    pub seqs: Vec<Seq>,
    pub rev: Option<Rev>,
    pub removals: Vec<Removal>,
    /// Those that had reactions.
    pub reacted: Vec<Seq>,
}

impl Store {
    /// Deletes messages: those of `user`, and where `may_moderate` anybody's. Those that were deleted before stay so.
    ///
    /// # Errors
    /// `MESSAGE_NOT_FOUND` if one of them does not exist, `FORBIDDEN`, `ROOM_BUSY`.
    pub async fn delete_messages(
        &self,
        room: &RoomId,
        user: &UserId,
        (seqs, reason): (&[Seq], Option<&Reason>),
        may_moderate: bool,
        (now, deadline): (Timestamp, Instant),
    ) -> Result<Deleted, Error> {
        let keys: Vec<_> = seqs.iter().map(|seq| seq.message_id().as_str().to_owned()).collect();
        let files = self.files_of(room, seqs, now).await?;
        let deletion = Deletion { at: Iso(now), by: user.clone(), reason: reason.map(ToString::to_string) };
        let plan = |seen: &Seen<'_>| {
            let (write, deleted) = self.deletion_of(seqs, &deletion, may_moderate, &files, seen)?;
            Ok(if write.seqs.is_empty() { Plan::Done(deleted) } else { Plan::Write(write, deleted) })
        };
        let (deleted, rev) = self.change(room, user, &keys, (now, deadline), plan).await?;
        Ok(Deleted { rev, ..deleted })
    }

    /// What is written for a deletion, and what it comes to, but for its position.
    fn deletion_of(
        &self,
        seqs: &[Seq],
        deletion: &Deletion,
        may_moderate: bool,
        files: &[(Seq, FileId, ObjectKey)],
        seen: &Seen<'_>,
    ) -> Result<(Write, Deleted), Error> {
        let mut write = Write::new(DELETE, Vec::new(), seen.pins());
        let (mut removals, mut reacted) = (Vec::new(), Vec::new());
        for &seq in seqs {
            let (entry, item) = seen.message(seq)?;
            if entry.changes.deleted.is_some() {
                continue;
            }
            if !may_moderate && !is_by(&entry, &deletion.by) {
                return Err(Error::Forbidden("only its author, an owner or an admin can delete a message"));
            }
            for user in mentioned(&entry) {
                write.others.push(self.unmention_part(user, (&entry.room, seq))?);
            }
            if !entry.changes.reactions.is_empty() {
                reacted.push(seq);
            }
            write.seqs.push(seq);
            write.updates.push((seq, emptied(item, deletion)?));
            if let Some((_, file, key)) = files.iter().find(|(at, ..)| *at == seq) {
                let removal = Removal::new(file, key.clone(), seen.now);
                write.others.extend(self.file_deleted(file, &removal)?);
                removals.push(removal);
            }
        }
        if write.updates.len() + write.others.len() + 2 > TRANSACTION_ITEMS {
            return Err(Error::invalid("seqs", "mention too many users together; delete fewer messages at once"));
        }
        write.pins.retain(|pinned| !write.seqs.contains(pinned));
        let deleted = Deleted { seqs: write.seqs.clone(), rev: None, removals, reacted };
        Ok((write, deleted))
    }

    /// The files of messages that are still stored, and where their objects are.
    async fn files_of(
        &self,
        room: &RoomId,
        seqs: &[Seq],
        now: Timestamp,
    ) -> Result<Vec<(Seq, FileId, ObjectKey)>, Error> {
        let with_file = |entry: Entry| match entry.event {
            Event::Said(body) => body.file.map(|file| (entry.seq, file.file_id)),
            Event::System { .. } => None,
        };
        let found = self.entries_at(room, seqs, now).await?.into_iter().filter_map(with_file);
        let files = found.map(|(seq, id)| async move {
            Ok::<_, Error>(self.file(&id, now).await?.map(|file| (seq, id, file.object_key)))
        });
        Ok(try_join_all(files).await?.into_iter().flatten().collect())
    }

    /// The parts of a transaction that make a file one that nobody can download, and note that its object has to go.
    fn file_deleted(&self, id: &FileId, removal: &Removal) -> Result<[TransactWriteItem; 2], Error> {
        // The names go as well. The one in the key is in the removal, until that is done.
        const NAMELESS: &str = "SET status = :unwanted, fileName = :deleted, objectKey = :deleted, userName = userId \
            REMOVE userIcon, userColor";
        let statement = Statement::update(NAMELESS)
            .when("attribute_exists(fileId)")
            .bind(":deleted", "deleted")
            .bind(":unwanted", FileStatus::Unwanted.as_str());
        Ok([
            self.update_part(&FILES, FILES.key(id.as_str()), &statement)?,
            self.put_part(&MESSAGES, item_of(removal)?, &Statement::default())?,
        ])
    }

    /// Notes that an object has left the bucket.
    pub async fn note_removed(&self, removal: &Removal) -> Result<(), Error> {
        self.delete(&MESSAGES, removal.key(), &Statement::default()).await.map(drop)
    }

    /// Objects whose removal was begun a while ago and not finished.
    pub async fn overdue_removals(&self, now: Timestamp) -> Result<Vec<Removal>, Error> {
        let statement = Statement::query("roomId = :removals AND messageId < :overdue")
            .bind(":removals", REMOVALS)
            .bind(":overdue", &*now.minus_secs(OVERDUE_SECS).to_iso());
        let rows = self.query(&MESSAGES, &statement).limit(REMOVALS_PER_SWEEP).send().await.map_err(failed)?;
        rows.items.unwrap_or_default().into_iter().map(row_of).collect()
    }
}

fn mentioned(entry: &Entry) -> &[UserId] {
    match &entry.event {
        Event::Said(body) => &body.mentions,
        Event::System { .. } => &[],
    }
}

fn is_by(entry: &Entry, user: &UserId) -> bool {
    matches!(&entry.event, Event::Said(body) if body.user_id == *user)
}

/// The update that leaves nothing of a message but its place, its author and the deletion.
fn emptied(item: &super::Item, deletion: &Deletion) -> Result<Statement, Error> {
    const CONTENT: [&str; 11] = [
        "text",
        "file",
        "data",
        "replyTo",
        "clientMessageId",
        "salt",
        "version",
        "editedAt",
        "pinned",
        "mentions",
        "mentionRoom",
    ];
    let reactions: Vec<_> = item.keys().filter(|name| name.starts_with(super::reaction::COUNTER)).collect();
    let names = (0..reactions.len()).map(|number| format!(", #r{number}")).collect::<String>();
    let mut statement =
        Statement::update(&format!("SET deleted = :deletion, rev = :rev REMOVE {}{names}", CONTENT.join(", ")));
    for (number, name) in reactions.into_iter().enumerate() {
        statement = statement.attribute(&format!("#r{number}"), name.clone());
    }
    Ok(statement.bind_value(":deletion", AttributeValue::M(item_of(deletion)?)))
}

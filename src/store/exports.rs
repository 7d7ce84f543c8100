//! Exports of users: how far each has come.

use std::collections::BTreeMap;

use futures_util::stream::StreamExt;
use serde::{Deserialize, Serialize};

use super::{Key, Statement, Store, item_of, pages};
use crate::domain::{ExportId, ObjectKey, Timestamp, UserId, hash};
use crate::error::Error;
use crate::tables::MESSAGES;

/// The partition of the rows of exports. No room has it: ids have no control characters.
const EXPORTS: &str = "\u{1}exports";
/// For so long whoever is at work on an export keeps it (seconds). A function lives 29 seconds.
const LEASE_SECS: i64 = 40;
/// How long an export is kept (seconds): as long as its objects.
const KEPT_SECS: i64 = 7 * 86_400;

/// What is left to do of an export, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ExportStage {
    /// Whom the user has blocked.
    #[default]
    Blocks,
    /// The rooms that the user is or was a member of, and what they wrote there.
    Rooms,
    /// The rooms that they wrote in without being a member.
    OtherRooms,
    Lobby,
    Done,
}

/// How far an export has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredExport {
    room_id: String,
    message_id: String,
    pub user_id: UserId,
    pub export_id: ExportId,
    pub started_at: Timestamp,
    #[serde(default)]
    pub stage: ExportStage,
    /// Of the stage's rooms or users, the last one that is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// In the room behind it, the last row that is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// How many objects there are.
    #[serde(default)]
    pub parts: u32,
    /// How many lines there are of each type.
    #[serde(default)]
    pub lines: BTreeMap<String, u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Whether it is being deleted: nobody goes on with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_stopped: bool,
    /// Until then somebody is at work on it.
    leased_until: Timestamp,
    ttl: i64,
}

/// The exports of a user sort together, whatever is in the id.
fn sort_key(user: &UserId, export: &ExportId) -> String {
    format!("{}#{export}", hash(&[user.as_str()]))
}

impl StoredExport {
    fn key(&self) -> Key {
        MESSAGES.key_of(EXPORTS, &self.message_id)
    }

    /// Counts a line.
    pub fn count(&mut self, kind: &str) {
        *self.lines.entry(kind.to_owned()).or_default() += 1;
    }

    /// The objects that there are; of one that was stopped, also the one that was being written.
    pub fn objects(&self) -> impl Iterator<Item = ObjectKey> + Send + use<'_> {
        (1..=self.parts + u32::from(self.is_stopped)).map(|part| ObjectKey::of_export(&self.export_id, part))
    }
}

impl Store {
    /// Begins an export of a user, unless it has begun. Returns how far it is.
    pub async fn begin_export(&self, user: &UserId, id: &ExportId, now: Timestamp) -> Result<StoredExport, Error> {
        let row = StoredExport {
            room_id: EXPORTS.to_owned(),
            message_id: sort_key(user, id),
            user_id: user.clone(),
            export_id: id.clone(),
            started_at: now,
            stage: ExportStage::default(),
            after: None,
            row: None,
            parts: 0,
            lines: BTreeMap::new(),
            finished_at: None,
            is_stopped: false,
            leased_until: Timestamp::from_millis(0),
            ttl: now.as_secs() + KEPT_SECS,
        };
        let is_new = Statement::default().when("attribute_not_exists(roomId)");
        if self.put(&MESSAGES, item_of(&row)?, &is_new).await? {
            return Ok(row);
        }
        Ok(self.export(user, id, now).await?.unwrap_or(row))
    }

    /// How far an export of a user is, if there is one.
    pub async fn export(&self, user: &UserId, id: &ExportId, now: Timestamp) -> Result<Option<StoredExport>, Error> {
        let row: Option<StoredExport> = self.row(&MESSAGES, MESSAGES.key_of(EXPORTS, &sort_key(user, id))).await?;
        Ok(row.filter(|row| !now.has_passed(row.ttl)))
    }

    /// Takes an export on that nobody is at work on; `None` if somebody is, or if it is done.
    pub async fn claim_export(
        &self,
        user: &UserId,
        id: &ExportId,
        now: Timestamp,
    ) -> Result<Option<StoredExport>, Error> {
        let Some(known) = self.export(user, id, now).await? else { return Ok(None) };
        if known.finished_at.is_some() || known.leased_until > now {
            return Ok(None);
        }
        let leased = StoredExport { leased_until: now.plus_secs(LEASE_SECS), ..known.clone() };
        Ok(self.write_export(&known, &leased).await?.then_some(leased))
    }

    /// Notes how far an export is. `false` if somebody else has taken it on in the meantime, or it was deleted.
    pub async fn note_export(&self, export: &StoredExport) -> Result<bool, Error> {
        self.write_export(export, export).await
    }

    /// As [`Store::note_export`], and lets others take it on.
    pub async fn release_export(&self, export: &StoredExport, now: Timestamp) -> Result<bool, Error> {
        self.write_export(export, &StoredExport { leased_until: now, ..export.clone() }).await
    }

    async fn write_export(&self, known: &StoredExport, next: &StoredExport) -> Result<bool, Error> {
        let is_ours = Statement::default()
            .when("leasedUntil = :until AND attribute_not_exists(finishedAt)")
            .bind(":until", known.leased_until.as_millis());
        self.put(&MESSAGES, item_of(next)?, &is_ours).await
    }

    /// The exports that nobody is at work on, though they are not done.
    pub async fn overdue_exports(&self, now: Timestamp) -> Result<Vec<(UserId, ExportId)>, Error> {
        let statement = Statement::query("roomId = :exports")
            .filter("attribute_not_exists(finishedAt) AND leasedUntil <= :now AND ttl > :seconds")
            .bind(":exports", EXPORTS)
            .bind(":now", now.as_millis())
            .bind(":seconds", now.as_secs());
        Ok(self.found_exports(&statement).await?.into_iter().map(|row| (row.user_id, row.export_id)).collect())
    }

    /// The exports of a user. Nobody goes on with one from here on.
    pub async fn stop_exports(&self, user: &UserId) -> Result<Vec<StoredExport>, Error> {
        let prefix = format!("{}#", hash(&[user.as_str()]));
        let statement = Statement::query("roomId = :exports AND messageId BETWEEN :from AND :to")
            .bind(":exports", EXPORTS)
            .bind(":from", &*prefix)
            .bind(":to", &*format!("{prefix}\u{10ffff}"));
        for export in self.found_exports(&statement).await? {
            // Whoever is at work on it finds that it is not theirs any more, and takes back what they just wrote.
            let stopped = Statement::update("SET isStopped = :true, leasedUntil = :end")
                .when("attribute_exists(roomId)")
                .bind(":true", true)
                .bind(":end", Timestamp::from_secs(export.ttl).as_millis());
            self.update(&MESSAGES, export.key(), &stopped).await?;
        }
        self.found_exports(&statement).await
    }

    /// Deletes the row of an export, once its objects are.
    pub async fn delete_export(&self, export: &StoredExport) -> Result<(), Error> {
        self.delete(&MESSAGES, export.key(), &Statement::default()).await.map(drop)
    }

    async fn found_exports(&self, statement: &Statement) -> Result<Vec<StoredExport>, Error> {
        let mut found = Vec::new();
        let mut pages = pages::<StoredExport>(self.query(&MESSAGES, statement).consistent_read(true));
        while let Some(page) = pages.next().await {
            found.extend(page?);
        }
        Ok(found)
    }
}

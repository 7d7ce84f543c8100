//! The erasure of users: how far each has come, and the rows that a user left in the tables.
//!
//! Nothing in the tables is indexed by author. A user's rooms are found by the user's own rows in `Members`, which stay
//! as long as the messages of a former member, and by the rows of those who wrote without such a row; in each room the
//! whole partition is read. So an erasure reads these rooms and the lobby twice, and a year of `Audit`: it is rare.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::stream::StreamExt;
use serde::{Deserialize, Serialize};

use super::changes::reaction_of;
use super::log::{MESSAGE, SYSTEM, expiry_of};
use super::members::MemberRow;
use super::{Item, Key, Statement, Store, delete_request, failed, item_of, pages, row_of};
use crate::domain::{Member, RoomId, Seq, System, Timestamp, UserId};
use crate::error::Error;
use crate::tables::{AUDIT, INVITES, MEMBERS, MENTIONS, MESSAGES, PENDING, REPORTS, Table};

/// The partition of the rows of erasures. No room has it: ids have no control characters.
const ERASURES: &str = "\u{1}erasures";
/// For so long whoever is at work on an erasure keeps it (seconds). A function lives 29 seconds.
const LEASE_SECS: i64 = 40;
/// How long it is kept what became of an erasure, once it is done (seconds).
const KEPT_SECS: i64 = 365 * 86_400;
/// Rows of a partition that are read at once.
const PAGE: i32 = 200;
/// What is left to do of an erasure, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// Ending the memberships, so that nobody writes as the user any more.
    #[default]
    Memberships,
    /// What the user left in the rooms that they are or were a member of.
    Rooms,
    /// In the rooms that they wrote in without being a member.
    OtherRooms,
    Lobby,
    /// Mentions of the user, invitations and blocks.
    Own,
    /// From which addresses the user moderated, day by day.
    Audit,
    /// The rows by which the rooms are found.
    Members,
    Done,
}

/// How far an erasure has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Erasure {
    room_id: String,
    /// The user.
    message_id: String,
    pub started_at: Timestamp,
    /// The second pass finds what was written while the first one began.
    #[serde(default)]
    pub is_second_pass: bool,
    #[serde(default)]
    pub stage: Stage,
    /// Of the stage's rooms or days, the last one that is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// In the room behind it, the last row that is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// What went, by its kind.
    #[serde(default)]
    pub erased: BTreeMap<String, u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Until then somebody is at work on it.
    leased_until: Timestamp,
    /// Set once it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl: Option<i64>,
}

impl Erasure {
    /// Whose erasure it is.
    pub fn user(&self) -> UserId {
        UserId::stored(self.message_id.clone())
    }

    /// Counts what went.
    pub fn count(&mut self, kind: &str, more: usize) {
        if more > 0 {
            *self.erased.entry(kind.to_owned()).or_default() += more as u64;
        }
    }
}

/// What a user left on a page of a room's partition.
#[derive(Debug, Default)]
pub struct Traces {
    /// Messages that can be deleted.
    pub messages: Vec<Seq>,
    /// Entries of the log that have the user's name, or their words, besides; and whether they are messages that cannot
    /// be deleted any more.
    pub entries: Vec<(Seq, bool)>,
    pub reactions: Vec<(Seq, BTreeSet<String>)>,
    /// The sort keys of changes that tell with what the user reacted.
    changes: Vec<String>,
    /// The sort keys of rows that are the user's alone.
    others: Vec<String>,
    /// The last row of the page, unless it is the last one of the partition.
    pub last: Option<String>,
}

/// In front of a room in such a partition.
const ROOM: &str = "room\t";

/// The partition of the rooms in which a user wrote without a row of their own there.
fn wrote_partition(user: &UserId) -> String {
    format!("wrote\t{user}")
}

/// A room in which a user wrote without a row of their own there. It is in a partition apart: others, who add users to
/// rooms and remove them, do not make the list of a user's rooms longer by it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WroteRow {
    user_id: String,
    /// The room, behind a control character: in the index it is in the partition of no room.
    room_id: String,
    /// As long as a message that is written now.
    ttl: i64,
}

fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    item.get(name).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

fn is_deleted_by(item: &Item, user: &UserId) -> bool {
    let Some(AttributeValue::M(deletion)) = item.get("deleted") else { return false };
    text(deletion, "by") == user.as_str()
}

impl Store {
    /// Begins the erasure of a user, unless it has begun. One that is done begins again. Returns how far it is.
    pub async fn begin_erasure(&self, user: &UserId, now: Timestamp) -> Result<Erasure, Error> {
        let row = Erasure {
            room_id: ERASURES.to_owned(),
            message_id: user.to_string(),
            started_at: now,
            is_second_pass: false,
            stage: Stage::default(),
            after: None,
            row: None,
            erased: BTreeMap::new(),
            finished_at: None,
            leased_until: Timestamp::from_millis(0),
            ttl: None,
        };
        let is_new = Statement::default().when("attribute_not_exists(roomId) OR attribute_exists(finishedAt)");
        if self.put(&MESSAGES, item_of(&row)?, &is_new).await? {
            return Ok(row);
        }
        Ok(self.erasure(user).await?.unwrap_or(row))
    }

    /// How far the erasure of a user is, if there is one.
    pub async fn erasure(&self, user: &UserId) -> Result<Option<Erasure>, Error> {
        self.row(&MESSAGES, MESSAGES.key_of(ERASURES, user.as_str())).await
    }

    /// Takes an erasure on that nobody is at work on; `None` if somebody is, or if it is done.
    pub async fn claim_erasure(&self, user: &UserId, now: Timestamp) -> Result<Option<Erasure>, Error> {
        let Some(mut known) = self.erasure(user).await?.filter(|known| known.finished_at.is_none()) else {
            return Ok(None);
        };
        if known.leased_until > now {
            return Ok(None);
        }
        let before = std::mem::replace(&mut known.leased_until, now.plus_secs(LEASE_SECS));
        let is_same = Statement::default()
            .when("leasedUntil = :before AND attribute_not_exists(finishedAt)")
            .bind(":before", before.as_millis());
        Ok(self.put(&MESSAGES, item_of(&known)?, &is_same).await?.then_some(known))
    }

    /// Notes how far an erasure is. `false` if somebody else has taken it on in the meantime.
    pub async fn note_erasure(&self, erasure: &Erasure) -> Result<bool, Error> {
        self.write_erasure(erasure, erasure).await
    }

    /// As [`Store::note_erasure`], and lets others take it on, from `at` on.
    pub async fn release_erasure(&self, erasure: &Erasure, at: Timestamp) -> Result<bool, Error> {
        self.write_erasure(erasure, &Erasure { leased_until: at, ..erasure.clone() }).await
    }

    /// Notes that an erasure is done.
    pub async fn finish_erasure(&self, erasure: &Erasure, now: Timestamp) -> Result<bool, Error> {
        let ttl = Some(now.as_secs() + KEPT_SECS);
        self.write_erasure(erasure, &Erasure { finished_at: Some(now), ttl, ..erasure.clone() }).await
    }

    async fn write_erasure(&self, known: &Erasure, next: &Erasure) -> Result<bool, Error> {
        let is_ours = Statement::default().when("leasedUntil = :until").bind(":until", known.leased_until.as_millis());
        self.put(&MESSAGES, item_of(next)?, &is_ours).await
    }

    /// The users whose erasure nobody is at work on, though it is not done.
    pub async fn overdue_erasures(&self, now: Timestamp) -> Result<Vec<UserId>, Error> {
        let statement = Statement::query("roomId = :erasures")
            .filter("attribute_not_exists(finishedAt) AND leasedUntil <= :now")
            .bind(":erasures", ERASURES)
            .bind(":now", now.as_millis());
        let mut pages = pages::<Erasure>(self.query(&MESSAGES, &statement));
        let mut users = Vec::new();
        while let Some(page) = pages.next().await {
            users.extend(page?.iter().map(Erasure::user));
        }
        Ok(users)
    }

    /// Notes that a user writes, or wrote, in a room where no row of theirs stays.
    pub async fn note_writing(&self, user: &UserId, room: &RoomId, now: Timestamp) -> Result<(), Error> {
        let ttl = now.as_secs() + self.config.message_ttl_seconds();
        let row = WroteRow { user_id: wrote_partition(user), room_id: format!("{ROOM}{room}"), ttl };
        self.put(&MEMBERS, item_of(&row)?, &Statement::default()).await.map(drop)
    }

    /// Up to `limit` rooms of a user behind `after`: those that they are or were in, and whether the membership lasts.
    pub async fn all_rooms(
        &self,
        user: &UserId,
        after: Option<&str>,
        limit: i32,
    ) -> Result<Vec<(Member, bool)>, Error> {
        let room = |row: Item| {
            let row: MemberRow = row_of(row)?;
            let is_member = row.is_member();
            Ok((Member::from(row), is_member))
        };
        self.members_page(user.as_str(), after, limit).await?.into_iter().map(room).collect()
    }

    /// As [`Store::all_rooms`], the next one that they wrote in without a row of their own.
    pub async fn other_room(&self, user: &UserId, after: Option<&str>) -> Result<Option<RoomId>, Error> {
        let after = after.map(|room| format!("{ROOM}{room}"));
        let row = self.members_page(&wrote_partition(user), after.as_deref(), 1).await?.pop();
        Ok(row.and_then(|row| Some(RoomId::stored(text(&row, "roomId").strip_prefix(ROOM)?.to_owned()))))
    }

    async fn members_page(&self, partition: &str, after: Option<&str>, limit: i32) -> Result<Vec<Item>, Error> {
        let statement = Statement::query("userId = :user").bind(":user", partition);
        let start = after.map(|room| MEMBERS.key_of(partition, room));
        let query = self.query(&MEMBERS, &statement).consistent_read(true).set_exclusive_start_key(start);
        let page = query.limit(limit).send().await.map_err(failed)?;
        Ok(page.items.unwrap_or_default())
    }

    /// What a user left on the page of a room's partition behind the row `after`.
    pub async fn traces(
        &self,
        room: &RoomId,
        user: &UserId,
        after: Option<&str>,
        now: Timestamp,
    ) -> Result<Traces, Error> {
        let statement = Statement::query("roomId = :room").bind(":room", room.as_str());
        let start = after.map(|row| MESSAGES.key_of(room.as_str(), row));
        let query = self.query(&MESSAGES, &statement).consistent_read(true).set_exclusive_start_key(start);
        let page = query.limit(PAGE).send().await.map_err(failed)?;
        let mut traces = Traces::default();
        for item in page.items.unwrap_or_default() {
            traces.note(&item, user, now);
        }
        traces.last = page.last_evaluated_key.and_then(|key| key.get("messageId")?.as_s().ok().cloned());
        Ok(traces)
    }

    /// Takes the user's name out of an entry of the log, and the words that they wrote besides. `is_lost`: it is a
    /// message that cannot be deleted any more; then its content as well, and nobody is told.
    pub async fn strip_entry(&self, room: &RoomId, seq: Seq, user: &UserId, is_lost: bool) -> Result<(), Error> {
        let Some(item) = self.item_at(room, seq.message_id().as_str()).await? else { return Ok(()) };
        let key = || MESSAGES.key_of(room.as_str(), seq.message_id().as_str());
        if is_deleted_by(&item, user) {
            let reason = Statement::update("REMOVE deleted.reason").when("attribute_exists(deleted)");
            self.update(&MESSAGES, key(), &reason).await?;
        }
        if text(&item, "userId") != user.as_str() {
            return Ok(());
        }
        const NAME: &str = "REMOVE userIcon, userColor, nameVerified, clientMessageId, salt";
        let words = if is_lost { ", text, file, data, mentions, replyTo" } else { "" };
        let is_of_user = |statement: Statement| statement.when("userId = :user").bind(":user", user.as_str());
        let statement = match item.get(SYSTEM) {
            Some(AttributeValue::M(system)) => {
                let sentence = row_of::<System>(system.clone()).unwrap_or_default().sentence(&user.as_name());
                Statement::update(&format!("SET userName = :user, text = :text {NAME}"))
                    .bind(":text", sentence.as_str())
            }
            _ => Statement::update(&format!("SET userName = :user {NAME}{words}")),
        };
        self.update(&MESSAGES, key(), &is_of_user(statement)).await.map(drop)
    }

    /// Deletes the rows of a room's partition that are the user's alone, and takes out of the log of changes with what
    /// they reacted.
    pub async fn delete_traces(&self, room: &RoomId, traces: &Traces) -> Result<(), Error> {
        let strip = Statement::update("REMOVE emoji").when("attribute_exists(roomId)");
        for change in &traces.changes {
            self.update(&MESSAGES, MESSAGES.key_of(room.as_str(), change), &strip).await?;
        }
        let rows = traces.others.iter().map(|row| MESSAGES.key_of(room.as_str(), row));
        self.delete_rows(&MESSAGES, rows.collect()).await
    }

    /// Deletes the reports of a room's messages that have the user's words: as their author, or as who reports. Returns
    /// how many these were.
    pub async fn delete_reports(&self, room: &RoomId, user: &UserId) -> Result<usize, Error> {
        let by_user = "(by = :user OR message.userId = :user)";
        let statement = Statement::query("roomId = :room").filter(by_user).bind(":room", room.as_str());
        self.delete_found(&REPORTS, statement.bind(":user", user.as_str())).await
    }

    /// Deletes the invites into a room that a user made. Returns how many these were.
    pub async fn delete_invites(&self, room: &RoomId, user: &UserId) -> Result<usize, Error> {
        let statement = Statement::query("roomId = :room").filter("creator = :user").bind(":room", room.as_str());
        self.delete_found(&INVITES, statement.bind(":user", user.as_str())).await
    }

    /// Deletes the mentions of a user, and what waits for their consent. Returns how many of each there were.
    pub async fn delete_own_rows(&self, user: &UserId) -> Result<[(&'static str, usize); 2], Error> {
        let own = || Statement::query("userId = :user").bind(":user", user.as_str());
        let mentions = self.delete_found(&MENTIONS, own()).await?;
        Ok([("mentions", mentions), ("invitations", self.delete_found(&PENDING, own()).await?)])
    }

    /// Takes the addresses and the details out of what a user did as a moderator on a day. Returns how many acts these
    /// were.
    pub async fn strip_acts(&self, day: &str, user: &UserId) -> Result<usize, Error> {
        let statement = Statement::query("day = :day")
            .filter("by = :user AND (attribute_exists(sourceIp) OR attribute_exists(detail))")
            .bind(":day", day)
            .bind(":user", user.as_str());
        let keys = self.found(&AUDIT, &statement).await?;
        let statement = Statement::update("REMOVE sourceIp, detail").when("attribute_exists(day)");
        for key in &keys {
            self.update(&AUDIT, key.clone(), &statement).await?;
        }
        Ok(keys.len())
    }

    /// Deletes the rows by which the rooms of a user are found. Returns how many memberships these were.
    pub async fn delete_memberships(&self, user: &UserId) -> Result<usize, Error> {
        self.delete_found(&MEMBERS, Statement::query("userId = :user").bind(":user", &*wrote_partition(user))).await?;
        self.delete_found(&MEMBERS, Statement::query("userId = :user").bind(":user", user.as_str())).await
    }

    async fn delete_found(&self, table: &Table, statement: Statement) -> Result<usize, Error> {
        let keys = self.found(table, &statement).await?;
        let count = keys.len();
        self.delete_rows(table, keys).await?;
        Ok(count)
    }

    /// The keys of all rows that a query finds.
    async fn found(&self, table: &Table, statement: &Statement) -> Result<Vec<Key>, Error> {
        let mut pages = self.query(table, statement).consistent_read(true).into_paginator().items().send();
        let mut keys = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(failed)?;
            keys.push(table.key_of(text(&item, table.partition_key), text(&item, table.sort_key.unwrap_or_default())));
        }
        Ok(keys)
    }

    async fn delete_rows(&self, table: &Table, keys: Vec<Key>) -> Result<(), Error> {
        let deletions = keys.into_iter().map(|key| Ok((table, delete_request(key)?))).collect::<Result<_, Error>>()?;
        self.write_all(deletions).await
    }
}

impl Traces {
    fn note(&mut self, item: &Item, user: &UserId, now: Timestamp) {
        let key = text(item, "messageId");
        let Some(seq) = Seq::of_key(key) else {
            match reaction_of(key) {
                Some((seq, by)) if by == *user => {
                    let emojis = item.get("emojis").and_then(|emojis| emojis.as_ss().ok());
                    self.reactions.push((seq, emojis.into_iter().flatten().cloned().collect()));
                    self.others.push(key.to_owned());
                }
                _ if key == format!("slow#{user}") => self.others.push(key.to_owned()),
                _ if item.contains_key("emoji") && text(item, "by") == user.as_str() => {
                    self.changes.push(key.to_owned());
                }
                _ => {}
            }
            return;
        };
        let is_own = text(item, "userId") == user.as_str();
        let is_message = is_own && text(item, "kind") == MESSAGE && !item.contains_key("deleted");
        let is_lost = is_message && now.has_passed(expiry_of(item));
        if is_message && !is_lost {
            self.messages.push(seq);
        }
        if is_own || is_deleted_by(item, user) {
            self.entries.push((seq, is_lost));
        }
    }
}

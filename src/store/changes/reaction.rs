//! Reactions: a set of emojis for each user and message, and a count for each emoji in the message.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::stream::StreamExt;
use serde::Deserialize;
use tokio::time::Instant;

use super::super::{Item, Key, Statement, Store, delete_request, failed, pages, row_of};
use super::{Plan, REACT, ROOM_ROW, Seen, Write};
use crate::domain::{Emoji, Rev, RoomId, Seq, Timestamp, UserId, Who};
use crate::error::Error;
use crate::tables::MESSAGES;

/// The counts are attributes of the message, called so and by the emoji.
pub(super) const COUNTER: &str = "r#";
/// Most kinds of reactions to one message.
const MAX_KINDS: usize = 20;
/// Users in a page of those who reacted.
const PAGE: i32 = 100;
/// How long a reaction is tried while others react too.
const PATIENCE: Duration = Duration::from_secs(3);

/// The reactions of one user to one message.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReactionRow {
    message_id: String,
    #[serde(default, with = "serde_dynamo::string_set")]
    emojis: std::collections::BTreeSet<String>,
}

/// A message after a reaction.
pub struct Reacted {
    pub counts: BTreeMap<String, u64>,
    pub rev: Option<Rev>,
    /// The reaction was there before, or was not there to be taken back.
    pub is_unchanged: bool,
}

fn prefix(seq: Seq) -> String {
    format!("rx#{}#", seq.message_id().as_str())
}

/// The message and the user of the row with this sort key, if it is one of reactions.
pub(in crate::store) fn reaction_of(sort_key: &str) -> Option<(Seq, UserId)> {
    let (seq, user) = sort_key.strip_prefix("rx#")?.split_once('#')?;
    Some((Seq::of_key(seq)?, UserId::stored(user.to_owned())))
}

/// How many users reacted with each emoji, from the row of a message.
pub(in crate::store) fn counts_of(item: &Item) -> BTreeMap<String, u64> {
    let count = |(name, value): (&String, &AttributeValue)| {
        let count = value.as_n().ok()?.parse().ok().filter(|count| *count > 0)?;
        Some((name.strip_prefix(COUNTER)?.to_owned(), count))
    };
    item.iter().filter_map(count).collect()
}

impl Store {
    /// Adds a reaction of a user to a message, or takes it back.
    ///
    /// # Errors
    /// `MESSAGE_NOT_FOUND`, `TOO_MANY_REACTIONS`, `ROOM_BUSY`; `READ_ONLY` where only moderators react.
    pub async fn react(
        &self,
        room: &RoomId,
        (user, is_moderator): (&UserId, bool),
        (seq, emoji, on): (Seq, &Emoji, bool),
        (now, deadline): (Timestamp, Instant),
    ) -> Result<Reacted, Error> {
        let own = format!("{}{user}", prefix(seq));
        let keys = [seq.message_id().as_str().to_owned(), own.clone(), ROOM_ROW.to_owned()];
        let plan = |seen: &Seen<'_>| {
            let (entry, item) = seen.living(seq)?;
            let mut counts = entry.changes.reactions;
            let row: Option<ReactionRow> = seen.items.get(&own).cloned().map(row_of).transpose()?;
            if row.is_some_and(|row| row.emojis.contains(emoji.as_str())) == on {
                return Ok(Plan::Done((counts, entry.changes.rev)));
            }
            if on && !is_moderator && seen.mode()?.react == Some(Who::Admins) {
                return Err(Error::ReadOnly);
            }
            let count = count(&mut counts, emoji, on)?;
            let write = Write {
                reaction: Some((emoji.clone(), on)),
                updates: vec![(seq, counted(emoji, count))],
                others: vec![self.update_part(
                    &MESSAGES,
                    MESSAGES.key_of(room.as_str(), &own),
                    &reacted(emoji, on, super::expiry_of(item)),
                )?],
                ..Write::new(REACT, vec![seq], seen.pins())
            };
            Ok(Plan::Write(write, (counts, None)))
        };
        let deadline = deadline.min(Instant::now() + PATIENCE);
        let ((counts, known), rev) = self.change(room, user, &keys, (now, deadline), plan).await?;
        Ok(Reacted { counts, rev: rev.or(known), is_unchanged: rev.is_none() })
    }

    /// A page of the users who reacted to a message, in the order of their ids, with their emojis; and whether there
    /// are more. With `emoji` only those who reacted with it.
    pub async fn reactions(
        &self,
        room: &RoomId,
        seq: Seq,
        emoji: Option<&Emoji>,
        after: Option<&UserId>,
    ) -> Result<(Vec<(UserId, Vec<String>)>, Option<UserId>), Error> {
        let prefix = prefix(seq);
        let mut statement = of_message(room, &prefix).filter("attribute_exists(emojis)");
        if let Some(emoji) = emoji {
            statement = statement.filter("contains(emojis, :emoji)").bind(":emoji", emoji.as_str());
        }
        let key = |user: &UserId| -> Key { MESSAGES.key_of(room.as_str(), &format!("{prefix}{user}")) };
        let query = self.query(&MESSAGES, &statement).consistent_read(true).limit(PAGE);
        let page = query.set_exclusive_start_key(after.map(key)).send().await.map_err(failed)?;
        let user_of = |sort: &str| sort.strip_prefix(&prefix).map(|user| UserId::stored(user.to_owned()));
        let last = |key: HashMap<String, AttributeValue>| user_of(key.get("messageId")?.as_s().ok()?);
        let next = page.last_evaluated_key.and_then(last);
        let mut users = Vec::new();
        for item in page.items.unwrap_or_default() {
            let row: ReactionRow = row_of(item)?;
            users.extend(user_of(&row.message_id).map(|user| (user, row.emojis.into_iter().collect())));
        }
        Ok((users, next))
    }

    /// Removes who reacted to a message that was deleted. What is left over goes with the message.
    pub async fn remove_reactions(&self, room: &RoomId, seq: Seq) -> Result<(), Error> {
        let query = self.query(&MESSAGES, &of_message(room, &prefix(seq))).consistent_read(true);
        let mut rows = pages::<ReactionRow>(query);
        while let Some(page) = rows.next().await {
            let key = |row: ReactionRow| delete_request(MESSAGES.key_of(room.as_str(), &row.message_id));
            let deletions = page?.into_iter().map(key).collect::<Result<Vec<_>, Error>>()?;
            self.write_all(deletions.into_iter().map(|deletion| (&MESSAGES, deletion)).collect()).await?;
        }
        Ok(())
    }
}

/// The rows of those who reacted to a message.
fn of_message(room: &RoomId, prefix: &str) -> Statement {
    Statement::query("roomId = :room AND messageId BETWEEN :from AND :to")
        .bind(":room", room.as_str())
        .bind(":from", prefix)
        .bind(":to", &*format!("{prefix}\u{10ffff}"))
}

/// Counts a reaction, or one that is taken back. Returns how many users have that one now.
fn count(counts: &mut BTreeMap<String, u64>, emoji: &Emoji, on: bool) -> Result<u64, Error> {
    if on && counts.len() >= MAX_KINDS && !counts.contains_key(emoji.as_str()) {
        return Err(Error::TooManyReactions);
    }
    let before = counts.remove(emoji.as_str()).unwrap_or_default();
    let count = if on { before + 1 } else { before.saturating_sub(1) };
    if count > 0 {
        counts.insert(emoji.to_string(), count);
    }
    Ok(count)
}

/// The update of a message's count.
fn counted(emoji: &Emoji, count: u64) -> Statement {
    let statement = match i64::try_from(count) {
        Ok(1..) => Statement::update("SET rev = :rev, #emoji = :count")
            .bind(":count", i64::try_from(count).unwrap_or(i64::MAX)),
        _ => Statement::update("SET rev = :rev REMOVE #emoji"),
    };
    statement.attribute("#emoji", format!("{COUNTER}{emoji}"))
}

/// The update of a user's own set.
fn reacted(emoji: &Emoji, on: bool, ttl: i64) -> Statement {
    let emojis = vec![emoji.to_string()];
    let statement = if on {
        Statement::update("ADD emojis :emojis SET ttl = :ttl")
            .when("attribute_not_exists(emojis) OR NOT contains(emojis, :emoji)")
    } else {
        Statement::update("DELETE emojis :emojis SET ttl = :ttl").when("contains(emojis, :emoji)")
    };
    statement.bind(":emojis", emojis).bind(":emoji", emoji.as_str()).bind(":ttl", ttl)
}

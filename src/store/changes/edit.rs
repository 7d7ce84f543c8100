//! Edits.

use tokio::time::Instant;

use super::super::{Statement, Store, item_of};
use super::{Plan, Seen, Write};
use crate::domain::{
    Body, ClientMessageId, Content, Entry, Event, IdempotencyKey, Iso, Rev, RoomId, Seq, Timestamp, UserId,
};
use crate::error::Error;
use crate::tables::MESSAGES;

/// An edit to be made.
pub struct Edit<'a> {
    pub seq: Seq,
    pub content: &'a Content,
    /// The version that is edited, if the client names one.
    pub version: Option<u64>,
    /// The client's id for the edit.
    pub id: Option<&'a ClientMessageId>,
}

/// How long after it was sent a message can be edited (seconds).
const EDIT_WINDOW_SECS: i64 = 86_400;

impl Store {
    /// Gives a message of `user` another content. Returns the message as it is now, and whether it has changed: not when
    /// it had that content before, or when the client has made this very edit before.
    ///
    /// # Errors
    /// `MESSAGE_NOT_FOUND`, `FORBIDDEN`, `EDIT_WINDOW_OVER`, `VERSION_MISMATCH`, `TOO_LARGE`, `ROOM_BUSY`.
    pub async fn edit(
        &self,
        room: &RoomId,
        user: &UserId,
        edit: &Edit<'_>,
        fits: impl Fn(&Body) -> bool,
        (now, deadline): (Timestamp, Instant),
    ) -> Result<(Entry, bool), Error> {
        let once = edit.id.map(|id| format!("edit#{}", IdempotencyKey::new(user, id, edit.content, None, None).key));
        let keys: Vec<_> =
            [Some(edit.seq.message_id().as_str().to_owned()), once.clone()].into_iter().flatten().collect();
        let plan = |seen: &Seen<'_>| {
            let (mut entry, item) = seen.living(edit.seq)?;
            let expires_at = super::expiry_of(item);
            let Event::Said(body) = &mut entry.event else { return Err(Error::MessageNotFound) };
            if body.user_id != *user {
                return Err(Error::Forbidden("only the author of a message can edit it"));
            }
            let is_repeat = once.as_ref().is_some_and(|once| seen.items.contains_key(once));
            if is_repeat || body.content == *edit.content {
                return Ok(Plan::Done(entry));
            }
            if now.millis_since(entry.created_at) > EDIT_WINDOW_SECS * 1000 {
                return Err(Error::EditWindowOver);
            }
            body.content = edit.content.clone();
            if !fits(body) {
                return Err(Error::TooLarge);
            }
            let current = entry.changes.version.unwrap_or_default();
            if let Some(wanted) = edit.version.filter(|wanted| *wanted != current) {
                let (current, _) = seen.living(edit.seq)?;
                return Err(Error::VersionMismatch { wanted, current: Box::new(current) });
            }
            entry.changes.version = Some(current + 1);
            entry.changes.edited_at = Some(Iso(now));
            let update = Statement::update("SET text = :text, version = :version, editedAt = :now, rev = :rev")
                .bind(":text", edit.content.as_str())
                .bind(":version", i64::try_from(current + 1).unwrap_or(i64::MAX))
                .bind(":now", &*now.to_iso());
            let others = once.iter().map(|once| {
                let row = serde_json::json!({
                    "roomId": room, "messageId": once, "seq": edit.seq, "ttl": expires_at
                });
                self.put_part(&MESSAGES, item_of(&row)?, &Statement::default().when("attribute_not_exists(roomId)"))
            });
            let write = Write {
                what: "edit",
                seqs: vec![edit.seq],
                pins: seen.pins(),
                updates: vec![(edit.seq, update)],
                others: others.collect::<Result<_, _>>()?,
            };
            Ok(Plan::Write(write, entry))
        };
        let (mut entry, rev) = self.change(room, user, &keys, (now, deadline), plan).await?;
        entry.changes.rev = rev.or(entry.changes.rev);
        Ok((entry, rev.is_some()))
    }
}

impl Rev {
    /// The value of its attribute.
    pub(super) fn as_i64(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

//! Edits.

use serde::Serialize;
use tokio::time::Instant;

use super::super::{Statement, Store, item_of};
use super::{EDIT, Plan, ROOM_ROW, Seen, Write, expiry_of};
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
    /// Whether the content was reviewed.
    pub is_reviewed: bool,
}

impl Edit<'_> {
    /// The sort key of the row that says that the edit has been made, or denied.
    fn once(&self, user: &UserId) -> Option<String> {
        self.id.map(|id| format!("edit#{}", IdempotencyKey::new(user, id, self.content, None, None).key))
    }
}

impl Store {
    /// Gives a message of `user` another content. Returns the message as it is now, and whether it has changed: not
    /// when it had that content before, or when the client has made this very edit before.
    ///
    /// # Errors
    /// `MESSAGE_NOT_FOUND`, `FORBIDDEN`, `EDIT_WINDOW_OVER`, `VERSION_MISMATCH`, `TOO_LARGE`, `ROOM_BUSY`;
    /// `MESSAGE_DENIED` for an edit that was; [`Error::Unreviewed`].
    pub async fn edit(
        &self,
        room: &RoomId,
        user: &UserId,
        edit: &Edit<'_>,
        fits: impl Fn(&Body) -> bool,
        (now, deadline): (Timestamp, Instant),
    ) -> Result<(Entry, bool), Error> {
        let once = edit.once(user);
        let keys: Vec<_> = [Some(edit.seq.message_id().as_str().to_owned()), Some(ROOM_ROW.to_owned()), once.clone()]
            .into_iter()
            .flatten()
            .collect();
        let plan = |seen: &Seen<'_>| {
            let (entry, _) = seen.living(edit.seq)?;
            let known = once.as_ref().and_then(|once| seen.items.get(once));
            if let Some(reason) = known.and_then(|row| row.get("denied")?.as_s().ok()) {
                return Err(Error::MessageDenied { reason: reason.clone() });
            }
            let is_repeat = known.is_some();
            let window = seen.mode()?.edit_window_millis();
            let Some(edited) = edited(&entry, user, (edit, is_repeat), (now, window))? else {
                return Ok(Plan::Done(entry));
            };
            if seen.mode()?.is_reviewed() && !edit.is_reviewed {
                return Err(Error::Unreviewed);
            }
            if let Event::Said(body) = &edited.event
                && !fits(body)
            {
                return Err(Error::TooLarge);
            }
            let write = self.edit_of(room, edit, &edited, once.as_deref(), seen)?;
            Ok(Plan::Write(write, edited))
        };
        let (mut entry, rev) = self.change(room, user, &keys, (now, deadline), plan).await?;
        entry.changes.rev = rev.or(entry.changes.rev);
        Ok((entry, rev.is_some()))
    }
}

impl Store {
    /// Notes that the review did not accept an edit, if the client gave it an id: no retry of it is asked about again.
    pub async fn deny_edit(
        &self,
        (room, user): (&RoomId, &UserId),
        edit: &Edit<'_>,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Some(once) = edit.once(user) else { return Ok(()) };
        let ttl = now.as_secs() + self.config.message_ttl_seconds();
        let denied = Some(reason.to_owned());
        let row = EditRow { room_id: room.clone(), message_id: once, seq: edit.seq, denied, ttl };
        let is_new = Statement::default().when("attribute_not_exists(roomId)");
        self.put(&MESSAGES, item_of(&row)?, &is_new).await.map(drop)
    }

    /// What is written for an edit.
    fn edit_of(
        &self,
        room: &RoomId,
        edit: &Edit<'_>,
        edited: &Entry,
        once: Option<&str>,
        seen: &Seen<'_>,
    ) -> Result<Write, Error> {
        let version = edited.changes.version.unwrap_or_default();
        let update = Statement::update("SET text = :text, version = :version, editedAt = :now, rev = :rev")
            .bind(":text", edit.content.as_str())
            .bind(":version", i64::try_from(version).unwrap_or(i64::MAX))
            .bind(":now", &*seen.now.to_iso());
        let mut others = Vec::new();
        if let Some(once) = once {
            let ttl = expiry_of(seen.living(edit.seq)?.1);
            let row = EditRow { room_id: room.clone(), message_id: once.to_owned(), seq: edit.seq, denied: None, ttl };
            let is_new = Statement::default().when("attribute_not_exists(roomId)");
            others.push(self.put_part(&MESSAGES, item_of(&row)?, &is_new)?);
        }
        let updates = vec![(edit.seq, update)];
        Ok(Write { updates, others, ..Write::new(EDIT, vec![edit.seq], seen.pins()) })
    }
}

/// A client's id for an edit has been used. It lives as long as the message.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EditRow {
    room_id: RoomId,
    message_id: String,
    seq: Seq,
    /// Why the review did not accept the edit, where it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    denied: Option<String>,
    ttl: i64,
}

/// A message with the new content; `None` where nothing has to be done.
fn edited(
    entry: &Entry,
    user: &UserId,
    (edit, is_repeat): (&Edit<'_>, bool),
    (now, window): (Timestamp, i64),
) -> Result<Option<Entry>, Error> {
    let mut edited = entry.clone();
    let Event::Said(body) = &mut edited.event else { return Err(Error::MessageNotFound) };
    if body.user_id != *user {
        return Err(Error::Forbidden("only the author of a message can edit it"));
    }
    if is_repeat || body.content == *edit.content {
        return Ok(None);
    }
    if now.millis_since(entry.created_at) > window {
        return Err(Error::EditWindowOver);
    }
    body.content = edit.content.clone();
    let version = entry.changes.version.unwrap_or_default();
    if let Some(wanted) = edit.version.filter(|wanted| *wanted != version) {
        return Err(Error::VersionMismatch { wanted, current: Box::new(entry.clone()) });
    }
    edited.changes.version = Some(version + 1);
    edited.changes.edited_at = Some(Iso(now));
    Ok(Some(edited))
}

impl Rev {
    /// The value of its attribute.
    pub(super) fn as_i64(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

//! What the stream of the table tells of members.

use super::super::{Item, Written, row_of};
use super::bans::BanRow;
use super::{MemberRow, Status};
use crate::domain::Timestamp;
use crate::error::Error;

/// Who joined, left or was banned, by a row before and after it was written.
pub(in crate::store) fn written(old: Option<Item>, new: Option<Item>, at: Timestamp) -> Result<Option<Written>, Error> {
    let partition = new.as_ref().or(old.as_ref()).and_then(|item| item.get("userId")?.as_s().ok());
    let partition = partition.cloned().unwrap_or_default();
    if partition.contains(char::is_control) {
        // Bans, or counters.
        return if BanRow::is_in(&partition) { banned(old, new) } else { Ok(None) };
    }
    let member = |item: Option<Item>| {
        let row: Option<MemberRow> = item.map(row_of).transpose()?;
        Ok::<_, Error>(row.filter(|row| row.status == Status::Member))
    };
    Ok(match (member(old)?, member(new)?) {
        (Some(was), Some(is)) if was.joined_at == is.joined_at => None,
        // Also over what was left of a room that had the same id.
        (_, Some(is)) => Some(Written::Joined(Box::new(is.into()))),
        (Some(was), None) => Some(Written::Left { member: Box::new(was.into()), at }),
        (None, None) => None,
    })
}

fn banned(old: Option<Item>, new: Option<Item>) -> Result<Option<Written>, Error> {
    let Some(new) = new else { return Ok(None) };
    let new: BanRow = row_of(new)?;
    let old: Option<BanRow> = old.map(row_of).transpose()?;
    let is_known = old.is_some_and(|old| old.at() == new.at());
    let (user, room) = new.subject();
    Ok((!is_known).then(|| Written::Banned { room, user, at: new.at() }))
}

//! What moderators change of a room: an entry of its log, and the room's own row, in one transaction.

use aws_sdk_dynamodb::types::AttributeValue;

use super::super::rooms::of_open_room;
use super::super::{Backoff, Statement, Store, item_of};
use super::append::{Part, is_free};
use super::{SYSTEM, Timing};
use crate::domain::{Body, Entry, Event, Mode, Name, Room, Style, System, UserId};
use crate::error::Error;
use crate::tables::{MESSAGES, ROOMS};

/// A change of a room.
#[derive(Clone, Debug)]
pub enum Setting {
    /// What it sets, is changed.
    Mode(Mode),
    Name(Name),
}

impl Setting {
    /// Whether the room is so already. `mode`: as its log has it.
    fn is_so(&self, room: &Room, mode: &Mode) -> bool {
        match self {
            Self::Mode(change) => mode.with(change) == *mode,
            Self::Name(name) => room.name.as_ref() == Some(name),
        }
    }
}

impl Store {
    /// Changes a room, as an entry of its log: who appends behind it obeys it. Returns the entry; where the room is so
    /// already, the last one of its log if that is such an entry. And whether something was changed.
    ///
    /// # Errors
    /// `ROOM_NOT_FOUND`, `ROOM_CLOSED`, or `ROOM_BUSY` when too many write at once until the deadline.
    pub async fn change_room(
        &self,
        room: &Room,
        (user, name): (&UserId, &Name),
        setting: &Setting,
        timing: Timing,
    ) -> Result<(Option<Entry>, bool), Error> {
        let mut backoff = Backoff::until(timing.deadline);
        loop {
            let (tail, newest) = self.end(&room.id, timing.now).await?;
            let mut next = self.free_seq(&room.id, tail.as_ref(), timing.now).await?.ok_or(Error::RoomClosed)?;
            let before = next.carry.mode()?;
            if setting.is_so(room, &before) {
                let is_system = |entry: &Entry| matches!(entry.event, Event::System { .. });
                return Ok((newest.filter(is_system), false));
            }
            let (system, update) = changed(setting, &before)?;
            if let Setting::Mode(mode) = setting {
                next.carry.set_mode(mode)?;
            }
            let body = Body::new(user.clone(), name.clone(), Style::default(), system.sentence(name));
            let draft = self.draft(&room.id, next, (SYSTEM, &body), tail.as_ref())?.with_system(system)?;
            let entry = self.put_part(&MESSAGES, draft.item.clone(), &is_free())?;
            let update = self.update_part(&ROOMS, ROOMS.key(room.id.as_str()), &of_open_room(update, room))?;
            let refused = self.transact(vec![(Part::Entry, entry), (Part::Room, update)]).await?;
            if refused.is_empty() {
                let entry = draft.entry();
                self.note_end(&room.id, entry.seq).await;
                return Ok((Some(entry), true));
            }
            if refused.contains(&Part::Room) {
                return Err(self.why_not_open(&room.id, timing.now).await?);
            }
            if !backoff.pause().await {
                return Err(Error::RoomBusy);
            }
        }
    }
}

/// What the entry tells, and the update of the room's row.
fn changed(setting: &Setting, before: &Mode) -> Result<(System, Statement), Error> {
    Ok(match setting {
        Setting::Mode(mode) => {
            let mode = before.with(mode);
            let row = AttributeValue::M(item_of(&mode)?);
            (System::mode(mode), Statement::update("SET mode = :mode").bind_value(":mode", row))
        }
        Setting::Name(name) => {
            let update = Statement::update("SET roomName = :name").bind(":name", name.as_str());
            (System::renamed(name.clone()), update)
        }
    })
}

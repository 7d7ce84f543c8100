//! What every entry of a log takes over from the one before it: the epoch, the mode of the room, and counters. Who
//! appends knows them from the tail that is read anyway, and obeys the mode that was there before.

use aws_sdk_dynamodb::types::AttributeValue;

use super::super::{Item, item_of, row_of};
use crate::domain::{Epoch, Mode, Room, Seq, Timestamp};
use crate::error::Error;

/// The attribute of an entry.
pub(super) const CARRY: &str = "carry";
/// The epoch; absent: the first one.
const EPOCH: &str = "e";
/// As in the room's row.
const MODE: &str = "mode";
/// A second (since 1970), and how many messages were written in it; where the mode limits that.
const WINDOW: &str = "w";
/// The last message that mentioned the whole room.
const ROOM_MENTION: &str = "rm";

/// What an entry carries, also what this version does not know.
#[derive(Clone, Debug, Default)]
pub struct Carry(Item);

impl Carry {
    /// What an entry carries; `None` for one of an early version.
    pub(super) fn take(item: &mut Item) -> Option<Self> {
        match item.remove(CARRY) {
            Some(AttributeValue::M(carry)) => Some(Self(carry)),
            _ => None,
        }
    }

    /// What the room's own row knows, where no entry does.
    pub(super) fn of_room(room: &Room) -> Result<Self, Error> {
        let mut carry = Self::default();
        if room.epoch != Epoch::default() {
            carry.0.insert(EPOCH.to_owned(), AttributeValue::S(room.epoch.to_string()));
        }
        carry.set_mode(&room.mode)?;
        Ok(carry)
    }

    /// The attribute.
    pub(super) fn value(&self) -> AttributeValue {
        AttributeValue::M(self.0.clone())
    }

    /// The epoch of the log.
    pub fn epoch(&self) -> Epoch {
        let epoch = self.0.get(EPOCH).and_then(|epoch| epoch.as_s().ok());
        epoch.map_or_else(Epoch::default, |epoch| Epoch::stored(epoch.clone()))
    }

    /// The mode of the room.
    pub(super) fn mode(&self) -> Result<Mode, Error> {
        mode_in(&self.0)
    }

    /// Sets what `mode` sets, and keeps the rest, also what this version does not know.
    pub(super) fn set_mode(&mut self, mode: &Mode) -> Result<(), Error> {
        let set = item_of(mode)?;
        if set.is_empty() {
            return Ok(());
        }
        match self.0.get_mut(MODE) {
            Some(AttributeValue::M(known)) => known.extend(set),
            _ => drop(self.0.insert(MODE.to_owned(), AttributeValue::M(set))),
        }
        Ok(())
    }

    /// How many messages were created in the second of `at`.
    pub(super) fn written_in(&self, at: Timestamp) -> u64 {
        let Some(AttributeValue::L(window)) = self.0.get(WINDOW) else { return 0 };
        match (window.first().and_then(number), window.get(1).and_then(number)) {
            (Some(second), Some(count)) if second == at.as_secs() => u64::try_from(count).unwrap_or_default(),
            _ => 0,
        }
    }

    /// After one more message. Messages are counted where the mode limits how many there can be: elsewhere the counter
    /// would make each page of messages cost more.
    pub(super) fn after_message(mut self, seq: Seq, mentions_room: bool, at: Timestamp) -> Self {
        if self.mode().is_ok_and(|mode| mode.max_per_second.is_some()) {
            let window = [at.as_secs().to_string(), (self.written_in(at) + 1).to_string()];
            self.0.insert(WINDOW.to_owned(), AttributeValue::L(window.map(AttributeValue::N).to_vec()));
        }
        if mentions_room {
            self.0.insert(ROOM_MENTION.to_owned(), AttributeValue::N(seq.to_string()));
        }
        self
    }

    /// The last message that mentioned the whole room.
    pub fn room_mention(&self) -> Seq {
        let seq = self.0.get(ROOM_MENTION).and_then(number).and_then(|seq| Seq::new(u64::try_from(seq).ok()?).ok());
        seq.unwrap_or(Seq::ZERO)
    }
}

/// The mode among the attributes of a room's row, or of what an entry carries.
pub(in crate::store) fn mode_in(attributes: &Item) -> Result<Mode, Error> {
    match attributes.get(MODE) {
        Some(AttributeValue::M(mode)) => row_of(mode.clone()),
        _ => Ok(Mode::default()),
    }
}

fn number(value: &AttributeValue) -> Option<i64> {
    value.as_n().ok()?.parse().ok()
}

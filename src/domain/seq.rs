//! Positions in a log: dense, from 1, the same for every reader.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Invalid, MessageId, checked};

/// How far a log skips ahead when its end is unknown because it has expired. TTL deletes entries in any order, and no
/// `seq` may be used twice: this is far above the error of the last known end.
pub const RESTART_GAP: u64 = 100_000;

/// A position in a room's log: 1, 2, 3, ... 0 stands for "before the first".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Seq(u64);

impl<'de> Deserialize<'de> for Seq {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "must be a seq: a whole number from 0 to 9007199254740991";
        checked::deserialize(
            deserializer,
            checked::WHOLE,
            EXPECTED,
            |number| Some(Self(number)),
            |number| Self::new(number).ok(),
        )
    }
}

impl Seq {
    /// Before the first entry.
    pub const ZERO: Self = Self(0);
    /// 2^53 - 1: the largest exact integer in JavaScript, with sixteen digits.
    pub const LARGEST: u64 = (1 << 53) - 1;
    /// The last position.
    pub const MAX: Self = Self(Self::LARGEST);

    const DIGITS: usize = 16;

    /// # Errors
    /// A number above [`Seq::MAX`].
    pub fn new(number: u64) -> Result<Self, Invalid> {
        if number <= Self::MAX.0 { Ok(Self(number)) } else { Err(Invalid) }
    }

    /// The position after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The position before this one; 0 before 0.
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The position `count` after this one.
    pub fn plus(self, count: u64) -> Self {
        Self(self.0 + count)
    }

    /// The position `count` before this one; 0 before 0.
    pub fn minus(self, count: u64) -> Self {
        Self(self.0.saturating_sub(count))
    }

    /// Whether the position is divisible by `step`.
    pub fn is_multiple_of(self, step: u64) -> bool {
        self.0.is_multiple_of(step)
    }

    /// The position as a number of DynamoDB.
    pub fn as_i64(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// The position as a text that sorts as numbers do.
    pub fn message_id(self) -> MessageId {
        MessageId(format!("{:0width$}", self.0, width = Self::DIGITS))
    }

    /// The position of a message id; `None` for another sort key.
    pub fn of(id: &MessageId) -> Option<Self> {
        Self::of_key(id.as_str())
    }

    /// As [`Seq::of`], of any sort key.
    pub fn of_key(digits: &str) -> Option<Self> {
        let padded = digits.len() == Self::DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        padded.then(|| digits.parse().ok().map(Self)).flatten()
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which part of a log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The end.
    Latest,
    /// Just before a position.
    Before(Seq),
    /// Just after a position.
    After(Seq),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_ids_sort_like_their_positions() {
        assert!(Seq(9).message_id().as_str() < Seq(10).message_id().as_str());
        assert_eq!(Seq::of(&Seq(42).message_id()), Some(Seq(42)));
        assert_eq!(Seq::of(&MessageId("42".to_owned())), None);
        assert_eq!(Seq::of(&MessageId("c#00000000000000".to_owned())), None);
    }
}

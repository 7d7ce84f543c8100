//! Changes to messages after they were sent.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Not;

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::{Iso, UserId};

/// A position in a room's log of changes: 1, 2, 3, ... without gaps; 0: nothing has changed yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rev(pub u64);

impl Rev {
    /// Before the first change.
    pub const ZERO: Self = Self(0);
    /// The last position.
    pub const MAX: Self = Self(u64::MAX);

    /// The position after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Rev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What has changed of a message since it was sent, as its row and its frame have it.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    /// The last change of the message.
    pub rev: Option<Rev>,
    /// How many times it was edited; absent: never.
    pub version: Option<u64>,
    pub edited_at: Option<Iso>,
    pub deleted: Option<Deletion>,
    /// How many users reacted, by emoji.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reactions: BTreeMap<String, u64>,
    #[serde(default, skip_serializing_if = "Not::not")]
    pub pinned: bool,
}

/// The deletion of a message: its content is gone.
#[skip_serializing_none]
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Deletion {
    pub at: Iso,
    pub by: UserId,
    pub reason: Option<String>,
}

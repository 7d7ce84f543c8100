//! The mode of a room: who may write in it, and how often.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

/// Who may do something in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Who {
    Members,
    /// Owners and admins.
    Admins,
}

/// Whether something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// It is done.
    On,
    /// It is not done.
    Off,
}

/// For how long a message can be edited, unless the room says otherwise (seconds).
const EDIT_WINDOW_SECS: u64 = 86_400;

/// What moderators allow in a room. What is absent is as in a new room.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Mode {
    /// Who may send messages and files; absent: members.
    pub write: Option<Who>,
    /// Who may react to messages; absent: members.
    pub react: Option<Who>,
    /// How many seconds a member waits after a message before the next one. Owners and admins do not wait.
    pub slow_seconds: Option<u64>,
    /// How many messages the room takes in a second; absent: any number.
    pub max_per_second: Option<u64>,
    /// For how many seconds after it was sent a message can be edited; absent: 86,400.
    pub edit_window_seconds: Option<u64>,
    /// Whether texts are reviewed before they are accepted; absent: they are not.
    pub review: Option<Switch>,
}

impl Mode {
    /// The mode with what `change` sets.
    pub fn with(&self, change: &Self) -> Self {
        Self {
            write: change.write.or(self.write),
            react: change.react.or(self.react),
            slow_seconds: change.slow_seconds.or(self.slow_seconds),
            max_per_second: change.max_per_second.or(self.max_per_second),
            edit_window_seconds: change.edit_window_seconds.or(self.edit_window_seconds),
            review: change.review.or(self.review),
        }
    }

    /// Whether it sets nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether only owners and admins may write.
    pub fn is_read_only(&self) -> bool {
        self.write == Some(Who::Admins)
    }

    /// Whether texts are reviewed before they are accepted.
    pub fn is_reviewed(&self) -> bool {
        self.review == Some(Switch::On)
    }

    /// How long a member waits between two messages, if at all (milliseconds).
    pub fn slow_millis(&self) -> Option<i64> {
        let seconds = self.slow_seconds.filter(|seconds| *seconds > 0)?;
        i64::try_from(seconds * 1000).ok()
    }

    /// For how long a message can be edited (milliseconds).
    pub fn edit_window_millis(&self) -> i64 {
        let seconds = self.edit_window_seconds.unwrap_or(EDIT_WINDOW_SECS);
        i64::try_from(seconds * 1000).unwrap_or(i64::MAX)
    }

    /// The mode in words, such as "only admins write, 30 s between messages".
    pub fn in_words(&self) -> String {
        let who = |who: Who, does: &str| match who {
            Who::Members => format!("all members {does}"),
            Who::Admins => format!("only admins {does}"),
        };
        let slow = |seconds: u64| match seconds {
            0 => "no wait between messages".to_owned(),
            _ => format!("{seconds} s between messages"),
        };
        let review = |review: Switch| match review {
            Switch::On => "messages are reviewed".to_owned(),
            Switch::Off => "messages are not reviewed".to_owned(),
        };
        let parts = [
            self.write.map(|write| who(write, "write")),
            self.react.map(|react| who(react, "react")),
            self.slow_seconds.map(slow),
            self.max_per_second.map(|most| format!("at most {most} messages a second")),
            self.edit_window_seconds.map(|seconds| format!("messages can be edited for {seconds} s")),
            self.review.map(review),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// Which messages a user wants to be told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum NotifyLevel {
    #[default]
    All,
    /// Direct messages and mentions.
    Mentions,
    None,
}

impl NotifyLevel {
    /// The name in rows and frames.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Mentions => "mentions",
            Self::None => "none",
        }
    }
}

//! What is said, and what the log keeps of it.

use super::{ClientMessageId, CloseReason, File, FileName, Name, RoomId, Seq, Timestamp, UserId};

/// Most bytes of UTF-8 that one message may say.
pub const MAX_CONTENT_BYTES: usize = 16 * 1024;

/// What a message says: 1 byte to [`MAX_CONTENT_BYTES`] of UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content(String);

impl Content {
    /// `None` for an empty text; too long a one is for the caller to refuse, with a status of its own.
    pub fn new(text: String) -> Option<Self> {
        (!text.is_empty()).then_some(Self(text))
    }

    pub fn is_too_large(&self) -> bool {
        self.0.len() > MAX_CONTENT_BYTES
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn into_string(self) -> String {
        self.0
    }
}

/// What the last entry of a log says.
impl From<CloseReason> for Content {
    fn from(reason: CloseReason) -> Self {
        Self(reason.as_str().to_owned())
    }
}

/// For those who show what a message says and know of no files.
impl From<&FileName> for Content {
    fn from(name: &FileName) -> Self {
        Self(name.as_str().to_owned())
    }
}

/// How a sender looks to the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// An avatar's address.
    pub icon: Option<String>,
    pub color: Option<String>,
}

impl Style {
    /// Takes on what another one says, and keeps the rest.
    pub fn adopt(&mut self, other: Self) {
        self.icon = other.icon.or(self.icon.take());
        self.color = other.color.or(self.color.take());
    }
}

/// A message before it has its place in the log.
#[derive(Clone, Debug)]
pub struct Draft {
    pub user: UserId,
    pub name: Name,
    pub style: Style,
    pub content: Content,
    pub reply_to: Option<Seq>,
    pub client_id: Option<ClientMessageId>,
    pub file: Option<File>,
}

/// A message in its place in a room's log.
#[derive(Clone, Debug)]
pub struct Entry {
    pub room: RoomId,
    pub seq: Seq,
    pub created_at: Timestamp,
    pub user: UserId,
    pub name: Name,
    pub style: Style,
    pub content: String,
    pub reply_to: Option<Seq>,
    /// For the sender alone.
    pub client_id: Option<ClientMessageId>,
    pub file: Option<File>,
}

//! Messages, and the entries of a log.

use std::ops::Not;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_with::skip_serializing_none;

use super::{
    Changes, ClientMessageId, CloseReason, Epoch, File, FileName, IdempotencyKey, Mode, Name, RoomId, Seq, Timestamp,
    UserId, checked,
};

/// Most bytes of UTF-8 in the content of one message.
pub const MAX_CONTENT_BYTES: usize = 16 * 1024;
/// Most characters of an excerpt.
const EXCERPT_CHARS: usize = 140;
/// Most bytes of a message's `data`, as compact JSON.
const MAX_DATA_BYTES: usize = 1024;

/// The content of a message: 1 byte to [`MAX_CONTENT_BYTES`] of UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Content(String);

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "must be a string of 1 byte to 16 KB";
        checked::deserialize(deserializer, checked::TEXT, EXPECTED, |text| Some(Self(text)), Self::new)
    }
}

impl Content {
    /// `None` for an empty text. A text that is too large is refused by the caller, with a status of its own.
    pub fn new(text: String) -> Option<Self> {
        (!text.is_empty()).then_some(Self(text))
    }

    /// Whether it was deleted.
    pub fn is_absent(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is above [`MAX_CONTENT_BYTES`].
    pub fn is_too_large(&self) -> bool {
        self.0.len() > MAX_CONTENT_BYTES
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its beginning: at most 140 characters.
    pub fn excerpt(&self) -> String {
        self.0.chars().take(EXCERPT_CHARS).collect()
    }
}

/// From a row.
impl From<String> for Content {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// The content of the last entry of a closed room.
impl From<CloseReason> for Content {
    fn from(reason: CloseReason) -> Self {
        Self(reason.as_str().to_owned())
    }
}

/// For clients that do not support files.
impl From<&FileName> for Content {
    fn from(name: &FileName) -> Self {
        Self(name.as_str().to_owned())
    }
}

/// A JSON object that a client attaches to a message: at most 1 KB, kept as the client wrote it, never looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data(String);

impl Data {
    /// `None` unless `json` is an object of at most [`MAX_DATA_BYTES`], whitespace between its parts aside.
    pub fn new(json: String) -> Option<Self> {
        let json = compact(&json);
        (json.starts_with('{') && json.len() <= MAX_DATA_BYTES).then_some(Self(json))
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "must be an object of at most 1 KB as JSON";
        checked::deserialize(deserializer, checked::JSON, EXPECTED, |json| Some(Self(json)), Self::new)
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        json.serialize(serializer)
    }
}

/// Valid JSON without the whitespace between its parts.
fn compact(json: &str) -> String {
    let (mut in_string, mut is_escaped) = (false, false);
    let is_kept = |letter: &char| {
        let is_kept = in_string || !letter.is_ascii_whitespace();
        in_string ^= *letter == '"' && !is_escaped;
        is_escaped = *letter == '\\' && !is_escaped;
        is_kept
    };
    json.chars().filter(is_kept).collect()
}

/// The avatar and the color of a sender.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Style {
    /// The address of an avatar.
    #[serde(rename = "userIcon")]
    pub icon: Option<String>,
    /// A color, as clients understand it.
    #[serde(rename = "userColor")]
    pub color: Option<String>,
}

impl Style {
    /// Takes what `other` sets, and keeps the rest.
    pub fn adopt(&mut self, other: Self) {
        self.icon = other.icon.or(self.icon.take());
        self.color = other.color.or(self.color.take());
    }
}

/// A message, as its row and its frame have it: a new field of a message is declared here.
#[skip_serializing_none]
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Body {
    pub user_id: UserId,
    pub user_name: Name,
    /// Whether the name is that of the user's token.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub name_verified: bool,
    #[serde(flatten)]
    pub style: Style,
    /// Absent if the message was deleted.
    #[serde(default, skip_serializing_if = "Content::is_absent")]
    pub content: Content,
    /// The message that it replies to.
    pub reply_to: Option<Seq>,
    /// The sender's idempotency key. Only the sender receives it.
    pub client_message_id: Option<ClientMessageId>,
    pub file: Option<Box<File>>,
    /// The users whom the sender mentions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserId>,
    /// Whether the sender mentions everybody in the room.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub mention_room: bool,
    /// The object that the sender attached.
    pub data: Option<Data>,
    /// The content as it was sent, where a review has put another one in its place: a retry has that one.
    #[serde(skip)]
    pub sent: Option<Content>,
}

impl Body {
    /// A message without anything optional.
    pub fn new(user_id: UserId, user_name: Name, style: Style, content: Content) -> Self {
        Self {
            user_id,
            user_name,
            name_verified: false,
            style,
            content,
            reply_to: None,
            client_message_id: None,
            file: None,
            mentions: Vec::new(),
            mention_room: false,
            data: None,
            sent: None,
        }
    }

    /// The message with another content, as the review wants it.
    pub fn replaced(self, content: Content) -> Self {
        Self { sent: Some(self.content), content, ..self }
    }

    /// The idempotency key of the message, if its sender gave one.
    pub fn idempotency_key(&self) -> Option<IdempotencyKey> {
        let data = self.data.as_ref().map(Data::as_str);
        let id = self.client_message_id.as_ref()?;
        let content = self.sent.as_ref().unwrap_or(&self.content);
        Some(IdempotencyKey::new(&self.user_id, id, content, self.reply_to, data))
    }
}

/// What an entry tells that is no message of a user: `content` says it in words.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct System {
    /// `mode`, `renamed`, or a kind of a later version of the server.
    pub what: String,
    /// The mode of the room from now on.
    pub mode: Option<Mode>,
    /// The name of the room from now on.
    pub room_name: Option<Name>,
}

impl System {
    /// Of a kind that only a later version knows.
    pub fn unknown(what: String) -> Self {
        Self { what, ..Self::default() }
    }

    /// A room has another mode.
    pub fn mode(mode: Mode) -> Self {
        Self { mode: Some(mode), ..Self::unknown("mode".to_owned()) }
    }

    /// A room has another name.
    pub fn renamed(name: Name) -> Self {
        Self { room_name: Some(name), ..Self::unknown("renamed".to_owned()) }
    }

    /// What happened, in words.
    pub fn sentence(&self, by: &Name) -> Content {
        Content(match (&self.mode, &self.room_name) {
            (Some(mode), _) => format!("{by} changed the room's settings: {}", mode.in_words()),
            (None, Some(name)) => format!("{by} renamed the room to {name}"),
            (None, None) => format!("{by} changed the room"),
        })
    }
}

/// An entry of a room's log.
#[derive(Clone, Debug)]
pub struct Entry {
    pub room: RoomId,
    pub epoch: Epoch,
    pub seq: Seq,
    pub created_at: Timestamp,
    pub event: Event,
    pub changes: Changes,
}

/// The event of an entry.
#[derive(Clone, Debug)]
pub enum Event {
    /// A user's message.
    Said(Body),
    /// What a moderator changed, or what a later version of this software wrote.
    System { system: System, body: Body },
}

impl Event {
    /// Its message; of a system event, the sentence and who caused it.
    pub fn body(&self) -> &Body {
        match self {
            Self::Said(body) | Self::System { body, .. } => body,
        }
    }

    /// As [`Event::body`], without the rest.
    pub fn into_body(self) -> Body {
        match self {
            Self::Said(body) | Self::System { body, .. } => body,
        }
    }
}

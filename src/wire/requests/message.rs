//! Requests about messages and files.

use std::collections::BTreeSet;

use macro_rules_attribute::apply;

use super::{Addressed, Introduction, Recipient, Request, Target};
use crate::domain::{
    ClientMessageId, Content, ContentType, Data, FileName, NewFile, Page, Reason, RoomId, Seq, Sha256, UserId,
};
use crate::error::Error;
use crate::wire::types::{
    AnnouncedType, Bytes, FileReference, Flag, Limit, MAX_MENTIONS, Mentioned, Positions, SearchText, Token, Version,
};

/// A message to a room, a user or the lobby.
#[apply(received)]
pub struct SendMessage {
    #[serde(rename = "$target")]
    pub target: Target,
    /// 1 byte to 16 KB of UTF-8.
    pub content: Content,
    /// The message that it replies to.
    pub reply_to: Option<Seq>,
    /// Idempotency key: a retry with the same id is written once.
    pub client_message_id: Option<ClientMessageId>,
    /// The users whom it mentions: at most 20.
    #[serde(default)]
    pub mentions: Mentioned,
    /// Whether it mentions everybody in the room.
    pub mention_room: Option<bool>,
    /// An object of at most 1 KB, for the clients alone.
    pub data: Option<Data>,
    #[serde(rename = "$introduction")]
    pub introduction: Introduction,
}

impl Request for SendMessage {
    fn check(&self) -> Result<(), Error> {
        check_size(&self.content)
    }
}

/// Most messages in one request.
const MAX_MESSAGES: usize = 20;

/// Several messages to the same room, user or the lobby: a client's outbox in one frame.
#[apply(received)]
pub struct SendMessages {
    #[serde(rename = "$target")]
    pub target: Target,
    /// 1 to 20 messages, in their order.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_MESSAGES)))]
    pub messages: Vec<OutboxMessage>,
    #[serde(rename = "$introduction")]
    pub introduction: Introduction,
}

/// One of several messages.
#[apply(received)]
pub struct OutboxMessage {
    /// 1 byte to 16 KB of UTF-8.
    pub content: Content,
    /// Idempotency key, another one for each message: a retry with the same id is written once.
    pub client_message_id: ClientMessageId,
    /// The message that it replies to.
    pub reply_to: Option<Seq>,
    /// The users whom it mentions: at most 20 in all messages.
    #[serde(default)]
    pub mentions: Mentioned,
    /// Whether it mentions everybody in the room.
    pub mention_room: Option<bool>,
    /// An object of at most 1 KB, for the clients alone.
    pub data: Option<Data>,
}

impl Request for SendMessages {
    fn check(&self) -> Result<(), Error> {
        if !(1..=MAX_MESSAGES).contains(&self.messages.len()) {
            return Err(Error::invalid("messages", "must be a list of 1 to 20 messages"));
        }
        if self.messages.iter().map(|message| message.mentions.0.len()).sum::<usize>() > MAX_MENTIONS {
            return Err(Error::invalid("mentions", "must be at most 20 users in all messages"));
        }
        let mut ids = BTreeSet::new();
        for (index, message) in self.messages.iter().enumerate() {
            check_size(&message.content).map_err(|error| error.in_message(index))?;
            if !ids.insert(message.client_message_id.as_str()) {
                let error = Error::invalid("clientMessageId", "must be another one for each message");
                return Err(error.in_message(index));
            }
        }
        Ok(())
    }

    fn messages(&self) -> usize {
        self.messages.len()
    }
}

/// A message to all members of a room, or, from an admin, to everybody.
#[apply(received)]
pub struct BroadcastMessage {
    /// Without a room the message goes to everybody.
    pub room_id: Option<RoomId>,
    /// 1 byte to 16 KB of UTF-8.
    pub content: Content,
    /// Idempotency key: a retry with the same id is written once.
    pub client_message_id: Option<ClientMessageId>,
    #[serde(rename = "$introduction")]
    pub introduction: Introduction,
}

impl Request for BroadcastMessage {
    fn check(&self) -> Result<(), Error> {
        check_size(&self.content)
    }
}

impl Addressed for BroadcastMessage {
    fn recipient(&self) -> Result<Recipient, Error> {
        Ok(Recipient::Room(self.room_id.clone().unwrap_or_else(RoomId::lobby)))
    }

    fn is_for_admins(&self) -> bool {
        self.room_id.is_none()
    }
}

pub(super) fn check_size(content: &Content) -> Result<(), Error> {
    if content.is_too_large() { Err(Error::TooLarge) } else { Ok(()) }
}

/// The caller is typing, or has stopped.
#[apply(received)]
pub struct TypingIndicator {
    #[serde(rename = "$target")]
    pub target: Target,
    /// Default: true.
    pub is_typing: Option<bool>,
    #[serde(rename = "$introduction")]
    pub introduction: Introduction,
}

/// A page of a conversation's history.
#[apply(received)]
pub struct GetMessages {
    #[serde(rename = "$target")]
    pub target: Target,
    /// Messages before this seq.
    before: Option<Seq>,
    /// Messages after this seq.
    after: Option<Seq>,
    /// By default 50, at most 100.
    #[serde(default = "GetMessages::default_limit")]
    pub limit: Limit,
}

impl GetMessages {
    fn default_limit() -> Limit {
        Limit(50)
    }

    /// The part of the log to read.
    pub fn page(&self) -> Page {
        match (self.before, self.after) {
            (Some(before), _) => Page::Before(before),
            (None, Some(after)) => Page::After(after),
            (None, None) => Page::Latest,
        }
    }
}

impl Request for GetMessages {
    fn check(&self) -> Result<(), Error> {
        match (self.before, self.after) {
            (Some(_), Some(_)) => Err(Error::invalid("after", "cannot be combined with `before`")),
            _ => Ok(()),
        }
    }
}

/// Rooms to resubscribe to, and what was seen of each.
#[apply(received)]
pub struct Resume {
    /// For each room the last seq that the client has seen: `41`; or with the last change, `{"seq": 41, "rev": 7,
    /// "epoch": "0"}`.
    pub rooms: Positions,
}

/// The caller's read position in a room.
#[apply(received)]
pub struct MarkRead {
    pub room_id: RoomId,
    pub seq: Seq,
    /// The `readVersion` that the client knows: the mark stays if it was set back since.
    pub read_version: Option<Version>,
}

/// A text to search for in a room.
#[apply(received)]
pub struct SearchMessages {
    pub room_id: RoomId,
    /// 1 to 200 characters; case and accents do not matter.
    pub text: SearchText,
    /// Only messages of this user.
    pub from: Option<UserId>,
    /// Only messages before this seq.
    pub before: Option<Seq>,
    /// Only messages after this seq.
    pub after: Option<Seq>,
    /// By default 50, at most 100.
    #[serde(default = "GetMessages::default_limit")]
    pub limit: Limit,
}

/// A message that the caller reports.
#[apply(received)]
pub struct ReportMessage {
    pub room_id: RoomId,
    pub seq: Seq,
    /// For the moderators: 1 to 500 characters.
    pub reason: Reason,
}

/// A file that the caller wants to upload.
#[apply(received)]
pub struct HandleFileUpload {
    #[serde(rename = "$target")]
    pub target: Target,
    file_name: FileName,
    content_type: AnnouncedType,
    size: Bytes,
    /// In base64.
    sha256: Option<Sha256>,
}

impl HandleFileUpload {
    /// The announced file. Browsers send an empty type for files that their system does not know.
    pub fn file(self) -> NewFile {
        let content_type = self.content_type.0.unwrap_or_else(|| ContentType::of_name(&self.file_name));
        NewFile { name: self.file_name, content_type, size: self.size.0, sha256: self.sha256 }
    }
}

/// A file to download.
#[apply(received)]
pub struct GetFile {
    /// May be followed by the ticket of a link.
    pub file_id: FileReference,
    /// The ticket of a link, as a parameter of its own.
    pub t: Option<Token>,
    /// Whether browsers show an image instead of saving it. By default they save it.
    #[serde(default)]
    pub inline: Flag,
}

//! What a connection of each format hears of a frame.
//!
//! A frame is made once, as `native` has it. Clients of other backends know its fields by other names: `compat` adds
//! those, so that whichever they read is there. Which names: those of the documents of the backends that they come
//! from.

use serde::Serialize;
use serde_json::value::RawValue;

use super::frames::{Frame, LARGEST_FRAME_BYTES, Message, Participant, Participants, Resumed, RoomFrame, json};
use crate::domain::{Format, MessageId, Name, RoomId, Timestamp, UserId};
use crate::routes::Route;

/// Fields once more, under the names by which clients of other backends know them.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Copies {
    #[serde(skip_serializing_if = "Option::is_none")]
    chat_room_id: Option<RoomId>,
    /// Of a room.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<RoomId>,
    /// What the sender of a `typing` frame did.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    #[serde(flatten)]
    message: Option<MessageCopies>,
    /// The participants in full, where `participants` are their ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<Participant>>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageCopies {
    id: MessageId,
    text: String,
    username: Name,
    #[serde(serialize_with = "Timestamp::serialize_iso")]
    timestamp: Timestamp,
    sender_id: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_url: Option<String>,
}

impl Copies {
    fn of_room(room: &RoomId) -> Option<Box<Self>> {
        Some(Box::new(Self { chat_room_id: Some(room.clone()), ..Self::default() }))
    }
}

impl Frame {
    /// What a connection of this format hears when the frame is published; `None` where it hears nothing of it.
    /// `is_own`: the frame is about the user whose connection it is, or was sent by them.
    pub fn heard_in(&self, format: Format, is_own: bool) -> Option<String> {
        match format {
            Format::MessagesOnly if !self.is_heard_by_pages_of_a_room(is_own) => None,
            Format::Raw if self.room().is_some_and(RoomId::is_lobby) => match self {
                Self::Joined { .. } | Self::Left { .. } | Self::Presence { .. } => None,
                Self::Message(message) if is_plain_text(message) => Some(message.content.clone()),
                _ => Some(self.to_answer(format, None)),
            },
            _ => Some(self.to_answer(format, None)),
        }
    }

    /// The frame as the answer to a client's own, with the id that the client gave it.
    pub fn to_answer(&self, format: Format, request_id: Option<&str>) -> String {
        self.to_answer_with(format, request_id, |text| text)
    }

    /// As [`Frame::to_answer`], with something done to the text that makes it longer: the copies are left out where
    /// they have no room then.
    pub fn to_answer_with(
        &self,
        format: Format,
        request_id: Option<&str>,
        finish: impl Fn(String) -> String,
    ) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer<'a> {
            #[serde(flatten)]
            frame: &'a Frame,
            #[serde(skip_serializing_if = "Option::is_none")]
            request_id: Option<&'a str>,
        }
        let text = |frame: &Self| {
            finish(match request_id {
                None => json(frame),
                request_id => json(&Answer { frame, request_id }),
            })
        };
        if format == Format::Native {
            return text(self);
        }
        let mut frame = self.clone();
        frame.add_copies();
        let with_copies = text(&frame);
        if with_copies.len() <= LARGEST_FRAME_BYTES {
            return with_copies;
        }
        frame.drop_copies();
        text(&frame)
    }

    /// The frame as the body of an HTTP answer, which needs no `type`.
    pub fn to_body(&self) -> String {
        let mut frame = self.clone();
        frame.add_copies();
        let mut body = serde_json::to_value(&frame).unwrap_or_default();
        if let Some(fields) = body.as_object_mut() {
            fields.remove("type");
        }
        body.to_string()
    }

    /// Such a page takes for a message whatever it hears.
    fn is_heard_by_pages_of_a_room(&self, is_own: bool) -> bool {
        match self {
            Self::Message(_) | Self::Error { .. } | Self::RoomClosed { .. } => true,
            Self::Left { .. } => is_own,
            _ => false,
        }
    }

    fn room(&self) -> Option<&RoomId> {
        match self {
            Self::Message(message) => Some(&message.room_id),
            Self::Joined { room_id, .. } | Self::Left { room_id, .. } | Self::Presence { room_id, .. } => Some(room_id),
            _ => None,
        }
    }

    fn add_copies(&mut self) {
        match self {
            Self::Message(message) => message.copies = Some(copies_of_message(message)),
            Self::Typing { room_id, copies, .. } => {
                *copies = Some(Box::new(Copies {
                    chat_room_id: Some(room_id.clone()),
                    action: Some(Route::TypingIndicator.key()),
                    ..Copies::default()
                }));
            }
            Self::Joined { room_id, copies, .. }
            | Self::Left { room_id, copies, .. }
            | Self::Read { room_id, copies, .. }
            | Self::Presence { room_id, copies, .. } => *copies = Copies::of_room(room_id),
            Self::Room(room) => room.add_copies(),
            Self::Near { rooms, .. } => rooms.iter_mut().for_each(|near| near.room.add_copies()),
            Self::Rooms { items, .. } => items.iter_mut().for_each(|listed| listed.room.add_copies()),
            _ => {}
        }
        self.each_frame_within(Self::add_copies);
    }

    /// Leaves out what stands in the frame under another name as well.
    fn drop_copies(&mut self) {
        match self {
            Self::Message(message) => message.copies = None,
            // Who is in it stands in the copies alone.
            Self::Room(room) => {
                if let Some(copies) = &mut room.copies {
                    (copies.chat_room_id, copies.id) = (None, None);
                }
            }
            Self::Rooms { items, .. } => items.iter_mut().for_each(|listed| listed.room.copies = None),
            _ => {}
        }
        self.each_frame_within(Self::drop_copies);
    }

    fn each_frame_within(&mut self, change: fn(&mut Self)) {
        match self {
            Self::Messages { items, .. } => items.iter_mut().for_each(change),
            Self::Rooms { items, .. } => {
                items.iter_mut().filter_map(|room| room.last_message.as_mut()).for_each(change)
            }
            Self::Resumed { rooms } => {
                for resumed in rooms.values_mut() {
                    if let Resumed::Missed { items, .. } = resumed {
                        items.iter_mut().for_each(change);
                    }
                }
            }
            _ => {}
        }
    }
}

impl RoomFrame {
    /// `participants` become the users' ids, and `members` tells the rest of them.
    fn add_copies(&mut self) {
        let full = match self.participants.take() {
            Some(Participants::Full(full)) => Some(full),
            ids => {
                self.participants = ids;
                None
            }
        };
        if let Some(full) = &full {
            self.participants = Some(Participants::Ids(full.iter().map(|one| one.user_id.clone()).collect()));
        }
        let id = Some(self.room_id.clone());
        self.copies = Some(Box::new(Copies { chat_room_id: id.clone(), id, members: full, ..Copies::default() }));
    }
}

fn copies_of_message(message: &Message) -> Box<Copies> {
    let copies = MessageCopies {
        id: message.position.message_id.clone(),
        text: message.content.clone(),
        username: message.user_name.clone(),
        timestamp: message.position.created_at,
        sender_id: message.user_id.clone(),
        file_url: message.file.as_ref().map(|file| file.file_url.clone()),
    };
    Box::new(Copies { chat_room_id: Some(message.room_id.clone()), message: Some(copies), ..Copies::default() })
}

/// Whether a message can be told as its bare text: not with a file, and not where a reader would take it for a frame.
fn is_plain_text(message: &Message) -> bool {
    let parses = |text: &str| serde_json::from_str::<&RawValue>(text).is_ok();
    let looks_like_frame = message.content.trim_start().starts_with(['{', '['])
        // Some parsers take what is no JSON: Python's these numbers.
        && (parses(&message.content) || parses(&message.content.replace("Infinity", "0").replace("NaN", "0")));
    message.file.is_none() && !looks_like_frame
}

//! Frames in each format.
//!
//! A frame is created once, in the format `native`. `compat` repeats fields under the names that clients of other
//! backends use, as documented by those backends.

use macro_rules_attribute::apply;
use serde::Serialize;
use serde_json::value::RawValue;

use super::frames::{
    Frame, Iso, Item, Joined, Left, Message, Participant, Participants, Presence, Read, ResumedRoom, Room, Typing,
};
use super::size::{LARGEST_FRAME_BYTES, json};
use crate::actions::Action;
use crate::domain::{Format, MessageId, Name, RoomId, UserId};

/// The room, under the name that clients of other backends use.
#[apply(sent)]
pub struct ChatRoomCopy {
    chat_room_id: RoomId,
}

/// The copies of a typing indicator.
#[apply(sent)]
pub struct TypingCopies {
    chat_room_id: RoomId,
    /// The action of the sender.
    action: &'static str,
}

/// The copies of a room.
#[apply(sent)]
pub struct RoomCopies {
    chat_room_id: Option<RoomId>,
    id: Option<RoomId>,
    /// The participants in full: `participants` are their ids.
    members: Option<Vec<Participant>>,
}

/// The copies of a message.
#[apply(sent)]
pub struct MessageCopies {
    chat_room_id: RoomId,
    id: MessageId,
    text: String,
    username: Name,
    timestamp: Iso,
    sender_id: UserId,
    file_url: Option<String>,
}

impl ChatRoomCopy {
    fn of(room: &RoomId) -> Option<Box<Self>> {
        Some(Box::new(Self { chat_room_id: room.clone() }))
    }
}

impl Frame {
    /// The text for a connection of this format; `None` if it does not receive the frame. `is_own`: the frame is about
    /// the connection's user, or was sent by them.
    pub fn heard_in(&self, format: Format, is_own: bool) -> Option<String> {
        match format {
            Format::Compat | Format::Raw if self.is_of_native_clients() => None,
            Format::MessagesOnly if !self.is_heard_by_pages_of_a_room(is_own) => None,
            Format::Raw if self.room().is_some_and(RoomId::is_lobby) => match self {
                Self::Joined(_) | Self::Left(_) | Self::Presence(_) => None,
                Self::Message(message) if is_plain_text(message) => Some(message.body.content.as_str().to_owned()),
                _ => Some(self.to_answer(format, None)),
            },
            _ => Some(self.to_answer(format, None)),
        }
    }

    /// The frame as an answer, with the client's request id.
    pub fn to_answer(&self, format: Format, request_id: Option<&str>) -> String {
        self.to_answer_with(format, request_id, |text| text)
    }

    /// As [`Frame::to_answer`], with a change that makes the text longer. Copies are left out if they do not fit.
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

    /// The frame as the body of an HTTP answer, without `type`.
    pub fn to_body(&self) -> String {
        let mut frame = self.clone();
        frame.add_copies();
        let mut body = serde_json::to_value(&frame).unwrap_or_default();
        if let Some(fields) = body.as_object_mut() {
            fields.remove("type");
        }
        body.to_string()
    }

    /// Whether it is a kind of frame that other backends do not have.
    fn is_of_native_clients(&self) -> bool {
        matches!(
            self,
            Self::Invited(_)
                | Self::DirectRequest(_)
                | Self::Edited(_)
                | Self::DeletedMessages(_)
                | Self::Reactions(_)
                | Self::Pinned(_)
                | Self::Unpinned(_)
                | Self::NotifyChanged(_)
        )
    }

    /// Such a page shows every frame as a message.
    fn is_heard_by_pages_of_a_room(&self, is_own: bool) -> bool {
        match self {
            Self::Message(_) | Self::Failure(_) | Self::RoomClosed(_) => true,
            Self::Left(_) => is_own,
            _ => false,
        }
    }

    fn room(&self) -> Option<&RoomId> {
        match self {
            Self::Message(Message { room_id, .. })
            | Self::Joined(Joined { room_id, .. })
            | Self::Left(Left { room_id, .. })
            | Self::Presence(Presence { room_id, .. }) => Some(room_id),
            _ => None,
        }
    }

    fn add_copies(&mut self) {
        match self {
            Self::Message(message) => message.add_copies(),
            Self::Typing(Typing { room_id, copies, .. }) => {
                let (chat_room_id, action) = (room_id.clone(), Action::TypingIndicator.key());
                *copies = Some(Box::new(TypingCopies { chat_room_id, action }));
            }
            Self::Joined(Joined { room_id, copies, .. })
            | Self::Left(Left { room_id, copies, .. })
            | Self::Read(Read { room_id, copies, .. })
            | Self::Presence(Presence { room_id, copies, .. }) => *copies = ChatRoomCopy::of(room_id),
            Self::Room(room) => room.add_copies(),
            Self::Nearby(nearby) => nearby.rooms.iter_mut().for_each(|near| near.room.add_copies()),
            Self::Rooms(rooms) => rooms.items.iter_mut().for_each(|listed| listed.room.add_copies()),
            _ => {}
        }
        self.each_item(|Item::Message(message)| message.add_copies());
    }

    /// Removes the copies of fields that the frame has under another name.
    fn drop_copies(&mut self) {
        match self {
            Self::Message(message) => message.copies = None,
            // The participants are in the copies only.
            Self::Room(room) => {
                if let Some(copies) = &mut room.copies {
                    (copies.chat_room_id, copies.id) = (None, None);
                }
            }
            Self::Rooms(rooms) => rooms.items.iter_mut().for_each(|listed| listed.room.copies = None),
            _ => {}
        }
        self.each_item(|Item::Message(message)| message.copies = None);
    }

    fn each_item(&mut self, change: fn(&mut Item)) {
        match self {
            Self::Messages(page) => page.items.iter_mut().for_each(change),
            Self::Rooms(rooms) => {
                rooms.items.iter_mut().filter_map(|room| room.last_message.as_mut()).for_each(change);
            }
            Self::Pins(pins) => pins.items.iter_mut().for_each(change),
            Self::Found(found) => found.items.iter_mut().for_each(change),
            Self::Resumed(resumed) => {
                for room in resumed.rooms.values_mut() {
                    if let ResumedRoom::Missed(missed) = room {
                        missed.items.iter_mut().chain(&mut missed.changes).for_each(change);
                    }
                }
            }
            _ => {}
        }
    }
}

impl Room {
    /// Moves the participants to `members`, and replaces them by their ids.
    fn add_copies(&mut self) {
        let ids = |full: &[Participant]| full.iter().map(|one| one.user_id.clone()).collect();
        let members = match self.participants.take() {
            Some(Participants::Full(full)) => {
                self.participants = Some(Participants::Ids(ids(&full)));
                Some(full)
            }
            others => {
                self.participants = others;
                None
            }
        };
        let id = Some(self.room_id.clone());
        self.copies = Some(Box::new(RoomCopies { chat_room_id: id.clone(), id, members }));
    }
}

impl Message {
    fn add_copies(&mut self) {
        let copies = MessageCopies {
            chat_room_id: self.room_id.clone(),
            id: self.position.message_id.clone(),
            text: self.body.content.as_str().to_owned(),
            username: self.body.user_name.clone(),
            timestamp: self.position.created_at,
            sender_id: self.body.user_id.clone(),
            file_url: self.body.file.as_ref().map(|file| file.file_url.clone()),
        };
        self.copies = Some(Box::new(copies));
    }
}

/// Whether a message can be sent as bare text: without a file, and not if a reader would parse it as a frame.
fn is_plain_text(message: &Message) -> bool {
    let content = message.body.content.as_str();
    let parses = |text: &str| serde_json::from_str::<&RawValue>(text).is_ok();
    let looks_like_frame = content.trim_start().starts_with(['{', '['])
        // Python's parser accepts these numbers, which are not JSON.
        && (parses(content) || parses(&content.replace("Infinity", "0").replace("NaN", "0")));
    message.body.file.is_none() && !looks_like_frame
}

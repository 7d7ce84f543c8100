//! What clients request: the type of each request, as the catalogue names it. Those about messages and rooms are in
//! files of their own.
//!
//! A field whose name begins with `$` is a group of fields of the same request.

mod admin;
mod change;
mod message;
mod room;
mod unread;

use macro_rules_attribute::apply;
use serde::de::DeserializeOwned;

use super::fields::Fields;
use super::types::{Color, Flag, Icon, RequestedFormat, Token};
use crate::domain::{Format, Name, RoomId, Style, UserId};
use crate::error::Error;

pub use admin::{DisconnectUser, GetExport, ListActs, ListReports, PostMessage, PutMember, PutRoom};
pub use change::{AboutMessage, DeleteMessage, EditMessage, GetReactions, ListPins, React};
pub use message::{
    BroadcastMessage, GetFile, GetMessages, HandleFileUpload, MarkRead, OutboxMessage, ReportMessage, Resume,
    SearchMessages, SendMessage, SendMessages, TypingIndicator,
};
pub use room::{
    AboutMember, AboutRoom, AboutUser, AddMembers, CreateInvite, CreateRoom, CreateRoomAt, JoinRoom, ListBlocked,
    ListInvites, ListRooms, MuteMember, RenameRoom, RevokeInvite, RoomInfo, SearchRooms, SetRole, SetRoomMode,
};
pub use unread::{ListUnreads, MarkUnread, SetNotify};

/// A request: read from fields, then checked as a whole.
pub trait Request: DeserializeOwned {
    /// # Errors
    /// Fields that are valid individually but not in combination.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// How many messages it has.
    fn messages(&self) -> usize {
        1
    }
}

/// Requests that need no check as a whole.
macro_rules! plain {
    ($($request:ident),+) => { $(impl Request for $request {})+ };
}

plain! {
    AboutMember, AboutMessage, AboutRoom, AboutUser, Asking, CreateInvite, CreateRoom, CreateRoomAt, DisconnectUser,
    GetExport, GetFile, GetReactions, HandleFileUpload, Handshake, JoinRoom, ListActs, ListBlocked, ListInvites,
    ListPins, ListReports, ListRooms, ListUnreads, MarkRead, MarkUnread, MuteMember, Nothing, PutMember, React,
    RefreshToken, RenameRoom, ReportMessage, Resume, RevokeInvite, RoomInfo, SearchMessages, SearchRooms, SetNotify,
    SetRole, TypingIndicator
}

/// No field.
#[apply(received)]
pub struct Nothing {}

/// A new token for a connection.
#[apply(received)]
pub struct RefreshToken {
    /// A token of the same user.
    pub token: Token,
}

/// The `userId` that an HTTP request claims.
#[apply(received)]
pub struct Asking {
    pub user_id: Option<UserId>,
}

/// The target of a request, as the client gave it.
#[apply(received)]
pub struct Target {
    room_id: Option<RoomId>,
    /// The user of a direct conversation.
    recipient_id: Option<UserId>,
    /// The user of a direct conversation, or `lobby`, or the id of a direct conversation.
    target_id: Option<UserId>,
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    implies_lobby: Option<Flag>,
}

impl Addressed for Target {
    fn recipient(&self) -> Result<Recipient, Error> {
        match (&self.room_id, &self.recipient_id, &self.target_id) {
            (Some(room), None, None) => Ok(Recipient::Room(room.clone())),
            (None, Some(user), None) => Ok(Recipient::User(user.clone())),
            (None, Some(user), Some(target)) if user == target => Ok(Recipient::User(user.clone())),
            (None, None, Some(target)) => Ok(match RoomId::try_from(target.to_string()) {
                Ok(room) if room.is_lobby() || room.is_direct() => Recipient::Room(room),
                _ => Recipient::User(target.clone()),
            }),
            (None, None, None) if self.implies_lobby.is_some() => Ok(Recipient::Room(RoomId::lobby())),
            (None, None, None) => Ok(Recipient::Unnamed),
            _ => Err(Error::AmbiguousTarget),
        }
    }
}

/// The target of a request.
#[derive(Debug)]
pub enum Recipient {
    /// A room, a direct conversation or the lobby.
    Room(RoomId),
    /// The direct conversation with a user.
    User(UserId),
    /// No target: the room that the connection joined last.
    Unnamed,
}

/// A request with a target.
pub trait Addressed {
    /// # Errors
    /// `AMBIGUOUS_TARGET`.
    fn recipient(&self) -> Result<Recipient, Error>;

    /// Whether only the role `admin` of a token allows it.
    fn is_for_admins(&self) -> bool {
        false
    }
}

/// Requests whose fields `roomId`, `recipientId` and `targetId` name the target.
macro_rules! addressed {
    ($($request:ident),+) => {$(
        impl Addressed for $request {
            fn recipient(&self) -> Result<Recipient, Error> {
                self.target.recipient()
            }
        }
    )+};
}

addressed! { GetMessages, HandleFileUpload, SendMessage, SendMessages, TypingIndicator }

/// Requests whose field `roomId` is required.
macro_rules! in_room {
    ($($request:ident),+) => {$(
        impl Addressed for $request {
            fn recipient(&self) -> Result<Recipient, Error> {
                Ok(Recipient::Room(self.room_id.clone()))
            }
        }
    )+};
}

in_room! {
    DeleteMessage, EditMessage, GetReactions, ListPins, MarkRead, MarkUnread, React, ReportMessage, SearchMessages,
    SetNotify
}

/// How a user introduces themselves in a request.
#[apply(received)]
pub struct Introduction {
    /// The display name. Ignored if the token has one.
    pub user_name: Option<Name>,
    user_icon: Option<Icon>,
    user_color: Option<Color>,
}

impl Introduction {
    /// The avatar and the color.
    pub fn style(&self) -> Style {
        let (icon, color) = (self.user_icon.clone(), self.user_color.clone());
        Style { icon: icon.map(|icon| icon.0), color: color.map(|color| color.0) }
    }
}

/// The parameters in the query of a handshake.
#[apply(received)]
pub struct Handshake {
    pub user_id: Option<UserId>,
    pub room_id: Option<RoomId>,
    #[serde(rename = "$introduction")]
    pub introduction: Introduction,
    format: Option<RequestedFormat>,
    /// Whether a client of another backend wants every kind of frame.
    #[serde(default)]
    pub events: Flag,
    /// The token, where neither header nor subprotocol carries it.
    pub token: Option<Token>,
    /// A ticket in the place of a token. It is used up.
    pub ticket: Option<Token>,
    #[serde(skip)]
    is_page_of_one_room: bool,
}

impl Handshake {
    /// Reads the parameters of a query.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn of_query(query: Vec<(String, String)>) -> Result<Self, Error> {
        let has = |wanted: &str| query.iter().any(|(name, value)| name == wanted && !value.is_empty());
        // By these very names: pages of one room are written so.
        let is_page_of_one_room = has("userId") && has("roomId");
        Ok(Self { is_page_of_one_room, ..Fields::of_query(query).read()? })
    }

    /// The format that is asked for by name.
    pub fn format(&self) -> Option<Format> {
        self.format.as_ref().map(|format| format.0)
    }

    /// Whether the client is a page of one room, which shows whatever it hears as a message, and has no wish for other
    /// frames.
    pub fn wants_messages_only(&self) -> bool {
        self.is_page_of_one_room && !self.events.0
    }

    /// Whether the client wants every kind of frame.
    pub fn wants_events(&self) -> bool {
        self.events.0
    }
}

//! What clients ask for, frame by frame.

use std::collections::BTreeMap;

use aws_lambda_events::query_map::QueryMap;
use serde_json::Value;

use super::fields::{Color, Cursor, Cursors, Field, Fields, Icon, Limit, Places};
use crate::domain::{ClientMessageId, Content, Name, RoomId, RoomType, Seq, Style, UserId};
use crate::error::Error;
use crate::store::Page;

/// Whom a frame is for, as far as the frame itself tells.
#[derive(Debug)]
pub enum Recipient {
    Room(RoomId),
    User(UserId),
    /// `targetId`: a room, if the caller is in one of that id, or else a user.
    Either(UserId),
    /// Nobody is named: whoever was spoken to last.
    Unnamed,
}

impl Recipient {
    fn read(fields: &mut Fields) -> Result<Self, Error> {
        let room = one(fields.take("roomId")?, fields.take("chatRoomId")?)?;
        let user: Option<UserId> = fields.take("recipientId")?;
        let either: Option<UserId> = fields.take("targetId")?;
        match (room, user, either) {
            (Some(room), None, None) => Ok(Self::Room(room)),
            (None, Some(user), None) => Ok(Self::User(user)),
            (None, Some(user), Some(either)) if user == either => Ok(Self::User(user)),
            (None, None, Some(either)) => Ok(Self::Either(either)),
            (None, None, None) if fields.has_data() => Ok(Self::Room(RoomId::lobby())),
            (None, None, None) => Ok(Self::Unnamed),
            _ => Err(Error::AmbiguousTarget),
        }
    }
}

fn one<T: PartialEq>(first: Option<T>, second: Option<T>) -> Result<Option<T>, Error> {
    match (first, second) {
        (Some(first), Some(second)) if first != second => Err(Error::AmbiguousTarget),
        (first, second) => Ok(first.or(second)),
    }
}

fn room(fields: &mut Fields) -> Result<RoomId, Error> {
    one(fields.take("roomId")?, fields.take("chatRoomId")?)?
        .ok_or(Error::InvalidField { field: "roomId", problem: "is missing" })
}

/// An empty name is none: forms send such.
fn name(fields: &mut Fields, field: &'static str) -> Result<Option<Name>, Error> {
    match fields.take::<MaybeName>(field)? {
        Some(MaybeName(name)) => Ok(name),
        None => Ok(None),
    }
}

struct MaybeName(Option<Name>);

impl Field for MaybeName {
    const PROBLEM: &'static str = Name::PROBLEM;

    fn of_value(value: Value) -> Option<Self> {
        if value == "" { Some(Self(None)) } else { Name::of_value(value).map(|name| Self(Some(name))) }
    }
}

fn style(fields: &mut Fields) -> Result<Style, Error> {
    Ok(Style {
        icon: fields.take::<Icon>("userIcon")?.map(|icon| icon.0),
        color: fields.take::<Color>("userColor")?.map(|color| color.0),
    })
}

pub struct SendMessage {
    pub to: Recipient,
    pub content: Content,
    pub reply_to: Option<Seq>,
    pub client_id: Option<ClientMessageId>,
}

impl TryFrom<Fields> for SendMessage {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        Ok(Self {
            to: Recipient::read(&mut fields)?,
            content: fields.need("content")?,
            reply_to: fields.take("replyTo")?,
            client_id: fields.take("clientMessageId")?,
        })
    }
}

pub struct Broadcast {
    /// Nobody: everybody.
    pub room: Option<RoomId>,
    pub content: Content,
    pub client_id: Option<ClientMessageId>,
}

impl TryFrom<Fields> for Broadcast {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        Ok(Self {
            room: one(fields.take("roomId")?, fields.take("chatRoomId")?)?,
            content: fields.need("content")?,
            client_id: fields.take("clientMessageId")?,
        })
    }
}

pub struct Typing {
    pub to: Recipient,
    pub is_typing: bool,
}

impl TryFrom<Fields> for Typing {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        Ok(Self { to: Recipient::read(&mut fields)?, is_typing: fields.take("isTyping")?.unwrap_or(true) })
    }
}

pub struct CreateRoom {
    pub name: Option<Name>,
    pub room_type: RoomType,
    pub members: Vec<UserId>,
    pub max_participants: Option<u64>,
}

impl TryFrom<Fields> for CreateRoom {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        Ok(Self {
            name: name(&mut fields, "roomName")?,
            room_type: fields.take("roomType")?.unwrap_or_default(),
            members: fields.take("members")?.unwrap_or_default(),
            max_participants: fields.take::<Places>("maxParticipants")?.map(|places| places.0),
        })
    }
}

pub struct JoinRoom {
    pub room: RoomId,
    pub name: Option<Name>,
    pub style: Style,
}

impl TryFrom<Fields> for JoinRoom {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        Ok(Self { room: room(&mut fields)?, name: name(&mut fields, "userName")?, style: style(&mut fields)? })
    }
}

pub struct LeaveRoom {
    pub room: RoomId,
}

impl TryFrom<Fields> for LeaveRoom {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        Ok(Self { room: room(&mut fields)? })
    }
}

pub struct RoomInfo {
    pub room: RoomId,
    /// The last participant of the page before.
    pub cursor: Option<UserId>,
}

impl TryFrom<Fields> for RoomInfo {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        Ok(Self { room: room(&mut fields)?, cursor: fields.take("cursor")? })
    }
}

pub struct History {
    pub of: Recipient,
    pub page: Page,
    /// 1 to 100.
    pub limit: usize,
}

impl History {
    const DEFAULT_LIMIT: usize = 50;
}

impl TryFrom<Fields> for History {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        let page = match (fields.take("before")?, fields.take("after")?) {
            (None, None) => Page::Latest,
            (Some(before), None) => Page::Before(before),
            (None, Some(after)) => Page::After(after),
            (Some(_), Some(_)) => {
                return Err(Error::InvalidField { field: "after", problem: "cannot be combined with `before`" });
            }
        };
        Ok(Self {
            of: Recipient::read(&mut fields)?,
            page,
            limit: fields.take::<Limit>("limit")?.map_or(Self::DEFAULT_LIMIT, |limit| limit.0),
        })
    }
}

pub struct Resume {
    /// For each room the last seq that the client has seen.
    pub rooms: BTreeMap<RoomId, Seq>,
}

impl TryFrom<Fields> for Resume {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        Ok(Self { rooms: fields.need::<Cursors>("rooms")?.0 })
    }
}

pub struct MarkRead {
    pub room: RoomId,
    pub seq: Seq,
}

impl TryFrom<Fields> for MarkRead {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        Ok(Self { room: room(&mut fields)?, seq: fields.need("seq")? })
    }
}

pub struct ListRooms {
    /// Behind which of a list the page begins, as the page before told.
    pub cursor: Option<String>,
}

impl TryFrom<Fields> for ListRooms {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        Ok(Self { cursor: fields.take::<Cursor>("cursor")?.map(|cursor| cursor.0) })
    }
}

/// What a client says of itself in the query of its handshake.
pub struct Handshake {
    pub user: Option<UserId>,
    pub room: Option<RoomId>,
    pub name: Option<Name>,
    pub style: Style,
}

impl TryFrom<&QueryMap> for Handshake {
    type Error = Error;

    fn try_from(query: &QueryMap) -> Result<Self, Error> {
        let mut fields = Fields::of_query(query);
        Ok(Self {
            user: fields.take("userId")?,
            room: one(fields.take("roomId")?, fields.take("chatRoomId")?)?,
            name: name(&mut fields, "userName")?,
            style: style(&mut fields)?,
        })
    }
}

//! What clients ask for, frame by frame.

use std::collections::BTreeMap;

use aws_lambda_events::query_map::QueryMap;

use super::fields::{
    Bytes, Color, Cursor, Cursors, Events, Fields, FileReference, Icon, Inline, Latitude, Limit, Longitude, Places,
    RoomRadius, SearchRadius, Seconds, Uses,
};
use crate::domain::{
    ClientMessageId, Content, ContentType, FileId, Format, InviteCode, Location, Metres, Name, NewFile, Place, Role,
    RoomId, RoomType, Seq, Style, UserId,
};
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

/// How a user introduces themselves in a frame.
#[derive(Debug, Default)]
pub struct Introduction {
    pub name: Option<Name>,
    pub style: Style,
}

impl Introduction {
    fn read(fields: &mut Fields) -> Result<Self, Error> {
        let style = Style {
            icon: fields.take::<Icon>("userIcon")?.map(|icon| icon.0),
            color: fields.take::<Color>("userColor")?.map(|color| color.0),
        };
        Ok(Self { name: fields.take("userName")?, style })
    }
}

pub struct SendMessage {
    pub to: Recipient,
    pub content: Content,
    pub reply_to: Option<Seq>,
    pub client_id: Option<ClientMessageId>,
    pub by: Introduction,
}

impl TryFrom<Fields> for SendMessage {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        Ok(Self {
            to: Recipient::read(&mut fields)?,
            content: fields.need("content")?,
            reply_to: fields.take("replyTo")?,
            client_id: fields.take("clientMessageId")?,
            by: Introduction::read(&mut fields)?,
        })
    }
}

pub struct HandleFileUpload {
    pub to: Recipient,
    pub file: NewFile,
}

impl TryFrom<Fields> for HandleFileUpload {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        let name = fields.need("fileName")?;
        // Browsers give an empty type for files that their system does not know.
        let content_type = match (fields.has("contentType"), fields.take("contentType")?) {
            (_, Some(content_type)) => content_type,
            (true, None) => ContentType::of_name(&name),
            (false, None) => fields.need("contentType")?,
        };
        Ok(Self {
            to: Recipient::read(&mut fields)?,
            file: NewFile { name, content_type, size: fields.need::<Bytes>("size")?.0, sha256: fields.take("sha256")? },
        })
    }
}

pub struct GetFile {
    pub file: FileId,
    /// That of the link by which it is asked for.
    pub ticket: Option<String>,
    /// Whether the browser is to show it, if it is an image.
    pub inline: bool,
}

impl TryFrom<Fields> for GetFile {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        let FileReference { id, ticket } = fields.need("fileId")?;
        Ok(Self { file: id, ticket, inline: fields.take::<Inline>("inline")?.is_some_and(|inline| inline.0) })
    }
}

pub struct Broadcast {
    /// Nobody: everybody.
    pub room: Option<RoomId>,
    pub content: Content,
    pub client_id: Option<ClientMessageId>,
    pub by: Introduction,
}

impl TryFrom<Fields> for Broadcast {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        Ok(Self {
            room: one(fields.take("roomId")?, fields.take("chatRoomId")?)?,
            content: fields.need("content")?,
            client_id: fields.take("clientMessageId")?,
            by: Introduction::read(&mut fields)?,
        })
    }
}

pub struct Typing {
    pub to: Recipient,
    pub is_typing: bool,
    pub by: Introduction,
}

impl TryFrom<Fields> for Typing {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        Ok(Self {
            to: Recipient::read(&mut fields)?,
            is_typing: fields.take("isTyping")?.unwrap_or(true),
            by: Introduction::read(&mut fields)?,
        })
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
            name: fields.take("roomName")?,
            room_type: fields.take("roomType")?.unwrap_or_default(),
            members: fields.take("members")?.unwrap_or_default(),
            max_participants: fields.take::<Places>("maxParticipants")?.map(|places| places.0),
        })
    }
}

pub struct JoinRoom {
    pub room: RoomId,
    pub by: Introduction,
    /// What a private room is joined with.
    pub invite: Option<InviteCode>,
}

impl TryFrom<Fields> for JoinRoom {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        Ok(Self { room: room(&mut fields)?, by: Introduction::read(&mut fields)?, invite: fields.take("invite")? })
    }
}

/// A request that a room's id says all about: to leave it, to close it.
pub struct InRoom {
    pub room: RoomId,
}

impl TryFrom<Fields> for InRoom {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        Ok(Self { room: room(&mut fields)? })
    }
}

/// A room that is to be at a place.
pub struct FoundRoom {
    pub name: Option<Name>,
    pub room_type: RoomType,
    pub place: Place,
    pub max_participants: Option<u64>,
    /// How the creator is called.
    pub user_name: Option<Name>,
}

impl FoundRoom {
    const DEFAULT_RADIUS: Metres = Metres::new(1_000.0);
}

impl TryFrom<Fields> for FoundRoom {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        Ok(Self {
            place: Place {
                location: location(&mut fields)?,
                road_name: fields.take("roadName")?,
                radius: fields.take::<RoomRadius>("radius")?.map_or(Self::DEFAULT_RADIUS, |radius| radius.0),
            },
            name: fields.take("roomName")?,
            room_type: fields.take("roomType")?.unwrap_or_default(),
            max_participants: fields.take::<Places>("maxParticipants")?.map(|places| places.0),
            user_name: fields.take("userName")?,
        })
    }
}

fn location(fields: &mut Fields) -> Result<Location, Error> {
    let (latitude, longitude) = (fields.need::<Latitude>("latitude")?, fields.need::<Longitude>("longitude")?);
    Location::new(latitude.0, longitude.0)
        .ok_or(Error::InvalidField { field: "latitude", problem: "and `longitude` must be a place on earth" })
}

pub struct SearchRooms {
    pub around: Location,
    /// Both, when not given.
    pub room_type: Option<RoomType>,
    pub radius: Metres,
    /// 1 to 20.
    pub limit: usize,
    /// Behind which of the rooms the page begins, as the page before told.
    pub cursor: Option<String>,
}

impl SearchRooms {
    const DEFAULT_RADIUS: Metres = Metres::new(5_000.0);
    /// Also the default. The participants of each room on a page are a request of their own.
    const MOST_ROOMS: usize = 20;
}

impl TryFrom<Fields> for SearchRooms {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        Ok(Self {
            around: location(&mut fields)?,
            room_type: fields.take("roomType")?,
            radius: fields.take::<SearchRadius>("radius")?.map_or(Self::DEFAULT_RADIUS, |radius| radius.0),
            limit: fields.take::<Limit>("limit")?.map_or(Self::MOST_ROOMS, |limit| limit.0.min(Self::MOST_ROOMS)),
            cursor: fields.take::<Cursor>("cursor")?.map(|cursor| cursor.0),
        })
    }
}

pub struct MakeInvite {
    pub room: RoomId,
    pub max_uses: u64,
    pub lifetime_seconds: i64,
}

impl MakeInvite {
    const DEFAULT_USES: u64 = 1;
    const DEFAULT_LIFETIME_SECONDS: i64 = 86_400;
}

impl TryFrom<Fields> for MakeInvite {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        Ok(Self {
            room: room(&mut fields)?,
            max_uses: fields.take::<Uses>("maxUses")?.map_or(Self::DEFAULT_USES, |uses| uses.0),
            lifetime_seconds: fields
                .take::<Seconds>("expiresInSeconds")?
                .map_or(Self::DEFAULT_LIFETIME_SECONDS, |seconds| seconds.0),
        })
    }
}

pub struct RevokeInvite {
    pub room: RoomId,
    pub invite: InviteCode,
}

impl TryFrom<Fields> for RevokeInvite {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        Ok(Self { room: room(&mut fields)?, invite: fields.need("invite")? })
    }
}

/// A request about another user in a room.
pub struct AboutMember {
    pub room: RoomId,
    pub user: UserId,
}

impl TryFrom<Fields> for AboutMember {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        Ok(Self { room: room(&mut fields)?, user: fields.need("userId")? })
    }
}

pub struct SetRole {
    pub room: RoomId,
    pub user: UserId,
    pub role: Role,
}

impl TryFrom<Fields> for SetRole {
    type Error = Error;

    fn try_from(mut fields: Fields) -> Result<Self, Error> {
        Ok(Self { room: room(&mut fields)?, user: fields.need("userId")?, role: fields.need("role")? })
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
    pub by: Introduction,
    /// The format that is asked for by name.
    pub format: Option<Format>,
    /// The query is that of a page of one room, which shows whatever it hears as a message: `userId` and `roomId`, by
    /// these very names, and no wish for other frames.
    pub wants_messages_only: bool,
}

impl TryFrom<&QueryMap> for Handshake {
    type Error = Error;

    fn try_from(query: &QueryMap) -> Result<Self, Error> {
        let mut fields = Fields::of_query(query);
        let is_page_of_room = fields.has("userId") && fields.has("roomId");
        let wants_all = fields.take::<Events>("events")?.is_some_and(|events| events.0);
        Ok(Self {
            user: fields.take("userId")?,
            room: one(fields.take("roomId")?, fields.take("chatRoomId")?)?,
            by: Introduction::read(&mut fields)?,
            format: fields.take("format")?,
            wants_messages_only: is_page_of_room && !wants_all,
        })
    }
}

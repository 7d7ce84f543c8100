//! What clients ask for: the type of each request, as the catalogue names it.
//!
//! A field whose name begins with `$` is a group of fields of the same request.

use macro_rules_attribute::apply;
use serde::de::DeserializeOwned;

use super::fields::Fields;
use super::types::{
    AnnouncedType, Bytes, Capacity, Color, Cursor, FileReference, Flag, Icon, Latitude, Lifetime, Limit, Longitude,
    Positions, RequestedFormat, RoomRadius, SearchRadius, Token, Users, Uses, Visibility,
};
use crate::domain::{
    ClientMessageId, Content, ContentType, Data, FileName, Format, InviteCode, Location, Metres, Name, NewFile, Page,
    Role, RoomId, Seq, Sha256, Style, UserId,
};
use crate::error::Error;

/// A request: read from fields, then checked as a whole.
pub trait Request: DeserializeOwned {
    /// # Errors
    /// Fields that are valid each for itself and not together.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// Requests that need no check as a whole.
macro_rules! plain {
    ($($request:ident),+) => { $(impl Request for $request {})+ };
}

plain! {
    AboutMember, AboutRoom, Asking, CreateInvite, CreateRoom, GetFile, HandleFileUpload, Handshake, JoinRoom,
    ListRooms, MarkRead, Nothing, Resume, RevokeInvite, RoomInfo, SetRole, TypingIndicator
}

/// No field.
#[apply(received)]
pub struct Nothing {}

/// Who an HTTP request says is asking.
#[apply(received)]
pub struct Asking {
    pub user_id: Option<UserId>,
}

/// Whom a request is for, as the client named it.
#[apply(received)]
pub struct Target {
    room_id: Option<RoomId>,
    /// The user of a direct conversation.
    recipient_id: Option<UserId>,
    /// A room, if the caller is in one of that id, or else a user.
    target_id: Option<UserId>,
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    implies_lobby: Option<Flag>,
}

/// Whom a request is for.
#[derive(Debug)]
pub enum Recipient {
    /// A room, a direct conversation or the lobby.
    Room(RoomId),
    /// The direct conversation with a user.
    User(UserId),
    /// `targetId`: a room, if the caller is in one of that id, or else a user.
    Either(UserId),
    /// Nobody is named: the room that the connection joined last.
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

impl Addressed for Target {
    fn recipient(&self) -> Result<Recipient, Error> {
        match (&self.room_id, &self.recipient_id, &self.target_id) {
            (Some(room), None, None) => Ok(Recipient::Room(room.clone())),
            (None, Some(user), None) => Ok(Recipient::User(user.clone())),
            (None, Some(user), Some(either)) if user == either => Ok(Recipient::User(user.clone())),
            (None, None, Some(either)) => Ok(Recipient::Either(either.clone())),
            (None, None, None) if self.implies_lobby.is_some() => Ok(Recipient::Room(RoomId::lobby())),
            (None, None, None) => Ok(Recipient::Unnamed),
            _ => Err(Error::AmbiguousTarget),
        }
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

addressed! { GetMessages, HandleFileUpload, SendMessage, TypingIndicator }

/// How a user introduces themselves in a request.
#[apply(received)]
pub struct Introduction {
    /// The display name. Ignored where a token vouches for another one.
    pub user_name: Option<Name>,
    user_icon: Option<Icon>,
    user_color: Option<Color>,
}

impl Introduction {
    /// How the user looks.
    pub fn style(&self) -> Style {
        let (icon, color) = (self.user_icon.clone(), self.user_color.clone());
        Style { icon: icon.map(|icon| icon.0), color: color.map(|color| color.0) }
    }
}

/// A message to a room, a user or the lobby.
#[apply(received)]
pub struct SendMessage {
    #[serde(rename = "$target")]
    pub target: Target,
    /// 1 byte to 16 KB of UTF-8.
    pub content: Content,
    /// The message that it replies to.
    pub reply_to: Option<Seq>,
    /// Makes a retry safe: the same id is written once.
    pub client_message_id: Option<ClientMessageId>,
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

/// A message to all members of a room, or, from an admin, to everybody.
#[apply(received)]
pub struct BroadcastMessage {
    /// Without a room the message goes to everybody.
    pub room_id: Option<RoomId>,
    /// 1 byte to 16 KB of UTF-8.
    pub content: Content,
    /// Makes a retry safe: the same id is written once.
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

fn check_size(content: &Content) -> Result<(), Error> {
    if content.is_too_large() { Err(Error::TooLarge) } else { Ok(()) }
}

/// The caller is typing, or no longer.
#[apply(received)]
pub struct TypingIndicator {
    #[serde(rename = "$target")]
    pub target: Target,
    /// Default: true.
    pub is_typing: Option<bool>,
    #[serde(rename = "$introduction")]
    pub introduction: Introduction,
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
    /// The file as it is announced. Browsers give an empty type for files that their system does not know.
    pub fn file(self) -> NewFile {
        let content_type = self.content_type.0.unwrap_or_else(|| ContentType::of_name(&self.file_name));
        NewFile { name: self.file_name, content_type, size: self.size.0, sha256: self.sha256 }
    }
}

/// A file to download.
#[apply(received)]
pub struct GetFile {
    /// Also with the ticket of a link behind it.
    pub file_id: FileReference,
    /// Whether the browser shows it, if it is an image. By default it saves the file.
    #[serde(default)]
    pub inline: Flag,
}

/// A room with its first members.
#[apply(received)]
pub struct CreateRoom {
    pub room_name: Option<Name>,
    /// By default public.
    #[serde(default)]
    pub room_type: Visibility,
    #[serde(default)]
    pub members: Users,
    pub max_participants: Option<Capacity>,
}

/// A room to join.
#[apply(received)]
pub struct JoinRoom {
    pub room_id: RoomId,
    /// Needed for a private room.
    pub invite: Option<InviteCode>,
    #[serde(rename = "$introduction")]
    pub introduction: Introduction,
}

/// A room.
#[apply(received)]
pub struct AboutRoom {
    pub room_id: RoomId,
}

/// A room, and where a page of its participants begins.
#[apply(received)]
pub struct RoomInfo {
    pub room_id: RoomId,
    /// The `nextCursor` of the page before.
    pub cursor: Option<UserId>,
}

/// Another user in a room.
#[apply(received)]
pub struct AboutMember {
    pub room_id: RoomId,
    pub user_id: UserId,
}

/// A new role for a member.
#[apply(received)]
pub struct SetRole {
    pub room_id: RoomId,
    pub user_id: UserId,
    pub role: Role,
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

    /// Which part of the log is read.
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

/// Rooms to hear again, and what was seen of them.
#[apply(received)]
pub struct Resume {
    /// For each room the last seq that the client has seen.
    pub rooms: Positions,
}

/// How far the caller has read a room.
#[apply(received)]
pub struct MarkRead {
    pub room_id: RoomId,
    pub seq: Seq,
}

impl Addressed for MarkRead {
    fn recipient(&self) -> Result<Recipient, Error> {
        Ok(Recipient::Room(self.room_id.clone()))
    }
}

/// Where a page of the caller's rooms begins.
#[apply(received)]
pub struct ListRooms {
    /// The `nextCursor` of the page before.
    pub cursor: Option<Cursor>,
}

/// A room at a place.
#[apply(received)]
pub struct CreateRoomAt {
    latitude: Latitude,
    longitude: Longitude,
    pub road_name: Option<Name>,
    /// From how far away the room is near, in metres. By default 1,000.
    #[serde(default = "CreateRoomAt::default_radius")]
    pub radius: RoomRadius,
    pub room_name: Option<Name>,
    /// By default public.
    #[serde(default)]
    pub room_type: Visibility,
    pub max_participants: Option<Capacity>,
    /// The display name of the creator.
    pub user_name: Option<Name>,
}

impl CreateRoomAt {
    fn default_radius() -> RoomRadius {
        RoomRadius(Metres::new(1_000.0))
    }

    /// Where the room is.
    ///
    /// # Errors
    /// `INVALID_FIELD`.
    pub fn location(&self) -> Result<Location, Error> {
        location(&self.latitude, &self.longitude)
    }
}

impl Request for CreateRoomAt {
    fn check(&self) -> Result<(), Error> {
        self.location().map(drop)
    }
}

fn location(latitude: &Latitude, longitude: &Longitude) -> Result<Location, Error> {
    let location = Location::new(latitude.0, longitude.0);
    location.ok_or_else(|| Error::invalid("latitude", "and `longitude` must be a place on earth"))
}

/// A search for rooms near a place.
#[apply(received)]
pub struct SearchRooms {
    latitude: Latitude,
    longitude: Longitude,
    /// By default both.
    pub room_type: Option<Visibility>,
    /// How far the search looks, in metres. By default 5,000.
    #[serde(default = "SearchRooms::default_radius")]
    pub radius: SearchRadius,
    limit: Option<Limit>,
    /// The `nextCursor` of the page before.
    pub cursor: Option<Cursor>,
}

impl SearchRooms {
    /// Also the default. The participants of each room on a page cost a request.
    const MAX_ROOMS: usize = 20;

    fn default_radius() -> SearchRadius {
        SearchRadius(Metres::new(5_000.0))
    }

    /// The centre of the search.
    ///
    /// # Errors
    /// `INVALID_FIELD`.
    pub fn location(&self) -> Result<Location, Error> {
        location(&self.latitude, &self.longitude)
    }

    /// The length of the page: 1 to 20.
    pub fn limit(&self) -> usize {
        self.limit.as_ref().map_or(Self::MAX_ROOMS, |limit| limit.0.min(Self::MAX_ROOMS))
    }
}

impl Request for SearchRooms {
    fn check(&self) -> Result<(), Error> {
        self.location().map(drop)
    }
}

/// An invite into a private room.
#[apply(received)]
pub struct CreateInvite {
    pub room_id: RoomId,
    /// How often it can be used. By default once.
    #[serde(default = "CreateInvite::default_uses")]
    pub max_uses: Uses,
    /// By default a day.
    #[serde(default = "CreateInvite::default_lifetime")]
    pub expires_in_seconds: Lifetime,
}

impl CreateInvite {
    fn default_uses() -> Uses {
        Uses(1)
    }

    fn default_lifetime() -> Lifetime {
        Lifetime(86_400)
    }
}

/// An invite that is no longer valid.
#[apply(received)]
pub struct RevokeInvite {
    pub room_id: RoomId,
    pub invite: InviteCode,
}

/// What a client says of itself in the query of its handshake.
#[apply(received)]
pub struct Handshake {
    pub user_id: Option<UserId>,
    pub room_id: Option<RoomId>,
    #[serde(rename = "$introduction")]
    pub introduction: Introduction,
    format: Option<RequestedFormat>,
    /// Whether a page of one room wants every kind of frame.
    #[serde(default)]
    events: Flag,
    /// The token, where neither header nor subprotocol carries it.
    pub token: Option<Token>,
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
}

//! Who may do what: the one place that resolves who is asking, and whether they may. A row of the catalogue names one
//! of these types; nothing but [`Access::resolve`] makes one, so a handler that has it need not check again.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, sleep};
use tokio::{join, try_join};

use crate::auth::{self, Credentials};
use crate::context::{Context, Services};
use crate::domain::{ConnectionId, FileId, Member, Name, Role, Room, RoomId, Style, UserId};
use crate::error::Error;
use crate::event::HttpCredentials;
use crate::store::{Channel, Connection, FileStatus, Membership, StoredFile, Subscription, Tail};
use crate::wire::requests::{
    AboutMember, AboutRoom, Addressed, CreateInvite, GetFile, Introduction, Nothing, Recipient, RevokeInvite, RoomInfo,
    SetRole, TypingIndicator,
};

/// A join and a message that are sent back to back are handled by two invocations at once: how long a send waits for
/// the join.
const JOIN_PATIENCE: Duration = Duration::from_millis(300);
const JOIN_POLL: Duration = Duration::from_millis(30);

/// What a handler needs to know of who is asking, resolved from where the request came (`O`: a connection, or the
/// credentials of an HTTP request) and what it asks for (`R`).
pub trait Access<O, R>: Sized {
    /// # Errors
    /// The caller may not do that, or is not known.
    async fn resolve(ctx: &Context, origin: &O, request: &R) -> Result<Self, Error>;
}

/// Where a request came from.
pub trait Origin {
    /// # Errors
    /// `RECONNECT`; over HTTP what is wrong with the token, or `INVALID_FIELD` where nobody says who asks.
    async fn caller(&self, ctx: &Context) -> Result<Caller, Error>;

    /// Whether the request says by itself who asks, in the way that counts: without that, the ticket of a link does.
    fn names_caller(&self, services: &Services) -> bool;
}

impl Origin for ConnectionId {
    async fn caller(&self, ctx: &Context) -> Result<Caller, Error> {
        known(ctx, self).await.map(Caller::from)
    }

    fn names_caller(&self, _: &Services) -> bool {
        true
    }
}

impl Origin for HttpCredentials {
    async fn caller(&self, ctx: &Context) -> Result<Caller, Error> {
        let caller = if self.is_silent(ctx) { None } else { Some(self.identified(ctx)?) };
        caller.ok_or_else(|| Error::invalid("userId", "is missing"))
    }

    fn names_caller(&self, services: &Services) -> bool {
        if services.config.auth.is_open() { self.user.is_some() } else { auth::shows_token(&self.headers) }
    }
}

impl HttpCredentials {
    /// Whether nobody says who asks, where everybody is believed.
    fn is_silent(&self, ctx: &Context) -> bool {
        ctx.config.auth.is_open() && self.user.is_none()
    }

    /// Who asks, as a handshake would have it: without a name, where everybody is believed, an anonymous user.
    fn identified(&self, ctx: &Context) -> Result<Caller, Error> {
        let shown =
            Credentials { headers: &self.headers, query_token: None, user: self.user.clone(), advice: auth::OVER_HTTP };
        let identity = auth::identify(&ctx.config.auth, shown, ctx.now)?;
        ctx.note_user(&identity.user);
        Ok(Caller {
            user: identity.user,
            name_verified: identity.name.is_some(),
            name: identity.name,
            style: Style::default(),
            is_admin: identity.is_admin,
            connection: None,
        })
    }
}

/// The row of a connection.
async fn known(ctx: &Context, id: &ConnectionId) -> Result<Connection, Error> {
    let connection = ctx.store.connection(id, ctx.now).await?.ok_or(Error::Reconnect)?;
    ctx.note_user(&connection.user_id);
    ctx.note_format(connection.format);
    Ok(connection)
}

/// Nobody is asked who they are.
pub struct Anyone;

impl<O, R> Access<O, R> for Anyone {
    async fn resolve(_: &Context, _: &O, _: &R) -> Result<Self, Error> {
        Ok(Self)
    }
}

/// Who calls the HTTP API, as a handshake would have it.
pub struct Identified(pub Caller);

impl Access<HttpCredentials, Nothing> for Identified {
    async fn resolve(ctx: &Context, origin: &HttpCredentials, _: &Nothing) -> Result<Self, Error> {
        origin.identified(ctx).map(Self)
    }
}

/// Who calls the HTTP API, if they say so.
pub struct Guest(pub Option<Caller>);

impl<R> Access<HttpCredentials, R> for Guest {
    async fn resolve(ctx: &Context, origin: &HttpCredentials, _: &R) -> Result<Self, Error> {
        if origin.is_silent(ctx) { Ok(Self(None)) } else { origin.identified(ctx).map(|caller| Self(Some(caller))) }
    }
}

impl<R> Access<ConnectionId, R> for Connection {
    async fn resolve(ctx: &Context, origin: &ConnectionId, _: &R) -> Result<Self, Error> {
        known(ctx, origin).await
    }
}

/// A user who asks, on a connection or over HTTP.
pub struct Caller {
    pub user: UserId,
    /// The display name, where one is known.
    pub name: Option<Name>,
    /// Whether a token vouches for the name: then nobody changes it.
    name_verified: bool,
    pub style: Style,
    /// Whether the token has the role `admin`, which counts in every room.
    pub is_admin: bool,
    /// Absent over HTTP.
    pub connection: Option<Connection>,
}

impl<O: Origin, R> Access<O, R> for Caller {
    async fn resolve(ctx: &Context, origin: &O, _: &R) -> Result<Self, Error> {
        origin.caller(ctx).await
    }
}

impl From<Connection> for Caller {
    fn from(connection: Connection) -> Self {
        Self {
            user: connection.user_id.clone(),
            name: connection.name.clone(),
            name_verified: connection.name_verified,
            style: connection.style(),
            is_admin: connection.is_admin(),
            connection: Some(connection),
        }
    }
}

impl Caller {
    /// The name to show: the one given, or the user id.
    pub fn display_name(&self) -> Name {
        self.name.clone().unwrap_or_else(|| self.user.as_name())
    }

    /// Takes the name and the style that came with a request.
    pub fn introduce(&mut self, introduction: &Introduction) {
        self.rename(introduction.user_name.as_ref());
        self.style.adopt(introduction.style());
        if let Some(connection) = &mut self.connection {
            connection.name.clone_from(&self.name);
            connection.user_icon.clone_from(&self.style.icon);
            connection.user_color.clone_from(&self.style.color);
        }
    }

    /// Takes a name, if no token vouches for another one.
    pub fn rename(&mut self, name: Option<&Name>) {
        if let Some(name) = name.filter(|_| !self.name_verified) {
            self.name = Some(name.clone());
        }
    }
}

/// A user who may see a room and who is in it: a member; everybody in the lobby.
pub struct Visitor;

impl<O: Origin> Access<O, RoomInfo> for Visitor {
    async fn resolve(ctx: &Context, origin: &O, request: &RoomInfo) -> Result<Self, Error> {
        let (caller, room) = (origin.caller(ctx).await?, &request.room_id);
        ctx.note_room(room);
        if room.is_lobby() {
            require_lobby(ctx)?;
        } else if room.is_direct() {
            direct_peer(ctx, &caller.user, room).await?;
        } else {
            membership(ctx, &caller.user, room).await?;
        }
        Ok(Self)
    }
}

/// # Errors
/// `ROOM_NOT_FOUND` where the lobby is switched off.
pub fn require_lobby(services: &Services) -> Result<(), Error> {
    if services.config.lobby { Ok(()) } else { Err(Error::RoomNotFound) }
}

/// The other user of a direct conversation.
///
/// # Errors
/// `NOT_A_MEMBER`, whether the conversation exists or not: who talks to whom is private.
pub async fn direct_peer(services: &Services, user: &UserId, room: &RoomId) -> Result<UserId, Error> {
    services.store.member(user, room).await?.and_then(|member| member.peer).ok_or(Error::NotAMember)
}

/// A user's membership in a room, waiting a little for a join that is under way.
///
/// # Errors
/// `ROOM_NOT_FOUND`, at once; `NOT_A_MEMBER`.
pub async fn membership(services: &Services, user: &UserId, room: &RoomId) -> Result<Member, Error> {
    let until = Instant::now() + JOIN_PATIENCE;
    let (known, mut member) = try_join!(services.store.room(room), services.store.member(user, room))?;
    if known.is_none() {
        return Err(Error::RoomNotFound);
    }
    while member.is_none() && Instant::now() < until {
        sleep(JOIN_POLL).await;
        member = services.store.member(user, room).await?;
    }
    member.ok_or(Error::NotAMember)
}

/// # Errors
/// `NOT_A_MEMBER` for a user who is not, or no longer, in a room; everybody is in the lobby, where there is one.
pub async fn require_member(services: &Services, user: &UserId, room: &RoomId) -> Result<(), Error> {
    if room.is_lobby() {
        return require_lobby(services);
    }
    services.store.member(user, room).await?.map(drop).ok_or(Error::NotAMember)
}

/// What a user may do in a room, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Stranger,
    Member,
    Admin,
    /// The creator always is one, whatever role is set.
    Owner,
    /// By the role `admin` of the token, in every room.
    AdminOfAll,
}

impl Rank {
    fn of(user: &UserId, room: &Room, membership: &Membership) -> Self {
        match membership {
            Membership::Banned => Self::Stranger,
            _ if room.creator == *user => Self::Owner,
            Membership::Stranger => Self::Stranger,
            Membership::Member(member) => match member.role {
                Role::Owner => Self::Owner,
                Role::Admin => Self::Admin,
                Role::Member => Self::Member,
            },
        }
    }
}

/// A request about a room that needs a rank in it.
pub trait AboutRoomOf {
    /// The room.
    fn room_id(&self) -> &RoomId;
}

macro_rules! about_room {
    ($($request:ident),+) => {$(
        impl AboutRoomOf for $request {
            fn room_id(&self) -> &RoomId {
                &self.room_id
            }
        }
    )+};
}

about_room! { AboutMember, AboutRoom, CreateInvite, RevokeInvite, SetRole }

/// Who looks after a room: its creator, an owner, an admin, or an admin of everything.
pub struct Moderator {
    pub user: UserId,
    pub room: Room,
    rank: Rank,
}

impl<O: Origin, R: AboutRoomOf> Access<O, R> for Moderator {
    async fn resolve(ctx: &Context, origin: &O, request: &R) -> Result<Self, Error> {
        Self::ranked(ctx, origin, request.room_id(), Rank::Admin).await
    }
}

impl Moderator {
    async fn ranked<O: Origin>(ctx: &Context, origin: &O, id: &RoomId, least: Rank) -> Result<Self, Error> {
        let caller = origin.caller(ctx).await?;
        ctx.note_room(id);
        if id.is_lobby() || id.is_direct() {
            return Err(Error::Forbidden("nobody is in charge of the lobby or of a direct conversation"));
        }
        let (room, membership) = try_join!(ctx.store.room(id), ctx.store.membership(&caller.user, id))?;
        let room = room.ok_or(Error::RoomNotFound)?;
        let rank = if caller.is_admin { Rank::AdminOfAll } else { Rank::of(&caller.user, &room, &membership) };
        if rank < least {
            return Err(Error::Forbidden(match least {
                Rank::Owner | Rank::AdminOfAll => "only an owner of the room may do that",
                _ => "only the room's creator, an owner or an admin may do that",
            }));
        }
        Ok(Self { user: caller.user, room, rank })
    }

    /// The membership of a user whom the moderator outranks.
    ///
    /// # Errors
    /// `FORBIDDEN` for a user of the same rank or above.
    pub async fn outranks(&self, services: &Services, user: &UserId) -> Result<Membership, Error> {
        let membership = services.store.membership(user, &self.room.id).await?;
        if Rank::of(user, &self.room, &membership) >= self.rank {
            return Err(Error::Forbidden("that is for somebody who ranks higher in the room than they do"));
        }
        Ok(membership)
    }
}

/// An owner of a room, or an admin of everything.
pub struct Owner {
    pub user: UserId,
    pub room: Room,
}

impl<O: Origin> Access<O, SetRole> for Owner {
    async fn resolve(ctx: &Context, origin: &O, request: &SetRole) -> Result<Self, Error> {
        let Moderator { user, room, .. } = Moderator::ranked(ctx, origin, &request.room_id, Rank::Owner).await?;
        Ok(Self { user, room })
    }
}

/// A user who may read and write in a conversation.
pub struct Sender {
    pub room: RoomId,
    /// Where the conversation is heard.
    pub channels: Vec<Channel>,
    pub user: UserId,
    pub name: Name,
    name_verified: bool,
    pub style: Style,
    is_admin: bool,
    /// The other user, in a direct conversation.
    pub peer: Option<UserId>,
}

impl<O: Origin, R: Addressed> Access<O, R> for Sender {
    async fn resolve(ctx: &Context, origin: &O, request: &R) -> Result<Self, Error> {
        let sender = Self::of(ctx, origin, &request.recipient()?).await?;
        ctx.note_user(&sender.user);
        ctx.note_room(&sender.room);
        Ok(sender)
    }
}

impl Sender {
    async fn of<O: Origin>(ctx: &Context, origin: &O, recipient: &Recipient) -> Result<Self, Error> {
        match recipient {
            Recipient::Room(room) => Self::in_room(ctx, origin, room).await,
            Recipient::User(peer) => Ok(Self::to_peer(&origin.caller(ctx).await?, peer)),
            Recipient::Either(target) => Self::to_either(ctx, origin, target).await,
            Recipient::Unnamed => {
                let connection = origin.caller(ctx).await?.connection;
                let room = connection.and_then(|connection| connection.room_id).ok_or(Error::TargetRequired)?;
                Self::in_room(ctx, origin, &room).await
            }
        }
    }

    async fn in_room<O: Origin>(ctx: &Context, origin: &O, room: &RoomId) -> Result<Self, Error> {
        if room.is_direct() {
            let caller = origin.caller(ctx).await?;
            return Ok(Self::to_peer(&caller, &direct_peer(ctx, &caller.user, room).await?));
        }
        if room.is_lobby() {
            require_lobby(ctx)?;
        }
        let channel = Channel::of_room(room);
        if let Some(connection) = &ctx.connection
            && let Some(live) = ctx.store.subscription(&channel, connection, ctx.now).await?
        {
            return Ok(Self::live(ctx, &live, room));
        }
        let caller = origin.caller(ctx).await?;
        if room.is_lobby() {
            return Ok(Self::new(&caller, room.clone(), vec![channel]));
        }
        let member = membership(ctx, &caller.user, room).await?;
        Ok(Self::member(&caller, &member))
    }

    /// A room, if the caller is in one of that id, or else a user.
    async fn to_either<O: Origin>(ctx: &Context, origin: &O, target: &UserId) -> Result<Self, Error> {
        let caller = origin.caller(ctx).await?;
        // What cannot be a room's id is a user's.
        let Ok(room) = RoomId::try_from(target.to_string()) else { return Ok(Self::to_peer(&caller, target)) };
        match ctx.store.member(&caller.user, &room).await? {
            Some(Member { peer: Some(peer), .. }) => Ok(Self::to_peer(&caller, &peer)),
            Some(member) => Ok(Self::member(&caller, &member)),
            None if room.is_lobby() => Self::in_room(ctx, origin, &room).await,
            None => Ok(Self::to_peer(&caller, target)),
        }
    }

    fn new(caller: &Caller, room: RoomId, channels: Vec<Channel>) -> Self {
        Self {
            room,
            channels,
            user: caller.user.clone(),
            name: caller.display_name(),
            name_verified: caller.name_verified,
            style: caller.style.clone(),
            is_admin: caller.is_admin,
            peer: None,
        }
    }

    /// By a connection's own subscription to a room.
    fn live(ctx: &Context, live: &Subscription, room: &RoomId) -> Self {
        ctx.note_format(live.format);
        Self {
            room: room.clone(),
            channels: vec![live.channel.clone()],
            user: live.user_id.clone(),
            name: live.name.clone(),
            name_verified: !live.may_rename && !ctx.config.auth.is_open(),
            style: Style { icon: live.user_icon.clone(), color: live.user_color.clone() },
            is_admin: live.role.as_deref() == Some(Connection::ADMIN),
            peer: None,
        }
    }

    /// By a membership in a room that this connection does not hear.
    fn member(caller: &Caller, member: &Member) -> Self {
        let mut sender = Self::new(caller, member.room.clone(), vec![Channel::of_room(&member.room)]);
        if caller.name.is_none() {
            sender.name = member.name.clone();
        }
        sender
    }

    /// In a direct conversation: both hear it on all their devices, whichever rooms these are in.
    fn to_peer(caller: &Caller, peer: &UserId) -> Self {
        let room = RoomId::direct(&caller.user, peer);
        let sender = Self::new(caller, room, Channel::of_both(&caller.user, peer));
        Self { peer: Some(peer.clone()), ..sender }
    }

    /// Takes the name and the style that came with this very request.
    pub fn introduce(&mut self, introduction: &Introduction) {
        if let Some(name) = introduction.user_name.as_ref().filter(|_| !self.name_verified) {
            self.name = name.clone();
        }
        self.style.adopt(introduction.style());
    }
}

/// A sender, and the end of the log that a message is appended to.
pub struct Writer {
    pub sender: Sender,
    pub tail: Option<Tail>,
}

impl<O: Origin, R: Addressed> Access<O, R> for Writer {
    async fn resolve(ctx: &Context, origin: &O, request: &R) -> Result<Self, Error> {
        let (sender, tail) = match request.recipient()? {
            // Both at once where the request names the room.
            Recipient::Room(room) => join!(Sender::resolve(ctx, origin, request), ctx.store.tail(&room)),
            _ => {
                let sender = Sender::resolve(ctx, origin, request).await?;
                let tail = ctx.store.tail(&sender.room).await;
                (Ok(sender), tail)
            }
        };
        let (sender, tail) = (sender?, tail?);
        if request.is_for_admins() && !sender.is_admin {
            return Err(Error::Forbidden("only an admin may speak to everybody; give a `roomId`"));
        }
        Ok(Self { sender, tail })
    }
}

/// The pages of those who are live on a channel.
pub type Pages = std::pin::Pin<Box<dyn Stream<Item = Result<Vec<Subscription>, Error>> + Send>>;

/// A sender, and, in a room, the pages of those who hear it: they are read anyway, and show that the sender does too.
pub struct Listener {
    pub sender: Sender,
    pub subscribers: Option<(Vec<Subscription>, Pages)>,
}

impl<O: Origin> Access<O, TypingIndicator> for Listener {
    async fn resolve(ctx: &Context, origin: &O, request: &TypingIndicator) -> Result<Self, Error> {
        let room = match request.recipient()? {
            Recipient::Room(room) if !room.is_direct() => room,
            _ => return Ok(Self { sender: Sender::resolve(ctx, origin, request).await?, subscribers: None }),
        };
        let channel = Channel::of_room(&room);
        let mut pages: Pages = Box::pin(ctx.store.subscribers(&(&channel).into(), ctx.now));
        let first = pages.next().await.transpose()?.unwrap_or_default();
        let sender = match first.iter().find(|live| Some(&live.connection_id) == ctx.connection.as_ref()) {
            Some(live) => Sender::live(ctx, live, &room),
            None => Sender::resolve(ctx, origin, request).await?,
        };
        ctx.note_user(&sender.user);
        ctx.note_room(&sender.room);
        Ok(Self { sender, subscribers: Some((first, pages)) })
    }
}

/// A user who may download a file, which is ready.
pub struct FileReader {
    pub file: StoredFile,
}

impl<O: Origin> Access<O, GetFile> for FileReader {
    async fn resolve(ctx: &Context, origin: &O, request: &GetFile) -> Result<Self, Error> {
        let (id, ticket) = &request.file_id.0;
        let (user, file) = try_join!(reader(ctx, origin, id, ticket.as_deref()), ctx.store.file(id, ctx.now))?;
        let file = file.filter(|file| file.status == FileStatus::Ready).ok_or(Error::FileNotFound)?;
        ctx.note_room(&file.room_id);
        require_member(ctx, &user, &file.room_id).await?;
        Ok(Self { file })
    }
}

/// Who asks for a file: whoever says so, else the user whom the link is for.
async fn reader<O: Origin>(ctx: &Context, origin: &O, file: &FileId, ticket: Option<&str>) -> Result<UserId, Error> {
    match ticket.filter(|_| !origin.names_caller(ctx)) {
        Some(ticket) => {
            let reader = ctx.links.reader(file, ticket, ctx.now)?;
            ctx.note_user(&reader);
            Ok(reader)
        }
        None => origin.caller(ctx).await.map(|caller| caller.user),
    }
}

//! Who may read and write in a conversation.

use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use tokio::join;

use super::{Access, Backend, Caller, Origin, direct_peer, limits, membership, require_lobby};
use crate::context::Context;
use crate::domain::{Body, Content, Limited, Member, Name, RoomId, Style, UserId};
use crate::error::Error;
use crate::store::{Channel, Connection, Consent, Subscription, Tail};
use crate::wire::requests::{Addressed, Introduction, Recipient, TypingIndicator};

/// A user who may read and write in a conversation.
pub struct Sender {
    pub room: RoomId,
    /// The channels that deliver the conversation.
    pub channels: Vec<Channel>,
    pub user: UserId,
    pub name: Name,
    pub name_verified: bool,
    pub style: Style,
    /// By the role `admin` of a token.
    pub is_admin: bool,
    /// Whether the user may not send anything.
    pub is_muted: bool,
    /// The other user, in a direct conversation.
    pub peer: Option<UserId>,
    /// In a direct conversation: how the two stand to each other, once that is asked.
    pub consent: Consent,
    /// Whether a backend speaks as this user, who need not be a member, nor be known to whom they write.
    pub is_backend: bool,
}

impl<O: Origin, R: Addressed> Access<O, R> for Sender {
    async fn resolve(ctx: &Context, origin: &O, request: &R) -> Result<Self, Error> {
        let sender = Self::of(ctx, origin, &request.recipient()?).await?;
        ctx.note_room(&sender.room);
        Ok(sender)
    }
}

impl Sender {
    async fn of<O: Origin>(ctx: &Context, origin: &O, recipient: &Recipient) -> Result<Self, Error> {
        match recipient {
            Recipient::Room(room) => Self::in_room(ctx, origin, room).await,
            Recipient::User(peer) => Ok(Self::to_peer(&origin.caller(ctx).await?, peer)),
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
            // A session may have been extended since: then the connection's own row says so.
            && !live.has_session_ended(ctx.now)
        {
            return Self::live(ctx, &live, room).await;
        }
        let caller = origin.caller(ctx).await?;
        if room.is_lobby() {
            return Ok(Self::new(&caller, room.clone(), vec![channel]));
        }
        let member = membership(ctx, &caller.user, room).await?;
        Ok(Self::member(ctx, &caller, &member))
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
            is_muted: false,
            peer: None,
            consent: Consent::GIVEN,
            is_backend: false,
        }
    }

    /// By a connection's own subscription to a room, whose session has not ended.
    async fn live(ctx: &Context, live: &Subscription, room: &RoomId) -> Result<Self, Error> {
        ctx.note_format(live.format);
        limits::admit(ctx, &live.user_id).await?;
        Ok(Self {
            room: room.clone(),
            channels: vec![live.channel.clone()],
            user: live.user_id.clone(),
            name: live.name.clone(),
            name_verified: !live.may_rename && !ctx.config.auth.is_open(),
            style: Style { icon: live.user_icon.clone(), color: live.user_color.clone() },
            is_admin: live.role.as_deref() == Some(Connection::ADMIN),
            is_muted: live.muted_until.is_some_and(|end| !ctx.now.has_passed(end)),
            peer: None,
            consent: Consent::GIVEN,
            is_backend: false,
        })
    }

    /// By a membership in a room that this connection is not subscribed to.
    fn member(ctx: &Context, caller: &Caller, member: &Member) -> Self {
        let mut sender = Self::new(caller, member.room.clone(), vec![Channel::of_room(&member.room)]);
        sender.is_muted = member.is_muted(ctx.now);
        if caller.name.is_none() {
            sender.name = member.name.clone();
        }
        sender
    }

    /// In a direct conversation: both users receive it on all their devices, whichever rooms these have joined.
    fn to_peer(caller: &Caller, peer: &UserId) -> Self {
        let room = RoomId::direct(&caller.user, peer);
        let sender = Self::new(caller, room, Channel::of_both(&caller.user, peer));
        Self { peer: Some(peer.clone()), ..sender }
    }

    /// Reads how the users of a direct conversation stand to each other. Who has not agreed to it, or is blocked, does
    /// not hear it.
    pub async fn ask_consent(&mut self, ctx: &Context) -> Result<(), Error> {
        if let Some(peer) = &self.peer {
            self.consent = ctx.store.consent(&self.user, peer).await?;
            self.channels = channels(self.consent, &self.user, peer);
        }
        Ok(())
    }

    /// As [`Sender::ask_consent`], for what the other user is to receive.
    ///
    /// # Errors
    /// `BLOCKED`
    pub async fn unblocked(mut self, ctx: &Context) -> Result<Self, Error> {
        self.ask_consent(ctx).await?;
        if self.consent.is_blocked { Err(Error::Blocked) } else { Ok(self) }
    }

    /// A message of the sender's.
    pub fn body(&self, content: Content) -> Body {
        let body = Body::new(self.user.clone(), self.name.clone(), self.style.clone(), content);
        Body { name_verified: self.name_verified, ..body }
    }

    /// Takes the name and the style of this request.
    pub fn introduce(&mut self, introduction: &Introduction) {
        if let Some(name) = introduction.user_name.as_ref().filter(|_| !self.name_verified) {
            self.name = name.clone();
        }
        self.style.adopt(introduction.style());
    }
}

/// Where a direct conversation is heard.
fn channels(consent: Consent, user: &UserId, peer: &UserId) -> Vec<Channel> {
    match consent {
        Consent { is_blocked: false, by_peer: true, .. } => Channel::of_both(user, peer),
        _ => vec![Channel::of_user(user)],
    }
}

/// Where a direct conversation is heard that `user` writes to.
pub async fn channels_of_both(ctx: &Context, user: &UserId, peer: &UserId) -> Result<Vec<Channel>, Error> {
    Ok(channels(ctx.store.consent(user, peer).await?, user, peer))
}

/// A sender, and the end of the log that a message is appended to.
pub struct Writer {
    pub sender: Sender,
    pub tail: Option<Tail>,
    /// Why not all of its messages may be written, unless they were written before.
    pub held: Option<Held>,
}

impl Writer {
    /// Who speaks for a backend: a user, a bot or the chat itself. No mode of the room holds them up.
    ///
    /// # Errors
    /// `ROOM_NOT_FOUND`; `BLOCKED` by the user who is written to.
    pub async fn for_backend(
        ctx: &Context,
        _: &Backend,
        (user, name): (&UserId, &Name),
        recipient: &Recipient,
    ) -> Result<Self, Error> {
        let (room, channels, peer) = match recipient {
            Recipient::User(peer) => (RoomId::direct(user, peer), Channel::of_both(user, peer), Some(peer.clone())),
            Recipient::Room(room) if room.is_lobby() => {
                require_lobby(ctx)?;
                (room.clone(), vec![Channel::of_room(room)], None)
            }
            Recipient::Room(room) if !room.is_direct() => {
                ctx.store.room(room, ctx.now).await?.ok_or(Error::RoomNotFound)?;
                (room.clone(), vec![Channel::of_room(room)], None)
            }
            _ => return Err(Error::RoomNotFound),
        };
        let sender = Sender {
            room,
            channels,
            user: user.clone(),
            name: name.clone(),
            name_verified: true,
            style: Style::default(),
            is_admin: true,
            is_muted: false,
            peer,
            consent: Consent::GIVEN,
            is_backend: true,
        };
        let sender = sender.unblocked(ctx).await?;
        let tail = ctx.store.tail(&sender.room).await?;
        Ok(Self { sender, tail, held: None })
    }
}

/// Why messages of a request may not be written. A repeat of one that was written before is answered all the same.
pub struct Held {
    /// How many may be written nevertheless.
    pub granted: usize,
    pub error: Error,
}

impl From<Limited> for Held {
    fn from(limited: Limited) -> Self {
        Self { granted: limited.granted, error: limited.into() }
    }
}

impl<O: Origin, R: Addressed> Access<O, R> for Writer {
    async fn resolve(ctx: &Context, origin: &O, request: &R) -> Result<Self, Error> {
        let (sender, tail) = match request.recipient()? {
            // Both at once where the request names the room.
            Recipient::Room(room) => {
                let (sender, tail) = join!(Sender::resolve(ctx, origin, request), ctx.store.tail(&room));
                (sender?.unblocked(ctx).await, tail)
            }
            _ => {
                let sender = Sender::resolve(ctx, origin, request).await?;
                let room = sender.room.clone();
                join!(sender.unblocked(ctx), ctx.store.tail(&room))
            }
        };
        let (sender, tail) = match (sender, ctx.limited()) {
            (Err(Error::NotAMember), Some(limited)) => return Err(limited.into()),
            (sender, _) => (sender?, tail?),
        };
        if request.is_for_admins() && !sender.is_admin {
            return Err(Error::Forbidden("only an admin may speak to everybody; give a `roomId`"));
        }
        let held = match ctx.limited() {
            _ if sender.is_muted => Some(Held { granted: 0, error: Error::Muted }),
            limited => limited.map(Held::from),
        };
        Ok(Self { sender, tail, held })
    }
}

/// Pages of the subscribers of a channel.
pub type Pages = Pin<Box<dyn Stream<Item = Result<Vec<Subscription>, Error>> + Send>>;

/// A sender, and in a room its subscribers: they are read anyway, and show whether the sender is one of them.
pub struct Listener {
    pub sender: Sender,
    pub subscribers: Option<(Vec<Subscription>, Pages)>,
}

impl<O: Origin> Access<O, TypingIndicator> for Listener {
    async fn resolve(ctx: &Context, origin: &O, request: &TypingIndicator) -> Result<Self, Error> {
        let room = match request.recipient()? {
            Recipient::Room(room) if !room.is_direct() => room,
            _ => {
                let sender = Sender::resolve(ctx, origin, request).await?.unblocked(ctx).await?;
                return Ok(Self { sender, subscribers: None });
            }
        };
        let channel = Channel::of_room(&room);
        let mut pages: Pages = Box::pin(ctx.store.subscribers(&(&channel).into(), ctx.now));
        let first = pages.next().await.transpose()?.unwrap_or_default();
        let is_own = |live: &&Subscription| {
            Some(&live.connection_id) == ctx.connection.as_ref() && !live.has_session_ended(ctx.now)
        };
        let sender = match first.iter().find(is_own) {
            Some(live) => Sender::live(ctx, live, &room).await?,
            None => Sender::resolve(ctx, origin, request).await?,
        };
        ctx.note_room(&sender.room);
        Ok(Self { sender, subscribers: Some((first, pages)) })
    }
}

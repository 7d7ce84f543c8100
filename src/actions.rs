//! The catalogue: one row for each action of the WebSocket API and each route of the HTTP API. Dispatch, Terraform, the
//! local gateway, the AsyncAPI and OpenAPI documents, the reference and the TypeScript types follow it.
//!
//! A row says what the action is for, its key and further names, the handler with who may call it, what it takes and
//! what it answers, the class of its rate limit and, over HTTP, the status of success.

pub use crate::domain::Limit;

/// Hands the rows of the WebSocket API to the macro `$expand`, after its arguments.
macro_rules! actions {
    ($expand:ident $($arguments:tt)?) => {
        $expand! {
            $($arguments)?
            /// Check that the connection is alive.
            Ping = "ping" [], connection::ping(Connection, Nothing) -> Pong, Frames;
            /// Get the caller's identity and the limits.
            Hello = "hello" [], connection::hello(Caller, Nothing) -> Hello, Frames;
            /// Extend the session with a new token of the same user.
            RefreshToken = "refreshToken" [], connection::refresh(Connection, RefreshToken) -> Hello, Frames;
            /// Create a room with its first members.
            CreateRoom = "createRoom" [], room::create(Caller, CreateRoom) -> Room, Rooms;
            /// Join a room and receive its messages.
            JoinRoom = "joinRoom" [], room::join(Caller, JoinRoom) -> Room, Frames;
            /// Leave a room.
            LeaveRoom = "leaveRoom" [], room::leave(Caller, AboutRoom) -> Ack, Frames;
            /// Get a room and its participants.
            RoomInfo = "roomInfo" [], room::info(Visitor, RoomInfo) -> Room, Frames;
            /// Close a room: it takes no more messages.
            CloseRoom = "closeRoom" [], closing::close(Moderator, AboutRoom) -> Ack, Frames;
            /// Add users to a room, or invite them.
            AddMembers = "addMembers" [], additions::add(Moderator, AddMembers) -> Added, Invites;
            /// Refuse an invitation.
            DeclineInvite = "declineInvite" [], additions::decline(Caller, AboutRoom) -> Ack, Frames;
            /// Remove a member from a room.
            RemoveMember = "removeMember" [], moderation::remove(Moderator, AboutMember) -> Ack, Frames;
            /// Ban a user from a room: they are removed and cannot join again.
            BanMember = "banMember" [], moderation::ban(Moderator, AboutMember) -> Ack, Frames;
            /// Lift a ban: the user can join again.
            UnbanMember = "unbanMember" [], moderation::unban(Moderator, AboutMember) -> Ack, Frames;
            /// Change a member's role.
            SetRole = "setRole" [], moderation::set_role(Owner, SetRole) -> Ack, Frames;
            /// Set who may write in a room, and how often.
            SetRoomMode = "setRoomMode" [], settings::set_mode(Moderator, SetRoomMode) -> Sent, Frames;
            /// Give a room another name.
            RenameRoom = "renameRoom" [], settings::rename(Moderator, RenameRoom) -> Sent, Frames;
            /// Mute a member: they read, and cannot send.
            MuteMember = "muteMember" [], moderation::mute(Moderator, MuteMember) -> Ack, Frames;
            /// Lift a mute: the member can send again.
            UnmuteMember = "unmuteMember" [], moderation::unmute(Moderator, AboutMember) -> Ack, Frames;
            /// Report a message to those who look after the chat.
            ReportMessage = "reportMessage" [], moderation::report(Sender, ReportMessage) -> Ack, Changes;
            /// List the invites into a private room.
            ListInvites = "listInvites" [], invites::list(Moderator, ListInvites) -> Invites, Frames;
            /// Revoke an invite.
            RevokeInvite = "revokeInvite" [], invites::revoke(Moderator, RevokeInvite) -> Ack, Frames;
            /// Send a message to a room, to a user or to the lobby.
            SendMessage = "sendMessage" [], message::send(Writer, SendMessage) -> Sent, Messages;
            /// Send up to 20 messages, in their order.
            SendMessages = "sendMessages" [], message::send_all(Writer, SendMessages) -> SentMessages, Messages;
            /// Change the content of a message of the caller's own.
            EditMessage = "editMessage" [], change::edit(Sender, EditMessage) -> Edited, Changes;
            /// Delete messages: the caller's own, or as a moderator anybody's.
            DeleteMessage = "deleteMessage" [], change::delete(Sender, DeleteMessage) -> DeletionAnswer, Changes;
            /// React to a message, or take a reaction back.
            React = "react" [], change::react(Sender, React) -> Reactions, Changes;
            /// Get the users who reacted to a message.
            GetReactions = "getReactions" [], change::reactions(Sender, GetReactions) -> ReactedUsers, Frames;
            /// Pin a message in its room.
            PinMessage = "pinMessage" [], change::pin(Moderator, AboutMessage) -> Pinned, Changes;
            /// Unpin a message.
            UnpinMessage = "unpinMessage" [], change::unpin(Moderator, AboutMessage) -> Unpinned, Changes;
            /// Get the pinned messages of a room.
            ListPins = "listPins" [], change::pins(Sender, ListPins) -> Pins, Frames;
            /// Send a message to a room, or as an admin to everybody.
            BroadcastMessage = "broadcastMessage" [], message::broadcast(Writer, BroadcastMessage) -> Sent, Messages;
            /// Signal that the caller is typing, or has stopped.
            TypingIndicator = "typingIndicator" ["user-typing", "typing"],
                typing::indicate(Listener, TypingIndicator) -> Silence, Typing;
            /// Announce a file and get a presigned request to upload it.
            HandleFileUpload = "handleFileUpload" ["requestUpload"],
                upload::announce(Sender, HandleFileUpload) -> Upload, Uploads;
            /// Get a presigned URL to download a file.
            GetFile = "getFile" [], upload::download(FileReader, GetFile) -> Download, Frames;
            /// Get a page of a conversation's history.
            GetMessages = "getMessages" [], history::page(Sender, GetMessages) -> Messages, Frames;
            /// Search for a text in a room.
            SearchMessages = "searchMessages" [], search::search(Sender, SearchMessages) -> Found, Frames;
            /// Resubscribe to rooms after a reconnect and get the missed messages.
            Resume = "resume" [], history::resume(Connection, Resume) -> Resumed, Frames;
            /// Set the caller's read position in a room.
            MarkRead = "markRead" [], inbox::mark_read(Sender, MarkRead) -> Ack, Frames;
            /// Set the caller's read position back: a message and all after it are unread again.
            MarkUnread = "markUnread" [], unread::mark(Sender, MarkUnread) -> Read, Frames;
            /// Count what is unread in all of the caller's conversations.
            ListUnreads = "unreads" [], unread::list(Caller, ListUnreads) -> Unreads, Frames;
            /// Set which messages of a room the caller wants to be told of.
            SetNotify = "setNotify" [], unread::set_notify(Sender, SetNotify) -> Ack, Frames;
            /// List the caller's rooms with their unread counts.
            ListRooms = "listRooms" [], inbox::list(Connection, ListRooms) -> Rooms, Frames;
            /// Block a user: they cannot write to the caller, nor add the caller to rooms.
            BlockUser = "blockUser" [], blocks::block(Caller, AboutUser) -> Ack, Frames;
            /// Unblock a user.
            UnblockUser = "unblockUser" [], blocks::unblock(Caller, AboutUser) -> Ack, Frames;
            /// List the users whom the caller has blocked.
            ListBlocked = "listBlocked" [], blocks::list(Caller, ListBlocked) -> Blocked, Frames;
        }
    };
}
pub(crate) use actions;

/// Hands the rows of the HTTP API to the macro `$expand`, after its arguments.
macro_rules! http_routes {
    ($expand:ident $($arguments:tt)?) => {
        $expand! {
            $($arguments)?
            /// Check that the function responds.
            GetHealth = "GET /health", connection::health(Anyone, Nothing) -> Health, 200, Frames;
            /// Get the caller's identity and the limits. Fails where a handshake with the same token fails.
            GetMe = "GET /me", connection::me(Identified, Nothing) -> Hello, 200, Frames;
            /// Get a ticket, which lets one handshake in without the token.
            PostTicket = "POST /tickets", connection::ticket(Bearer, Nothing) -> Ticket, 201, Frames;
            /// Create a room at a location.
            PostRoom = "POST /rooms", nearby::create(Caller, CreateRoomAt) -> Room, 201, Rooms;
            /// Search for rooms near a location.
            GetRooms = "GET /rooms", nearby::search(Guest, SearchRooms) -> Nearby, 200, Frames;
            /// Join a room and receive its messages on all devices.
            PostJoin = "POST /rooms/join", room::join(Caller, JoinRoom) -> Room, 200, Frames;
            /// Leave a room.
            PostLeave = "POST /rooms/leave", room::leave(Caller, AboutRoom) -> Ack, 200, Frames;
            /// Close a room: it takes no more messages.
            PostClose = "POST /rooms/close", closing::close_and_show(Moderator, AboutRoom) -> Room, 200, Frames;
            /// Get a room and its participants.
            GetRoom = "GET /rooms/{roomId}", room::info(Visitor, RoomInfo) -> Room, 200, Frames;
            /// Get a page of a room's history.
            GetRoomMessages = "GET /rooms/{roomId}/messages",
                history::page(Sender, GetMessages) -> Messages, 200, Frames;
            /// Search for a text in a room.
            GetSearch = "GET /rooms/{roomId}/search", search::search(Sender, SearchMessages) -> Found, 200, Frames;
            /// Change the content of a message of the caller's own.
            PatchMessage = "PATCH /rooms/{roomId}/messages/{seq}",
                change::edit(Sender, EditMessage) -> Edited, 200, Changes;
            /// Delete a message: the caller's own, or as a moderator anybody's.
            DeleteRoomMessage = "DELETE /rooms/{roomId}/messages/{seq}",
                change::delete(Sender, DeleteMessage) -> DeletionAnswer, 200, Changes;
            /// Count what is unread in all of the caller's conversations.
            GetUnreads = "GET /unreads", unread::list(Caller, ListUnreads) -> Unreads, 200, Frames;
            /// List the invites into a private room.
            GetInvites = "GET /rooms/{roomId}/invites", invites::list(Moderator, ListInvites) -> Invites, 200, Frames;
            /// Create an invite into a private room.
            PostInvite = "POST /rooms/{roomId}/invites",
                invites::create(Moderator, CreateInvite) -> Invite, 201, Invites;
            /// Revoke an invite.
            DeleteInvite = "DELETE /rooms/{roomId}/invites/{invite}",
                invites::revoke(Moderator, RevokeInvite) -> Ack, 200, Frames;
            /// Redirect to a presigned URL that downloads a file.
            GetFileUrl = "GET /files/{fileId}", upload::download(FileReader, GetFile) -> Download, 307, Frames;
            /// Revoke a user's tokens, close their connections, and block them for a time if wanted.
            PostDisconnect = "POST /admin/users/{userId}/disconnect",
                admin::disconnect(Backend, DisconnectUser) -> Disconnected, 200, Frames;
            /// Send a message to rooms and users, as the chat itself, a bot or a user.
            PostAdminMessages = "POST /admin/messages", admin::post(Backend, PostMessage) -> Posted, 200, Frames;
            /// Make a room, or change one.
            PutRoom = "PUT /admin/rooms/{roomId}", admin_rooms::put(Backend, PutRoom) -> Room, 200, Frames;
            /// Add a user to a room, without asking, and give them a role.
            PutMember = "PUT /admin/rooms/{roomId}/members/{userId}",
                admin_rooms::put_member(Backend, PutMember) -> Ack, 200, Frames;
            /// Remove a user from a room.
            DeleteMember = "DELETE /admin/rooms/{roomId}/members/{userId}",
                admin_rooms::remove_member(Backend, AboutMember) -> Ack, 200, Frames;
            /// Shut a user out for good, and erase what they wrote and their names.
            PostErase = "POST /admin/users/{userId}/erase", erase::begin(Backend, AboutUser) -> Erasure, 202, Frames;
            /// Look up how far the erasure of a user is, and what went.
            GetErasure = "GET /admin/users/{userId}/erasure", erase::show(Backend, AboutUser) -> Erasure, 200, Frames;
            /// Export what a user wrote, and their memberships and settings.
            PostExport = "POST /admin/users/{userId}/export", export::begin(Backend, AboutUser) -> Export, 202, Frames;
            /// Look up how far an export is, and where it can be downloaded.
            GetExport = "GET /admin/users/{userId}/exports/{exportId}",
                export::show(Backend, GetExport) -> Export, 200, Frames;
            /// List the live connections of a user.
            GetConnections = "GET /admin/users/{userId}/connections",
                admin::connections(Backend, AboutUser) -> UserConnections, 200, Frames;
            /// List the reports of a room's messages.
            GetReports = "GET /admin/reports", admin::reports(Backend, ListReports) -> Reports, 200, Frames;
            /// List what moderators and backends did on a day.
            GetAudit = "GET /admin/audit", admin::audit(Backend, ListActs) -> Acts, 200, Frames;
        }
    };
}
pub(crate) use http_routes;

/// Declares the enum of a catalogue, and what both catalogues tell of each row.
macro_rules! catalogue {
    (#[doc = $doc:literal] $catalogue:ident {
        $(#[doc = $about:literal] $name:ident = $key:literal, $access:ident, $limit:ident;)+
    }) => {
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $catalogue {
            $(#[doc = $about] $name,)+
        }

        impl $catalogue {
            /// All rows, in the order of the catalogue.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The key of the gateway's route, and the name that documents use.
            pub const fn key(self) -> &'static str {
                match self { $(Self::$name => $key,)+ }
            }

            /// The type of access that it requires.
            pub const fn access(self) -> &'static str {
                match self { $(Self::$name => stringify!($access),)+ }
            }

            /// The class of its rate limit.
            pub const fn limit(self) -> Limit {
                match self { $(Self::$name => Limit::$limit,)+ }
            }
        }
    };
}

macro_rules! declare_actions {
    ($(#[doc = $about:literal] $name:ident = $key:literal [$($alias:literal),*],
        $module:ident::$handler:ident($access:ident, $request:ident) -> $answer:ident, $limit:ident;)+) => {
        catalogue! {
            /// An action of the WebSocket API.
            Action { $(#[doc = $about] $name = $key, $access, $limit;)+ }
        }

        impl Action {
            /// Further names of the same action.
            pub const fn aliases(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$($alias,)*],)+ }
            }
        }
    };
}
actions!(declare_actions);

macro_rules! declare_http_routes {
    ($(#[doc = $about:literal] $name:ident = $key:literal,
        $module:ident::$handler:ident($access:ident, $request:ident) -> $answer:ident, $status:literal, $limit:ident;)+
    ) => {
        catalogue! {
            /// A route of the HTTP API.
            HttpRoute { $(#[doc = $about] $name = $key, $access, $limit;)+ }
        }

        impl HttpRoute {
            /// The status of an answer that is no error.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }
        }
    };
}
http_routes!(declare_http_routes);

/// A WebSocket opens.
pub const CONNECT: &str = "$connect";
/// A WebSocket has closed.
pub const DISCONNECT: &str = "$disconnect";
/// A frame that matches no other route of the gateway.
pub const DEFAULT: &str = "$default";
/// Objects were created in the bucket: called by S3 only.
pub const OBJECT_CREATED: &str = "ObjectCreated";
/// Close idle rooms and remove stale connections: called by the schedule only.
pub const SWEEP: &str = "schedule";
/// Continue a fan-out: called by the function itself only.
pub const FAN_OUT: &str = "fan-out";
/// Remove stale connections: called by the function itself only.
pub const CLEANUP: &str = "cleanup";

/// Put what was written on the event bus: called by the streams of the tables only.
pub const STREAM: &str = "stream";

/// Go on with the erasure of a user: called by the function itself only.
pub const ERASE: &str = "erase";

/// Go on with an export of a user: called by the function itself only.
pub const EXPORT: &str = "export";

/// The routes that neither an action nor a request to the HTTP API names.
pub const BACKGROUND: [&str; 10] =
    [CONNECT, DISCONNECT, DEFAULT, OBJECT_CREATED, SWEEP, FAN_OUT, CLEANUP, ERASE, EXPORT, STREAM];

/// The keys of the WebSocket API's routes, and whether each has a route response: then the Lambda's response body is
/// the answer to the sender.
pub fn websocket_routes() -> impl Iterator<Item = (&'static str, bool)> {
    let lifecycle = [(CONNECT, false), (DISCONNECT, false), (DEFAULT, true)];
    let keys = |action: &Action| action.gateway_keys().map(|key| (key, action.is_answered())).collect::<Vec<_>>();
    lifecycle.into_iter().chain(Action::ALL.iter().flat_map(keys))
}

impl Action {
    /// The action of this name. Case, `-` and `_` are ignored.
    pub fn named(name: &str) -> Option<Self> {
        let wanted = folded(name);
        let is_meant = |action: &Self| {
            folded(action.key()) == wanted || action.aliases().iter().any(|alias| folded(alias) == wanted)
        };
        Self::ALL.iter().copied().find(is_meant)
    }

    /// The keys of the gateway's routes for this action. An alias needs a route of its own where there is no response:
    /// `$default`, which takes all other names, has one, and would send an empty frame.
    fn gateway_keys(self) -> impl Iterator<Item = &'static str> {
        let aliases = if self.is_answered() { &[] } else { self.aliases() };
        [self.key()].into_iter().chain(aliases.iter().copied())
    }

    fn is_answered(self) -> bool {
        self != Self::TypingIndicator
    }
}

impl HttpRoute {
    /// Whether only a backend calls it, with a request that it has signed for API Gateway.
    pub fn is_for_backends(self) -> bool {
        self.access() == "Backend"
    }

    /// The route of this key.
    pub fn of_key(key: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|route| route.key() == key)
    }
}

fn folded(name: &str) -> String {
    name.chars().filter(|letter| !matches!(letter, '-' | '_')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_found_in_every_spelling() {
        for spelling in ["sendMessage", "send-message", "SEND_MESSAGE", "sendmessage"] {
            assert_eq!(Action::named(spelling), Some(Action::SendMessage));
        }
        for spelling in ["user-typing", "userTyping", "typing", "typing-indicator"] {
            assert_eq!(Action::named(spelling), Some(Action::TypingIndicator));
        }
    }

    #[test]
    fn clients_cannot_call_routes_of_the_gateway_of_http_or_of_aws() {
        let names = [
            "$connect",
            "$disconnect",
            "$default",
            "$-connect",
            "GET /health",
            "schedule",
            "fan-out",
            "cleanup",
            "stream",
            "erase",
            "export",
            "ObjectCreated",
            "",
        ];
        for name in names {
            assert_eq!(Action::named(name), None, "{name}");
        }
    }

    #[test]
    fn no_two_routes_share_a_name() {
        let actions = Action::ALL.iter().flat_map(|action| action.aliases().iter().copied().chain([action.key()]));
        let routes = HttpRoute::ALL.iter().map(|route| route.key());
        let mut names: Vec<_> = actions.chain(routes).map(folded).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}

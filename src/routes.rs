//! The route table: every route there is, declared once. API Gateway, the local gateway and the documents follow it.

/// Declares [`Route`] and what is known of each route: its key and its aliases.
macro_rules! routes {
    ($($(#[doc = $about:literal])+ $name:ident = $key:literal $(| $alias:literal)*,)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Route {
            $($(#[doc = $about])+ $name,)+
        }

        impl Route {
            pub const ALL: &[Route] = &[$(Route::$name,)+];

            /// What API Gateway calls the route.
            pub const fn key(self) -> &'static str {
                match self { $(Route::$name => $key,)+ }
            }

            /// Further names of the same action.
            pub const fn aliases(self) -> &'static [&'static str] {
                match self { $(Route::$name => &[$($alias,)*],)+ }
            }
        }
    };
}

routes! {
    /// A client opens a WebSocket.
    Connect = "$connect",
    /// A WebSocket has closed.
    Disconnect = "$disconnect",
    /// A frame that names no action of ours.
    Default = "$default",
    /// Ask whether anybody is there.
    Ping = "ping",
    /// Ask who one is here, and what one can count on.
    Hello = "hello",
    /// Make a room, with its first members.
    CreateRoom = "createRoom",
    /// Become a member of a room and hear it.
    JoinRoom = "joinRoom",
    /// End one's membership in a room.
    LeaveRoom = "leaveRoom",
    /// Ask what a room is and who is in it.
    RoomInfo = "roomInfo",
    /// Close a room: nothing is said in it any more.
    CloseRoom = "closeRoom",
    /// End somebody else's membership.
    RemoveMember = "removeMember",
    /// End somebody's membership, or keep somebody from becoming a member.
    BanMember = "banMember",
    /// Let somebody become a member again.
    UnbanMember = "unbanMember",
    /// Say what a member may do in a room.
    SetRole = "setRole",
    /// Say something to a room, to a user or in the lobby.
    SendMessage = "sendMessage",
    /// Say something to all members of a room; an admin without a room: to everybody.
    BroadcastMessage = "broadcastMessage",
    /// Tell the others that the caller is typing.
    TypingIndicator = "typingIndicator" | "user-typing" | "typing",
    /// Announce a file, and ask where to upload it.
    HandleFileUpload = "handleFileUpload" | "requestUpload",
    /// Ask where a file can be downloaded.
    GetFile = "getFile",
    /// Read a page of a conversation's history.
    GetMessages = "getMessages",
    /// Hear rooms again, and get what was said meanwhile.
    Resume = "resume",
    /// Note how far one has read.
    MarkRead = "markRead",
    /// Ask for all rooms one is in, and what is unread there.
    ListRooms = "listRooms",
    /// Ask over HTTP whether the function answers.
    Health = "GET /health",
    /// Ask over HTTP who one is here; as all that follow.
    GetMe = "GET /me",
    /// Make a room at a place.
    PostRoom = "POST /rooms",
    /// Search for rooms near a place.
    GetRooms = "GET /rooms",
    /// Become a member of a room and hear it on all devices.
    PostJoin = "POST /rooms/join",
    /// End one's membership in a room.
    PostLeave = "POST /rooms/leave",
    /// Close a room.
    PostClose = "POST /rooms/close",
    /// Ask what a room is and who is in it.
    GetRoom = "GET /rooms/{roomId}",
    /// Read a page of a room's history.
    GetRoomMessages = "GET /rooms/{roomId}/messages",
    /// Make an invite into a private room.
    PostInvite = "POST /rooms/{roomId}/invites",
    /// Make an invite worthless.
    DeleteInvite = "DELETE /rooms/{roomId}/invites/{invite}",
    /// Be sent on to where a file can be downloaded.
    GetFileUrl = "GET /files/{fileId}",
    /// An object has come into the bucket: called by S3, by nobody else.
    ObjectCreated = "ObjectCreated",
    /// Close idle rooms and forget dead connections: called by a schedule, by nobody else.
    Sweep = "schedule",
    /// Tell those of a large room for whom another invocation had no time: called by the function, by nobody else.
    FanOut = "fan-out",
}

impl Route {
    pub fn is_http(self) -> bool {
        self.key().contains(' ')
    }

    pub fn is_websocket(self) -> bool {
        !self.is_http() && !self.is_background()
    }

    /// Whether AWS itself calls the route, and nobody waits for an answer.
    pub fn is_background(self) -> bool {
        matches!(self, Self::ObjectCreated | Self::Sweep | Self::FanOut)
    }

    /// Whether the Lambda's response body is the answer to the sender. Not on `$connect` and `$disconnect`, and not
    /// where nothing is answered: API Gateway would send an empty frame.
    pub fn has_route_response(self) -> bool {
        self.is_websocket() && !matches!(self, Self::Connect | Self::Disconnect | Self::TypingIndicator)
    }

    /// The keys of the routes of API Gateway that are for this one. An alias has a route of its own where there is no
    /// response: on `$default`, which all other names take, there is one.
    pub fn gateway_keys(self) -> impl Iterator<Item = &'static str> {
        let aliases = if self.has_route_response() { &[] } else { self.aliases() };
        [self.key()].into_iter().chain(aliases.iter().copied())
    }

    /// The action that a client means. Case, `-` and `_` do not count, and nobody means a route with a `$`.
    pub fn of_action(action: &str) -> Option<Self> {
        let wanted = folded(action);
        Self::actions()
            .find(|route| folded(route.key()) == wanted || route.aliases().iter().any(|alias| folded(alias) == wanted))
    }

    /// The route that API Gateway calls exactly so.
    pub fn of_key(key: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|route| route.gateway_keys().any(|known| known == key))
    }

    /// All that a frame's `action` can name.
    pub fn actions() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|route| route.is_websocket() && !route.key().starts_with('$'))
    }
}

fn folded(action: &str) -> String {
    action.chars().filter(|letter| !matches!(letter, '-' | '_')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_one_in_every_spelling() {
        for spelling in ["sendMessage", "send-message", "SEND_MESSAGE", "sendmessage"] {
            assert_eq!(Route::of_action(spelling), Some(Route::SendMessage));
        }
        for spelling in ["user-typing", "userTyping", "typing", "typing-indicator"] {
            assert_eq!(Route::of_action(spelling), Some(Route::TypingIndicator));
        }
    }

    #[test]
    fn nobody_can_ask_for_a_route_of_the_gateway_or_of_http() {
        for action in [
            "$connect",
            "$disconnect",
            "$default",
            "$-connect",
            "GET /health",
            "schedule",
            "fan-out",
            "ObjectCreated",
            "",
        ] {
            assert_eq!(Route::of_action(action), None, "{action}");
        }
    }

    #[test]
    fn no_two_routes_answer_to_the_same_name() {
        let mut names: Vec<String> = Route::ALL
            .iter()
            .flat_map(|route| route.aliases().iter().chain([&route.key()]).map(|name| folded(name)).collect::<Vec<_>>())
            .collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}

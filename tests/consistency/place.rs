//! Where the clients chat: the rooms, the clocks, and the handshake.

use std::sync::Arc;

use serde_json::json;
use switchboard::local;

use crate::harness::{SECRET, Socket, User, token};
use crate::record::Clock;

/// How long sessions last at least; as long lasts a session whose token ends sooner (seconds).
pub const SHORT_SESSION: u64 = 30;
/// The rooms in which everybody may be.
const PUBLIC_ROOMS: [&str; 3] = ["tea", "coffee", "cocoa"];
/// The room whose mode is changed, and whose members are muted. In the others everybody writes.
pub const MODED_ROOM: &str = "cocoa";

pub struct Place {
    pub websocket: String,
    pub clock: Clock,
    pub stack_clock: local::Clock,
    pub rooms: Vec<String>,
    /// The room that one is invited to.
    pub private_room: String,
    pub users: usize,
    /// Whether the release of before handles a part of the requests: it has neither blocks nor invitations.
    pub is_mixed: bool,
}

impl Place {
    /// A place without rooms.
    pub fn new(websocket: &str, stack_clock: local::Clock, users: usize, is_mixed: bool) -> Self {
        let (websocket, clock) = (websocket.to_owned(), Clock::default());
        Self { websocket, clock, stack_clock, rooms: Vec::new(), private_room: String::new(), users, is_mixed }
    }

    /// The address of a handshake, with a token.
    pub fn url_of(&self, user: &str, is_short: bool) -> String {
        let seconds = if is_short { 10 } else { 7_000 };
        let now = self.stack_clock.now().as_millis() / 1000;
        let token = token(&json!({ "sub": user, "exp": now + seconds }));
        format!("{}?format=native&token={token}", self.websocket)
    }

    /// Creates the rooms, before faults are injected.
    pub async fn open(mut self) -> Arc<Self> {
        let url = self.url_of("user-0", false);
        for room in PUBLIC_ROOMS {
            let (mut socket, _) = Socket::open(&format!("{url}&roomId={room}"), &[]).await.unwrap();
            socket.close(None).await.unwrap();
            self.rooms.push(room.to_owned());
        }
        if !self.is_mixed {
            let mut owner = User::new(Socket::open(&url, &[]).await.unwrap().0);
            let room = owner.ask(json!({ "action": "createRoom", "roomType": "private" })).await;
            self.private_room = room["roomId"].as_str().unwrap().to_owned();
            self.rooms.push(self.private_room.clone());
            owner.goes().await;
        }
        Arc::new(self)
    }

    /// The environment of the function.
    pub fn environment() -> Vec<(String, String)> {
        let session = SHORT_SESSION.to_string();
        let variables = [
            ("LIMITS", "off"),
            ("AUTH_MODE", "jwt"),
            ("JWT_SECRET", SECRET),
            ("SESSION_MIN_SECONDS", &session),
            ("EVENT_NOTIFICATIONS", "off"),
        ];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }
}

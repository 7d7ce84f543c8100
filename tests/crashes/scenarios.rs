//! The requests that crash: one for each action, HTTP route and background event, and a few more.

use std::fmt;

use serde_json::{Value, json};
use switchboard::actions::{self, Action, HttpRoute};

use crate::case::{Case, Who};
use crate::client::Client;
use crate::generate;

/// What starts the invocation that crashes.
#[derive(Clone, Debug)]
pub enum Request {
    /// A frame with an answer.
    Frame(Who, Value),
    /// A frame without an answer.
    Quiet(Who, Value),
    Http(&'static str, String, Value),
    /// A handshake of Dora's, with this query.
    Connect(String),
    /// Ben closes his connection.
    Disconnect,
    /// An object was uploaded under this key.
    ObjectCreated(String),
    Sweep,
    /// An event that the function sends to itself.
    OwnEvent(Value),
    /// Carl writes, which the stream of the table tells.
    Written,
}

/// A route, with the request that is sent to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The key of the route or of the background event.
    pub route: &'static str,
    /// Where there are several.
    variant: Option<&'static str>,
}

/// Requests that take another path than the first one of their route.
const VARIANTS: [(&str, &str); 2] = [(actions::CONNECT, TO_ALL_ROOMS), ("joinRoom", WITH_INVITE)];
/// Erases a user.
const ERASE_USER: &str = "POST /admin/users/{userId}/erase";
const TO_ALL_ROOMS: &str = "to all rooms";
const WITH_INVITE: &str = "with an invite";

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.route)?;
        self.variant.map_or(Ok(()), |variant| write!(f, " {variant}"))
    }
}

impl Scenario {
    /// All actions, HTTP routes and background events, and the variants.
    pub fn all() -> Vec<Self> {
        let actions = Action::ALL.iter().map(|action| action.key());
        let routes = actions.chain(HttpRoute::ALL.iter().map(|route| route.key())).chain(actions::BACKGROUND);
        let variants = VARIANTS.map(|(route, variant)| Self { route, variant: Some(variant) });
        routes.map(|route| Self { route, variant: None }).chain(variants).collect()
    }

    /// Whether an event of the room's own starts it, which nobody answers.
    pub fn is_event(self) -> bool {
        actions::BACKGROUND.contains(&self.route) && self.route != actions::DEFAULT
    }

    /// Whether it is about events for backends, so that there is a bus.
    pub fn requires_bus(self) -> bool {
        self.route == actions::STREAM
    }

    /// Whether it is about tokens, so that users show them.
    pub fn requires_tokens(self) -> bool {
        self.route == "refreshToken"
    }

    /// Whether it erases Ben.
    pub fn erases(self) -> bool {
        [ERASE_USER, actions::ERASE].contains(&self.route)
    }

    /// Who sends the request, where a member may: else an owner does.
    pub fn usual_caller(self) -> Who {
        match self.route {
            "joinRoom" | "POST /rooms/join" | actions::CONNECT => Who::Dora,
            _ => Who::Ben,
        }
    }

    /// Whether a repeat of a request that has succeeded is refused with this code by design.
    pub fn may_refuse_repeat(self, code: &str) -> bool {
        matches!((self.route, code), ("closeRoom" | "POST /rooms/close", "ROOM_CLOSED"))
    }

    /// Its request by `caller`, after the room has been prepared for it.
    pub async fn prepare(self, case: &mut Case<'_>, caller: Who) -> Request {
        let room = case.room.clone();
        let of_dora = |action: &str| json!({ "action": action, "roomId": room, "userId": case.names.dora });
        match self.route {
            actions::CONNECT => {
                case.dora.insist(&json!({ "action": "joinRoom", "roomId": room })).await;
                let query = if self.variant == Some(TO_ALL_ROOMS) { String::new() } else { format!("&roomId={room}") };
                Request::Connect(query)
            }
            actions::DISCONNECT => Request::Disconnect,
            actions::DEFAULT => {
                // An alias, for which the gateway has no route.
                let mut frame = generate::frame(case, "handleFileUpload").await;
                frame["action"] = json!("requestUpload");
                Request::Frame(caller, frame)
            }
            actions::OBJECT_CREATED => Request::ObjectCreated(case.announces_file().await),
            actions::SWEEP => {
                case.idles();
                Request::Sweep
            }
            actions::FAN_OUT => Request::OwnEvent(json!({
                "source": "switchboard.fan-out",
                "requestId": "a request",
                "at": case.now(),
                "part": { "channel": format!("room#{room}"), "first": null, "last": null },
                "publication": case.publication(),
            })),
            actions::STREAM => {
                // The next batch is that of the message.
                case.world.events().await;
                Request::Written
            }
            actions::CLEANUP => Request::OwnEvent(json!({
                "source": "switchboard.cleanup",
                "requestId": "a request",
                "at": case.now(),
                "connections": [{ "connectionId": "GONEGONEGONEGO0=", "channel": format!("room#{room}") }],
            })),
            actions::ERASE => {
                case.says(Who::Ben).await;
                case.begins_erasure().await;
                Request::OwnEvent(json!({
                    "source": "switchboard.erase",
                    "requestId": "a request",
                    "at": case.now(),
                    "userId": case.names.ben,
                }))
            }
            actions::EXPORT => {
                case.says(Who::Ben).await;
                case.begins_export().await;
                Request::OwnEvent(json!({
                    "source": "switchboard.export",
                    "requestId": "a request",
                    "at": case.now(),
                    "userId": case.names.ben,
                    "exportId": "an-export",
                }))
            }
            ERASE_USER => {
                let ben = case.says(Who::Ben).await;
                assert!(ben.is_u64(), "{ben}");
                Request::Http("POST", format!("/admin/users/{}/erase", case.names.ben), Value::Null)
            }
            "unbanMember" => {
                case.host.insist(&of_dora("banMember")).await;
                Request::Frame(caller, of_dora("unbanMember"))
            }
            "joinRoom" if self.variant == Some(WITH_INVITE) => {
                case.moves_to_private_room().await;
                let invite = case.creates_invite().await;
                let frame = json!({ "action": "joinRoom", "roomId": case.room, "invite": invite });
                Request::Frame(caller, frame)
            }
            "resume" => {
                // A connection that does not hear the room yet.
                let lobby = Client::open(case.world, &case.names.ben, "&roomId=lobby").await;
                case.ben = lobby.expect("Ben connects");
                Request::Frame(caller, generate::frame(case, self.route).await)
            }
            // A message of the caller's own.
            "editMessage" => {
                let seq = case.says(caller).await;
                let mut frame = generate::frame(case, self.route).await;
                frame["seq"] = seq;
                Request::Frame(caller, frame)
            }
            "PATCH /rooms/{roomId}/messages/{seq}" => {
                let seq = case.says(caller).await;
                let (method, path, body) = generate::http(case, self.route, caller).await;
                Request::Http(method, path.replace("/messages/1?", &format!("/messages/{seq}?")), body)
            }
            "typingIndicator" => Request::Quiet(caller, generate::frame(case, self.route).await),
            key if HttpRoute::of_key(key).is_some() => {
                let (method, path, body) = generate::http(case, key, caller).await;
                Request::Http(method, path, body)
            }
            action => Request::Frame(caller, generate::frame(case, action).await),
        }
    }
}

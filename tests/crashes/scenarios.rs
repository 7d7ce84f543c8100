//! The request of each route, in the room of a case.

use serde_json::{Value, json};
use switchboard::actions::{self, Action, HttpRoute};

use crate::case::{BUCKET, Case, Who, place_of};

/// What starts the invocation that crashes.
#[derive(Clone)]
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
    /// The continuation of a fan-out.
    FanOut(Value),
}

/// The keys of all routes, and of the background events.
pub fn routes() -> Vec<&'static str> {
    let background = [actions::CONNECT, actions::DISCONNECT, actions::DEFAULT, actions::OBJECT_CREATED];
    let background = background.into_iter().chain([actions::SWEEP, actions::FAN_OUT, actions::CLEANUP]);
    let actions = Action::ALL.iter().map(|action| action.key());
    actions.chain(HttpRoute::ALL.iter().map(|route| route.key())).chain(background).collect()
}

/// Whether a repeat of a request that has succeeded is refused with this code by design.
pub fn may_refuse_repeat(route: &str, code: &str) -> bool {
    matches!((route, code), ("closeRoom" | "POST /rooms/close", "ROOM_CLOSED"))
}

/// Whom an adversary removes.
pub fn subject(route: &str) -> Who {
    match route {
        "addMembers" | "joinRoom" | "POST /rooms/join" | actions::CONNECT => Who::Dora,
        _ => Who::Ben,
    }
}

/// The request of a route, after the room has been prepared for it; `None` for an unknown route.
pub async fn prepare(case: &mut Case<'_>, route: &str) -> Option<Request> {
    let Case { room, names, .. } = case;
    let (room, [host, ben, dora]) = (room.clone(), [names.host.clone(), names.ben.clone(), names.dora.clone()]);
    let about = |action: &str| json!({ "action": action, "roomId": room });
    let of_ben = |action: &str| json!({ "action": action, "roomId": room, "userId": ben });
    let id = case.message_id();
    let message =
        |action: &str| json!({ "action": action, "roomId": room, "content": "the message", "clientMessageId": id });
    Some(match route {
        "ping" | "hello" | "listRooms" => Request::Frame(Who::Ben, json!({ "action": route })),
        "createRoom" => Request::Frame(Who::Host, json!({ "action": route, "members": [ben] })),
        "joinRoom" => Request::Frame(Who::Dora, about(route)),
        "addMembers" => Request::Frame(Who::Host, json!({ "action": route, "roomId": room, "members": [dora] })),
        "declineInvite" => Request::Frame(Who::Ben, about(route)),
        "listBlocked" => Request::Frame(Who::Ben, json!({ "action": route })),
        "blockUser" | "unblockUser" => Request::Frame(Who::Ben, json!({ "action": route, "userId": dora })),
        "leaveRoom" | "roomInfo" | "getMessages" => Request::Frame(Who::Ben, about(route)),
        "closeRoom" => Request::Frame(Who::Host, about(route)),
        "removeMember" | "banMember" => Request::Frame(Who::Host, of_ben(route)),
        "unbanMember" => {
            let ban = json!({ "action": "banMember", "roomId": room, "userId": dora });
            case.host.insist(&ban).await;
            Request::Frame(Who::Host, json!({ "action": route, "roomId": room, "userId": dora }))
        }
        "muteMember" | "unmuteMember" => Request::Frame(Who::Host, of_ben(route)),
        "reportMessage" => {
            Request::Frame(Who::Ben, json!({ "action": route, "roomId": room, "seq": 1, "reason": "spam" }))
        }
        "listInvites" => Request::Frame(Who::Host, about(route)),
        "revokeInvite" => {
            let invite = case.creates_invite().await;
            Request::Frame(Who::Host, json!({ "action": route, "roomId": room, "invite": invite }))
        }
        "setRole" => {
            let frame = json!({ "action": route, "roomId": room, "userId": ben, "role": "admin" });
            Request::Frame(Who::Host, frame)
        }
        "sendMessage" | "broadcastMessage" => Request::Frame(Who::Ben, message(route)),
        "sendMessages" => {
            let messages = ["one", "two"].map(|id| json!({ "content": format!("{id} of ben"), "clientMessageId": id }));
            Request::Frame(Who::Ben, json!({ "action": route, "roomId": room, "messages": messages }))
        }
        "typingIndicator" => Request::Quiet(Who::Ben, json!({ "action": route, "roomId": room, "isTyping": true })),
        "handleFileUpload" => Request::Frame(Who::Ben, announcement(&room)),
        "getFile" => Request::Frame(Who::Ben, json!({ "action": route, "fileId": case.uploads_file().await })),
        "resume" => Request::Frame(Who::Ben, json!({ "action": route, "rooms": { room: 0 } })),
        "markRead" => Request::Frame(Who::Ben, json!({ "action": route, "roomId": room, "seq": 1 })),
        "GET /health" => Request::Http("GET", "/health".to_owned(), Value::Null),
        "GET /me" => Request::Http("GET", format!("/me?userId={ben}"), Value::Null),
        "POST /rooms" => Request::Http(
            "POST",
            "/rooms".to_owned(),
            json!({ "userId": host, "latitude": place_of(case.number), "longitude": 1.0 }),
        ),
        "GET /rooms" => Request::Http("GET", "/rooms?latitude=1&longitude=1".to_owned(), Value::Null),
        "POST /rooms/join" => {
            Request::Http("POST", "/rooms/join".to_owned(), json!({ "userId": dora, "roomId": room }))
        }
        "POST /rooms/leave" => {
            Request::Http("POST", "/rooms/leave".to_owned(), json!({ "userId": ben, "roomId": room }))
        }
        "POST /rooms/close" => {
            Request::Http("POST", "/rooms/close".to_owned(), json!({ "userId": host, "roomId": room }))
        }
        "GET /rooms/{roomId}" => Request::Http("GET", format!("/rooms/{room}?userId={ben}"), Value::Null),
        "GET /rooms/{roomId}/messages" => {
            Request::Http("GET", format!("/rooms/{room}/messages?userId={ben}"), Value::Null)
        }
        "GET /rooms/{roomId}/invites" => {
            Request::Http("GET", format!("/rooms/{room}/invites?userId={host}"), Value::Null)
        }
        "POST /rooms/{roomId}/invites" => {
            Request::Http("POST", format!("/rooms/{room}/invites"), json!({ "userId": host }))
        }
        "DELETE /rooms/{roomId}/invites/{invite}" => {
            let invite = case.creates_invite().await;
            Request::Http("DELETE", format!("/rooms/{room}/invites/{invite}?userId={host}"), Value::Null)
        }
        "GET /files/{fileId}" => {
            Request::Http("GET", format!("/files/{}?userId={ben}", case.uploads_file().await), Value::Null)
        }
        actions::CONNECT => {
            case.dora.insist(&about("joinRoom")).await;
            Request::Connect(format!("&roomId={room}"))
        }
        actions::DISCONNECT => Request::Disconnect,
        actions::DEFAULT => {
            // An alias, for which the gateway has no route.
            let mut frame = announcement(&room);
            frame["action"] = json!("requestUpload");
            Request::Frame(Who::Ben, frame)
        }
        actions::OBJECT_CREATED => Request::ObjectCreated(case.announces_file().await),
        actions::SWEEP => Request::Sweep,
        actions::FAN_OUT => Request::FanOut(json!({
            "source": "switchboard.fan-out",
            "requestId": "a request",
            "at": case.now(),
            "part": { "channel": format!("room#{room}"), "first": null, "last": null },
            "publication": case.publication(),
        })),
        actions::CLEANUP => Request::FanOut(json!({
            "source": "switchboard.cleanup",
            "requestId": "a request",
            "at": case.now(),
            "connections": [{ "connectionId": "GONEGONEGONEGO0=", "channel": format!("room#{room}") }],
        })),
        _ => return None,
    })
}

pub fn announcement(room: &str) -> Value {
    json!({ "action": "handleFileUpload", "roomId": room, "fileName": "a.txt", "contentType": "text/plain", "size": 1 })
}

/// The bucket's name is part of the event.
pub async fn repeat_object_event(case: &Case<'_>, key: &str) {
    case.world.repeats_object_event(BUCKET, key).await;
}

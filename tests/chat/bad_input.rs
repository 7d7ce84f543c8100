//! Whatever a client may send.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{User, World, unchecked};

#[tokio::test]
async fn an_unknown_action_is_answered_with_the_known_ones() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let actions = json!([
        "ping",
        "hello",
        "refreshToken",
        "createRoom",
        "joinRoom",
        "leaveRoom",
        "roomInfo",
        "closeRoom",
        "addMembers",
        "declineInvite",
        "removeMember",
        "banMember",
        "unbanMember",
        "setRole",
        "setRoomMode",
        "renameRoom",
        "muteMember",
        "unmuteMember",
        "reportMessage",
        "listInvites",
        "revokeInvite",
        "sendMessage",
        "sendMessages",
        "editMessage",
        "deleteMessage",
        "react",
        "getReactions",
        "pinMessage",
        "unpinMessage",
        "listPins",
        "broadcastMessage",
        "typingIndicator",
        "handleFileUpload",
        "getFile",
        "getMessages",
        "searchMessages",
        "resume",
        "markRead",
        "markUnread",
        "unreads",
        "setNotify",
        "listRooms",
        "blockUser",
        "unblockUser",
        "listBlocked"
    ]);

    for (frame, code) in [
        (r#"{"action":"dance"}"#, "UNKNOWN_ACTION"),
        (r#"{"action":"$connect"}"#, "UNKNOWN_ACTION"),
        (r#"{"action":"$disconnect"}"#, "UNKNOWN_ACTION"),
        (r#"{"action":"$default"}"#, "UNKNOWN_ACTION"),
        (r#"{"action":"GET /health"}"#, "UNKNOWN_ACTION"),
        (r#"{"action":7}"#, "UNKNOWN_ACTION"),
        (r#"{"action":null}"#, "UNKNOWN_ACTION"),
        (r#"{}"#, "UNKNOWN_ACTION"),
        ("hello", "BAD_REQUEST"),
        ("", "BAD_REQUEST"),
        ("[]", "BAD_REQUEST"),
        ("\"sendMessage\"", "BAD_REQUEST"),
        ("null", "BAD_REQUEST"),
    ] {
        ana.send(unchecked(frame)).await;
        let answer = ana.hears_anything().await;
        assert_eq!(
            (&answer["type"], &answer["code"], &answer["status"]),
            (&json!("error"), &json!(code), &json!(400)),
            "{frame}"
        );
        assert_eq!(answer["actions"], actions, "{frame}");
    }
    // It is connected still, and has not been connected twice.
    ana.hears_nothing().await;
    assert_eq!(world.rows("Connections").await.len(), 1);
}

#[tokio::test]
async fn every_answer_repeats_the_request_id() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    for frame in [
        json!({ "action": "dance" }),
        json!({ "requestId": "x" }),
        json!({ "action": "$connect" }),
        json!({ "action": "sendMessage", "roomId": 5 }),
        json!({ "action": "sendMessage", "content": "a", "text": "b" }),
        json!({ "action": "leaveRoom", "roomId": "tea" }),
    ] {
        ana.ask(unchecked(frame)).await;
    }
    for id in [json!(5), json!("x".repeat(65)), json!({})] {
        ana.send(unchecked(json!({ "action": "ping", "requestId": id }))).await;
        let answer = ana.hears_anything().await;
        assert_eq!((&answer["code"], &answer["field"]), (&json!("INVALID_FIELD"), &json!("requestId")));
    }
    ana.send(json!({ "action": "ping", "requestId": "é".repeat(64) })).await;
    assert_eq!(ana.hears_anything().await["requestId"], "é".repeat(64));
}

#[tokio::test]
async fn an_error_names_the_action_and_the_field() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    for (action, frame, field) in [
        ("sendMessage", json!({ "roomId": "tea" }), "content"),
        ("sendMessage", json!({ "roomId": "tea", "content": 5 }), "content"),
        ("sendMessage", json!({ "roomId": "tea", "message": {} }), "content"),
        ("sendMessage", json!({ "roomId": "a\u{0}b", "content": "x" }), "roomId"),
        ("sendMessage", json!({ "roomId": "", "content": "x" }), "roomId"),
        ("sendMessage", json!({ "recipientId": ["ben"], "content": "x" }), "recipientId"),
        ("typingIndicator", json!({ "roomId": "tea", "isTyping": "yes" }), "isTyping"),
        ("joinRoom", json!({}), "roomId"),
        ("joinRoom", json!({ "roomId": "x".repeat(129) }), "roomId"),
        ("joinRoom", json!({ "roomId": "tea", "name": 1 }), "userName"),
        ("joinRoom", json!({ "roomId": "tea", "userIcon": "\n" }), "userIcon"),
        ("createRoom", json!({ "members": ["ben", {}] }), "members"),
        ("roomInfo", json!({ "roomId": "tea", "cursor": {} }), "cursor"),
    ] {
        let mut frame = frame;
        frame["action"] = json!(action);
        let answer = ana.ask(unchecked(frame)).await;
        assert_eq!((&answer["code"], &answer["field"]), (&json!("INVALID_FIELD"), &json!(field)), "{answer}");
        assert_eq!(answer["action"], action);
        assert!(answer["message"].as_str().unwrap().contains(field));
    }
}

#[tokio::test]
async fn unknown_fields_are_ignored() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let frame = json!({ "action": "sendMessage", "roomId": "tea", "content": "hi", "mood": "good", "nested": [{}] });
    assert_eq!(ana.ask(unchecked(frame)).await["type"], "message");
}

#[tokio::test]
async fn the_gateway_closes_on_binary_or_too_large_frames() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    ana.send_binary(vec![1, 2, 3]).await;
    assert_eq!(ana.is_closed().await, Some(1003));

    let mut ben = world.connect("ben").await;
    ben.send(unchecked("x".repeat(32 * 1024 + 1))).await;
    assert_eq!(ben.is_closed().await, Some(1009));
}

/// Random, and the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())].clone()
    }

    fn letter(&mut self) -> char {
        match self.roll(6) {
            0 => char::from_u32(self.roll(32) as u32).unwrap(),
            1 => self.pick(&['{', '}', '[', ']', '"', '\\', ':', ',', '\u{2028}', '\u{feff}', '\u{202e}', '\u{7f}']),
            2 => char::from_u32(0x1F300 + self.roll(0x200) as u32).unwrap_or('x'),
            3 => char::from_u32(self.roll(0xD7FF) as u32).unwrap_or('y'),
            _ => char::from_u32(0x20 + self.roll(95) as u32).unwrap(),
        }
    }

    fn text(&mut self, most: usize) -> String {
        let length = self.roll(most);
        (0..length).map(|_| self.letter()).collect()
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.roll(if depth > 4 { 7 } else { 9 }) {
            0 => json!(null),
            1 => json!(self.roll(2) == 0),
            2 => json!(self.roll(1000)),
            3 => json!(-1e300 * self.roll(3) as f64),
            4 => json!(u64::MAX),
            5 => json!(self.text(200)),
            6 => json!(self.pick(&["tea", "lobby", "ana", "dm-x", ""])),
            7 => (0..self.roll(4)).map(|_| self.value(depth + 1)).collect(),
            _ => {
                let mut object = json!({});
                for _ in 0..self.roll(4) {
                    let name = self.text(10);
                    object[name] = self.value(depth + 1);
                }
                object
            }
        }
    }

    fn frame(&mut self) -> String {
        const ACTIONS: &[&str] = &[
            "ping",
            "createRoom",
            "joinRoom",
            "leaveRoom",
            "roomInfo",
            "sendMessage",
            "broadcastMessage",
            "typingIndicator",
            "getMessages",
            "$connect",
            "$disconnect",
            "$default",
            "nothing",
        ];
        const FIELDS: &[&str] = &[
            "roomId",
            "chatRoomId",
            "recipientId",
            "targetId",
            "content",
            "message",
            "text",
            "data",
            "limit",
            "before",
            "after",
            "isTyping",
            "members",
            "roomName",
            "roomType",
            "maxParticipants",
            "userName",
            "username",
            "name",
            "userIcon",
            "userColor",
            "replyTo",
            "cursor",
            "clientMessageId",
            "invite",
        ];
        match self.roll(20) {
            0 => self.text(9_000),
            1 => "[".repeat(self.roll(32_000)),
            2 => format!("{}1{}", r#"{"action":"#.repeat(self.roll(3_000)), "}".repeat(self.roll(3_000))),
            3 => self.value(0).to_string(),
            4 => {
                let frame = json!({ "action": "sendMessage", "roomId": "tea", "content": self.text(300) }).to_string();
                let at = self.roll(frame.len());
                frame.chars().take(at).collect()
            }
            _ => {
                let mut frame = json!({ "action": self.pick(ACTIONS) });
                for _ in 0..self.roll(5) {
                    frame[self.pick(FIELDS)] = self.value(0);
                }
                frame.to_string()
            }
        }
    }
}

/// Every frame is answered, in whatever order, and with nothing worse than a refusal.
async fn answers_to(user: &mut User, id: &str, frames: Vec<String>) {
    let count = frames.len();
    for frame in frames {
        user.send(unchecked(frame)).await;
    }
    user.send(json!({ "action": "ping", "requestId": "the last" })).await;
    let mut last = false;
    let mut answers = 0;
    while !last || answers < count {
        let answer = user.hears_anything().await;
        let kind = answer["type"].as_str().unwrap_or_else(|| panic!("the gateway had to answer: {answer}")).to_owned();
        if answer["requestId"] == "the last" {
            last = true;
        } else if kind == "error" {
            assert!(answer["status"].as_u64().unwrap() < 500, "{answer}");
            answers += 1;
        } else if !["joined", "left"].contains(&kind.as_str()) && (kind != "message" || answer["userId"] == id) {
            // What others say or do is no answer.
            answers += 1;
        }
    }
}

#[tokio::test]
async fn ten_thousand_random_frames_are_answered_and_the_function_never_exits() {
    let world = World::start().await;
    let mut users = Vec::new();
    for number in 0..8 {
        let id = format!("odd-{number}");
        users.push((world.connect_to(&id, &format!("tea-{number}")).await, id, Dice(7919 + number)));
    }

    let parties = users.into_iter().map(|(mut user, id, mut dice)| async move {
        for _ in 0..50 {
            // A frame with no answer is one that only tells the others that somebody types.
            let frames: Vec<_> = std::iter::repeat_with(|| dice.frame())
                .filter(|frame| frame.len() <= 32 * 1024 && !frame.contains("typingIndicator"))
                .take(25)
                .collect();
            answers_to(&mut user, &id, frames).await;
        }
    });
    futures_util::future::join_all(parties).await;

    let processes: BTreeSet<_> = world.function_processes().into_iter().collect();
    let log = world.log();
    assert!(log.iter().filter(|line| line["message"] == "invocation").count() >= 10_000);
    let failed: Vec<_> = log.iter().filter(|line| line["status"].as_u64().is_none_or(|status| status >= 500)).collect();
    assert!(failed.is_empty(), "{failed:?}");
    // A process that had ended would have been replaced: there have been no more than there are.
    assert_eq!(world.processes_ever(), processes.len());
}

#[tokio::test]
async fn a_thousand_random_queries_are_answered_below_500() {
    let world = World::start().await;
    let mut dice = Dice(104_729);
    let mut refused = 0;
    for _ in 0..1_000 {
        let parameters: Vec<_> = (0..dice.roll(4))
            .map(|_| {
                let name = dice.pick(&["userId", "roomId", "username", "name", "userIcon", "token", "x", ""]);
                let value: String = dice.text(40).bytes().map(|byte| format!("%{byte:02X}")).collect();
                format!("{name}={value}")
            })
            .collect();
        match world.open(&format!("?{}", parameters.join("&"))).await {
            Ok(_) => {}
            Err(status) => {
                refused += 1;
                assert!(status < 500, "{status} for {parameters:?}");
            }
        }
    }
    assert!(refused > 0);
}

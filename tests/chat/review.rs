//! Rooms whose texts a review function accepts, replaces or denies.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use switchboard::local::Options;

use crate::harness::{User, World};

/// A review handler as it is written for Amazon IVS Chat. It keeps what it was asked.
const HANDLER: &str = r#"
import json, sys, time
event = json.load(sys.stdin)
content = event["Content"]
with open(sys.argv[1] + "/asked", "a") as asked:
    asked.write(json.dumps(event) + "\n")
if "fail" in content:
    sys.exit("no verdict")
if "slow" in content:
    time.sleep(20)
if "nonsense" in content:
    print("what?")
elif "spam" in content or "spam" in event["Sender"]["Attributes"]["userName"]:
    print(json.dumps({"ReviewResult": "DENY", "Content": content, "Attributes": {"Reason": "no spam"}}))
else:
    print(json.dumps({"ReviewResult": "ALLOW", "Content": content.replace("damn", "d**n")}))
"#;

struct Reviewed {
    world: World,
    folder: PathBuf,
}

impl Reviewed {
    /// A world with a review function, and the room `tea`, whose texts are reviewed. Ana made it.
    async fn start(name: &str, environment: &[(&str, &str)]) -> (Self, User) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("review").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let _ = std::fs::remove_file(folder.join("asked"));
        std::fs::write(folder.join("handler.py"), HANDLER).unwrap();
        let command = ["python3".into(), folder.join("handler.py").into(), folder.clone().into()];
        // A start of the handler may take longer than a warm function does.
        let timeout = [("REVIEW_TIMEOUT_MS", "8000")].into_iter();
        let environment: Vec<_> = timeout.chain(environment.iter().copied()).collect();
        let change = |options| Options { review: Some(command.into()), ..options };
        let world = World::changed(&environment, change).await;
        let mut ana = world.connect_to("ana", "tea").await;
        let set = ana.ask(json!({ "action": "setRoomMode", "roomId": "tea", "review": "on" })).await;
        assert_eq!(set["content"], "ana changed the room's settings: messages are reviewed");
        (Self { world, folder }, ana)
    }

    /// What the function was asked since the last call.
    fn asked(&self) -> Vec<Value> {
        let asked = std::fs::read_to_string(self.folder.join("asked")).unwrap_or_default();
        let _ = std::fs::remove_file(self.folder.join("asked"));
        asked.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn message(content: &str) -> Value {
    json!({ "action": "sendMessage", "roomId": "tea", "content": content, "clientMessageId": content })
}

fn denied(answer: &Value) -> (&Value, &Value, &Value) {
    (&answer["status"], &answer["code"], &answer["reason"])
}

const NO_SPAM: (u64, &str, &str) = (422, "MESSAGE_DENIED", "no spam");

fn is_spam(answer: &Value) {
    assert_eq!(denied(answer), (&json!(NO_SPAM.0), &json!(NO_SPAM.1), &json!(NO_SPAM.2)), "{answer}");
}

#[tokio::test]
async fn a_message_is_asked_about_and_written_as_the_review_wants_it() {
    let (reviewed, mut ana) = Reviewed::start("message", &[]).await;
    let mut ben = reviewed.world.connect_to("ben", "tea").await;
    let mut frame = message("damn good");
    frame["data"] = json!({ "cups": 2 });
    frame["userIcon"] = json!("https://example.com/ana.png");

    let sent = ana.ask(frame.clone()).await;

    assert_eq!((&sent["content"], &sent["seq"]), (&json!("d**n good"), &json!(2)), "{sent}");
    assert_eq!(ben.hears("message").await["content"], "d**n good");
    let asked = reviewed.asked();
    let [event] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((&event["Content"], &event["Sender"]["UserId"]), (&json!("damn good"), &json!("ana")));
    assert_eq!(
        (&event["Sender"]["Ip"], &event["RoomArn"]),
        (&json!("127.0.0.1"), &json!("arn:aws:switchboard:us-east-1::room/tea"))
    );
    assert_eq!(event["Attributes"], json!({ "kind": "message", "roomId": "tea", "data": "{\"cups\":2}" }));
    let of_ana = json!({ "userName": "ana", "userIcon": "https://example.com/ana.png" });
    assert_eq!((&event["Sender"]["Attributes"], event["MessageId"].is_string()), (&of_ana, true));
    // A retry has the text as it was sent.
    let again = ana.ask(frame).await;
    assert_eq!((&again["seq"], &again["duplicate"], &again["content"]), (&json!(2), &json!(true), &json!("d**n good")));
    assert_eq!(reviewed.asked(), [] as [Value; 0]);
}

#[tokio::test]
async fn a_denied_message_has_no_place_and_no_retry_gets_past_the_review() {
    let (reviewed, mut ana) = Reviewed::start("denied", &[("REVIEW_FALLBACK", "allow")]).await;

    let refused = ana.ask(message("spam")).await;

    is_spam(&refused);
    assert_eq!(refused["message"], "the review of this chat did not accept it: no spam");
    assert_eq!(reviewed.asked().len(), 1);
    // Also with another text, of which the function says nothing.
    let mut retry = message("fail");
    retry["clientMessageId"] = json!("spam");
    for frame in [message("spam"), retry] {
        is_spam(&ana.ask(frame).await);
    }
    assert_eq!(reviewed.asked(), [] as [Value; 0]);
    assert_eq!(ana.ask(message("tea")).await["seq"], 2);
    let rows = reviewed.world.rows("Messages").await;
    assert!(!rows.iter().any(|row| format!("{row:?}").contains("\"spam\"")), "{rows:?}");
}

#[tokio::test]
async fn where_the_review_says_nothing_the_fallback_decides() {
    let environment = [("REVIEW_TIMEOUT_MS", "3000")];
    let (denying, mut ana) = Reviewed::start("fallback-deny", &environment).await;
    for content in ["fail", "slow", "nonsense"] {
        let answer = ana.ask(message(content)).await;
        assert_eq!((&answer["status"], &answer["code"]), (&json!(503), &json!("UNAVAILABLE")), "{answer}");
    }
    let line = denying.world.logs(|line| line["message"] == "failed to have a text reviewed").await;
    assert!(!line.to_string().contains("fail\\\""), "{line}");
    let line = denying.world.logs(|line| line["ReviewsFailed"] == 1).await;
    assert_eq!(line["code"], "UNAVAILABLE");

    let (_allowing, mut ana) = Reviewed::start("fallback-allow", &[("REVIEW_FALLBACK", "allow")]).await;
    assert_eq!(ana.ask(message("fail")).await["seq"], 2);
}

#[tokio::test]
async fn the_messages_of_an_outbox_are_reviewed_each() {
    let (reviewed, mut ana) = Reviewed::start("outbox", &[]).await;
    let first = ana.ask(message("one")).await;
    let outbox = |contents: &[&str]| {
        let messages: Vec<_> =
            contents.iter().map(|text| json!({ "content": text, "clientMessageId": text })).collect();
        json!({ "action": "sendMessages", "roomId": "tea", "messages": messages })
    };
    reviewed.asked();

    let sent = ana.ask(outbox(&["one", "spam", "damn", "two"])).await;

    let results = &sent["results"];
    assert_eq!((&results[0]["seq"], &results[0]["duplicate"]), (&first["seq"], &json!(true)), "{sent}");
    assert_eq!((&results[1]["code"], &results[1]["status"]), (&json!("MESSAGE_DENIED"), &json!(422)));
    assert_eq!((&results[2]["seq"], &results[3]["seq"]), (&json!(3), &json!(4)));
    assert_eq!(reviewed.asked().len(), 3);
    let page = ana.ask(json!({ "action": "getMessages", "roomId": "tea" })).await;
    let texts: Vec<_> = page["items"].as_array().unwrap().iter().map(|item| &item["content"]).collect();
    assert_eq!(texts[1..], ["one", "d**n", "two"]);
    let again = ana.ask(outbox(&["spam", "two"])).await;
    assert_eq!((&again["results"][0]["code"], &again["results"][1]["seq"]), (&json!("MESSAGE_DENIED"), &json!(4)));
    assert_eq!(reviewed.asked(), [] as [Value; 0]);
}

#[tokio::test]
async fn edits_names_and_files_are_reviewed_too() {
    let (reviewed, mut ana) = Reviewed::start("names", &[]).await;
    let sent = ana.ask(message("hello")).await;
    let edit = |content: &str| {
        json!({
            "action": "editMessage", "roomId": "tea", "seq": sent["seq"], "content": content,
            "clientMessageId": format!("edit {content}")
        })
    };

    assert_eq!(ana.ask(edit("damn")).await["content"], "d**n");
    for _ in 0..2 {
        is_spam(&ana.ask(edit("spam")).await);
    }
    is_spam(&ana.ask(json!({ "action": "renameRoom", "roomId": "tea", "roomName": "spam" })).await);
    let renamed = ana.ask(json!({ "action": "renameRoom", "roomId": "tea", "roomName": "damn tea" })).await;
    assert_eq!(renamed["system"]["roomName"], "d**n tea");
    let file = |name: &str| {
        json!({
            "action": "handleFileUpload", "roomId": "tea", "fileName": name, "contentType": "text/plain", "size": 4
        })
    };
    for name in ["spam.txt", "damn.txt"] {
        assert_eq!(ana.ask(file(name)).await["code"], "MESSAGE_DENIED", "{name}");
    }
    assert_eq!(ana.ask(file("tea.txt")).await["type"], "upload");
    // Who joins with a name, and who writes under another one.
    let mut ben = reviewed.world.connect("ben").await;
    let join = |name: &str| json!({ "action": "joinRoom", "roomId": "tea", "userName": name });
    is_spam(&ben.ask(join("spammer")).await);
    let joined = ben.ask(join("damn Ben")).await;
    assert_eq!(joined["participants"][1]["userName"], "d**n Ben", "{joined}");
    assert_eq!(ana.hears("joined").await["userName"], "d**n Ben");
    let mut frame = message("under another name");
    frame["userName"] = json!("spam");
    is_spam(&ben.ask(frame).await);
    ben.closes().await;
    assert_eq!(reviewed.world.open("?userId=cho&roomId=tea&username=spam").await.err(), Some(422));
    // A name of a handshake does not go round the review.
    let mut ben = reviewed.world.open("?userId=ben&username=spam&format=native").await.unwrap();
    assert_eq!(ben.ask(message("from Ben")).await["userName"], "d**n Ben");
    let kinds: Vec<_> = reviewed.asked().iter().map(|event| event["Attributes"]["kind"].clone()).collect();
    let expected = [
        "message", "edit", "edit", "roomName", "roomName", "fileName", "fileName", "fileName", "userName", "userName",
        "message", "userName", "message",
    ];
    assert_eq!(kinds, expected);
}

#[tokio::test]
async fn backends_are_not_reviewed_and_other_rooms_neither() {
    let (reviewed, mut ana) = Reviewed::start("others", &[]).await;
    let made = reviewed.world.admin("PUT", "/admin/rooms/hall", json!({ "owner": "ana", "review": "on" })).await;
    assert_eq!(made.body["mode"], json!({ "review": "on" }), "{}", made.body);

    let posted = reviewed.world.admin("POST", "/admin/messages", json!({ "rooms": ["hall"], "content": "spam" })).await;

    assert_eq!(posted.body["results"][0]["seq"], 1, "{}", posted.body);
    let lobby = ana.ask(json!({ "action": "sendMessage", "roomId": "lobby", "content": "spam" })).await;
    assert_eq!(lobby["type"], "ack");
    let off = ana.ask(json!({ "action": "setRoomMode", "roomId": "tea", "review": "off" })).await;
    assert_eq!(off["system"]["mode"]["review"], "off");
    assert_eq!(ana.ask(message("spam")).await["seq"], 3);
    assert_eq!(reviewed.asked(), [] as [Value; 0]);
}

#[tokio::test]
async fn no_room_is_reviewed_where_there_is_no_review_function() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;

    let refused = ana.ask(json!({ "action": "setRoomMode", "roomId": "tea", "review": "on" })).await;

    assert_eq!((&refused["code"], &refused["field"]), (&json!("INVALID_FIELD"), &json!("review")), "{refused}");
    let refused = world.admin("PUT", "/admin/rooms/hall", json!({ "review": "on" })).await;
    assert_eq!(refused.refusal(), (400, "INVALID_FIELD", "review"));
    // A room of a deployment that had one lets nothing through.
    let lost = World::with(&[("REVIEW_FUNCTION", "review")]).await;
    let mut ana = lost.connect_to("ana", "tea").await;
    ana.ask(json!({ "action": "setRoomMode", "roomId": "tea", "review": "on" })).await;
    assert_eq!(ana.ask(message("hello")).await["code"], "UNAVAILABLE");
}

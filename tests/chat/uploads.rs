//! Files: announced over the socket, uploaded past the function, told of when they are there.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Bytes;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::future;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use switchboard::local::Options;
use switchboard::local::faults::{Faults, Latency, Plan};

use crate::harness::{User, World, token, unchecked};

const BUCKET: &str = "switchboard-uploads";
/// How an image begins.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

pub fn announcement(room: &str, name: &str, size: usize) -> Value {
    let content_type = match name.rsplit_once('.') {
        Some((_, "png")) => "image/png",
        Some((_, "bin")) => "application/octet-stream",
        _ => "text/plain",
    };
    json!({
        "action": "handleFileUpload",
        "roomId": room,
        "fileName": name,
        "contentType": content_type,
        "size": size
    })
}

/// The address, what to send along, and the file's id.
pub struct Upload {
    pub url: String,
    headers: Vec<(String, String)>,
    pub id: String,
}

impl Upload {
    pub fn of(answer: &Value) -> Self {
        assert_eq!((&answer["type"], &answer["method"]), (&json!("upload"), &json!("PUT")), "{answer}");
        assert!(answer["expiresAt"].as_str().unwrap().ends_with('Z'));
        let headers = answer["headers"].as_object().unwrap().iter();
        Self {
            url: answer["uploadUrl"].as_str().unwrap().to_owned(),
            headers: headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect(),
            id: answer["fileId"].as_str().unwrap().to_owned(),
        }
    }

    /// As any HTTP client would, with exactly the headers that were given.
    pub async fn puts(&self, world: &World, bytes: &[u8]) -> u16 {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        world.fetch("PUT", &self.url, &headers, Bytes::copy_from_slice(bytes)).await.status
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }
}

/// A file of Ana's that is there, and its message as Ben has heard it.
pub async fn uploaded(world: &World, ana: &mut User, ben: &mut User, room: &str, name: &str, bytes: &[u8]) -> Value {
    let upload = Upload::of(&ana.ask(announcement(room, name, bytes.len())).await);
    assert_eq!(upload.puts(world, bytes).await, 200);
    let message = ben.hears("message").await;
    assert_eq!(without_ticket(&ana.hears("message").await), without_ticket(&message));
    message
}

/// A message whose link is the same for everybody.
fn without_ticket(message: &Value) -> Value {
    let mut message = message.clone();
    let url = message["file"]["fileUrl"].as_str().unwrap().split('?').next().unwrap().to_owned();
    message["file"]["fileUrl"] = url.into();
    message
}

fn path_of(message: &Value, world: &World) -> String {
    let message = without_ticket(message);
    let url = message["file"]["fileUrl"].as_str().unwrap();
    url.strip_prefix(&world.urls().http).expect("an address of the HTTP API").to_owned()
}

#[tokio::test]
async fn a_file_is_announced_after_its_upload_and_downloads_unchanged() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let tea = ana.creates_room(&["ben"]).await;
    ben.hears("joined").await;
    let numbers = (0..100_000_u32).map(|number| (number % 251) as u8);
    let bytes: Vec<u8> = PNG.iter().copied().chain(numbers).collect();

    let upload = Upload::of(&ana.ask(announcement(&tea, "holiday/Grüße 💬.png", bytes.len())).await);
    ben.hears_nothing().await;
    // All that a browser has to send by itself, and nothing that it could not.
    let names: Vec<_> = upload.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["content-length", "content-type", "if-none-match"]);
    let id = &upload.id;
    let not_yet = world.get(&format!("/files/{id}?userId=ben")).await;
    assert_eq!(not_yet.refusal(), (404, "FILE_NOT_FOUND", ""));
    assert_eq!(upload.puts(&world, &bytes).await, 200);

    let personal = ben.hears("message").await;
    let message = without_ticket(&personal);
    let file = json!({
        "fileId": id,
        "fileName": "Grüße 💬.png",
        "contentType": "image/png",
        "size": bytes.len(),
        "fileUrl": format!("{}/files/{id}", world.urls().http),
    });
    assert_eq!((&message["file"], &message["seq"], &message["userId"]), (&file, &json!(1), &json!("ana")));
    assert_eq!(message["content"], "Grüße 💬.png");
    assert_eq!(without_ticket(&ana.hears("message").await), message);
    let history = ben.ask(json!({ "action": "getMessages", "roomId": tea })).await;
    assert_eq!(history["items"], json!([personal]));

    let found = world.get(&format!("{}?userId=ben", path_of(&message, &world))).await;
    assert_eq!((found.status, found.header("cache-control")), (307, "no-store"));
    let got = world.fetch("GET", found.header("location"), &[], Bytes::new()).await;
    assert_eq!((got.status, got.header("content-type")), (200, "image/png"));
    assert_eq!(
        got.header("content-disposition"),
        "attachment; filename=\"Gr__e _.png\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%F0%9F%92%AC.png"
    );
    assert!(got.bytes == bytes, "other bytes");
    let shown = world.get(&format!("{}?userId=ben&inline=1", path_of(&message, &world))).await;
    let shown = world.fetch("GET", shown.header("location"), &[], Bytes::new()).await;
    assert!(shown.header("content-disposition").starts_with("inline;"));

    let by_socket = ben.ask(json!({ "action": "getFile", "fileId": id })).await;
    assert_eq!((&by_socket["type"], &by_socket["size"]), (&json!("file"), &json!(bytes.len())));
    assert!(by_socket["expiresAt"].as_str().unwrap().ends_with('Z'));
    let got = world.fetch("GET", by_socket["fileUrl"].as_str().unwrap(), &[], Bytes::new()).await;
    assert!(got.bytes == bytes, "other bytes");
}

#[tokio::test]
async fn uploads_that_differ_from_the_announcement_are_refused() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let tea = ana.creates_room(&["ben"]).await;
    ben.hears("joined").await;
    let bytes = b"just these bytes";
    let sum = BASE64_STANDARD.encode(Sha256::digest(bytes));
    let mut announce = async || {
        let mut frame = announcement(&tea, "a.txt", bytes.len());
        frame["sha256"] = json!(sum);
        Upload::of(&ana.ask(frame).await)
    };

    assert!((400..500).contains(&announce().await.puts(&world, b"just these bytes and more").await), "longer");
    assert!((400..500).contains(&announce().await.puts(&world, b"just").await), "shorter");
    let other_type = announce().await.with("content-type", "text/html");
    assert_eq!(other_type.puts(&world, bytes).await, 403);
    assert_eq!(announce().await.without("content-type").puts(&world, bytes).await, 403);
    assert_eq!(announce().await.without("if-none-match").puts(&world, bytes).await, 403);
    assert_eq!(announce().await.without("x-amz-checksum-sha256").puts(&world, bytes).await, 403);
    let other_sum = BASE64_STANDARD.encode(Sha256::digest(b"other bytes"));
    assert_eq!(announce().await.with("x-amz-checksum-sha256", &other_sum).puts(&world, bytes).await, 403);
    assert_eq!(announce().await.puts(&world, b"just other bytes").await, 400, "other bytes of the same length");
    let acl = announce().await.with("x-amz-acl", "public-read");
    assert_eq!(acl.puts(&world, bytes).await, 403, "a header that is not signed");
    let digest = announce().await.with("content-md5", "!!");
    assert_eq!(digest.puts(&world, bytes).await, 400);
    let mut tampered = announce().await;
    tampered.url = tampered.url.replace("a.txt", "b.txt");
    assert_eq!(tampered.puts(&world, bytes).await, 403);
    let late = announce().await;
    world.time_passes(301);
    assert_eq!(late.puts(&world, bytes).await, 403);

    let good = announce().await;
    assert_eq!(good.puts(&world, bytes).await, 200);
    assert_eq!(ben.hears("message").await["seq"], 1);
    assert_eq!(good.puts(&world, bytes).await, 412, "a second time");
    ben.hears_nothing().await;
    assert_eq!(world.objects(BUCKET).await.len(), 1);
}

#[tokio::test]
async fn disallowed_uploads_are_refused_before_signing() {
    let world = World::with(&[("MAX_FILE_BYTES", "1000")]).await;
    let mut ana = world.connect("ana").await;
    let tea = ana.creates_room(&[]).await;
    let with = |field: &str, value: Value| {
        let mut frame = announcement(&tea, "a.txt", 10);
        frame[field] = value;
        frame
    };

    for (field, value) in [
        ("size", json!(0)),
        ("size", json!(-1)),
        ("size", json!("ten")),
        ("size", json!(1.5)),
        ("size", Value::Null),
        ("contentType", json!("text/html")),
        ("contentType", json!("image/svg+xml")),
        ("contentType", json!("application/javascript")),
        ("contentType", json!("application/x-msdownload")),
        ("contentType", json!("png")),
        ("contentType", json!("image/png\r\nx-amz-acl: public-read")),
        ("contentType", json!("image/png;a=b, text/html")),
        ("contentType", json!("audio/*")),
        ("contentType", Value::Null),
        ("fileName", json!("../../x")),
        ("fileName", json!("💬".repeat(300))),
        ("fileName", json!("")),
        ("fileName", json!("..")),
        ("fileName", Value::Null),
        ("sha256", json!("abc")),
    ] {
        let answer = ana.ask(unchecked(with(field, value.clone()))).await;
        assert_eq!((&answer["code"], &answer["field"]), (&json!("INVALID_FIELD"), &json!(field)), "{value}: {answer}");
    }
    assert_eq!(ana.is_refused(with("size", json!(1001))).await, (413, "TOO_LARGE".to_owned()));
    assert_eq!(ana.ask(with("size", json!(1000))).await["type"], "upload");
    assert_eq!(world.rows("Files").await.len(), 1);
}

#[tokio::test]
async fn only_members_download_files() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let mut eve = world.connect("eve").await;
    let tea = ana.creates_room(&["ben"]).await;
    ben.hears("joined").await;
    let message = uploaded(&world, &mut ana, &mut ben, &tea, "a.txt", b"secret").await;
    let (id, path) = (&message["file"]["fileId"], path_of(&message, &world));
    let stranger = (403, "NOT_A_MEMBER".to_owned());

    assert_eq!(eve.is_refused(announcement(&tea, "b.txt", 1)).await, stranger);
    assert_eq!(eve.is_refused(json!({ "action": "getFile", "fileId": id })).await, stranger);
    assert_eq!(world.get(&format!("{path}?userId=eve")).await.refusal(), (403, "NOT_A_MEMBER", ""));
    assert_eq!(world.get(&path).await.refusal(), (400, "INVALID_FIELD", "userId"));
    let unknown = (404, "FILE_NOT_FOUND".to_owned());
    assert_eq!(ben.is_refused(json!({ "action": "getFile", "fileId": "none" })).await, unknown);
    ben.ask(json!({ "action": "leaveRoom", "roomId": tea })).await;
    assert_eq!(ben.is_refused(json!({ "action": "getFile", "fileId": id })).await, stranger);
    assert_eq!(world.get(&format!("{path}?userId=ben")).await.status, 403);

    let found = world.get(&format!("{path}?userId=ana")).await;
    let address = found.header("location");
    assert_eq!(world.fetch("GET", address, &[], Bytes::new()).await.status, 200);
    assert_eq!(world.fetch("GET", &address.replace("a.txt", "b.txt"), &[], Bytes::new()).await.status, 403);
    world.time_passes(61);
    assert_eq!(world.fetch("GET", address, &[], Bytes::new()).await.status, 403);
    let bare = address.split('?').next().unwrap();
    assert_eq!(world.fetch("GET", bare, &[], Bytes::new()).await.status, 403);
}

#[tokio::test]
async fn files_can_be_sent_to_users_and_the_lobby() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;

    let mut frame = announcement("", "a.txt", 5);
    frame.as_object_mut().unwrap().remove("roomId");
    frame["recipientId"] = json!("ben");
    let upload = Upload::of(&ana.ask(frame).await);
    assert_eq!(upload.puts(&world, b"12345").await, 200);
    let message = ben.hears("message").await;
    assert!(message["roomId"].as_str().unwrap().starts_with("dm-"));
    assert_eq!(without_ticket(&ana.hears("message").await), without_ticket(&message));
    assert_eq!(world.get(&format!("{}?userId=ben", path_of(&message, &world))).await.status, 307);
    assert_eq!(world.get(&format!("{}?userId=eve", path_of(&message, &world))).await.status, 403);
    assert_eq!(ben.ask(json!({ "action": "listRooms" })).await["items"][0]["unread"], 1);

    let message = uploaded(&world, &mut ana, &mut ben, "lobby", "b.txt", b"hello").await;
    assert_eq!(message["roomId"], "lobby");
}

#[tokio::test]
async fn a_repeated_bucket_event_creates_one_message() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let tea = ana.creates_room(&["ben"]).await;
    ben.hears("joined").await;
    let message = uploaded(&world, &mut ana, &mut ben, &tea, "a b+c&d=é.txt", b"once").await;
    let key = world.objects(BUCKET).await.remove(0);
    assert!(key.ends_with("/a b+c&d=é.txt"), "{key}");

    for _ in 0..3 {
        world.repeats_object_event(BUCKET, &key).await;
    }
    // And of another, three times at the very moment when it comes.
    let upload = Upload::of(&ana.ask(announcement(&tea, "b.txt", 4)).await);
    let second = format!("rooms/{tea}/{}/b.txt", upload.id);
    let again = || world.repeats_object_event(BUCKET, &second);
    tokio::join!(upload.puts(&world, b"once"), again(), again(), again());
    let second = ben.hears("message").await;
    assert_eq!(without_ticket(&ana.hears("message").await), without_ticket(&second));

    ben.hears_nothing().await;
    ana.hears_nothing().await;
    let history = ben.ask(json!({ "action": "getMessages", "roomId": tea })).await;
    assert_eq!(history["items"], json!([message, second]));
    let lines = world.log().into_iter().filter(|line| line["route"] == "ObjectCreated");
    assert!(lines.into_iter().all(|line| line["status"] == 200));
}

#[tokio::test]
async fn an_unannounced_object_is_ignored_and_logged() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let tea = ana.creates_room(&[]).await;
    let upload = Upload::of(&ana.ask(announcement(&tea, "a.txt", 4)).await);
    let keys = [
        "stray.txt".to_owned(),
        format!("rooms/{tea}/{}/b.txt", upload.id),
        format!("rooms/{tea}/00000000-0000-0000-0000-000000000000/a.txt"),
    ];
    for key in &keys {
        world.puts_object(BUCKET, key, b"what is it").await;
        world.logs(|line| line["object_key"] == json!(key)).await;
    }

    ana.hears_nothing().await;
    let mut kept = world.objects(BUCKET).await;
    kept.sort();
    let mut expected = keys.to_vec();
    expected.sort();
    assert_eq!(kept, expected);
    assert_eq!(upload.puts(&world, b"good").await, 200);
    assert_eq!(ana.hears("message").await["seq"], 1);
}

#[tokio::test]
async fn a_mismatched_object_is_deleted_and_the_uploader_told() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let tea = ana.creates_room(&["ben"]).await;
    ben.hears("joined").await;
    let upload = Upload::of(&ana.ask(announcement(&tea, "a.txt", 4)).await);

    // Past the signature, as only somebody with the bucket's own credentials can.
    world.puts_object(BUCKET, &format!("rooms/{tea}/{}/a.txt", upload.id), b"something else").await;

    let error = ana.hears("error").await;
    assert_eq!((&error["code"], &error["status"]), (&json!("UPLOAD_MISMATCH"), &json!(422)));
    assert_eq!((&error["fileId"], &error["action"]), (&json!(upload.id), &json!("handleFileUpload")));
    assert!(world.objects(BUCKET).await.is_empty());
    ben.hears_nothing().await;
    let gone = world.get(&format!("/files/{}?userId=ana", upload.id)).await;
    assert_eq!(gone.refusal(), (404, "FILE_NOT_FOUND", ""));

    // What was refused stays refused, and is told once.
    assert_eq!(upload.puts(&world, b"good").await, 200);
    world.has_called("ObjectCreated", 2).await;
    assert!(world.objects(BUCKET).await.is_empty());
    ana.hears_nothing().await;
    ben.hears_nothing().await;
}

#[tokio::test]
async fn uploads_after_a_close_or_leave_are_deleted_silently() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let tea = ana.creates_room(&["ben"]).await;
    let coffee = ana.creates_room(&["ben"]).await;
    let in_tea = Upload::of(&ana.ask(announcement(&tea, "a.txt", 4)).await);
    let in_coffee = Upload::of(&ben.ask(announcement(&coffee, "a.txt", 4)).await);
    ana.ask(json!({ "action": "closeRoom", "roomId": tea })).await;
    ben.ask(json!({ "action": "leaveRoom", "roomId": coffee })).await;
    ana.hears("left").await;
    for heard in ["joined", "joined", "room-closed"] {
        ben.hears(heard).await;
    }

    assert_eq!(in_tea.puts(&world, b"late").await, 200);
    assert_eq!(in_coffee.puts(&world, b"gone").await, 200);
    world.has_called("ObjectCreated", 2).await;
    assert!(world.objects(BUCKET).await.is_empty());
    assert_eq!(in_tea.puts(&world, b"more").await, 200);
    world.has_called("ObjectCreated", 3).await;

    assert!(world.objects(BUCKET).await.is_empty());
    ana.hears_nothing().await;
    ben.hears_nothing().await;
    let refused = ana.is_refused(announcement(&tea, "a.txt", 4)).await;
    assert_eq!(refused, (410, "ROOM_CLOSED".to_owned()));
}

#[tokio::test]
async fn an_interrupted_announcement_is_finished_by_the_next_event() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let tea = ana.creates_room(&["ben"]).await;
    ben.hears("joined").await;
    let message = uploaded(&world, &mut ana, &mut ben, &tea, "a.txt", b"once").await;
    world.has_called("ObjectCreated", 1).await;
    let key = world.objects(BUCKET).await.remove(0);
    world.marks_file_unannounced(message["file"]["fileId"].as_str().unwrap()).await;

    world.repeats_object_event(BUCKET, &key).await;

    assert_eq!(ben.hears("message").await, message);
}

#[tokio::test]
async fn a_file_is_announced_after_a_failed_invocation_is_retried() {
    let faults = Faults::seeded(1);
    let world = World::changed(&[], |options| Options { faults: faults.clone(), ..options }).await;
    let mut ana = world.connect("ana").await;
    let tea = ana.creates_room(&[]).await;
    let upload = Upload::of(&ana.ask(announcement(&tea, "a.txt", 4)).await);

    faults.follow(Plan { store_throttled: 1000, ..Plan::default() });
    assert_eq!(upload.puts(&world, b"good").await, 200);
    let line = world.logs(|line| line["route"] == "ObjectCreated").await;
    assert_eq!(line["status"], 503);
    faults.follow(Plan::default());

    assert_eq!(ana.hears("message").await["file"]["fileId"], json!(upload.id));
}

#[tokio::test]
async fn a_hundred_files_are_announced_despite_late_repeated_and_slow_events() {
    let faults = Faults::seeded(1);
    let world = World::changed(&[], |options| Options { faults: faults.clone(), ..options }).await;
    let slowly = Latency { median_ms: 50.0, sigma: 1.0 };
    for plan in [
        Plan { event_late: 1000, ..Plan::default() },
        Plan { event_repeated: 1000, ..Plan::default() },
        Plan { file_latency: slowly, ..Plan::default() },
    ] {
        let mut ana = world.connect("ana").await;
        let tea = ana.creates_room(&[]).await;
        faults.follow(plan);

        let mut uploads = Vec::new();
        for number in 0..100 {
            uploads.push(Upload::of(&ana.ask(announcement(&tea, &format!("{number}.txt"), 4)).await));
        }
        let put = future::join_all(uploads.iter().map(|upload| upload.puts(&world, b"good"))).await;

        assert_eq!(put, [200; 100]);
        let mut told = BTreeMap::new();
        while told.len() < 100 {
            let message = ana.hears("message").await;
            let id = message["file"]["fileId"].as_str().unwrap().to_owned();
            let seq = message["seq"].clone();
            assert_eq!(told.entry(id).or_insert_with(|| seq.clone()), &seq, "told twice");
        }
        assert_eq!(world.rows_with("Messages", "roomId", &tea).await, 100);
        faults.follow(Plan::default());
        ana.closes().await;
    }
}

#[tokio::test]
async fn s3_test_events_and_cors_preflights_are_answered() {
    let world = World::start().await;
    let test = json!({
        "Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-11-21T11:33:07.000Z",
        "Bucket": BUCKET, "RequestId": "5582815E1AEA5ADF", "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR+"
    });
    world.sends_event(test).await;
    assert_eq!(world.logs(|line| line["route"] == "ObjectCreated").await["status"], 200);

    let mut ana = world.connect("ana").await;
    let tea = ana.creates_room(&[]).await;
    let upload = Upload::of(&ana.ask(announcement(&tea, "a.txt", 4)).await);
    let asked = [
        ("origin", "https://chat.example"),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "content-type,if-none-match"),
    ];
    let preflight = world.fetch("OPTIONS", &upload.url, &asked, Bytes::new()).await;
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (200, "https://chat.example"));
    assert_eq!(preflight.header("access-control-allow-headers"), "content-type,if-none-match");
    assert!(preflight.header("access-control-allow-methods").contains("PUT"));
    let put = upload.with("origin", "https://chat.example");
    let headers: Vec<_> = put.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let answer = world.fetch("PUT", &put.url, &headers, Bytes::from_static(b"good")).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, "https://chat.example"));
}

#[tokio::test]
async fn files_expire_with_messages_and_pending_ones_after_a_day() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let tea = ana.creates_room(&["ben"]).await;
    ben.hears("joined").await;
    let never = Upload::of(&ana.ask(announcement(&tea, "never.txt", 4)).await);
    let message = uploaded(&world, &mut ana, &mut ben, &tea, "a.txt", b"here").await;
    let path = path_of(&message, &world);
    let ttl_of = async |id: &str| -> i64 {
        let rows = world.rows("Files").await;
        let row = rows.iter().find(|row| row["fileId"].as_s().unwrap() == id).unwrap();
        row["ttl"].as_n().unwrap().parse().unwrap()
    };
    let days = ttl_of(message["file"]["fileId"].as_str().unwrap()).await - ttl_of(&never.id).await;
    assert!((days - 29 * 86_400).abs() < 60, "{days} seconds between the two");

    world.time_passes(29 * 86_400);
    world.applies_lifecycle().await;
    assert_eq!(world.objects(BUCKET).await.len(), 1);
    assert_eq!(world.get(&format!("{path}?userId=ben")).await.status, 307);
    world.time_passes(86_400 + 60);
    world.applies_lifecycle().await;
    assert!(world.objects(BUCKET).await.is_empty());
    assert_eq!(world.get(&format!("{path}?userId=ben")).await.status, 404);
}

#[tokio::test]
async fn large_files_bypass_the_function() {
    const SIZE: usize = 20 * 1024 * 1024;

    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let tea = ana.creates_room(&["ben"]).await;
    ben.hears("joined").await;
    let bytes: Vec<u8> = (0..SIZE).map(|at| (at / 7) as u8).collect();

    let message = uploaded(&world, &mut ana, &mut ben, &tea, "big.bin", &bytes).await;

    let found = world.get(&format!("{}?userId=ben", path_of(&message, &world))).await;
    let got = world.fetch("GET", found.header("location"), &[], Bytes::new()).await;
    assert!(got.bytes == bytes, "other bytes");
    for id in world.function_processes() {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kilobytes: usize = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kilobytes < 100 * 1024, "a function process took {kilobytes} kB");
    }
}

#[tokio::test]
async fn one_of_two_concurrent_uploads_to_an_address_succeeds() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let tea = ana.creates_room(&[]).await;
    let upload = Upload::of(&ana.ask(announcement(&tea, "a.txt", 4)).await);

    let (one, other) = tokio::join!(upload.puts(&world, b"this"), upload.puts(&world, b"that"));

    assert_eq!([one, other].iter().filter(|status| **status == 200).count(), 1, "{one} and {other}");
    assert_eq!(ana.hears("message").await["seq"], 1);
    tokio::time::timeout(Duration::from_secs(20), world.has_called("ObjectCreated", 1)).await.unwrap();
    ana.hears_nothing().await;
}

#[tokio::test]
async fn a_file_whose_extension_does_not_go_with_its_type_is_refused() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    for (name, content_type) in [("invoice.exe", "image/png"), ("cat.jpg", "image/png"), ("a.html", "text/plain")] {
        let frame = json!({
            "action": "handleFileUpload", "roomId": "lobby", "fileName": name, "contentType": content_type, "size": 5
        });
        let refused = ana.ask(frame).await;
        assert_eq!((&refused["code"], &refused["field"]), (&json!("INVALID_FIELD"), &json!("fileName")), "{refused}");
    }
    assert!(world.rows("Files").await.is_empty());
}

#[tokio::test]
async fn a_program_that_was_announced_as_an_image_is_deleted_and_its_sender_told() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let tea = ana.creates_room(&["ben"]).await;
    ben.hears("joined").await;
    let program = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0";

    let upload = Upload::of(&ana.ask(announcement(&tea, "cat.png", program.len())).await);
    assert_eq!(upload.puts(&world, program).await, 200);

    let refused = ana.hears("error").await;
    assert_eq!((&refused["code"], &refused["fileId"]), (&json!("UPLOAD_MISMATCH"), &json!(upload.id)));
    ben.hears_nothing().await;
    assert!(world.objects(BUCKET).await.is_empty());
    // A real one of any length is heard.
    uploaded(&world, &mut ana, &mut ben, &tea, "cat.png", PNG).await;
    uploaded(&world, &mut ana, &mut ben, &tea, "tool.bin", program).await;
}

#[tokio::test]
async fn a_name_from_a_token_is_marked_as_verified_in_messages_and_files() {
    let world = World::with_tokens().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let named = token(&json!({ "sub": "ana", "name": "Ana A.", "iat": now }));
    let nameless = token(&json!({ "sub": "ben", "iat": now }));
    let mut ana = world.open(&format!("?token={named}&roomId=tea&format=native")).await.unwrap();
    let mut ben = world.open(&format!("?token={nameless}&roomId=tea&userName=Ana%20A.&format=native")).await.unwrap();

    ana.says("tea", "I am Ana").await;
    assert_eq!(ben.hears("message").await["nameVerified"], true);
    let file = uploaded(&world, &mut ana, &mut ben, "tea", "a.png", PNG).await;
    assert_eq!((&file["userName"], &file["nameVerified"]), (&json!("Ana A."), &json!(true)));
    ben.says("tea", "so am I").await;
    let message = ana.hears("message").await;
    assert_eq!((&message["userName"], message.get("nameVerified")), (&json!("Ana A."), None));
    let file = uploaded(&world, &mut ben, &mut ana, "tea", "a.png", PNG).await;
    assert_eq!(file.get("nameVerified"), None);
}

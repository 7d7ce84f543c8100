//! One case: a fresh room with its members, and what goes wrong in it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::types::AttributeValue;

use serde_json::{Value, json};
use switchboard::domain::Timestamp;
use switchboard::local::faults::{Faults, HoldAtRequest, KillAtRequest, Moment, Plan};
use tokio::time::sleep;

use crate::client::Client;
use crate::generate;
use crate::harness::World;
use crate::scenarios::Scenario;

pub const BUCKET: &str = "switchboard-uploads";
/// A room that is older than this and silent is closed by the sweep.
const IDLE_SECONDS: u64 = 1_860;
/// After that the sweep has nothing left to do for a room that was closed.
const AFTERMATH_SECONDS: u64 = 3_700;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Host,
    Ben,
    Dora,
}

/// What goes wrong at the request to AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Killed(Moment),
    /// The response is held back while somebody else acts.
    Held(Adversary),
    /// The request is held back while somebody else acts.
    Delayed(Adversary),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adversary {
    Remove,
    Ban,
    Close,
    /// Carl sends a message.
    Write,
    /// The same request once more.
    Copy,
    /// A backend disconnects the user, and blocks them.
    Revoke,
}

impl Mode {
    pub const ALL: [Self; 10] = [
        Self::Killed(Moment::Before),
        Self::Killed(Moment::After),
        Self::Killed(Moment::AnswerLost),
        Self::Held(Adversary::Remove),
        Self::Held(Adversary::Ban),
        Self::Held(Adversary::Close),
        Self::Held(Adversary::Write),
        Self::Held(Adversary::Copy),
        Self::Held(Adversary::Revoke),
        // A removal within the delay is answered before the request has its effect: nothing can prevent that.
        Self::Delayed(Adversary::Write),
    ];

    /// Whether it is of interest for a route: who is blocked cannot repeat what they asked.
    pub fn concerns(self, route: &str) -> bool {
        // They make many requests, and nobody waits for them.
        if [switchboard::actions::ERASE, switchboard::actions::EXPORT].contains(&route) {
            return matches!(self, Self::Killed(_) | Self::Held(Adversary::Copy));
        }
        self != Self::Held(Adversary::Revoke) || route == switchboard::actions::CONNECT
    }

    pub fn plan(self, route: &str, request: u32) -> Plan {
        let route = route.to_owned();
        match self {
            Self::Killed(moment) => {
                Plan { kill_at_request: Some(KillAtRequest { route, request, moment }), ..Plan::default() }
            }
            Self::Held(_) | Self::Delayed(_) => {
                let before = matches!(self, Self::Delayed(_));
                Plan { hold_at_request: Some(HoldAtRequest { route, request, before }), ..Plan::default() }
            }
        }
    }
}

/// The latitude of a case's rooms: the rooms at one place are limited.
fn place_of(number: u32) -> f64 {
    f64::from(number % 160) / 2.0
}

/// The ids of the users of a case.
pub struct Names {
    pub host: String,
    pub ben: String,
    pub carl: String,
    pub dora: String,
}

/// What the cases of a route share.
pub struct Stage {
    pub world: World,
    pub faults: Faults,
    pub tables: aws_sdk_dynamodb::Client,
}

/// A room with its owner on two devices, two members, and Dora outside.
pub struct Case<'a> {
    pub world: &'a World,
    pub faults: &'a Faults,
    pub tables: &'a aws_sdk_dynamodb::Client,
    pub scenario: Scenario,
    /// Who sends the request.
    pub caller: Who,
    pub number: u32,
    pub room: String,
    pub names: Names,
    pub host: Client,
    pub host_device: Client,
    pub ben: Client,
    pub carl: Client,
    pub dora: Client,
    /// What was seen.
    pub seen: Seen,
}

#[derive(Default)]
pub struct Seen {
    /// The final answers to the request, as frames or HTTP bodies, in order.
    pub answers: Vec<Value>,
    /// A removal of the subject, or the closing of the room, that was answered with success, and the messages after it.
    pub answered: Option<Adversary>,
    /// The `seq` of the messages that Carl sent after that.
    pub later: Vec<u64>,
    pub violations: Vec<String>,
}

impl Seen {
    /// Whether the removal of the subject was answered.
    pub fn is_removed(&self) -> bool {
        matches!(self.answered, Some(Adversary::Remove | Adversary::Ban))
    }
}

impl<'a> Case<'a> {
    pub async fn new(stage: &'a Stage, (scenario, caller): (Scenario, Who), number: u32) -> Self {
        let Stage { world, faults, tables } = stage;
        let name = |user: &str| format!("{user}-{number}");
        let names = Names { host: name("host"), ben: name("ben"), carl: name("carl"), dora: name("dora") };
        let mut host = Client::open(world, &names.host, "").await.expect("the host connects");
        let host_device = Client::open(world, &names.host, "").await.expect("the host connects");
        let mut ben = Client::open(world, &names.ben, "").await.expect("Ben connects");
        let mut carl = Client::open(world, &names.carl, "").await.expect("Carl connects");
        let dora = Client::open(world, &names.dora, "").await.expect("Dora connects");
        let room = if scenario.route == switchboard::actions::SWEEP {
            create_swept_room(world, &names, place_of(number), [&mut ben, &mut carl]).await
        } else {
            create_room(&mut host, "public", &names).await
        };
        let mut case = Self {
            world,
            faults,
            tables,
            scenario,
            caller,
            number,
            room,
            names,
            host,
            host_device,
            ben,
            carl,
            dora,
            seen: Seen::default(),
        };
        case.carl_says("before").await;
        case
    }

    /// Whom an adversary removes: who sends the request, unless that is the owner.
    pub fn subject(&self) -> Who {
        if self.caller == Who::Host { Who::Ben } else { self.caller }
    }

    pub fn id_of(&self, who: Who) -> String {
        match who {
            Who::Host => &self.names.host,
            Who::Ben => &self.names.ben,
            Who::Dora => &self.names.dora,
        }
        .clone()
    }

    pub fn message_id(&self) -> String {
        format!("id-{}", self.number)
    }

    pub fn now(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(now.as_millis()).unwrap_or_default()
    }

    /// A frame as the event of a fan-out has it.
    pub fn publication(&self) -> Value {
        let frame = json!({ "type": "typing", "roomId": self.room, "userId": self.names.host, "userName": "host",
            "isTyping": true, "at": Timestamp::from_millis(self.now()).to_iso() });
        json!({ "frame": frame.to_string(), "forOwn": null, "except": "nobody", "hasFile": false, "isLast": false })
    }

    /// A message of a user. Returns its seq.
    pub async fn says(&mut self, who: Who) -> Value {
        let frame = json!({ "action": "sendMessage", "roomId": self.room, "content": "to be changed" });
        self.client(who).insist(&frame).await.expect("a message is written")["seq"].clone()
    }

    pub fn client(&mut self, who: Who) -> &mut Client {
        match who {
            Who::Host => &mut self.host,
            Who::Ben => &mut self.ben,
            Who::Dora => &mut self.dora,
        }
    }

    /// Carl sends a message and returns its `seq`, unless the room is closed.
    pub async fn carl_says(&mut self, content: &str) -> Option<u64> {
        let content = format!("{content}-{}", self.number);
        let frame = json!({ "action": "sendMessage", "roomId": self.room, "content": content });
        self.carl.insist(&frame).await?["seq"].as_u64()
    }

    /// The row that says that Ben is to be erased.
    pub async fn begins_erasure(&self) {
        let number = |number: i64| AttributeValue::N(number.to_string());
        let put = self.tables.put_item().table_name("Messages");
        let put = put.item("roomId", AttributeValue::S("\u{1}erasures".to_owned()));
        let put = put.item("messageId", AttributeValue::S(self.names.ben.clone()));
        put.item("startedAt", number(self.now())).item("leasedUntil", number(0)).send().await.unwrap();
    }

    /// The row that says that Ben's data is to be exported.
    pub async fn begins_export(&self) {
        let number = |number: i64| AttributeValue::N(number.to_string());
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let (ben, now) = (&self.names.ben, self.now());
        let key = format!("{}#an-export", switchboard::domain::hash(&[ben]));
        let put = self.tables.put_item().table_name("Messages");
        let put = put.item("roomId", text("\u{1}exports")).item("messageId", text(&key));
        let put = put.item("userId", text(ben)).item("exportId", text("an-export")).item("startedAt", number(now));
        put.item("leasedUntil", number(0)).item("ttl", number(now / 1000 + 86_400)).send().await.unwrap();
    }

    /// Waits until Ben is erased, or exported; what is cut off the sweep finds.
    pub async fn is_done(&self, what: &str) -> bool {
        let path = format!("/admin/users/{}/{what}", self.names.ben);
        for _ in 0..3 {
            let until = Instant::now() + Duration::from_secs(20);
            while Instant::now() < until {
                let answer = self.world.admin("GET", &path, Value::Null).await;
                if answer.body["status"] == "done" {
                    return true;
                }
                sleep(Duration::from_millis(20)).await;
            }
            self.world.time_passes(61);
            self.world.runs_sweep().await;
        }
        false
    }

    pub async fn creates_invite(&self) -> String {
        let path = format!("/rooms/{}/invites", self.room);
        let made = self.world.post(&path, json!({ "userId": self.names.host })).await;
        made.body["invite"].as_str().expect("an invite").to_owned()
    }

    /// The room has been silent for so long that the sweep closes it.
    pub fn idles(&self) {
        self.world.time_passes(IDLE_SECONDS);
    }

    /// The case goes on in a private room with the same members.
    pub async fn moves_to_private_room(&mut self) {
        self.room = create_room(&mut self.host, "private", &self.names).await;
        self.carl_says("before").await;
    }

    async fn announces(&mut self) -> Value {
        // A file of a generated request is announced by such a request.
        let frame = Box::pin(generate::frame(self, "handleFileUpload")).await;
        self.ben.insist(&frame).await.expect("an upload")
    }

    /// Ben announces a file; the key of its object.
    pub async fn announces_file(&mut self) -> String {
        let upload = self.announces().await;
        let url = upload["uploadUrl"].as_str().expect("a URL");
        let path = url.split_once("//").and_then(|(_, rest)| rest.split_once('/')).expect("a path").1;
        let key = path.split('?').next().and_then(|path| path.split_once('/')).expect("a key").1;
        key.to_owned()
    }

    /// Ben uploads a file; its id.
    pub async fn uploads_file(&mut self) -> String {
        let upload = self.announces().await;
        self.puts(&upload).await;
        upload["fileId"].as_str().expect("an id").to_owned()
    }

    /// Uploads to a presigned URL, and waits for the event of the object.
    pub async fn puts(&self, upload: &Value) {
        let headers = upload["headers"].as_object().expect("headers");
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
        let before = self.handled("ObjectCreated");
        let url = upload["uploadUrl"].as_str().expect("a URL");
        let status = self.world.fetch("PUT", url, &headers, "x".into()).await.status;
        if status == 200 {
            self.world.has_called("ObjectCreated", before + 1).await;
        }
    }

    pub fn handled(&self, route: &str) -> usize {
        self.world.log().iter().filter(|line| line["route"] == route).count()
    }

    /// Carl says one more thing, and everybody receives what there is. Returns its `seq`, unless the room is closed.
    pub async fn ends(&mut self) -> Option<u64> {
        let seq = self.carl_says("in the end").await;
        for client in [&mut self.host, &mut self.host_device, &mut self.ben, &mut self.carl, &mut self.dora] {
            client.catches_up().await;
        }
        seq
    }
}

/// A room of the host, Ben and Carl.
async fn create_room(host: &mut Client, room_type: &str, names: &Names) -> String {
    let frame = json!({ "action": "createRoom", "roomType": room_type, "members": [names.ben, names.carl] });
    let created = host.insist(&frame).await.expect("the room is created");
    created["roomId"].as_str().expect("a room").to_owned()
}

/// A room that the sweep closes, where that visits no room of an earlier case.
async fn create_swept_room(world: &World, names: &Names, latitude: f64, members: [&mut Client; 2]) -> String {
    world.time_passes(AFTERMATH_SECONDS);
    world.runs_sweep().await;
    let room = world.posts_room(&names.host, latitude, 1.0).await;
    for member in members {
        member.insist(&json!({ "action": "joinRoom", "roomId": room })).await.expect("a member joins");
    }
    room
}

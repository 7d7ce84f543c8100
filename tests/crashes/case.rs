//! One case: a fresh room, a request that crashes or waits at one of its requests to AWS, and what follows.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use switchboard::local::faults::{Faults, HoldAtRequest, KillAtRequest, Moment, Outcome, Plan};
use tokio::time::timeout;

use crate::client::Client;
use crate::harness::{Answer, World};
use crate::scenarios::{self, Request};

pub const BUCKET: &str = "switchboard-uploads";
/// A room that is older than this and silent is closed by the sweep.
pub const IDLE_SECONDS: u64 = 1_860;
/// How often a request is repeated after internal failures.
const REPEATS: usize = 5;
/// How long an invocation may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, PartialEq, Eq)]
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adversary {
    Remove,
    Ban,
    Close,
    /// The same request once more.
    Copy,
}

impl Mode {
    pub const ALL: [Self; 7] = [
        Self::Killed(Moment::Before),
        Self::Killed(Moment::After),
        Self::Killed(Moment::AnswerLost),
        Self::Held(Adversary::Remove),
        Self::Held(Adversary::Ban),
        Self::Held(Adversary::Close),
        Self::Held(Adversary::Copy),
    ];

    fn plan(self, route: &str, request: u32) -> Plan {
        let route = route.to_owned();
        match self {
            Self::Killed(moment) => {
                Plan { kill_at_request: Some(KillAtRequest { route, request, moment }), ..Plan::default() }
            }
            Self::Held(_) => Plan { hold_at_request: Some(HoldAtRequest { route, request }), ..Plan::default() },
        }
    }
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
    pub route: &'static str,
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

impl<'a> Case<'a> {
    pub async fn new(stage: &'a Stage, route: &'static str, number: u32) -> Self {
        let Stage { world, faults, tables } = stage;
        let name = |user: &str| format!("{user}-{number}");
        let names = Names { host: name("host"), ben: name("ben"), carl: name("carl"), dora: name("dora") };
        let mut host = Client::open(world, &names.host, "").await.expect("the host connects");
        let host_device = Client::open(world, &names.host, "").await.expect("the host connects");
        let mut ben = Client::open(world, &names.ben, "").await.expect("Ben connects");
        let mut carl = Client::open(world, &names.carl, "").await.expect("Carl connects");
        let dora = Client::open(world, &names.dora, "").await.expect("Dora connects");
        let room = if route == switchboard::actions::SWEEP {
            world.posts_room(&names.host, 1.0, 1.0).await
        } else {
            let created = host.insist(&json!({ "action": "createRoom" })).await.expect("the room is created");
            created["roomId"].as_str().expect("a room").to_owned()
        };
        for member in [&mut ben, &mut carl] {
            member.insist(&json!({ "action": "joinRoom", "roomId": room })).await.expect("a member joins");
        }
        let mut case = Self {
            world,
            faults,
            tables,
            route,
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
            "isTyping": true });
        json!({ "frame": frame.to_string(), "forOwn": null, "except": "nobody", "hasFile": false, "isLast": false })
    }

    pub fn client(&mut self, who: Who) -> &mut Client {
        match who {
            Who::Host => &mut self.host,
            Who::Ben => &mut self.ben,
            Who::Dora => &mut self.dora,
        }
    }

    /// Carl sends a message and returns its `seq`, unless the room is closed.
    async fn carl_says(&mut self, content: &str) -> Option<u64> {
        let content = format!("{content}-{}", self.number);
        let frame = json!({ "action": "sendMessage", "roomId": self.room, "content": content });
        self.carl.insist(&frame).await?["seq"].as_u64()
    }

    pub async fn creates_invite(&self) -> String {
        let path = format!("/rooms/{}/invites", self.room);
        let made = self.world.post(&path, json!({ "userId": self.names.host })).await;
        made.body["invite"].as_str().expect("an invite").to_owned()
    }

    /// Ben announces a file; the key of its object.
    pub async fn announces_file(&mut self) -> String {
        let upload = self.ben.insist(&scenarios::announcement(&self.room)).await.expect("an upload");
        let url = upload["uploadUrl"].as_str().expect("a URL");
        let path = url.split_once("//").and_then(|(_, rest)| rest.split_once('/')).expect("a path").1;
        let key = path.split('?').next().and_then(|path| path.split_once('/')).expect("a key").1;
        key.to_owned()
    }

    /// Ben uploads a file; its id.
    pub async fn uploads_file(&mut self) -> String {
        let upload = self.ben.insist(&scenarios::announcement(&self.room)).await.expect("an upload");
        self.puts(&upload).await;
        upload["fileId"].as_str().expect("an id").to_owned()
    }

    /// Uploads to a presigned URL, and waits for the event of the object.
    async fn puts(&self, upload: &Value) {
        let headers = upload["headers"].as_object().expect("headers");
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
        let before = self.handled("ObjectCreated");
        let url = upload["uploadUrl"].as_str().expect("a URL");
        let status = self.world.fetch("PUT", url, &headers, "x".into()).await.status;
        if status == 200 {
            self.world.has_called("ObjectCreated", before + 1).await;
        }
    }

    fn handled(&self, route: &str) -> usize {
        self.world.log().iter().filter(|line| line["route"] == route).count()
    }

    /// Runs the request with the fault at its request number `request`. Returns the request to AWS at which the fault
    /// struck, or `None` if the invocation ended before.
    pub async fn run(&mut self, mode: Mode, request: u32) -> Option<String> {
        let route = self.route;
        let asked = scenarios::prepare(self, route).await.expect("a scenario");
        if let Request::Sweep = asked {
            self.world.time_passes(IDLE_SECONDS);
        }
        self.faults.follow(mode.plan(route, request));
        let struck = match mode {
            Mode::Killed(_) => {
                self.performs(&asked).await;
                self.outcome(mode).await
            }
            Mode::Held(adversary) => self.performs_held(&asked, adversary).await,
        };
        self.faults.follow(Plan::default());
        match struck {
            Ok(Outcome::Struck(what)) => {
                self.goes_on(&asked, mode).await;
                Some(what)
            }
            Ok(Outcome::NotReached(0)) if matches!(asked, Request::FanOut(_) | Request::ObjectCreated(_)) => {
                self.seen.violations.push("the event made no request".to_owned());
                None
            }
            Ok(Outcome::NotReached(_)) => None,
            Err(why) => {
                self.seen.violations.push(why);
                None
            }
        }
    }

    async fn outcome(&self, mode: Mode) -> Result<Outcome, String> {
        let requests = self.faults.requests();
        let outcome = async {
            match mode {
                Mode::Killed(_) => requests.killed().await,
                Mode::Held(_) => requests.held().await,
            }
        };
        timeout(PATIENCE, outcome).await.map_err(|_| "the route was not invoked".to_owned())
    }

    /// Runs the request, which may fail.
    async fn performs(&mut self, asked: &Request) {
        let answer = match asked {
            Request::Frame(who, frame) => self.client(*who).ask(frame).await,
            Request::Quiet(who, frame) => {
                self.client(*who).send(frame).await;
                None
            }
            Request::Disconnect => {
                self.ben.closes().await;
                None
            }
            Request::Connect(query) => {
                self.connects(query).await;
                None
            }
            background_or_http => self.background(background_or_http).await,
        };
        self.seen.answers.extend(answer);
    }

    async fn connects(&mut self, query: &str) -> bool {
        match Client::open(self.world, &self.names.dora.clone(), query).await {
            Some(mut client) => {
                client.heard.append(&mut self.dora.heard);
                self.dora = client;
                true
            }
            None => false,
        }
    }

    /// Runs a request that needs no socket.
    async fn background(&self, asked: &Request) -> Option<Value> {
        match asked {
            Request::Http("POST", path, body) => Some(answer_of(&self.world.post(path, body.clone()).await)),
            Request::Http("DELETE", path, _) => Some(answer_of(&self.world.delete(path).await)),
            Request::Http(_, path, _) => Some(answer_of(&self.world.get(path).await)),
            Request::ObjectCreated(key) => {
                let before = self.handled("ObjectCreated");
                self.world.puts_object(BUCKET, key, b"x").await;
                scenarios::repeat_object_event(self, key).await;
                self.world.has_called("ObjectCreated", before + 2).await;
                None
            }
            Request::Sweep => {
                self.world.runs_sweep().await;
                None
            }
            Request::FanOut(event) => {
                self.world.sends_event(event.clone()).await;
                None
            }
            _ => None,
        }
    }

    /// Runs the request, and lets the adversary act while it is held.
    async fn performs_held(&mut self, asked: &Request, adversary: Adversary) -> Result<Outcome, String> {
        let mode = Mode::Held(adversary);
        let pending = match asked {
            Request::Frame(who, frame) | Request::Quiet(who, frame) => {
                Some((*who, self.client(*who).send(frame).await))
            }
            Request::Disconnect => {
                self.ben.closes().await;
                None
            }
            _ => None,
        };
        let is_quiet = matches!(asked, Request::Quiet(..));
        if pending.is_some() || matches!(asked, Request::Disconnect) {
            let outcome = self.outcome(mode).await?;
            if let Outcome::Struck(_) = outcome {
                self.acts(asked, adversary).await;
            }
            self.faults.requests().release();
            if let Some((who, id)) = pending.filter(|_| !is_quiet) {
                let answer = self.client(who).answer(&id).await;
                self.seen.answers.extend(answer);
            }
            return Ok(outcome);
        }
        self.performs_aside(asked, adversary).await
    }

    /// As `performs_held`, for a request that needs no socket of the case.
    async fn performs_aside(&mut self, asked: &Request, adversary: Adversary) -> Result<Outcome, String> {
        let (world, faults, name) = (self.world, self.faults, self.names.dora.clone());
        let aside = Aside { world, asked: asked.clone(), user: name };
        let run = aside.run();
        let act = async {
            let outcome = self.outcome(Mode::Held(adversary)).await;
            if let Ok(Outcome::Struck(_)) = outcome {
                self.acts(asked, adversary).await;
            }
            faults.requests().release();
            outcome
        };
        let ((answer, opened), outcome) = tokio::join!(run, act);
        self.seen.answers.extend(answer);
        if let Some(mut client) = opened {
            client.heard.append(&mut self.dora.heard);
            self.dora = client;
        }
        outcome
    }

    /// The adversary acts, and Carl says something after that was answered.
    async fn acts(&mut self, asked: &Request, adversary: Adversary) {
        let subject = scenarios::subject(self.route);
        let user = self.client(subject).user.clone();
        let frame = match adversary {
            Adversary::Remove => json!({ "action": "removeMember", "roomId": self.room, "userId": user }),
            Adversary::Ban => json!({ "action": "banMember", "roomId": self.room, "userId": user }),
            Adversary::Close => json!({ "action": "closeRoom", "roomId": self.room }),
            Adversary::Copy => return self.copies(asked).await,
        };
        let answer = self.host_device.insist(&frame).await;
        match answer {
            Some(answer) if answer["type"] == "ack" => {
                self.seen.answered = Some(adversary);
                let seq = self.carl_says("after").await;
                self.seen.later.extend(seq);
            }
            Some(_) => {}
            None => self.seen.violations.push(format!("{adversary:?} had no answer")),
        }
    }

    /// A second copy of the same event.
    async fn copies(&mut self, asked: &Request) {
        let answer = match asked {
            Request::Frame(who, frame) => self.client(*who).insist(frame).await,
            Request::Quiet(who, frame) => {
                self.client(*who).send(frame).await;
                None
            }
            Request::Connect(_) | Request::Disconnect => None,
            Request::ObjectCreated(key) => {
                scenarios::repeat_object_event(self, key).await;
                None
            }
            other => self.background(other).await,
        };
        self.seen.answers.extend(answer);
    }

    /// The world goes on: the request is repeated until it is answered, and the sweep runs.
    async fn goes_on(&mut self, asked: &Request, mode: Mode) {
        match asked {
            Request::Frame(who, frame) => match self.client(*who).insist(frame).await {
                Some(answer) => self.repeat_was_answered(answer, mode),
                None => self.seen.violations.push("every repeat failed".to_owned()),
            },
            Request::Http(..) => {
                let mut answer = json!({ "status": 500 });
                for _ in 0..REPEATS {
                    answer = self.background(asked).await.unwrap_or_default();
                    if answer["status"].as_u64().unwrap_or(0) < 500 {
                        break;
                    }
                }
                self.repeat_was_answered(answer, mode);
            }
            Request::Quiet(..) => self.performs(asked).await,
            Request::Connect(query) => {
                if matches!(mode, Mode::Killed(_)) && !self.connects(query).await {
                    self.seen.violations.push("every repeat of the handshake failed".to_owned());
                }
            }
            Request::Disconnect => {}
            Request::ObjectCreated(key) => scenarios::repeat_object_event(self, key).await,
            Request::Sweep | Request::FanOut(_) => self.performs(asked).await,
        }
        self.uploads_what_was_announced().await;
        self.world.time_passes(61);
        self.world.runs_sweep().await;
    }

    fn repeat_was_answered(&mut self, answer: Value, mode: Mode) {
        let status = answer["status"].as_u64().unwrap_or(0);
        let code = answer["code"].as_str().unwrap_or_default();
        let is_refused = status >= 400 && !scenarios::may_refuse_repeat(self.route, code);
        if status >= 500 || is_refused && matches!(mode, Mode::Killed(_)) {
            self.seen.violations.push(format!("the repeat was refused: {answer}"));
        }
        self.seen.answers.push(answer);
    }

    /// Uploads the files of all answers.
    async fn uploads_what_was_announced(&self) {
        for upload in self.seen.answers.iter().filter(|answer| answer["type"] == "upload") {
            self.puts(upload).await;
        }
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

/// A request that runs beside the sockets of a case.
struct Aside<'a> {
    world: &'a World,
    asked: Request,
    user: String,
}

impl Aside<'_> {
    async fn run(&self) -> (Option<Value>, Option<Client>) {
        let world = self.world;
        match &self.asked {
            Request::Http("POST", path, body) => (Some(answer_of(&world.post(path, body.clone()).await)), None),
            Request::Http("DELETE", path, _) => (Some(answer_of(&world.delete(path).await)), None),
            Request::Http(_, path, _) => (Some(answer_of(&world.get(path).await)), None),
            Request::Connect(query) => (None, Client::open(world, &self.user, query).await),
            Request::ObjectCreated(key) => {
                let is_handled = |line: &Value| line["route"] == "ObjectCreated";
                let before = world.log().iter().filter(|line| is_handled(line)).count();
                world.puts_object(BUCKET, key, b"x").await;
                world.has_called("ObjectCreated", before + 1).await;
                (None, None)
            }
            Request::Sweep => {
                world.runs_sweep().await;
                (None, None)
            }
            Request::FanOut(event) => {
                world.sends_event(event.clone()).await;
                (None, None)
            }
            Request::Frame(..) | Request::Quiet(..) | Request::Disconnect => (None, None),
        }
    }
}

/// The body of an HTTP answer, with its status where it is an error.
fn answer_of(answer: &Answer) -> Value {
    let mut body = answer.body.clone();
    if answer.status >= 400 {
        if !body.is_object() {
            body = json!({});
        }
        body["status"] = answer.status.into();
    }
    body
}

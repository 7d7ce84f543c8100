//! Runs the request of a case with its fault, and what follows: the adversary, the repeats, the sweep.

use std::time::Duration;

use serde_json::{Value, json};
use switchboard::local::faults::{Outcome, Plan};
use tokio::time::timeout;

use crate::case::{Adversary, BUCKET, Case, IDLE_SECONDS, Mode};
use crate::client::Client;
use crate::harness::{Answer, World};
use crate::scenarios::{self, Request};

/// How often a request is repeated after internal failures.
const REPEATS: usize = 5;
/// How long an invocation may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);

impl Case<'_> {
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

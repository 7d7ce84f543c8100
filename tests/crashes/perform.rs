//! Runs the request of a case with its fault, and what follows: the adversary, the repeats, the sweep.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use serde_json::{Value, json};
use switchboard::local::faults::{Outcome, Plan};
use tokio::time::{Instant, sleep_until, timeout};

use crate::case::{Adversary, BUCKET, Case, Mode};
use crate::checks;
use crate::client::Client;
use crate::harness::{Answer, World};
use crate::scenarios::Request;

/// How often a request is repeated after internal failures.
const REPEATS: usize = 5;
/// How long an invocation may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);
/// For so long a response is held back at least: the function trusts no membership that it read so long ago.
const HOLD: Duration = Duration::from_millis(400);

impl Case<'_> {
    /// Sends the request without a fault. Returns the answer where it is refused.
    pub async fn is_refused(&mut self) -> Option<Value> {
        let asked = self.scenario.prepare(self, self.caller).await;
        self.performs(&asked).await;
        self.seen.answers.pop().filter(|answer| answer["status"].as_u64().is_some_and(|status| status >= 400))
    }

    /// Runs the request with the fault at its request number `request`. Returns the request to AWS at which the fault
    /// struck, or `None` if the invocation ended before.
    pub async fn run(&mut self, mode: Mode, request: u32) -> Option<String> {
        let asked = self.scenario.prepare(self, self.caller).await;
        self.faults.follow(mode.plan(self.scenario.route, request));
        let struck = match mode {
            Mode::Killed(_) => {
                self.performs(&asked).await;
                self.outcome(mode).await
            }
            Mode::Held(adversary) | Mode::Delayed(adversary) => self.performs_held(&asked, adversary).await,
        };
        self.faults.follow(Plan::default());
        match struck {
            Ok(Outcome::Struck(what)) => {
                let violations = checks::of_the_removed(self).await;
                self.seen.violations.extend(violations);
                self.goes_on(&asked, mode).await;
                Some(what)
            }
            Ok(Outcome::NotReached(0)) if self.scenario.is_event() => {
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
                Mode::Held(_) | Mode::Delayed(_) => requests.held().await,
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
                let opened = Client::open(self.world, &self.names.dora, query).await;
                self.adopts(opened).await;
                None
            }
            Request::Written => {
                self.carl_says("for the stream").await;
                None
            }
            other => in_background(self.world, other).await,
        };
        self.seen.answers.extend(answer);
    }

    /// Dora goes on with a new connection, if there is one.
    async fn adopts(&mut self, opened: Option<Client>) -> bool {
        let Some(mut client) = opened else { return false };
        self.dora.catches_up().await;
        client.goes_on_for(&mut self.dora);
        self.dora = client;
        true
    }

    /// Runs the request, and lets the adversary act while it is held.
    async fn performs_held(&mut self, asked: &Request, adversary: Adversary) -> Result<Outcome, String> {
        match asked {
            Request::Frame(who, frame) => {
                let id = self.client(*who).send(frame).await;
                let outcome = self.acts_when_held(asked, adversary).await;
                let answer = self.client(*who).answer(&id).await;
                self.seen.answers.extend(answer);
                outcome
            }
            Request::Quiet(who, frame) => {
                self.client(*who).send(frame).await;
                self.acts_when_held(asked, adversary).await
            }
            Request::Disconnect => {
                self.ben.closes().await;
                self.acts_when_held(asked, adversary).await
            }
            Request::Connect(query) => {
                let (world, user) = (self.world, self.names.dora.clone());
                let acts = self.acts_when_held(asked, adversary);
                let (opened, outcome) = tokio::join!(Client::open(world, &user, query), acts);
                self.adopts(opened).await;
                outcome
            }
            Request::Written => {
                self.carl_says("for the stream").await;
                self.acts_when_held(asked, adversary).await
            }
            other => {
                let world = self.world;
                let acts = self.acts_when_held(asked, adversary);
                let (answer, outcome) = tokio::join!(in_background(world, other), acts);
                self.seen.answers.extend(answer);
                outcome
            }
        }
    }

    /// Waits until a response is held back, lets the adversary act, and releases it.
    async fn acts_when_held(&mut self, asked: &Request, adversary: Adversary) -> Result<Outcome, String> {
        let outcome = self.outcome(Mode::Held(adversary)).await;
        if let Ok(Outcome::Struck(_)) = outcome {
            let until = Instant::now() + HOLD;
            self.acts(asked, adversary).await;
            sleep_until(until).await;
        }
        self.faults.requests().release();
        outcome
    }

    /// The adversary acts, and Carl says something after that was answered.
    async fn acts(&mut self, asked: &Request, adversary: Adversary) {
        let user = self.id_of(self.subject());
        let frame = match adversary {
            Adversary::Remove => json!({ "action": "removeMember", "roomId": self.room, "userId": user }),
            Adversary::Ban => json!({ "action": "banMember", "roomId": self.room, "userId": user }),
            Adversary::Close => json!({ "action": "closeRoom", "roomId": self.room }),
            Adversary::Write => {
                self.carl_says("between").await;
                return;
            }
            Adversary::Copy => return self.copies(asked).await,
            Adversary::Revoke => return self.revokes(&user).await,
        };
        match self.host_device.insist(&frame).await {
            Some(answer) if answer["type"] == "ack" => {
                self.seen.answered = Some(adversary);
                let seq = self.carl_says("after").await;
                self.seen.later.extend(seq);
            }
            Some(_) => {}
            None => self.seen.violations.push(format!("{adversary:?} had no answer")),
        }
    }

    /// A backend revokes the user's tokens, and Carl says something after that was answered.
    async fn revokes(&mut self, user: &str) {
        let path = format!("/admin/users/{user}/disconnect");
        let answer = self.world.admin("POST", &path, json!({ "blockUntil": "2999-01-01T00:00:00Z" })).await;
        if answer.status != 200 {
            return self.seen.violations.push(format!("the revocation was answered {}", answer.text()));
        }
        self.seen.answered = Some(Adversary::Revoke);
        let seq = self.carl_says("after").await;
        self.seen.later.extend(seq);
    }

    /// A second copy of the same event.
    async fn copies(&mut self, asked: &Request) {
        let answer = match asked {
            Request::Frame(who, frame) => self.client(*who).insist(frame).await,
            Request::Quiet(who, frame) => {
                self.client(*who).send(frame).await;
                None
            }
            Request::Connect(_) | Request::Disconnect | Request::Written => None,
            Request::ObjectCreated(key) => {
                self.world.repeats_object_event(BUCKET, key).await;
                None
            }
            other => in_background(self.world, other).await,
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
                    answer = in_background(self.world, asked).await.unwrap_or_default();
                    if answer["status"].as_u64().unwrap_or(0) < 500 {
                        break;
                    }
                }
                self.repeat_was_answered(answer, mode);
            }
            Request::Connect(query) if matches!(mode, Mode::Killed(_)) => {
                let opened = Client::open(self.world, &self.names.dora, query).await;
                if !self.adopts(opened).await {
                    self.seen.violations.push("the repeat of the handshake failed".to_owned());
                }
            }
            Request::Connect(_) | Request::Disconnect => {}
            Request::ObjectCreated(key) => self.world.repeats_object_event(BUCKET, key).await,
            // Lambda repeats the batch.
            Request::Written => {}
            Request::Quiet(..) | Request::Sweep | Request::OwnEvent(_) => self.performs(asked).await,
        }
        self.uploads_what_was_announced().await;
        self.world.time_passes(61);
        self.world.runs_sweep().await;
    }

    fn repeat_was_answered(&mut self, answer: Value, mode: Mode) {
        let status = answer["status"].as_u64().unwrap_or(0);
        let code = answer["code"].as_str().unwrap_or_default();
        let is_refused = status >= 400 && !self.scenario.may_refuse_repeat(code);
        if status >= 500
            || is_refused && matches!(mode, Mode::Killed(_) | Mode::Held(Adversary::Write) | Mode::Delayed(_))
        {
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

/// Runs a request that needs no socket, and waits for its end.
async fn in_background(world: &World, asked: &Request) -> Option<Value> {
    match asked {
        Request::Http(method, path, body) if path.starts_with("/admin/") => {
            let body =
                if body.as_object().is_some_and(|fields| !fields.is_empty()) { body.clone() } else { Value::Null };
            // The same key for each repeat.
            let mut key = DefaultHasher::new();
            (path, body.to_string()).hash(&mut key);
            Some(answer_of(&world.admin_with_key(&key.finish().to_string(), method, path, body).await))
        }
        Request::Http("POST", path, body) => Some(answer_of(&world.post(path, body.clone()).await)),
        Request::Http("PATCH", path, body) => {
            let headers = [("content-type", "application/json")];
            Some(answer_of(&world.request("PATCH", path, &headers, body.clone()).await))
        }
        Request::Http("DELETE", path, _) => Some(answer_of(&world.delete(path).await)),
        Request::Http(_, path, _) => Some(answer_of(&world.get(path).await)),
        Request::ObjectCreated(key) => {
            let before = world.log().iter().filter(|line| line["route"] == "ObjectCreated").count();
            world.puts_object(BUCKET, key, b"x").await;
            world.has_called("ObjectCreated", before + 1).await;
            None
        }
        Request::Sweep => {
            world.runs_sweep().await;
            None
        }
        Request::OwnEvent(event) => {
            world.sends_event(event.clone()).await;
            None
        }
        Request::Frame(..) | Request::Quiet(..) | Request::Connect(_) | Request::Disconnect | Request::Written => None,
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

//! Removals and bans that race a request, one of whose requests to AWS is held back meanwhile.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use switchboard::local::Stack;
use switchboard::local::faults::{HoldAtRequest, Outcome, Plan};

use crate::checks::Tables;
use crate::client::Client;
use crate::place::Place;

const ROUTES: [&str; 4] = ["resume", "joinRoom", "getMessages", "sendMessage"];
/// No route has more requests before its answer.
const MOST_REQUESTS: u32 = 9;
/// Longer than a membership that was read is relied on.
const LATE: Duration = Duration::from_millis(300);
/// The first number of the users of this scene.
const FIRST: usize = 200;

pub async fn removals_race(stack: &Stack, place: &Arc<Place>, seed: u64, rounds: u32) -> Vec<String> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut violations = Vec::new();
    for round in 0..rounds {
        // One after the other, so that enough seeds have all of them.
        let case = u32::try_from(seed).unwrap_or_default().wrapping_mul(rounds).wrapping_add(round);
        let (route, case) = (ROUTES[case as usize % ROUTES.len()].to_owned(), case / 4);
        let (request, before) = (1 + case % MOST_REQUESTS, (case / MOST_REQUESTS).is_multiple_of(2));
        let hold = HoldAtRequest { route, request, before };
        let action = if rng.bool() { "removeMember" } else { "banMember" };
        let found = Race::new(place, seed, round).await.runs(stack, hold.clone(), action).await;
        violations.extend(found.into_iter().map(|violation| format!("5: {action} during {hold:?}: {violation}")));
    }
    violations
}

struct Race {
    owner: Client,
    victim: Client,
    room: String,
}

impl Race {
    async fn new(place: &Arc<Place>, seed: u64, round: u32) -> Self {
        let first = FIRST + 2 * round as usize;
        let mut owner = Client::new(first, seed, place);
        let victim = Client::new(first + 1, seed, place);
        let created = owner.asks("", json!({ "action": "createRoom" }), "room").await;
        let room = created.answer.unwrap()["roomId"].as_str().unwrap().to_owned();
        Self { owner, victim, room }
    }

    async fn says(&mut self, what: &str) -> u64 {
        let frame = json!({ "action": "sendMessage", "roomId": self.room, "content": what });
        self.owner.asks_until_answered(frame).await.answer.unwrap()["seq"].as_u64().unwrap()
    }

    async fn victim_asks(&mut self, mut frame: Value) -> Value {
        frame["roomId"] = json!(self.room);
        self.victim.asks_until_answered(frame).await.answer.unwrap()
    }

    async fn runs(mut self, stack: &Stack, hold: HoldAtRequest, action: &str) -> Vec<String> {
        let is_join = hold.route == "joinRoom";
        if !is_join {
            self.victim_asks(json!({ "action": "joinRoom" })).await;
        }
        self.says("[user-a-1] before").await;
        let (room, route, is_before) = (self.room.clone(), hold.route.clone(), hold.before);
        let request = match route.as_str() {
            "resume" => json!({ "action": route, "rooms": { &room: 0 } }),
            "sendMessage" => json!({ "action": route, "roomId": room, "content": "mine", "clientMessageId": "1" }),
            _ => json!({ "action": route, "roomId": room }),
        };
        stack.faults().follow(Plan { hold_at_request: Some(hold), index_lag_ms: 300, ..Plan::default() });
        let mut victim = self.victim;
        let asking = tokio::spawn(async move { (victim.asks_until_answered(request).await.answer.unwrap(), victim) });
        let is_held = matches!(stack.faults().requests().held().await, Outcome::Struck(_));
        let user = format!("user-{}", self.owner.number() + 1);
        let removal = json!({ "action": action, "roomId": room, "userId": user });
        let removed = self.owner.asks_until_answered(removal).await;
        tokio::time::sleep(LATE).await;
        let later = {
            let frame = json!({ "action": "sendMessage", "roomId": room, "content": "[user-a-2] after" });
            self.owner.asks_until_answered(frame).await.answer.unwrap()["seq"].as_u64().unwrap()
        };
        stack.faults().requests().release();
        let (answer, victim) = asking.await.unwrap();
        self.victim = victim;
        stack.faults().follow(Plan::default());
        self.says("[user-a-3] in the end").await;
        self.victim.asks_until_answered(json!({ "action": "ping" })).await;
        let outcome = if removed.success().is_some() { action } else { "nothing" };
        let race = Seen { answer: &answer, outcome, later, is_written_late: is_before && is_held };
        self.checks(stack, &race).await
    }

    async fn checks(mut self, stack: &Stack, race: &Seen<'_>) -> Vec<String> {
        let mut violations = Vec::new();
        let user = self.victim.record.user.clone();
        let is_member = Tables::read(stack).await.is_member(&self.room, &user);
        if race.outcome == "banMember" && is_member {
            violations.push("the banned user is a member".to_owned());
        }
        // A removal that found nobody may have come before the join.
        if race.outcome == "nothing" || is_member {
            return violations;
        }
        let answer = race.answer.to_string();
        if answer.contains("[user-a-2]") {
            violations.push(format!("the answer has what was sent later: {answer}"));
        }
        let late = ["[user-a-2]", "[user-a-3]"].map(str::to_owned);
        let heard = self.victim.record.deliveries.iter().filter(|one| late.contains(&one.content));
        violations.extend(heard.map(|one| format!("{user} heard {one:?}")));
        // A request that was under way already cannot be taken back.
        if race.answer["type"] == "message" && !race.is_written_late && race.answer["seq"].as_u64() > Some(race.later) {
            violations.push(format!("{user} has sent {answer} after {}", race.later));
        }
        for action in ["getMessages", "sendMessage"] {
            let mut frame = json!({ "action": action });
            if action == "sendMessage" {
                frame["content"] = json!("refused");
            }
            let answer = self.victim_asks(frame).await;
            if answer["type"] != "error" {
                violations.push(format!("{user} is removed and was answered {answer}"));
            }
        }
        let resume = json!({ "action": "resume", "rooms": { &self.room: 0 } });
        let resumed = self.victim.asks_until_answered(resume).await.answer.unwrap();
        if resumed["rooms"][&self.room]["error"].is_null() {
            violations.push(format!("{user} is removed and resumed {resumed}"));
        }
        violations
    }
}

/// What has come of a race.
struct Seen<'a> {
    answer: &'a Value,
    /// What was answered with success: the removal, the ban or `nothing`.
    outcome: &'a str,
    /// Where the message after it is.
    later: u64,
    is_written_late: bool,
}

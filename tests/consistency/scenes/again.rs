//! Rooms that are made again under the id of one that has expired, while faults are injected.
//!
//! TTL deletes rows late and in any order, each table on its own; so some rows of the earlier room are still there.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use switchboard::local::{Stack, clients};

use crate::client::Client;
use crate::harness::Socket;
use crate::place::Place;

const GENERATIONS: usize = 3;
/// The first number of the users of this scene.
const FIRST: usize = 100;
const USERS: usize = 4;
const ENDED: &str = "1000000000";

/// What is left of a generation.
struct Before {
    epoch: Value,
    last: u64,
    /// The marks of its messages.
    marks: Vec<String>,
    owner: usize,
}

/// The users of this scene.
pub fn users() -> impl Iterator<Item = String> {
    (0..USERS).map(|number| format!("user-{}", FIRST + number))
}

struct Scene<'a> {
    stack: &'a Stack,
    place: &'a Arc<Place>,
    rng: fastrand::Rng,
    room: String,
    clients: Vec<Client>,
    violations: Vec<String>,
}

pub async fn rooms_are_made_again(stack: &Stack, place: &Arc<Place>, seed: u64) -> Vec<String> {
    let clients = (0..USERS).map(|number| Client::new(FIRST + number, seed, place)).collect();
    let (rng, room) = (fastrand::Rng::with_seed(seed), format!("pop-{seed}"));
    let mut scene = Scene { stack, place, rng, room, clients, violations: Vec::new() };
    let mut before: Option<Before> = None;
    for generation in 0..GENERATIONS {
        let owner = generation % scene.clients.len();
        scene.is_created_by(owner).await;
        let room = scene.asks(owner, json!({ "action": "roomInfo" })).await;
        if let Some(before) = &before {
            scene.is_a_new_room(before, &room, owner).await;
        }
        before = Some(scene.lives(owner, room["epoch"].clone(), generation).await);
        if generation + 1 < GENERATIONS {
            scene.ends(owner).await;
        }
    }
    scene.violations
}

impl Scene<'_> {
    async fn asks(&mut self, number: usize, mut frame: Value) -> Value {
        frame["roomId"] = json!(self.room);
        self.clients[number].asks_until_answered(frame).await.answer.unwrap()
    }

    async fn is_created_by(&mut self, owner: usize) {
        let url = format!("{}&roomId={}", self.place.url_of(&self.clients[owner].record.user, false), self.room);
        for _ in 0..40 {
            if let Ok((mut socket, _)) = Socket::try_open(&url, &[]).await {
                let _ = socket.close(None).await;
                return;
            }
        }
        panic!("the room is not created");
    }

    /// The members write, and one of them is banned.
    async fn lives(&mut self, owner: usize, epoch: Value, generation: usize) -> Before {
        let (count, mut marks, mut last) = (self.clients.len(), Vec::new(), 0);
        for step in 0..count {
            let number = (owner + step) % count;
            let joined = self.asks(number, json!({ "action": "joinRoom" })).await;
            if joined["epoch"] != epoch {
                self.violations.push(format!("13: a join of {} is answered {joined}", self.room));
            }
            let id = format!("{}-{generation}", self.clients[number].record.user);
            let said = json!({ "action": "sendMessage", "content": format!("[{id}] pop"), "clientMessageId": id });
            last = self.asks(number, said).await["seq"].as_u64().unwrap_or(last);
            marks.push(format!("[{id}]"));
        }
        let banned = self.clients[(owner + 1) % count].record.user.clone();
        self.asks(owner, json!({ "action": "banMember", "userId": banned })).await;
        Before { epoch, last, marks, owner }
    }

    /// Nothing of the earlier room counts in the new one.
    async fn is_a_new_room(&mut self, before: &Before, room: &Value, owner: usize) {
        if room["epoch"] == before.epoch || room["creator"] != self.clients[owner].record.user.as_str() {
            self.violations.push(format!("13: the room is {room} after that of the epoch {}", before.epoch));
        }
        let mark = format!("{}-new", self.clients[owner].record.user);
        let said = json!({ "action": "sendMessage", "content": format!("[{mark}] pop"), "clientMessageId": mark });
        let seq = self.asks(owner, said).await["seq"].as_u64();
        if seq.is_none_or(|seq| seq <= before.last) {
            self.violations.push(format!("13: {seq:?} follows {} in {}", before.last, self.room));
        }
        let owner_now = self.clients[owner].record.user.clone();
        for frame in [json!({ "action": "closeRoom" }), json!({ "action": "banMember", "userId": owner_now })] {
            let answer = self.asks(before.owner, frame).await;
            if answer["type"] != "error" {
                self.violations.push(format!("13: the earlier owner has power in {}: {answer}", self.room));
            }
        }
        let old = json!({ "seq": before.last, "rev": 0, "epoch": before.epoch });
        let resume = json!({ "action": "resume", "rooms": { &self.room: old } });
        for number in (0..self.clients.len()).filter(|number| *number != owner) {
            let asked = self.clients[number].asks_until_answered(resume.clone()).await.answer.unwrap();
            let page = self.asks(number, json!({ "action": "getMessages" })).await;
            let heard = self.clients[number].record.deliveries.iter().any(|one| one.content == format!("[{mark}]"));
            if page["type"] != "error" || asked["rooms"][&self.room]["error"].is_null() || heard {
                self.violations.push(format!("13: a member of the earlier room reads the new one: {page} {asked}"));
            }
            let joined = self.asks(number, json!({ "action": "joinRoom" })).await;
            let asked = self.clients[number].asks_until_answered(resume.clone()).await.answer.unwrap();
            let resumed = &asked["rooms"][&self.room];
            let is_reset = resumed["reset"] == true && resumed["epoch"] == room["epoch"];
            let has_old = before.marks.iter().any(|mark| resumed.to_string().contains(mark));
            if joined["type"] != "room" || !is_reset || has_old {
                self.violations.push(format!("13: after {joined} the position {old} is answered {resumed}"));
            }
        }
    }

    /// The room is closed, and its time is over.
    async fn ends(&mut self, owner: usize) {
        self.asks(owner, json!({ "action": "closeRoom" })).await;
        // Requests that were not answered are over.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let tables = clients::dynamodb(&self.stack.urls().dynamodb, self.stack.access_key()).unwrap();
        let ended = || AttributeValue::N(ENDED.to_owned());
        for (table, keys) in [("Messages", ["roomId", "messageId"]), ("Members", ["userId", "roomId"])] {
            let pages = tables.scan().table_name(table).consistent_read(true).into_paginator().items().send();
            let rows = pages.collect::<Result<Vec<_>, _>>().await.unwrap();
            let bans = format!("ban\t{}", self.room);
            let is_of = |value: &AttributeValue| value.as_s().is_ok_and(|id| *id == self.room || *id == bans);
            for row in rows.into_iter().filter(|row| keys.iter().any(|key| is_of(&row[*key]))) {
                // What the closing has missed stays as it is.
                if !row.contains_key("ttl") {
                    continue;
                }
                let key = keys.map(|name| (name.to_owned(), row[name].clone()));
                if self.rng.bool() {
                    tables.delete_item().table_name(table).set_key(Some(key.into())).send().await.unwrap();
                } else {
                    let update = tables.update_item().table_name(table).set_key(Some(key.into()));
                    let update =
                        update.update_expression("SET #ttl = :ended").expression_attribute_names("#ttl", "ttl");
                    update.expression_attribute_values(":ended", ended()).send().await.unwrap();
                }
            }
        }
        let update = tables.update_item().table_name("ChatRooms").key("id", AttributeValue::S(self.room.clone()));
        let update = update.update_expression("SET endsAt = :ended").expression_attribute_values(":ended", ended());
        update.send().await.unwrap();
    }
}

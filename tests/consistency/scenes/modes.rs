//! Changes of a room's mode that race messages, one of whose requests to AWS is held back meanwhile. The records show
//! whether all has been obeyed.

use std::sync::Arc;

use serde_json::json;
use switchboard::local::Stack;
use switchboard::local::faults::{HoldAtRequest, Plan};

use crate::client::Client;
use crate::place::Place;
use crate::record::{Mode, What};

/// No message has more requests before its answer.
const MOST_REQUESTS: u32 = 8;
/// The first number of the users of this scene.
const FIRST: usize = 300;

pub async fn modes_race(stack: &Stack, place: &Arc<Place>, seed: u64, rounds: u32) -> Vec<Client> {
    let mut clients = Vec::new();
    for round in 0..rounds {
        // One after the other, so that enough seeds have all of them.
        let case = u32::try_from(seed).unwrap_or_default().wrapping_mul(rounds).wrapping_add(round);
        let (kind, case) = (case % 4, case / 4);
        let (request, before) = (1 + case % MOST_REQUESTS, (case / MOST_REQUESTS).is_multiple_of(2));
        let hold = HoldAtRequest { route: "sendMessage".to_owned(), request, before };
        clients.extend(Race::new(place, seed, round).await.runs(stack, hold, kind).await);
    }
    clients
}

struct Race {
    owner: Client,
    /// Two members.
    members: [Client; 2],
    room: String,
}

impl Race {
    async fn new(place: &Arc<Place>, seed: u64, round: u32) -> Self {
        let first = FIRST + 3 * round as usize;
        let mut owner = Client::new(first, seed, place);
        let created = owner.asks("", json!({ "action": "createRoom" }), "room").await;
        let room = created.answer.unwrap()["roomId"].as_str().unwrap().to_owned();
        owner.owns(&room);
        let mut members = [1, 2].map(|more| Client::new(first + more, seed, place));
        owner.is_calm = true;
        for member in &mut members {
            member.is_calm = true;
            member.joins(&room).await;
        }
        Self { owner, members, room }
    }

    /// A member's message is held back while the owner changes what it has to obey, and others write.
    async fn runs(mut self, stack: &Stack, hold: HoldAtRequest, kind: u32) -> Vec<Client> {
        let room = self.room.clone();
        let set = match kind {
            0 => Mode { is_read_only: Some(true), ..Mode::default() },
            1 => Mode { slow_seconds: Some(3), ..Mode::default() },
            _ => Mode { max_per_second: Some(1), ..Mode::default() },
        };
        let [mut held, mut other] = self.members;
        self.owner.sends(&room).await;
        let (user, mut device) = (held.record.user.clone(), held.other_device());
        if kind == 1 {
            self.owner.sets_mode(&room, set.clone()).await;
        }
        stack.faults().follow(Plan { hold_at_request: Some(hold), ..Plan::default() });
        let its_room = room.clone();
        let sending = tokio::spawn(async move {
            held.sends(&its_room).await;
            held
        });
        stack.faults().requests().held().await;
        match kind {
            1 => device.sends(&room).await,
            3 => self.owner.mutes(&room, &user, What::Mute).await,
            _ => self.owner.sets_mode(&room, set).await,
        }
        other.sends(&room).await;
        self.owner.sends(&room).await;
        stack.faults().requests().release();
        let mut held = sending.await.unwrap();
        stack.faults().follow(Plan::default());
        held.sends(&room).await;
        vec![self.owner, held, device, other]
    }
}

//! One seed: the clients chat while faults are injected, and recover; then everything is compared.

use std::future::pending;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use switchboard::local::faults::{Faults, Latency, Plan};
use switchboard::local::{BusOptions, Options, Stack};

use crate::checks::{self, Evidence, Tables};
use crate::client::Client;
use crate::place::{MODED_ROOM, Place, SHORT_SESSION};
use crate::record::{Moment, Record};
use crate::scenes;

pub struct Size {
    pub clients: usize,
    pub operations: usize,
    /// Races of a removal with a request.
    pub races: u32,
    /// The function of the release before.
    pub before: Option<PathBuf>,
}

pub struct Outcome {
    pub operations: usize,
    pub summary: String,
    pub violations: Vec<String>,
}

/// How many events of a thousand the release of before handles, one after the other: it is replaced, the new one is
/// rolled back, and then it is replaced for good.
const ROLLOUT: [u32; 6] = [1_000, 500, 0, 700, 1_000, 300];
const ROLLOUT_STEP: Duration = Duration::from_millis(900);

fn plan() -> Plan {
    Plan {
        store_unprocessed: 20,
        function_killed_before: 5,
        function_killed_after: 10,
        event_late: 100,
        store_throttled: 10,
        transaction_conflict: 50,
        store_answer_lost: 10,
        // Now and then so slow that what was read before is out of date.
        store_latency: Latency { median_ms: 1.0, sigma: 2.5 },
        post_gone: 5,
        post_throttled: 20,
        post_failed: 10,
        post_hanging: 1,
        function_killed: 15,
        event_repeated: 30,
        disconnect_lost: 300,
        socket_dropped: 30,
        post_gone_but_delivered: 5,
        stream_repeated: 50,
        bus_failed: 50,
        bus_entry_failed: 20,
        bus_answer_lost: 20,
        clock_skew_ms: 2_000,
        index_lag_ms: 300,
        ..Plan::default()
    }
}

/// Lets all clients do something at once.
async fn all<F: Future<Output = Client> + Send + 'static>(
    clients: Vec<Client>,
    act: impl Fn(Client) -> F,
) -> Vec<Client> {
    let acting = join_all(clients.into_iter().map(|client| tokio::spawn(act(client)))).await;
    acting.into_iter().map(Result::unwrap).collect()
}

/// Waits until the function does nothing any more.
async fn settles(stack: &Stack) {
    let mut quiet = 0;
    while quiet < 3 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        quiet = if stack.take_store_calls().is_empty() { quiet + 1 } else { 0 };
    }
}

pub async fn seed(seed: u64, size: &Size) -> Outcome {
    let (lines, faults) = (Arc::new(Mutex::new(Vec::new())), Faults::seeded(seed));
    let sink = Arc::clone(&lines);
    let sink = Arc::new(move |line: &str| sink.lock().unwrap().push(line.to_owned()));
    let options = Options::on_free_ports(env!("CARGO_BIN_EXE_bootstrap").into(), sink);
    let previous_function = size.before.as_ref().map(|program| vec![program.into()]);
    let is_mixed = previous_function.is_some();
    let bus = Some(BusOptions { kept: usize::MAX, ..BusOptions::default() });
    // Four more than usual: the streams of four tables take one each.
    let concurrency = options.concurrency + 4;
    let options = Options { faults, environment: Place::environment(), previous_function, bus, concurrency, ..options };
    let stack = Stack::start(options).await.unwrap();
    let place = Place::new(&stack.urls().websocket, stack.clock().clone(), size.clients, is_mixed).open().await;

    let (clients, sessions_ended, mut violations) = chat(&stack, &place, (seed, size)).await;
    let clients = recover(&stack, &place, clients, (seed, size)).await;
    let since = place.clock.now();
    let clients = all(clients, Client::retries_deleted).await;
    settles(&stack).await;
    let clients = all(clients, Client::listens).await;
    let mut clients = all(clients, Client::counts).await;
    let rooms = clients[0].asks_rooms().await;

    stack.events_put().await;
    let events: Vec<_> = stack.bus().unwrap().events().iter_mut().map(|event| event["detail"].take()).collect();
    let tables = Tables::read(&stack).await;
    let log = lines.lock().unwrap().clone();
    let records: Vec<&Record> = clients.iter().map(|client| &client.record).collect();
    let (tables, events, rooms) = (&tables, &events, &rooms);
    let evidence = Evidence { records, tables, events, log: &log, sessions_ended, is_mixed, rooms };
    violations.extend(checks::of(&evidence));
    violations.extend(checks::after_late_retries(&evidence, since));
    let operations = clients.iter().map(|client| client.record.operations).sum();
    let summary = summary(&evidence, stack.function_processes_started());
    opens_rooms(&mut clients[0], &place).await;
    violations.extend(scenes::removals_race(&stack, &place, seed, size.races).await);
    let (_host, counts) = message_all_connections(&stack, &place, &clients).await;
    violations.extend(checks::of_rows(&stack, &counts).await);
    Outcome { operations, summary, violations }
}

/// The clients chat while faults are injected. Also returns when the sessions of short connections ended.
async fn chat(stack: &Stack, place: &Arc<Place>, (seed, size): (u64, &Size)) -> (Vec<Client>, Moment, Vec<String>) {
    let mut clients: Vec<_> = (0..size.clients).map(|number| Client::new(number, seed, place)).collect();
    place.rooms.iter().for_each(|room| clients[0].owns(room));
    stack.faults().follow(plan());
    let mut sessions_ended = None;
    // After 700 ms, connections are old enough that a 410 removes them, and short sessions end.
    let aging = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        stack.clock().advance(Duration::from_secs(SHORT_SESSION + 10));
        sessions_ended = Some(place.clock.now());
        pending::<()>().await;
    };
    let rollout = async {
        if !place.is_mixed {
            pending::<()>().await;
        }
        for share in ROLLOUT.into_iter().cycle() {
            stack.faults().follow(Plan { previous_version: share, ..plan() });
            tokio::time::sleep(ROLLOUT_STEP).await;
        }
    };
    let operations = size.operations;
    // Without operations there are only the races.
    let is_made_again = !place.is_mixed && operations > 0;
    let made_again =
        async { if is_made_again { scenes::rooms_are_made_again(stack, place, seed).await } else { Vec::new() } };
    let chatting = async { tokio::join!(all(clients, |client| client.chats(operations)), made_again) };
    let (clients, violations) = tokio::select! {
        finished = chatting => finished,
        () = aging => unreachable!("the clock never returns"),
        () = rollout => unreachable!("the rollout never returns"),
    };
    stack.faults().follow(Plan::default());
    let sessions_ended = sessions_ended.unwrap_or_else(|| place.clock.now());
    (clients, sessions_ended, violations)
}

/// All clients reconnect, join their rooms again, resume, and read the history.
/// Before they do, the mode of other rooms is changed by others.
async fn recover(stack: &Stack, place: &Arc<Place>, clients: Vec<Client>, (seed, size): (u64, &Size)) -> Vec<Client> {
    stack.clock().advance(Duration::from_secs(60));
    settles(stack).await;
    let mut clients = all(clients, Client::rejoins).await;
    clients.extend(scenes::modes_race(stack, place, seed, size.races).await);
    settles(stack).await;
    all(clients, Client::recovers).await
}

/// Lets everybody write again, and posts to all connections of the private room, which nobody else can.
async fn opens_rooms(owner: &mut Client, place: &Place) {
    let opened = json!({ "action": "setRoomMode", "roomId": MODED_ROOM, "write": "members", "slowSeconds": 0,
        "maxPerSecond": 100 });
    owner.asks_until_answered(opened).await;
    let said = json!({ "action": "sendMessage", "roomId": place.private_room, "content": "to the private room" });
    if !place.is_mixed {
        owner.asks_until_answered(said).await;
    }
}

/// Sends a message to every connection that could be live, so that posts to stale ones get 410. The sender stays
/// connected. Also returns how many members each room says it has.
async fn message_all_connections(
    stack: &Stack,
    place: &Arc<Place>,
    clients: &[Client],
) -> (Client, Vec<(String, u64)>) {
    let mut counts = Vec::new();
    let mut host = Client::new(usize::MAX / 2, 0, place);
    for room in place.rooms.iter().filter(|room| **room != place.private_room) {
        let joined = host.asks_until_answered(json!({ "action": "joinRoom", "roomId": room })).await.answer.unwrap();
        counts.push((room.clone(), joined["participantCount"].as_u64().unwrap()));
        let said = json!({ "action": "sendMessage", "roomId": room, "content": "to the room" });
        host.asks_until_answered(said).await;
    }
    host.asks_until_answered(json!({ "action": "sendMessage", "roomId": "lobby", "content": "to all" })).await;
    for user in clients.iter().map(|client| client.record.user.clone()).chain(scenes::users()) {
        let said = json!({ "action": "sendMessage", "recipientId": user, "content": "to the user" });
        host.asks_until_answered(said).await;
    }
    settles(stack).await;
    (host, counts)
}

fn summary(evidence: &Evidence<'_>, processes: usize) -> String {
    let sent: Vec<_> = evidence.records.iter().flat_map(|record| &record.sent).collect();
    let changes: Vec<_> = evidence.records.iter().flat_map(|record| &record.changes).collect();
    let acts: Vec<_> = evidence.records.iter().flat_map(|record| &record.acts).collect();
    format!(
        "{} of {} messages, {} of {} changes and {} of {} acts done, {} messages and {} changes in the logs, \
         {processes} function processes",
        sent.iter().filter(|sent| sent.outcome.is_done()).count(),
        sent.len(),
        changes.iter().filter(|change| change.outcome.is_done()).count(),
        changes.len(),
        acts.iter().filter(|act| act.outcome.is_done()).count(),
        acts.len(),
        evidence.tables.logs.values().map(std::collections::BTreeMap::len).sum::<usize>(),
        evidence.tables.changes.values().map(std::collections::BTreeMap::len).sum::<usize>(),
    )
}

//! Cost per operation: DynamoDB units from ConsumedCapacity, frames counted at the sockets, and the price in dollars by
//! the public price list.

use std::path::Path;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use switchboard::local::faults::Plan;

use crate::harness::Socket;
use crate::table::{Figure, Goal, readable};
use crate::world::{Cost, ROOM, World, region_latency};

const GROUP: &str = "cost";
const ROOMS: [usize; 5] = [2, 10, 100, 1_000, 10_000];

/// Dollars per million, in us-east-1, by the public prices of November 2026.
const DOLLARS_WRITE_UNITS: f64 = 0.625;
const DOLLARS_READ_UNITS: f64 = 0.125;
/// Messages of up to 32 KB, in and out.
const DOLLARS_FRAMES: f64 = 1.0;
const DOLLARS_INVOCATIONS: f64 = 0.2;
/// On arm64.
const DOLLARS_GB_SECONDS: f64 = 13.3334;
const FUNCTION_GB: f64 = 0.256;

/// The goals of an operation. Reads and requests have none in large rooms, where they grow with the subscribers.
#[derive(Clone, Copy)]
struct Goals {
    writes: f64,
    reads: Option<f64>,
    requests: Option<f64>,
}

/// The goals of a message to a room of at most 100.
pub const WRITES: f64 = 1.0;
pub const READS: f64 = 6.0;
pub const REQUESTS: f64 = 4.0;

pub async fn figures(function: &Path) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut world = World::of(function).await;
    for members in ROOMS {
        world.grows_to(members).await;
        figures.extend(of_messages(&mut world, members).await);
        if members == 100 {
            figures.extend(of_typing(&mut world).await);
        }
    }
    world.faults.follow(Plan::default());
    figures.extend(of_connections(&world).await);
    figures.extend(of_history(&world).await);
    figures.extend(of_search(&world).await);
    figures
}

async fn of_messages(world: &mut World, members: usize) -> Vec<Figure> {
    let frame = format!(r#"{{"action":"sendMessage","roomId":"{ROOM}","content":"{{}} {}"}}"#, "x".repeat(100));
    let frame_with_id = frame.replacen('{', r#"{"clientMessageId":"{}","#, 1);
    world.faults.follow(region_latency());
    // Warm-up: the first message of a room makes more requests.
    world.crowd.sends(&[&frame]).await;
    world.take_cost();

    let deliveries = world.crowd.sends(&[&frame]).await;
    let plain = world.take_cost();
    world.crowd.sends(&[&frame_with_id]).await;
    let with_id = world.take_cost();

    let what = format!("message to {}", readable(members as f64));
    let is_small = members <= 100;
    let goals = Goals { writes: WRITES, reads: is_small.then_some(READS), requests: is_small.then_some(REQUESTS) };
    let mut figures = units(&what, plain, goals);
    let name = format!("{what}, with a clientMessageId: write units");
    figures.push(Figure::new(GROUP, name, with_id.writes, "").with_goal(Goal::AtMost(4.0)));
    let frames = (deliveries.frames + 1) as f64;
    let most = (members + 1) as f64;
    figures.push(Figure::new(GROUP, format!("{what}: frames"), frames, "").with_goal(Goal::AtMost(most)));
    let millionths = plain.writes * DOLLARS_WRITE_UNITS
        + plain.reads * DOLLARS_READ_UNITS
        + frames * DOLLARS_FRAMES
        + DOLLARS_INVOCATIONS
        + deliveries.answered_ms / 1e3 * FUNCTION_GB * DOLLARS_GB_SECONDS;
    figures.push(Figure::new(GROUP, format!("{what}: 1,000 messages"), millionths / 1e3, "$"));
    figures
}

async fn of_typing(world: &mut World) -> Vec<Figure> {
    let mut sender = world.connects("userId=user-0").await;
    world.take_cost();
    send(&mut sender, json!({ "action": "typing", "roomId": ROOM })).await;
    world.has_called("typingIndicator").await;
    let cost = world.take_cost();
    sender.close(None).await.unwrap();
    world.has_called("$disconnect").await;
    units("typing to 100", cost, Goals { writes: 0.0, reads: Some(4.0), requests: Some(1.0) })
}

async fn of_connections(world: &World) -> Vec<Figure> {
    let goals = Goals { writes: 3.0, reads: Some(2.0), requests: Some(4.0) };
    world.take_cost();
    let mut socket = world.connects("userId=zoe").await;
    let mut figures = units("$connect", world.take_cost(), goals);
    world.clear_logs();
    socket.close(None).await.unwrap();
    world.has_called("$disconnect").await;
    figures.extend(units("$disconnect", world.take_cost(), goals));
    figures
}

/// 50 messages, whose items have 350 bytes each.
async fn of_history(world: &World) -> Vec<Figure> {
    let mut reader = world.connects("userId=zoe&roomId=quiet").await;
    for _ in 0..60 {
        ask(&mut reader, json!({ "action": "sendMessage", "content": "x".repeat(120) })).await;
    }
    world.take_cost();
    let page = ask(&mut reader, json!({ "action": "getMessages", "roomId": "quiet" })).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 50);
    units("page of 50 messages", world.take_cost(), Goals { writes: 0.0, reads: Some(6.0), requests: Some(3.0) })
}

async fn of_search(world: &World) -> Vec<Figure> {
    let client: HttpClient<_, Body> = HttpClient::builder(TokioExecutor::new()).build_http();
    let url = format!("{}/rooms?latitude=37.7749&longitude=-122.4194", world.stack.urls().http);
    world.take_cost();
    let found = client.get(url.parse().unwrap()).await.unwrap();
    assert!(found.status().is_success());
    let _: Bytes = found.into_body().collect().await.unwrap().to_bytes();
    let cost = world.take_cost();
    vec![
        Figure::new(GROUP, "search for nearby rooms: read units", cost.reads, ""),
        Figure::new(GROUP, "search for nearby rooms: requests", cost.requests as f64, "").with_goal(Goal::AtMost(19.0)),
    ]
}

fn units(what: &str, cost: Cost, goals: Goals) -> Vec<Figure> {
    let figure = |name: &str, value: f64, most: Option<f64>| {
        let figure = Figure::new(GROUP, format!("{what}: {name}"), value, "");
        match most {
            Some(most) => figure.with_goal(Goal::AtMost(most)),
            None => figure,
        }
    };
    vec![
        figure("write units", cost.writes, Some(goals.writes)),
        figure("read units", cost.reads, goals.reads),
        figure("requests", cost.requests as f64, goals.requests),
    ]
}

async fn send(socket: &mut Socket, frame: Value) {
    socket.send_frame(frame).await.unwrap();
}

async fn ask(socket: &mut Socket, frame: Value) -> Value {
    send(socket, frame).await;
    let answer = socket.receive().await.unwrap().unwrap();
    serde_json::from_str(answer.to_text().unwrap()).unwrap()
}

//! Limits of what each user may ask for.

use std::time::Instant;

use serde_json::{Value, json};
use switchboard::local::faults::{Faults, Plan};
use switchboard::local::{Options, StoreCall};

use crate::harness::{User, World, token};

/// The defaults of a deployment.
const DEFAULTS: &[(&str, &str)] = &[("LIMITS", "")];
/// Function processes of a stack.
const PROCESSES: u64 = 8;

fn message(content: &str) -> Value {
    json!({ "action": "sendMessage", "roomId": "tea", "content": content })
}

fn kept(id: &str) -> Value {
    json!({ "action": "sendMessage", "roomId": "tea", "content": id, "clientMessageId": id })
}

/// Sends messages until one is refused, and returns the refusal and how many were granted.
async fn until_refused(user: &mut User, frame: impl Fn(usize) -> Value) -> (Value, usize) {
    for count in 0.. {
        let answer = user.ask(frame(count)).await;
        if answer["type"] == "error" {
            return (answer, count);
        }
    }
    unreachable!("no request is refused")
}

fn is_limited(answer: &Value, scope: &str) {
    assert_eq!(
        (&answer["code"], &answer["status"], &answer["scope"]),
        (&json!("RATE_LIMITED"), &json!(429), &json!(scope))
    );
    assert!(answer["retryAfterMs"].as_u64().is_some_and(|wait| wait > 0), "{answer}");
}

#[tokio::test]
async fn a_flood_is_granted_the_burst_then_refused_then_closed_while_others_are_served() {
    let world = World::with(DEFAULTS).await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "milk").await;
    let begun = Instant::now();

    for number in 0..600 {
        ana.may_send(message(&number.to_string())).await;
        if number == 60 {
            ben.says("milk", "calm").await;
        }
    }
    let heard = ana.hears_until_closed().await;

    let seconds = begun.elapsed().as_secs() + 1;
    let granted = heard.iter().filter(|frame| frame["type"] == "message").count() as u64;
    let refused: Vec<_> = heard.iter().filter(|frame| frame["code"] == "RATE_LIMITED").collect();
    assert!(granted >= 20 && granted <= 20 + (5 + PROCESSES) * (seconds + 1), "{granted} in {seconds} s");
    assert!(refused.len() >= 50, "{} refusals", refused.len());
    refused.into_iter().for_each(|refusal| is_limited(refusal, "message"));
    let log = world.log();
    let at = |user: &str| log.iter().rposition(|line| line["user_id"] == user && line["route"] == "sendMessage");
    assert!(at("ben") < at("ana"), "ben waited for the end of the flood");
    let written = log.iter().filter(|line| line["user_id"] == "ana" && line["Messages"] == 1).count() as u64;
    assert!(written <= 20 + (5 + PROCESSES) * (seconds + 1), "{written} in {seconds} s");
}

#[tokio::test]
async fn a_repeat_is_answered_with_its_position_although_new_messages_are_refused() {
    let world = World::with(DEFAULTS).await;
    let mut ana = world.connect_to("ana", "tea").await;
    let first = ana.ask(kept("m0")).await;

    let (refused, _) = until_refused(&mut ana, |number| kept(&format!("m{}", number + 1))).await;

    is_limited(&refused, "message");
    let repeat = ana.ask(kept("m0")).await;
    assert_eq!((&repeat["seq"], &repeat["duplicate"]), (&first["seq"], &json!(true)), "{repeat}");
    let other = json!({ "action": "sendMessage", "roomId": "tea", "content": "other", "clientMessageId": "m0" });
    assert_eq!(ana.is_refused(other).await, (409, "IDEMPOTENCY_MISMATCH".to_owned()));
    world.time_passes(1);
    assert_eq!(ana.ask(message("later")).await["type"], "message");
}

#[tokio::test]
async fn an_outbox_is_written_up_to_the_limit_and_its_repeats_do_not_count() {
    let world = World::with(&[("LIMITS", "message=1/min burst 4")]).await;
    let mut ana = world.connect_to("ana", "tea").await;
    let outbox = |ids: &[&str]| {
        let messages: Vec<_> = ids.iter().map(|id| json!({ "content": id, "clientMessageId": id })).collect();
        json!({ "action": "sendMessages", "roomId": "tea", "messages": messages })
    };
    let codes = |answer: &Value| -> Vec<Value> {
        let results = answer["results"].as_array().unwrap_or_else(|| panic!("{answer}"));
        results
            .iter()
            .map(|result| if result["code"].is_null() { result["seq"].clone() } else { result["code"].clone() })
            .collect()
    };
    assert_eq!(codes(&ana.ask(outbox(&["a", "b"])).await), [json!(1), json!(2)]);

    // Each process counts by itself first, so all of them are used up.
    let mut written = 2;
    let refused = loop {
        let ids: Vec<_> = (written..written + 3).map(|id| format!("x{id}")).collect();
        let answer = ana.ask(outbox(&[&["a"], &*ids.iter().map(String::as_str).collect::<Vec<_>>()].concat())).await;
        let results = codes(&answer);
        assert_eq!(results[0], 1);
        let new = results[1..].iter().take_while(|result| result.is_u64()).count();
        assert!(results[1 + new..].iter().all(|result| result == "RATE_LIMITED"), "{answer}");
        written += new;
        if new < 3 {
            break answer;
        }
    };

    let results = refused["results"].as_array().unwrap();
    assert!(
        results[3]["retryAfterMs"].as_u64().is_some_and(|wait| wait > 0) && results[3]["status"] == 429,
        "{refused}"
    );
    let page = ana.ask(json!({ "action": "getMessages", "roomId": "tea", "limit": 100 })).await;
    assert_eq!(page["items"].as_array().unwrap().len(), written);
}

#[tokio::test]
async fn typing_above_the_limit_is_dropped_without_an_answer_and_closes_nothing() {
    let world = World::with(&[("LIMITS", "frame=1000/s")]).await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;
    ana.hears("joined").await;

    for _ in 0..80 {
        ana.send(json!({ "action": "typing", "roomId": "tea" })).await;
    }
    world.has_logged(80, |line| line["route"] == "typingIndicator").await;

    ana.hears_nothing().await;
    assert!(world.log().iter().filter(|line| line["code"] == "RATE_LIMITED").count() > 20);
    ana.says("tea", "done").await;
    let mut heard = 0;
    while ben.hears_anything().await["type"] == "typing" {
        heard += 1;
    }
    assert!((3..60).contains(&heard), "{heard}");
}

#[tokio::test]
async fn http_requests_are_limited_with_the_time_to_wait() {
    let world = World::with(&[("LIMITS", "room=1/h")]).await;
    let post = async || world.post("/rooms", json!({ "userId": "ana", "latitude": 1.0, "longitude": 1.0 })).await;
    let mut answer = post().await;
    while answer.status == 201 {
        answer = post().await;
    }

    assert_eq!((answer.status, answer.body["code"].as_str()), (429, Some("RATE_LIMITED")));
    is_limited(&answer.body, "room");
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((3_000..=3_600).contains(&seconds), "{seconds}");
    let other = json!({ "userId": "ben", "latitude": 1.0, "longitude": 1.0 });
    assert_eq!(world.post("/rooms", other).await.status, 201);
    let mut ana = world.connect("ana").await;
    is_limited(&ana.ask(json!({ "action": "createRoom" })).await, "room");
}

#[tokio::test]
async fn frames_that_cannot_be_read_count_as_well() {
    let world = World::with(&[("LIMITS", "frame=1/min burst 10")]).await;
    let mut ana = world.connect_to("ana", "tea").await;

    for _ in 0..200 {
        ana.may_send(crate::harness::unchecked(json!({ "action": "nonsense" }))).await;
    }

    let heard = ana.hears_until_closed().await;
    assert!(heard.iter().any(|frame| frame["code"] == "UNKNOWN_ACTION"));
    assert!(heard.iter().filter(|frame| frame["code"] == "RATE_LIMITED").count() >= 50, "{heard:?}");
}

#[tokio::test]
async fn the_chat_goes_on_while_the_table_of_limits_is_throttled() {
    let faults = Faults::default();
    let world = World::changed(DEFAULTS, |options| Options { faults: faults.clone(), ..options }).await;
    let mut ana = world.connect_to("ana", "tea").await;
    faults.follow(Plan {
        store_throttled: 1000,
        store_throttled_operations: vec!["UpdateItem".to_owned()],
        ..Plan::default()
    });

    for number in 0..12 {
        assert_eq!(ana.ask(message(&number.to_string())).await["type"], "message");
    }

    world.logs(|line| line["LimitsFailed"].as_u64() > Some(0)).await;
}

#[tokio::test]
async fn the_oldest_connection_is_closed_for_a_new_one_above_the_limit() {
    let world = World::with(&[("LIMITS", "live=3")]).await;
    let mut first = world.connect("ana").await;
    world.time_passes(1);
    let mut others = vec![world.connect("ana").await, world.connect("ana").await];
    let mut ben = world.connect("ben").await;
    world.time_passes(1);

    others.push(world.connect("ana").await);

    first.is_closed().await;
    for other in &mut others {
        other.hears_nothing().await;
    }
    ben.hears_nothing().await;
    assert_eq!(world.subscribers("user#ana").await.len(), 3);
}

#[tokio::test]
async fn handshakes_are_limited() {
    let world = World::with(&[("LIMITS", "connection=1/h burst 2")]).await;
    let mut opened = Vec::new();
    let refused = loop {
        match world.open("?userId=ana").await {
            Ok(user) => opened.push(user),
            Err(status) => break status,
        }
    };

    assert_eq!(refused, 429);
    assert!((2..=2 + 2 * PROCESSES as usize).contains(&opened.len()), "{}", opened.len());
    assert!(world.open("?userId=ben").await.is_ok());
}

/// Sends the function an HTTP request as from another address, and returns the status of the answer.
async fn status_from(world: &World, address: &str, number: usize) -> Value {
    let request_id = format!("{address} {number}");
    let event = json!({
        "version": "2.0", "routeKey": "GET /me", "rawPath": "/me",
        "rawQueryString": format!("userId={number}-{address}"),
        "headers": {}, "isBase64Encoded": false,
        "requestContext": {
            "accountId": "1", "apiId": "1", "domainName": "x", "domainPrefix": "x", "requestId": request_id,
            "routeKey": "GET /me", "stage": "$default", "time": "26/Nov/2026:00:00:00 +0000",
            "timeEpoch": 1_795_651_200_000_u64,
            "http": { "method": "GET", "path": "/me", "protocol": "HTTP/1.1", "sourceIp": address, "userAgent": "" }
        }
    });
    world.sends_event(event).await;
    let line = world.logs(|line| line["request_id"] == *request_id).await;
    assert_eq!(line["source_ip"], address);
    line["status"].clone()
}

#[tokio::test]
async fn in_open_mode_an_address_counts_as_ten_users_and_this_machine_does_not() {
    let world = World::with(&[("LIMITS", "frame=1/h")]).await;
    let first_refused = async |addresses: &[&str]| {
        for number in 0..120 {
            let status = status_from(&world, addresses[number % addresses.len()], number).await;
            if status == 429 {
                return Some(number);
            }
            assert_eq!(status, 200);
        }
        None
    };

    assert!(first_refused(&["203.0.113.7"]).await.is_some_and(|number| number >= 10));
    assert!(first_refused(&["2001:db8::1", "2001:db8::2:0:0:1"]).await.is_some_and(|number| number >= 10));
    assert_eq!(first_refused(&["127.0.0.1"]).await, None);
}

#[tokio::test]
async fn with_tokens_only_the_user_counts() {
    let world = World::with_tokens_and(&[("LIMITS", "message=1/h burst 1")]).await;
    let user = |name: &str| format!("?token={}&roomId=tea", token(&json!({ "sub": name, "exp": 4_000_000_000_u64 })));
    let mut ana = world.open(&user("ana")).await.unwrap();

    let (refused, _) = until_refused(&mut ana, |number| message(&number.to_string())).await;

    is_limited(&refused, "message");
    let mut ben = world.open(&user("ben")).await.unwrap();
    assert_eq!(ben.ask(message("hi")).await["type"], "message");
}

#[tokio::test]
async fn a_quiet_user_costs_nothing() {
    let world = World::with(DEFAULTS).await;
    let mut ana = world.connect_to("ana", "tea").await;
    world.time_passes(2);
    ana.says("tea", "first").await;
    world.take_store_calls();

    for _ in 0..10 {
        world.time_passes(2);
        ana.says("tea", "hello").await;
    }

    assert!(world.take_store_calls().iter().all(|call| call.operation != "UpdateItem"));
    assert!(world.rows("Limits").await.is_empty());
}

#[tokio::test]
async fn connecting_under_limits_costs_one_more_query() {
    let world = World::with(DEFAULTS).await;
    world.take_store_calls();

    let _ana = world.connect("ana").await;

    let calls = world.take_store_calls();
    let units = |of: fn(&StoreCall) -> f64| calls.iter().map(of).sum::<f64>();
    let (reads, writes) = (units(|call| call.read_units), units(|call| call.write_units));
    assert!(writes <= 3.0 && reads <= 4.0 && calls.len() <= 5, "{calls:?}");
}

#[tokio::test]
async fn hello_tells_the_limits() {
    let world = World::with(&[("LIMITS", "message=50/s burst 200")]).await;
    let mut ana = world.connect("ana").await;

    let limits = ana.ask(json!({ "action": "hello" })).await["limits"].take();

    assert_eq!((&limits["messagesPerSecond"], &limits["messagesBurst"]), (&json!(50.0), &json!(200)));
    assert_eq!((&limits["framesPerSecond"], &limits["liveConnections"]), (&json!(20.0), &json!(20)));
    assert_eq!((&limits["contentBytes"], &limits["rooms"]), (&json!(16_384), &json!(200)));
}

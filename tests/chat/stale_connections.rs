//! Connections that are dead, and nobody said so.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future;
use serde_json::{Value, json};
use switchboard::local::Options;
use switchboard::local::faults::{Faults, HoldAtRequest, Outcome, Plan};

use crate::harness::{User, World};

#[tokio::test]
async fn a_stale_connection_is_removed_and_its_presence_announced() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;
    world.has_stale_connection("GONEGONEGONEGO0=", "tea").await;
    world.time_passes(60);

    ana.says("tea", "anybody?").await;

    assert_eq!(ben.hears("message").await["content"], "anybody?");
    world.has_called("cleanup", 1).await;
    for table in ["Connections", "Subscriptions"] {
        assert_eq!(world.rows_with(table, "connectionId", "GONEGONEGONEGO0=").await, 0, "{table}");
    }
    let line = world.logs(|line| line["route"] == "sendMessage").await;
    assert_eq!((&line["recipients"], &line["gone"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn a_subscription_without_a_connection_row_is_removed_on_410() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    world.has_stale_connection("GONEGONEGONEGO0=", "tea").await;
    let key = AttributeValue::S("GONEGONEGONEGO0=".to_owned());
    world.dynamodb().delete_item().table_name("Connections").key("connectionId", key).send().await.unwrap();
    world.time_passes(60);

    ana.says("tea", "anybody?").await;

    world.has_called("cleanup", 1).await;
    assert_eq!(world.rows_with("Subscriptions", "channel", "room#tea").await, 1);
}

#[tokio::test]
async fn a_sender_does_not_wait_for_the_cleanup_of_150_stale_connections() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;
    for number in 0..150 {
        world.has_stale_connection(&format!("GONE{number:04}GONEGO0="), "tea").await;
    }
    world.time_passes(60);

    ana.says("tea", "anybody?").await;

    world.has_called("cleanup", 1).await;
    let line = world.logs(|line| line["route"] == "sendMessage").await;
    assert_eq!((&line["recipients"], &line["gone"]), (&json!(1), &json!(150)));
    assert_eq!(world.rows_with("Subscriptions", "channel", "room#tea").await, 2);
    assert_eq!(ben.hears("message").await["content"], "anybody?");
    // All of them were one user.
    assert_eq!(ben.hears("presence").await["status"], "offline");
    ben.hears_nothing().await;
}

#[tokio::test]
async fn a_sender_is_answered_after_as_many_requests_with_150_stale_connections_as_with_none() {
    let faults = Faults::default();
    let world = World::changed(&[], |options| Options { faults: faults.clone(), ..options }).await;
    let mut ana = world.connect_to("ana", "tea").await;
    let _ben = world.connect_to("ben", "tea").await;
    ana.says("tea", "first").await;
    let with_none = requests_of_a_message(&mut ana, &faults).await;
    for number in 0..150 {
        world.has_stale_connection(&format!("GONE{number:04}GONEGO0="), "tea").await;
    }
    world.time_passes(60);

    let with_150 = requests_of_a_message(&mut ana, &faults).await;

    // A post to each, a second page of recipients, and one invocation that removes them all.
    assert_eq!(with_150, with_none + 150 + 1 + 1);
    world.has_called("cleanup", 1).await;
    let deleted = world.take_store_calls().iter().filter(|call| call.operation == "DeleteItem").count();
    assert_eq!(deleted, 150);
    assert_eq!(requests_of_a_message(&mut ana, &faults).await, with_none);
}

/// The requests to AWS before the answer to a message.
async fn requests_of_a_message(sender: &mut User, faults: &Faults) -> u32 {
    let unreachable = HoldAtRequest { route: "sendMessage".to_owned(), request: u32::MAX, before: false };
    faults.follow(Plan { hold_at_request: Some(unreachable), ..Plan::default() });
    sender.says("tea", "anybody?").await;
    match faults.requests().held().await {
        Outcome::NotReached(requests) => requests,
        Outcome::Struck(what) => panic!("{what} was held"),
    }
}

#[tokio::test]
async fn a_connection_that_may_still_be_opening_is_not_removed() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    world.has_stale_connection("YOUNGYOUNGYOUN0=", "tea").await;

    ana.says("tea", "too early?").await;

    assert_eq!(world.rows_with("Connections", "connectionId", "YOUNGYOUNGYOUN0=").await, 1);
    assert_eq!(world.rows_with("Subscriptions", "connectionId", "YOUNGYOUNGYOUN0=").await, 3);
    let line = world.logs(|line| line["route"] == "sendMessage").await;
    assert_eq!((&line["recipients"], &line["gone"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn one_unresponsive_connection_of_100_delays_nobody() {
    let faults = Faults::default();
    let world = World::changed(&[], |options| Options { faults: faults.clone(), ..options }).await;
    let mut crowd = world.crowd("tea", 100).await;
    // Whoever is first in the table is first to be posted to.
    let (hung, user) = world.subscribers("room#tea").await.remove(0);
    let number: usize = user.strip_prefix("user-").unwrap().parse().unwrap();
    let _hung = crowd.remove(number);
    let mut sender = crowd.remove(0);
    let is_given_up =
        |line: &Value| line["message"] == "failed to deliver a frame" && line["connection_id"] == hung.as_str();
    let before = world.log().into_iter().filter(is_given_up).count();
    let only_one = vec![hung.clone()];
    faults.follow(Plan { post_hanging: 1000, post_hanging_connections: only_one, ..Plan::default() });

    let others = async {
        tokio::select! {
            biased;
            line = world.has_logged(before + 1, is_given_up) => panic!("the others wait until one is given up: {line}"),
            heard = future::join_all(crowd.iter_mut().map(|other| other.hears("message"))) => heard,
        }
    };
    let (said, heard) = tokio::join!(sender.says("tea", "hello"), others);

    assert_eq!(heard.len(), 98);
    assert!(heard.iter().all(|message| message["messageId"] == said["messageId"]));
    world.has_logged(before + 1, is_given_up).await;
}

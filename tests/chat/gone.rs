//! Connections that are dead, and nobody said so.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use crate::support::World;

/// Lets the tables know a connection that API Gateway does not, as when `$disconnect` was lost.
async fn ghost(world: &World, id: &str, room: &str) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let number = |value: u128| AttributeValue::N(value.to_string());
    let channels = ["user#ghost".to_owned(), format!("room#{room}"), "room#lobby".to_owned()];
    let common = HashMap::from([
        ("connectionId".to_owned(), text(id)),
        ("userId".to_owned(), text("ghost")),
        ("name".to_owned(), text("ghost")),
        ("connectedAt".to_owned(), number(now.as_millis())),
        ("ttl".to_owned(), number(u128::from(now.as_secs()) + 7200)),
    ]);
    let client = world.dynamodb();
    for channel in &channels {
        let mut row = common.clone();
        row.insert("channel".to_owned(), text(channel));
        client.put_item().table_name("Subscriptions").set_item(Some(row)).send().await.unwrap();
    }
    let mut row = common;
    row.insert("channels".to_owned(), AttributeValue::Ss(channels.to_vec()));
    client.put_item().table_name("Connections").set_item(Some(row)).send().await.unwrap();
}

#[tokio::test]
async fn a_connection_that_answers_410_is_cleaned_up_everywhere_and_the_others_hear() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;
    ghost(&world, "GONEGONEGONEGO0=", "tea").await;
    world.time_passes(60);

    ana.says("tea", "anybody?").await;

    assert_eq!(ben.hears("message").await["content"], "anybody?");
    for table in ["Connections", "Subscriptions"] {
        assert_eq!(world.rows_with(table, "connectionId", "GONEGONEGONEGO0=").await, 0, "{table}");
    }
    let line = world.logs(|line| line["route"] == "sendMessage").await;
    assert_eq!((&line["recipients"], &line["gone"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn a_subscription_whose_connection_row_is_lost_goes_on_its_410() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    ghost(&world, "GONEGONEGONEGO0=", "tea").await;
    let key = AttributeValue::S("GONEGONEGONEGO0=".to_owned());
    world.dynamodb().delete_item().table_name("Connections").key("connectionId", key).send().await.unwrap();
    world.time_passes(60);

    ana.says("tea", "anybody?").await;

    assert_eq!(world.rows_with("Subscriptions", "channel", "room#tea").await, 1);
}

#[tokio::test]
async fn a_connection_that_may_not_be_open_yet_is_left_alone() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    ghost(&world, "YOUNGYOUNGYOUN0=", "tea").await;

    ana.says("tea", "too early?").await;

    assert_eq!(world.rows_with("Connections", "connectionId", "YOUNGYOUNGYOUN0=").await, 1);
    assert_eq!(world.rows_with("Subscriptions", "connectionId", "YOUNGYOUNGYOUN0=").await, 3);
    let line = world.logs(|line| line["route"] == "sendMessage").await;
    assert_eq!((&line["recipients"], &line["gone"]), (&json!(0), &json!(0)));
}

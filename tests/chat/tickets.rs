//! Tickets: for one handshake, and for links to files.

use axum::body::Bytes;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Answer, User, World, time_of, token};

const TICKET_SECRET: (&str, &str) = ("TICKET_SECRET", "a secret for tickets, which no token has");

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

async fn ticket(world: &World, claims: &Value) -> Answer {
    let bearer = format!("Bearer {}", token(claims));
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    world.request("POST", "/tickets", &headers, Bytes::new()).await
}

async fn open(world: &World, ticket: &Answer) -> Result<User, u16> {
    world.open(&format!("?format=native&ticket={}", ticket.body["ticket"].as_str().unwrap())).await
}

#[tokio::test]
async fn a_ticket_lets_one_handshake_in_as_the_tokens_user_until_its_end() {
    let world = World::with_tokens().await;
    let claims = json!({ "sub": "ana", "name": "Ana", "roles": ["admin"], "iat": now() - 10, "exp": now() + 2_000 });
    let got = ticket(&world, &claims).await;
    assert_eq!(got.status, 201, "{}", got.body);

    let mut ana = open(&world, &got).await.unwrap();

    let hello = ana.ask(json!({ "action": "hello" })).await;
    assert_eq!((&hello["userId"], &hello["userName"]), (&json!("ana"), &json!("Ana")));
    assert_eq!(hello["roles"], json!(["admin"]));
    let left = time_of(&hello["authUntil"]).millis_since(time_of(&hello["serverTime"])) / 1000;
    assert!((1_940..=2_000).contains(&left), "{hello}");
    assert_eq!(open(&world, &got).await.err(), Some(401));
    assert_eq!(world.open("?ticket=guessed").await.err(), Some(401));
    let other = ticket(&world, &claims).await;
    let as_ben = format!("?userId=ben&ticket={}", other.body["ticket"].as_str().unwrap());
    assert_eq!(world.open(&as_ben).await.err(), Some(403));
    assert_eq!(world.post("/tickets", json!({})).await.status, 401);
}

#[tokio::test]
async fn a_ticket_that_is_used_by_many_at_once_lets_one_of_them_in() {
    let world = World::with_tokens().await;
    for _ in 0..3 {
        let got = ticket(&world, &json!({ "sub": "ana", "exp": now() + 2_000 })).await;
        let opened = join_all((0..5).map(|_| open(&world, &got))).await;
        assert_eq!(opened.iter().filter(|opened| opened.is_ok()).count(), 1);
        assert!(opened.iter().filter_map(|opened| opened.as_ref().err()).all(|status| *status == 401));
    }
}

#[tokio::test]
async fn a_ticket_ends_after_half_a_minute_and_with_a_revocation() {
    let world = World::with_tokens().await;
    let claims = json!({ "sub": "ana", "iat": now() - 10, "exp": now() + 2_000 });
    let late = ticket(&world, &claims).await;
    world.time_passes(31);
    assert_eq!(open(&world, &late).await.err(), Some(401));

    let revoked = ticket(&world, &claims).await;
    world.admin("POST", "/admin/users/ana/disconnect", Value::Null).await;

    assert_eq!(open(&world, &revoked).await.err(), Some(401));
    assert_eq!(ticket(&world, &claims).await.status, 401);
}

#[tokio::test]
async fn the_address_of_a_file_works_in_a_page_until_the_user_is_removed() {
    let world = World::with_tokens_and(&[("ADD_MEMBERS", "direct"), TICKET_SECRET]).await;
    let user = async |name: &str| {
        let token = token(&json!({ "sub": name, "iat": now() - 10, "exp": now() + 7_000 }));
        world.open(&format!("?format=native&token={token}")).await.unwrap()
    };
    let (mut ana, mut ben, mut cho) = (user("ana").await, user("ben").await, user("cho").await);
    let tea = ana.creates_room(&["ben", "cho"]).await;
    let file = json!({
        "action": "handleFileUpload", "roomId": tea, "fileName": "a.png", "contentType": "image/png", "size": 8
    });
    let upload = ana.ask(file).await;
    let headers = upload["headers"].as_object().unwrap().iter();
    let headers: Vec<_> = headers.map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    let bytes = Bytes::from_static(b"\x89PNG\r\n\x1a\n");
    world.fetch("PUT", upload["uploadUrl"].as_str().unwrap(), &headers, bytes.clone()).await;

    let url_of = |message: &Value| message["file"]["fileUrl"].as_str().unwrap().to_owned();
    let (of_ben, of_cho) = (url_of(&ben.hears("message").await), url_of(&cho.hears("message").await));

    assert!(of_ben.contains("?t=") && of_ben != of_cho, "{of_ben}");
    let history = ben.ask(json!({ "action": "getMessages", "roomId": tea })).await;
    assert_eq!(url_of(&history["items"][0]), of_ben);
    for url in [of_ben.clone(), format!("{of_cho}&inline=1")] {
        let redirect = world.fetch("GET", &url, &[], Bytes::new()).await;
        let got = world.fetch("GET", redirect.header("location"), &[], Bytes::new()).await;
        assert_eq!((redirect.status, got.status, &got.bytes), (307, 200, &bytes));
    }
    let forged = format!("{}A", &of_ben[..of_ben.len() - 1]);
    assert_eq!(world.fetch("GET", &forged, &[], Bytes::new()).await.status, 401);
    ana.ask(json!({ "action": "removeMember", "roomId": tea, "userId": "ben" })).await;
    assert_eq!(world.fetch("GET", &of_ben, &[], Bytes::new()).await.status, 403);
    world.time_passes(25 * 3_600);
    assert_eq!(world.fetch("GET", &of_cho, &[], Bytes::new()).await.status, 401);
}

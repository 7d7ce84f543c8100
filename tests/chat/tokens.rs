//! Connecting where a signed token is asked for.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::stream::{self, StreamExt};
use ring::hmac;
use serde_json::{Value, json};

use crate::harness::{SECRET, World, token};

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn anas_token() -> String {
    token(&json!({ "sub": "ana", "name": "Ana", "exp": now() + 600 }))
}

async fn name_in_the_lobby(user: &mut crate::harness::User) -> Value {
    let info = user.ask(json!({ "action": "roomInfo", "roomId": "lobby" })).await;
    json!([info["members"][0]["userId"], info["members"][0]["userName"]])
}

#[tokio::test]
async fn a_token_is_read_from_header_subprotocol_or_query() {
    let world = World::with_tokens().await;
    let token = anas_token();
    let bearer = format!("Bearer {token}");
    let protocols = format!("chat, {token}");

    let (mut by_header, answer) = world.open_with("", &[("authorization", &bearer)]).await.unwrap();
    assert_eq!(name_in_the_lobby(&mut by_header).await, json!(["ana", "Ana"]));
    assert!(!answer.contains_key("sec-websocket-protocol"));

    let (mut by_protocol, answer) = world.open_with("", &[("sec-websocket-protocol", &protocols)]).await.unwrap();
    assert_eq!(name_in_the_lobby(&mut by_protocol).await, json!(["ana", "Ana"]));
    assert_eq!(answer["sec-websocket-protocol"], "chat");

    let mut by_query = world.open(&format!("?token={token}")).await.unwrap();
    assert_eq!(name_in_the_lobby(&mut by_query).await, json!(["ana", "Ana"]));
}

#[tokio::test]
async fn a_handshake_without_a_valid_token_is_refused() {
    let world = World::with_tokens().await;
    let good = anas_token();
    let expired = token(&json!({ "sub": "ana", "exp": now() - 1 }));
    let endless = token(&json!({ "sub": "ana" }));
    let nobody = token(&json!({ "exp": now() + 600 }));

    for query in [
        String::new(),
        "?userId=ana".to_owned(),
        "?token=".to_owned(),
        "?token=nonsense".to_owned(),
        format!("?token={good}x"),
        format!("?token={expired}"),
        format!("?token={endless}"),
        format!("?token={nobody}"),
    ] {
        assert_eq!(world.open(&query).await.err(), Some(401), "{query}");
    }
    assert_eq!(world.open(&format!("?token={good}&userId=ben")).await.err(), Some(403));
    assert!(world.open(&format!("?token={good}&userId=ana")).await.is_ok());
    assert_eq!(world.rows("Connections").await.len(), 1);
}

#[tokio::test]
async fn a_token_expires_by_the_events_time() {
    let world = World::with_tokens().await;
    let by_exp = anas_token();
    let by_age = token(&json!({ "sub": "ana", "iat": now() }));
    world.time_passes(599);
    assert!(world.open(&format!("?token={by_exp}")).await.is_ok());

    world.time_passes(2);
    assert_eq!(world.open(&format!("?token={by_exp}")).await.err(), Some(401));
    assert!(world.open(&format!("?token={by_age}")).await.is_ok());

    world.time_passes(86_400);
    assert_eq!(world.open(&format!("?token={by_age}")).await.err(), Some(401));
}

#[tokio::test]
async fn the_name_in_a_token_cannot_be_changed() {
    let world = World::with_tokens().await;
    let named = anas_token();
    let nameless = token(&json!({ "sub": "ben", "exp": now() + 600 }));
    let mut ana = world.open(&format!("?token={named}&username=Boss&roomId=tea")).await.unwrap();
    let mut ben = world.open(&format!("?token={nameless}")).await.unwrap();

    ana.ask(json!({ "action": "joinRoom", "roomId": "tea", "userName": "Boss" })).await;
    ben.ask(json!({ "action": "joinRoom", "roomId": "tea", "userName": "Benny" })).await;

    assert_eq!(ana.says("tea", "hi").await["userName"], "Ana");
    assert_eq!(ben.says("tea", "hi").await["userName"], "Benny");
}

/// A token of these texts, signed with HMAC-SHA256.
fn signed(header: &str, claims: &str, secret: &str) -> String {
    let message = format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), message.as_bytes());
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Headers that no valid token has, whatever signs it.
fn odd_headers() -> Vec<String> {
    let algorithms = [
        "\"none\"",
        "\"None\"",
        "\"NONE\"",
        "\"nOnE\"",
        "\"HS384\"",
        "\"HS512\"",
        "\"RS256\"",
        "\"RS512\"",
        "\"ES256\"",
        "\"ES384\"",
        "\"PS256\"",
        "\"EdDSA\"",
        "\"hs256\"",
        "\"HS256 \"",
        "\"HS256\\u0000\"",
        "\"\"",
        "\"dir\"",
        "\"A128KW\"",
        "null",
        "256",
        "true",
        "[]",
        "[\"HS256\"]",
        "{}",
    ];
    let unsupported = [
        r#""crit":["exp"]"#,
        r#""crit":["b64"],"b64":false"#,
        r#""crit":[]"#,
        r#""crit":null"#,
        r#""crit":"exp""#,
        r#""crit":["http://openbankingtest.org.uk/iat"]"#,
        r#""jku":"https://evil.example/keys""#,
        r#""jku":null"#,
        r#""x5u":"https://evil.example/cert""#,
        r#""jwk":{"kty":"oct","k":"AAAA"}"#,
        r#""jwk":null"#,
    ];
    let broken = [
        "",
        "{",
        "null",
        "[]",
        "7",
        "\"HS256\"",
        "{}",
        r#"{"typ":"JWT"}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256"} x"#,
        r#"{"ALG":"HS256"}"#,
        r#"{"alg":"HS256","typ":5}"#,
    ];
    let algorithms = algorithms.map(|algorithm| format!(r#"{{"alg":{algorithm},"typ":"JWT"}}"#));
    let unsupported = unsupported.map(|member| format!(r#"{{"alg":"HS256",{member}}}"#));
    algorithms.into_iter().chain(unsupported).chain(broken.map(str::to_owned)).collect()
}

/// Claims that do not make a valid token, although they are signed.
fn odd_claims() -> Vec<String> {
    let (past, soon) = (now() - 10, now() + 3_600);
    let times = [
        format!(r#""exp":{past}"#),
        r#""exp":0"#.to_owned(),
        r#""exp":-1"#.to_owned(),
        r#""exp":1e-5"#.to_owned(),
        r#""exp":-1e300"#.to_owned(),
        r#""exp":1e400"#.to_owned(),
        r#""exp":NaN"#.to_owned(),
        r#""exp":true"#.to_owned(),
        format!(r#""exp":"{soon}""#),
        r#""exp":"tomorrow""#.to_owned(),
        r#""exp":[]"#.to_owned(),
        r#""exp":{}"#.to_owned(),
        format!(r#""exp":[{soon}]"#),
        r#""exp":null"#.to_owned(),
        r#""exp":null,"iat":null"#.to_owned(),
        r#""name":"Ana""#.to_owned(),
        format!(r#""iat":{soon}"#),
        format!(r#""iat":{}"#, now() - 90_000),
        format!(r#""iat":"{past}""#),
        r#""iat":[]"#.to_owned(),
        format!(r#""exp":{soon},"nbf":{soon}"#),
        format!(r#""exp":{soon},"nbf":"{past}""#),
        format!(r#""exp":{soon},"nbf":{{}}"#),
        format!(r#""exp":{soon},"iat":"{past}""#),
        format!(r#""exp":{soon},"exp":{past}"#),
        format!(r#""exp":{past},"exp":{soon}"#),
        format!(r#""exp":{soon}000000000000000000000000000000x"#),
    ];
    let subjects = [
        "null".to_owned(),
        "\"\"".to_owned(),
        "5".to_owned(),
        "true".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        "[\"ana\"]".to_owned(),
        "\"a\\nb\"".to_owned(),
        "\"a\\u0000\"".to_owned(),
        "\"\\u0085\"".to_owned(),
        "\"\\ud800\"".to_owned(),
        format!("\"{}\"", "x".repeat(129)),
        format!("\"{}\"", "x".repeat(1_000)),
        "\"ana\",\"sub\":\"ben\"".to_owned(),
    ];
    let roles = [
        "\"admin\"",
        "{}",
        "5",
        "true",
        "[5]",
        "[null]",
        "[[\"admin\"]]",
        "{\"0\":\"admin\"}",
        "[\"admin\",{}]",
        "\"\"",
    ];
    let broken = ["", "{", "null", "[]", "7", "\"ana\"", "true", "{}", "\u{0}"];
    let times = times.map(|times| format!(r#"{{"sub":"ana",{times}}}"#));
    let subjects = subjects.map(|subject| format!(r#"{{"sub":{subject},"exp":{soon}}}"#));
    let roles = roles.map(|roles| format!(r#"{{"sub":"ana","exp":{soon},"roles":{roles}}}"#));
    let missing = format!(r#"{{"exp":{soon}}}"#);
    let behind = format!(r#"{{"sub":"ana","exp":{soon}}} {{}}"#);
    let all = times.into_iter().chain(subjects).chain(roles).chain([missing, behind]);
    all.chain(broken.map(str::to_owned)).collect()
}

/// A valid token, damaged: in each of its characters, in its parts, in its padding.
fn damaged(good: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    for at in (0..good.len()).filter(|at| good.as_bytes()[*at] != b'.') {
        let other = if &good[at..=at] == "A" { "B" } else { "A" };
        tokens.push(format!("{}{other}{}", &good[..at], &good[at + 1..]));
    }
    let parts: Vec<_> = good.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("{good}") };
    let other =
        signed(HEADER, &format!(r#"{{"sub":"ben","exp":{}}}"#, now() + 60), "another secret of thirty-two bytes");
    let others = other.rsplit('.').next().unwrap();
    tokens.extend([
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        "a".to_owned(),
        "a.b".to_owned(),
        "a.b.c".to_owned(),
        format!("{header}.{claims}"),
        format!("{header}.{claims}."),
        format!("{header}..{signature}"),
        format!(".{claims}.{signature}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{good}{good}"),
        format!("{claims}.{header}.{signature}"),
        format!("{header}.{claims}.{others}"),
        format!("{header}.{claims}.{header}"),
        format!("{good}="),
        format!("{good}=="),
        format!("{header}=.{claims}.{signature}"),
        format!("{header}.{claims}=.{signature}"),
        format!("{header}.{claims}.{signature}AA"),
        good[1..].to_owned(),
        good[..good.len() - 1].to_owned(),
        good.to_uppercase(),
        good.to_lowercase(),
        good.replace('.', ","),
        good.replace('.', "/"),
        good.replace('.', ". "),
        format!("{header}. .{signature}"),
        good.chars().rev().collect(),
        format!("%{good}"),
        format!("\"{good}\""),
        format!("{{\"token\":\"{good}\"}}"),
        format!("{header}.{claims}.{signature}.{signature}.{signature}"),
        "null".to_owned(),
        "undefined".to_owned(),
    ]);
    tokens
}

fn forged_and_odd_tokens() -> Vec<String> {
    let claims = format!(r#"{{"sub":"ana","exp":{}}}"#, now() + 3_600);
    let mut tokens = damaged(&signed(HEADER, &claims, SECRET));
    for header in odd_headers() {
        let token = signed(&header, &claims, SECRET);
        let unsigned = token.rsplit_once('.').unwrap().0.to_owned();
        tokens.extend([token, format!("{unsigned}.")]);
    }
    tokens.extend(odd_claims().iter().map(|claims| signed(HEADER, claims, SECRET)));
    for secret in [
        "",
        " ",
        "secret",
        "password",
        "none",
        "null",
        "another secret of thirty-two bytes",
        &SECRET.to_uppercase(),
        &SECRET[1..],
        &format!("{SECRET} "),
        "test-websocket-chat-nodejs-secret-key-20251216201822",
        &BASE64_URL_SAFE_NO_PAD.encode(SECRET),
    ] {
        tokens.push(signed(HEADER, &claims, secret));
    }
    tokens
}

#[tokio::test]
async fn forged_and_odd_tokens_are_refused_at_every_door() {
    let world = World::with_tokens().await;
    let world = &world;
    let tokens = forged_and_odd_tokens();
    assert!(tokens.len() >= 250, "{} tokens", tokens.len());
    let good = signed(HEADER, &format!(r#"{{"sub":"ana","exp":{}}}"#, now() + 3_600), SECRET);
    assert!(world.open(&format!("?token={good}")).await.is_ok());

    let statuses = stream::iter(&tokens).map(|token| async move {
        let bearer = format!("Bearer {token}");
        let protocols = format!("chat, {token}");
        let query: String = form_urlencoded::byte_serialize(token.as_bytes()).collect();
        let handshakes = [
            world.open_with("", &[("authorization", &bearer)]).await.err(),
            world.open_with("", &[("sec-websocket-protocol", &protocols)]).await.err(),
            world.open(&format!("?token={query}")).await.err(),
        ];
        let answer = world.request("GET", "/me", &[("authorization", &bearer)], "").await;
        let all = handshakes.map(|status| status.unwrap_or(101)).into_iter().chain([answer.status]);
        all.filter(|status| !(400..500).contains(status)).map(|status| format!("{status}: {token}")).collect::<Vec<_>>()
    });
    let wrong: Vec<_> = statuses.buffer_unordered(8).concat().await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn the_client_chooses_a_name_only_where_the_token_has_none() {
    let world = World::with_tokens().await;
    for (claim, shown) in [
        (Value::Null, "Eve"),
        (json!("Ana"), "Ana"),
        (json!("\u{200b}"), "ana"),
        (json!(7), "ana"),
        (json!("x".repeat(300)), &"x".repeat(128)),
    ] {
        let token = token(&json!({ "sub": "ana", "exp": now() + 600, "name": claim, "roles": null }));
        let mut ana = world.open(&format!("?token={token}&username=Eve&format=native")).await.unwrap();
        let hello = ana.ask(json!({ "action": "hello" })).await;
        assert_eq!(hello["userName"], shown, "{claim}");
    }
}

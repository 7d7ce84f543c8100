//! Connecting with the tokens of an identity provider.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use switchboard::local::Options;
use switchboard::local::issuer::{ALGORITHMS, Issuer, SigningKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::harness::{SECRET, World, soon, token};

const HOUR: u64 = 3_600;
/// The lifetime of tokens that outlive the test.
const LONG: i64 = 10 * 86_400;

/// A world with an issuer and one function process, whose keys are those of the test.
async fn one_process(environment: &[(&str, &str)]) -> World {
    let change = |options| Options { issuer_port: Some(0), concurrency: 1, ..options };
    World::changed(environment, change).await
}

/// A token of the issuer.
fn token_of(issuer: &Issuer, algorithm: &str, user: &str) -> String {
    issuer.key(algorithm).unwrap().token(&issuer.claims(user, LONG)).unwrap()
}

/// The status of a handshake with a token: 101 when it succeeds.
async fn status(world: &World, token: &str) -> u16 {
    world.open(&format!("?token={token}")).await.err().unwrap_or(101)
}

#[tokio::test]
async fn tokens_of_an_issuer_are_accepted_in_each_algorithm_over_websocket_and_http() {
    let world = World::with_issuer(&[("JWT_SECRET", SECRET)]).await;
    let issuer = world.issuer();
    for algorithm in ALGORITHMS {
        let mut claims = issuer.claims("ana", LONG);
        claims["name"] = "Ana".into();
        let token = issuer.key(algorithm).unwrap().token(&claims).unwrap();
        let bearer = format!("Bearer {token}");

        let mut ana = world.open(&format!("?format=native&token={token}")).await.unwrap();
        let hello = ana.ask(json!({ "action": "hello" })).await;
        assert_eq!((&hello["userId"], &hello["userName"]), (&json!("ana"), &json!("Ana")), "{algorithm}");
        let me = world.request("GET", "/me", &[("authorization", &bearer)], "").await;
        assert_eq!((me.status, &me.body["userId"]), (200, &json!("ana")), "{algorithm}");
    }
    // A secret still signs as well.
    let claims = json!({ "sub": "ben", "exp": issuer.claims("ben", 600)["exp"] });
    assert_eq!(status(&world, &token(&claims)).await, 101);
}

#[tokio::test]
async fn without_a_secret_only_issuers_sign() {
    let world = World::with_issuer(&[]).await;
    let claims = world.issuer().claims("ana", LONG);
    assert_eq!(status(&world, &token(&claims)).await, 401);
    assert_eq!(status(&world, &token_of(world.issuer(), "ES256", "ana")).await, 101);
}

#[tokio::test]
async fn roles_of_an_issuers_token_count() {
    let world = World::with_issuer(&[]).await;
    let issuer = world.issuer();
    let join = |roles: Value| {
        let mut claims = issuer.claims("ana", LONG);
        claims["roles"] = roles;
        issuer.key("EdDSA").unwrap().token(&claims).unwrap()
    };
    let ben = token_of(issuer, "EdDSA", "ben");
    let mut ben = world.open(&format!("?token={ben}&format=native")).await.unwrap();
    let tea = ben.creates_room(&[]).await;
    ben.ask(json!({ "action": "joinRoom", "roomId": tea })).await;
    for (roles, refused) in [(json!(["user"]), true), (json!(["user", "admin"]), false)] {
        let mut ana = world.open(&format!("?token={}&format=native", join(roles))).await.unwrap();
        let answer = ana.ask(json!({ "action": "closeRoom", "roomId": tea })).await;
        assert_eq!(answer["type"] == "error", refused, "{answer}");
    }
    assert_eq!(status(&world, &join(json!("admin"))).await, 401);
}

#[tokio::test]
async fn clients_connect_while_the_issuer_rotates_its_keys() {
    let world = World::with_issuer(&[]).await;
    let issuer = world.issuer();
    let is_over = AtomicBool::new(false);
    let connected: Vec<_> = (0..ALGORITHMS.len()).map(|_| AtomicUsize::new(0)).collect();

    let clients = ALGORITHMS.iter().zip(&connected).map(|(algorithm, connected)| {
        let (world, is_over) = (&world, &is_over);
        async move {
            while !is_over.load(Ordering::Relaxed) {
                let token = token_of(issuer, algorithm, "ana");
                let opened = world.open(&format!("?token={token}")).await;
                opened.unwrap_or_else(|status| panic!("{algorithm}: {status}")).goes().await;
                connected.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let first = token_of(issuer, "ES256", "ana");
    let rotations = async {
        for _ in 0..3 {
            // Unknown keys are asked for once a minute.
            world.time_passes(61);
            issuer.rotate().unwrap();
            let before: Vec<_> = connected.iter().map(|count| count.load(Ordering::Relaxed)).collect();
            let has_more =
                || connected.iter().zip(&before).all(|(count, before)| count.load(Ordering::Relaxed) > before + 2);
            while !has_more() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        is_over.store(true, Ordering::Relaxed);
    };
    soon("clients do not connect", async { tokio::join!(join_all(clients), rotations) }).await;

    // The issuer has forgotten the key of the first token.
    world.time_passes(HOUR);
    assert_eq!(status(&world, &token_of(issuer, "ES256", "ana")).await, 101);
    assert_eq!(status(&world, &first).await, 401);
}

#[tokio::test]
async fn keys_are_used_for_a_day_while_the_issuer_is_down() {
    let world = one_process(&[]).await;
    let token = token_of(world.issuer(), "RS256", "ana");
    assert_eq!(status(&world, &token).await, 101);

    world.issuer().set_down(true);
    world.time_passes(HOUR + 1);
    assert_eq!(status(&world, &token).await, 101);
    let warning = world.logs(|line| line["message"] == "the keys of an issuer are not renewed").await;
    assert_eq!((&warning["level"], &warning["issuer"]), (&json!("WARN"), &json!(world.urls().issuer)));
    assert!(warning["request_id"].is_string() && warning["error"].as_str().unwrap().contains("503"), "{warning}");
    world.time_passes(22 * HOUR);
    assert_eq!(status(&world, &token).await, 101);

    world.time_passes(HOUR);
    assert_eq!(status(&world, &token).await, 503);
    let refused = world.logs(|line| line["route"] == "$connect" && line["status"] == 503).await;
    assert_eq!(refused["code"], "UNAVAILABLE");
    assert!(refused["error"].as_str().unwrap().contains(world.urls().issuer.as_deref().unwrap()), "{refused}");
    let answer = world.request("GET", "/me", &[("authorization", &format!("Bearer {token}"))], "").await;
    assert_eq!(answer.refusal().0, 503);
    assert_eq!(answer.refusal().1, "UNAVAILABLE");

    world.issuer().set_down(false);
    world.time_passes(5);
    assert_eq!(status(&world, &token).await, 101);
}

#[tokio::test]
async fn unknown_keys_are_asked_for_once_a_minute() {
    let world = one_process(&[]).await;
    let issuer = world.issuer();
    assert_eq!(status(&world, &token_of(issuer, "ES256", "ana")).await, 101);
    assert_eq!(issuer.requests(), 1);

    for requests in [2, 3] {
        for number in 0..20 {
            let key = SigningKey::generate("ES256", format!("key-{number}")).unwrap();
            assert_eq!(status(&world, &key.token(&issuer.claims("ana", LONG)).unwrap()).await, 401);
        }
        assert_eq!(issuer.requests(), requests);
        world.time_passes(60);
    }
    assert_eq!(status(&world, &token_of(issuer, "ES256", "ana")).await, 101);
    assert_eq!(issuer.requests(), 3);
}

/// What a server answers: pieces with pauses between them, by path.
type Pieces = Vec<(Duration, Vec<u8>)>;

/// A server whose answers are written down byte for byte, and the paths that it was asked for.
async fn server(answers: impl Fn(&str) -> HashMap<String, Pieces>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (answers, asked) = (Arc::new(answers(&url)), Arc::<Mutex<Vec<String>>>::default());
    let heard = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let (answers, heard) = (Arc::clone(&answers), Arc::clone(&heard));
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    if socket.read_buf(&mut request).await.unwrap_or_default() == 0 {
                        return;
                    }
                }
                let path = String::from_utf8(request).unwrap().split(' ').nth(1).unwrap().to_owned();
                heard.lock().unwrap().push(path.clone());
                for (pause, piece) in answers.get(&path).unwrap_or(&Vec::new()) {
                    tokio::time::sleep(*pause).await;
                    if socket.write_all(piece).await.is_err() {
                        return;
                    }
                }
                let _ = socket.shutdown().await;
            });
        }
    });
    (url, asked)
}

fn answer(status: &str, body: &str) -> Pieces {
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    vec![(Duration::ZERO, format!("{head}{body}").into_bytes())]
}

/// A document in pieces, without its length.
fn in_pieces(pieces: Vec<(Duration, Vec<u8>)>) -> Pieces {
    [vec![(Duration::ZERO, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec())], pieces].concat()
}

#[tokio::test]
async fn an_issuer_with_unusable_documents_refuses_its_own_users_only() {
    const DISCOVERY: &str = ".well-known/openid-configuration";
    let key = SigningKey::generate("EdDSA", "a".to_owned()).unwrap();
    let keys = json!({ "keys": [key.published()] }).to_string();
    let padded = |bytes: usize| format!("{keys}{}", " ".repeat(bytes - keys.len()));
    let document = |issuer: &str, keys: &str| json!({ "issuer": issuer, "jwks_uri": keys }).to_string();
    let (url, asked) = server(|url| {
        let slowly = |byte: &u8| (Duration::from_millis(100), vec![*byte]);
        let own = |name: &str, keys: &str| {
            (format!("/{name}/{DISCOVERY}"), answer("200 OK", &document(&format!("{url}/{name}"), keys)))
        };
        let other = answer("200 OK", &document(&format!("{url}/good"), &format!("{url}/good/keys")));
        HashMap::from([
            own("good", &format!("{url}/good/keys")),
            ("/good/keys".to_owned(), answer("200 OK", &padded(64 * 1024))),
            own("long", &format!("{url}/long/keys")),
            ("/long/keys".to_owned(), answer("200 OK", &padded(64 * 1024 + 1))),
            own("endless", &format!("{url}/endless/keys")),
            ("/endless/keys".to_owned(), in_pieces(vec![(Duration::ZERO, b" ".repeat(1 << 14)); 1 << 10])),
            own("slow", &format!("{url}/slow/keys")),
            ("/slow/keys".to_owned(), in_pieces(keys.as_bytes().iter().map(slowly).collect())),
            ("/silent/keys".to_owned(), vec![(Duration::from_secs(60), Vec::new())]),
            own("silent", &format!("{url}/silent/keys")),
            (format!("/moved/{DISCOVERY}"), answer("302 Found\r\nLocation: /moved/now", "")),
            (
                "/moved/now".to_owned(),
                answer("200 OK", &document(&format!("{url}/moved"), &format!("{url}/good/keys"))),
            ),
            (format!("/other/{DISCOVERY}"), other.clone()),
            // The same address with a slash is another issuer.
            (
                format!("/slash/{DISCOVERY}"),
                answer("200 OK", &document(&format!("{url}/slash/"), &format!("{url}/good/keys"))),
            ),
            own("unencrypted", "http://keys.example/keys"),
            own("file", "file:///etc/hosts"),
            (format!("/empty/{DISCOVERY}"), answer("200 OK", "")),
            (
                format!("/missing/{DISCOVERY}"),
                answer("404 Not Found", &document(&format!("{url}/missing"), &format!("{url}/good/keys"))),
            ),
            own("page", &format!("{url}/page/keys")),
            ("/page/keys".to_owned(), answer("200 OK", "<html>")),
            own("redirect", &format!("{url}/redirect/keys")),
            ("/redirect/keys".to_owned(), answer("302 Found\r\nLocation: /good/keys", "")),
        ])
    })
    .await;
    let names = [
        "good",
        "long",
        "endless",
        "slow",
        "silent",
        "moved",
        "other",
        "slash",
        "unencrypted",
        "file",
        "empty",
        "missing",
        "page",
        "redirect",
    ];
    let listed =
        names.map(|name| json!({ "issuer": format!("{url}/{name}"), "audience": "chat", "algorithms": "EdDSA" }));
    let world = World::with(&[("AUTH_MODE", "jwt"), ("JWT_ISSUERS", &json!(listed).to_string())]).await;
    let token = |name: &str| {
        let claims = json!({ "iss": format!("{url}/{name}"), "aud": "chat", "sub": "ana", "exp": 9_999_999_999_u64 });
        key.token(&claims).unwrap()
    };

    let statuses = names.map(|name| {
        let (world, token) = (&world, token(name));
        async move { (name, status(world, &token).await) }
    });
    for (name, status) in join_all(statuses).await {
        assert_eq!(status, if name == "good" { 101 } else { 503 }, "{name}");
    }

    let asked = asked.lock().unwrap();
    assert!(!asked.iter().any(|path| path == "/moved/now"), "{asked:?}");
    assert!(names.iter().all(|name| asked.iter().any(|path| path.starts_with(&format!("/{name}/")))), "{asked:?}");
}

#[tokio::test]
async fn a_token_never_says_where_its_key_is() {
    let key = SigningKey::generate("EdDSA", "a".to_owned()).unwrap();
    let keys = json!({ "keys": [key.published()] }).to_string();
    let (evil, asked) = server(|_| HashMap::from([("/keys".to_owned(), answer("200 OK", &keys))])).await;
    let world = one_process(&[]).await;
    let claims = world.issuer().claims("ana", LONG);
    let headers = [
        json!({ "alg": "EdDSA", "kid": "a", "jku": format!("{evil}/keys") }),
        json!({ "alg": "EdDSA", "kid": "a", "x5u": format!("{evil}/keys") }),
        json!({ "alg": "EdDSA", "kid": "a", "jwk": key.published() }),
        json!({ "alg": "EdDSA", "kid": format!("{evil}/keys") }),
        json!({ "alg": "EdDSA", "kid": "a", "iss": evil }),
    ];
    let with_issuer = |issuer: Value| {
        let mut claims = claims.clone();
        claims["iss"] = issuer;
        claims.to_string()
    };

    for header in headers {
        assert_eq!(status(&world, &key.sign(&header.to_string(), &claims.to_string()).unwrap()).await, 401, "{header}");
    }
    let own = world.urls().issuer.clone().unwrap();
    for issuer in [json!(evil), json!(format!("{own}@{evil}")), json!([own]), json!(format!("{own}/")), json!(null)] {
        let token = key.sign(r#"{"alg":"EdDSA","kid":"a"}"#, &with_issuer(issuer.clone())).unwrap();
        assert_eq!(status(&world, &token).await, 401, "{issuer}");
    }

    assert_eq!(*asked.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_token_for_somebody_else_is_refused() {
    let world = one_process(&[]).await;
    let url = world.urls().issuer.clone().unwrap();
    let list = json!([{
        "issuer": url, "audience": ["chat", "mail"], "clientId": "web",
        "azp": ["https://a.example", "https://b.example"],
        "algorithms": ["ES256"], "userClaim": "email", "nameClaim": "nickname", "rolesClaim": "/realm/roles",
    }]);
    let strict = World::with(&[("AUTH_MODE", "jwt"), ("JWT_ISSUERS", &list.to_string())]).await;
    let good = json!({
        "iss": url, "aud": ["mail", "other"], "client_id": "web", "azp": "https://b.example", "exp": 9_999_999_999_u64,
        "sub": "7", "email": "ana@example.com", "email_verified": true, "nickname": "Ana", "realm": { "roles": [] },
    });
    let issuer = world.issuer();
    let token = |change: Value| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        issuer.key("ES256").unwrap().token(&claims).unwrap()
    };

    let opened = strict.open(&format!("?format=native&token={}", token(json!({})))).await;
    let hello = opened.unwrap().ask(json!({ "action": "hello" })).await;
    assert_eq!((&hello["userId"], &hello["userName"]), (&json!("ana@example.com"), &json!("Ana")));
    for change in [
        json!({ "aud": "other" }),
        json!({ "aud": null }),
        json!({ "aud": {} }),
        json!({ "aud": [["chat"]] }),
        json!({ "aud": "chat mail" }),
        json!({ "client_id": "phone" }),
        json!({ "client_id": null }),
        json!({ "azp": "https://c.example" }),
        json!({ "azp": "https://a.example/" }),
        json!({ "email_verified": false }),
        json!({ "email": null }),
        json!({ "realm": { "roles": "admin" } }),
    ] {
        assert_eq!(status(&strict, &token(change.clone())).await, 401, "{change}");
    }
    // Other algorithms of the same issuer are not listed.
    for algorithm in ["RS256", "EdDSA"] {
        assert_eq!(status(&strict, &issuer.key(algorithm).unwrap().token(&good).unwrap()).await, 401, "{algorithm}");
    }
}

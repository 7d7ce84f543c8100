//! Connecting where a signed token is asked for.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use futures_util::stream::{self, StreamExt};
use ring::hmac;
use serde_json::{Value, json};
use switchboard::local::issuer::{ALGORITHMS, SigningKey};

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
fn signed(header: &str, claims: &str, secret: &[u8]) -> String {
    let message = format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Who signs tokens, and what such tokens have in common.
struct Signer {
    algorithm: &'static str,
    /// Members of each header, with a comma in front.
    header: String,
    /// Members of all claims, with a comma behind.
    claims: String,
    /// The issuer's key; without one, our secret signs.
    key: Option<Arc<SigningKey>>,
}

impl Signer {
    /// Our secret.
    fn secret() -> Self {
        Self { algorithm: "HS256", header: String::new(), claims: String::new(), key: None }
    }

    /// The issuer's key for an algorithm.
    fn issuer(world: &World, algorithm: &'static str) -> Self {
        let key = world.issuer().key(algorithm).unwrap();
        let (id, url) = (key.published()["kid"].clone(), world.urls().issuer.clone().unwrap());
        Self {
            algorithm,
            header: format!(r#","kid":{id}"#),
            claims: format!(r#""iss":"{url}","aud":"switchboard","#),
            key: Some(key),
        }
    }

    /// A token of these texts.
    fn sign(&self, header: &str, claims: &str) -> String {
        match &self.key {
            Some(key) => key.sign(header, claims).unwrap(),
            None => signed(header, claims, SECRET.as_bytes()),
        }
    }

    fn header(&self) -> String {
        format!(r#"{{"alg":"{}","typ":"JWT"{}}}"#, self.algorithm, self.header)
    }

    /// Claims with these members.
    fn with(&self, members: &str) -> String {
        format!("{{{}{members}}}", self.claims)
    }

    /// A valid token.
    fn good(&self) -> String {
        self.sign(&self.header(), &self.with(&format!(r#""sub":"ana","exp":{}"#, now() + 3_600)))
    }
}

/// Headers that no valid token of this signer has.
fn odd_headers(signer: &Signer) -> Vec<String> {
    let Signer { algorithm: own, header: common, .. } = signer;
    let algorithms = [
        "\"HS256\"",
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
        "\"Ed25519\"",
        "\"rs256\"",
        "\"ES256K\"",
        "\"eddsa\"",
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
    let broken = ["", "{", "null", "[]", "7", "\"HS256\"", "{}", r#"{"typ":"JWT"}"#];
    let repeated = [
        format!(r#"{{"alg":"{own}","alg":"none"{common}}}"#),
        format!(r#"{{"alg":"none","alg":"{own}"{common}}}"#),
        format!(r#"{{"alg":"{own}","alg":"{own}"{common}}}"#),
        format!(r#"{{"alg":"{own}","x":1,"x":1{common}}}"#),
        format!(r#"{{"alg":"{own}"{common}}} x"#),
        format!(r#"{{"ALG":"{own}"{common}}}"#),
        format!(r#"{{"alg":"{own}","typ":5{common}}}"#),
        format!(r#"{{"alg":"{own}","typ":"logout+jwt"{common}}}"#),
        format!(r#"{{"alg":"{own}","typ":"JOSE"{common}}}"#),
    ];
    let is_other = |algorithm: &&str| *algorithm != format!("\"{own}\"");
    let algorithms = algorithms.into_iter().filter(is_other);
    let algorithms = algorithms.map(|algorithm| format!(r#"{{"alg":{algorithm},"typ":"JWT"{common}}}"#));
    let unsupported = unsupported.map(|member| format!(r#"{{"alg":"{own}",{member}{common}}}"#));
    algorithms.chain(unsupported).chain(repeated).chain(broken.map(str::to_owned)).collect()
}

/// Claims that do not make a valid token, although they are signed.
fn odd_claims(signer: &Signer) -> Vec<String> {
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
    let times = times.map(|times| signer.with(&format!(r#""sub":"ana",{times}"#)));
    let subjects = subjects.map(|subject| signer.with(&format!(r#""sub":{subject},"exp":{soon}"#)));
    let roles = roles.map(|roles| signer.with(&format!(r#""sub":"ana","exp":{soon},"roles":{roles}"#)));
    let missing = signer.with(&format!(r#""exp":{soon}"#));
    let behind = format!("{} {{}}", signer.with(&format!(r#""sub":"ana","exp":{soon}"#)));
    let repeated = signer.with(&format!(r#""sub":"ana","exp":{soon},"x":1,"x":1"#));
    let all = times.into_iter().chain(subjects).chain(roles).chain([missing, behind, repeated]);
    all.chain(broken.map(str::to_owned)).collect()
}

/// A valid token, damaged: in some of its characters and the last ones, in its parts, in its padding.
fn damaged(good: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let some = 1 + good.len() / 200;
    let is_some = |at: &usize| at.is_multiple_of(some) || at + 3 > good.len();
    for at in (0..good.len()).filter(is_some).filter(|at| good.as_bytes()[*at] != b'.') {
        let other = if &good[at..=at] == "A" { "B" } else { "A" };
        tokens.push(format!("{}{other}{}", &good[..at], &good[at + 1..]));
    }
    let parts: Vec<_> = good.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("{good}") };
    let other =
        signed(HEADER, &format!(r#"{{"sub":"ben","exp":{}}}"#, now() + 60), b"another secret of thirty-two bytes");
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

fn forged_and_odd_tokens(signer: &Signer) -> Vec<String> {
    let claims = signer.with(&format!(r#""sub":"ana","exp":{}"#, now() + 3_600));
    let mut tokens = damaged(&signer.good());
    for header in odd_headers(signer) {
        let token = signer.sign(&header, &claims);
        let unsigned = token.rsplit_once('.').unwrap().0.to_owned();
        tokens.extend([token, format!("{unsigned}.")]);
    }
    tokens.extend(odd_claims(signer).iter().map(|claims| signer.sign(&signer.header(), claims)));
    tokens
}

fn signed_with_other_secrets() -> Vec<String> {
    let claims = format!(r#"{{"sub":"ana","exp":{}}}"#, now() + 3_600);
    let secrets = [
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
    ];
    secrets.map(|secret| signed(HEADER, &claims, secret.as_bytes())).into()
}

/// Tokens with a secret that everybody knows: an issuer's public key, in each of its forms.
fn signed_with_a_public_key(signer: &Signer, key: &Value) -> Vec<String> {
    let member = |name: &str| key[name].as_str().unwrap_or_default().as_bytes().to_vec();
    let bytes = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(member(name)).unwrap();
    let forms = [
        key.to_string().into_bytes(),
        serde_json::to_vec_pretty(key).unwrap(),
        member("n"),
        bytes("n"),
        member("x"),
        bytes("x"),
        bytes("y"),
        [bytes("x"), bytes("y")].concat(),
        [vec![4], bytes("x"), bytes("y")].concat(),
        // The start of a SubjectPublicKeyInfo of RSA, P-256 and Ed25519 (RFC 8017, RFC 5480, RFC 8410).
        [
            hex::decode("30820122300d06092a864886f70d01010105000382010f003082010a0282010100").unwrap(),
            bytes("n"),
            hex::decode("0203010001").unwrap(),
        ]
        .concat(),
        [hex::decode("3059301306072a8648ce3d020106082a8648ce3d03010703420004").unwrap(), bytes("x"), bytes("y")]
            .concat(),
        [hex::decode("302a300506032b6570032100").unwrap(), bytes("x")].concat(),
    ];
    let pem = |der: &Vec<u8>| {
        let lines = BASE64_STANDARD
            .encode(der)
            .into_bytes()
            .chunks(64)
            .map(|line| String::from_utf8(line.to_vec()).unwrap())
            .collect::<Vec<_>>();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")).into_bytes()
    };
    let in_pem: Vec<_> = forms[9..].iter().map(pem).collect();
    let claims = signer.with(&format!(r#""sub":"ana","exp":{}"#, now() + 3_600));
    let headers = [HEADER.to_owned(), format!(r#"{{"alg":"HS256"{}}}"#, signer.header), signer.header()];
    let all = forms.iter().chain(&in_pem).filter(|form| !form.is_empty());
    all.flat_map(|form| headers.iter().map(|header| signed(header, &claims, form))).collect()
}

/// Signatures of an issuer that mean another key, another encoding, or nothing.
fn odd_signatures(signer: &Signer, others: &[Signer]) -> Vec<String> {
    let good = signer.good();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let raw = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    let half = raw.len() / 2;
    // A number of ASN.1, as in the DER form of ECDSA signatures.
    let number = |bytes: &[u8]| {
        let sign = if bytes[0] > 0x7f { vec![0] } else { Vec::new() };
        [vec![2, (sign.len() + bytes.len()) as u8], sign, bytes.to_vec()].concat()
    };
    let numbers = [number(&raw[..half]), number(&raw[half..])].concat();
    // The order of Ed25519's group, added to the second half (RFC 8032, section 5.1.7: refused).
    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let mut beyond = raw.clone();
    let mut carry = 0;
    for (byte, more) in beyond[half..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(more) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    let signatures = [
        [vec![0x30, numbers.len() as u8], numbers].concat(),
        beyond,
        raw[..half].to_vec(),
        raw[1..].to_vec(),
        [vec![0], raw.clone()].concat(),
        [raw.clone(), vec![0]].concat(),
        [raw.clone(), raw.clone()].concat(),
        [raw[half..].to_vec(), raw[..half].to_vec()].concat(),
        raw.iter().rev().copied().collect(),
        vec![0; raw.len()],
        vec![0xff; raw.len()],
        [vec![0; raw.len() - 1], vec![1]].concat(),
    ];
    let mut tokens: Vec<_> =
        signatures.iter().map(|bytes| format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))).collect();
    for other in others.iter().filter(|other| other.algorithm != signer.algorithm) {
        let claims = other.with(&format!(r#""sub":"ana","exp":{}"#, now() + 3_600));
        let common = &signer.header;
        // The id of one key, the algorithm or the signature of another.
        tokens.push(other.sign(&format!(r#"{{"alg":"{}"{common}}}"#, other.algorithm), &claims));
        tokens.push(other.sign(&format!(r#"{{"alg":"{}"{}}}"#, signer.algorithm, other.header), &claims));
        tokens.push(other.sign(&signer.header(), &claims));
    }
    tokens
}

/// Tokens of another issuer that uses the same ids of keys, and ids that mean no key.
fn with_other_keys(signer: &Signer) -> Vec<String> {
    let claims = signer.with(&format!(r#""sub":"ana","exp":{}"#, now() + 3_600));
    let other = SigningKey::generate(signer.algorithm, "other".to_owned()).unwrap();
    let mut tokens = vec![other.sign(&signer.header(), &claims).unwrap()];
    for id in ["\"other\"", "\"\"", "7", "[]", "{}", "true", "\"../../etc/hosts\"", "\"' or 1=1 --\"", "\"\\u0000\""] {
        tokens.push(signer.sign(&format!(r#"{{"alg":"{}","kid":{id}}}"#, signer.algorithm), &claims));
        tokens.push(other.sign(&format!(r#"{{"alg":"{}","kid":{id}}}"#, signer.algorithm), &claims).unwrap());
    }
    tokens
}

/// Issuers and audiences that are not those of the issuer, in claims that it has signed.
fn for_somebody_else(world: &World, signer: &Signer) -> Vec<String> {
    let url = world.urls().issuer.as_ref().unwrap();
    let (aud, iss) = (r#""aud":"switchboard""#, format!(r#""iss":"{url}""#));
    let claims = [
        aud.to_owned(),
        iss.clone(),
        String::new(),
        format!(r#""iss":"{url}/",{aud}"#),
        format!(r#""iss":"{}",{aud}"#, url.to_uppercase()),
        format!(r#""iss":["{url}"],{aud}"#),
        format!(r#""iss":"https://other.example",{aud}"#),
        format!(r#""iss":"",{aud}"#),
        format!(r#""iss":null,{aud}"#),
        format!(r#""iss":5,{aud}"#),
        format!(r#"{iss},{iss},{aud}"#),
        format!(r#"{iss},"aud":"other""#),
        format!(r#"{iss},"aud":["other"]"#),
        format!(r#"{iss},"aud":[]"#),
        format!(r#"{iss},"aud":null"#),
        format!(r#"{iss},"aud":"Switchboard""#),
        format!(r#"{iss},"aud":"switchboard ""#),
        format!(r#"{iss},"aud":{{"switchboard":true}}"#),
        format!(r#"{iss},{aud},{aud}"#),
    ];
    let complete = |claims: String| {
        let comma = if claims.is_empty() { "" } else { "," };
        format!(r#"{{{claims}{comma}"sub":"ana","exp":{}}}"#, now() + 3_600)
    };
    claims.into_iter().map(|claims| signer.sign(&signer.header(), &complete(claims))).collect()
}

/// Those tokens that are not refused with a status of a client's mistake, at each of these doors.
async fn let_in(world: &World, tokens: &[String], at_every_door: bool) -> Vec<String> {
    let statuses = stream::iter(tokens).map(|token| async move {
        let bearer = format!("Bearer {token}");
        let mut all = vec![world.open_with("", &[("authorization", &bearer)]).await.err().unwrap_or(101)];
        if at_every_door {
            let protocols = format!("chat, {token}");
            let query: String = form_urlencoded::byte_serialize(token.as_bytes()).collect();
            let protocol = world.open_with("", &[("sec-websocket-protocol", &protocols)]).await;
            all.push(protocol.err().unwrap_or(101));
            all.push(world.open(&format!("?token={query}")).await.err().unwrap_or(101));
            all.push(world.request("GET", "/me", &[("authorization", &bearer)], "").await.status);
        }
        let odd = all.into_iter().filter(|status| !(400..500).contains(status));
        odd.map(|status| format!("{status}: {token}")).collect::<Vec<_>>()
    });
    statuses.buffer_unordered(8).concat().await
}

#[tokio::test]
async fn forged_and_odd_tokens_are_refused_at_every_door() {
    let world = World::with_tokens().await;
    let signer = Signer::secret();
    let tokens = [forged_and_odd_tokens(&signer), signed_with_other_secrets()].concat();
    assert!(tokens.len() >= 250, "{} tokens", tokens.len());
    assert!(world.open(&format!("?token={}", signer.good())).await.is_ok());

    let wrong = let_in(&world, &tokens, true).await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn forged_and_odd_tokens_of_an_issuer_are_refused_in_each_algorithm() {
    let world = World::with_issuer(&[("JWT_SECRET", SECRET)]).await;
    let signers = ALGORITHMS.map(|algorithm| Signer::issuer(&world, algorithm));
    for signer in &signers {
        assert!(world.open(&format!("?token={}", signer.good())).await.is_ok(), "{}", signer.algorithm);
        let key = world.issuer().key(signer.algorithm).unwrap().published();
        let tokens = [
            forged_and_odd_tokens(signer),
            signed_with_a_public_key(signer, &key),
            odd_signatures(signer, &signers),
            with_other_keys(signer),
            for_somebody_else(&world, signer),
        ]
        .concat();
        assert!(tokens.len() >= 400, "{}: {} tokens", signer.algorithm, tokens.len());

        let wrong = let_in(&world, &tokens, false).await;
        assert!(wrong.is_empty(), "{}: {wrong:#?}", signer.algorithm);
    }
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

//! A complete stack for each test: gateway, function processes, DynamoDB and S3.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::stream::{self, StreamExt};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::Value;
use switchboard::local::faults::Plan;
use switchboard::local::issuer::Issuer;
use switchboard::local::{AccessKey, AwsCall, BusOptions, Options, Stack, StoreCall, clients};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::http::HeaderMap;

use super::{Logs, Socket, User};

/// The secret that signs tokens.
pub const SECRET: &str = "a secret for tests, long enough for HS256";

/// A signed token with these claims.
pub fn token(claims: &Value) -> String {
    switchboard::aws::jwt_crypto::install();
    jsonwebtoken::encode(&Header::default(), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

thread_local! {
    /// The number of worlds in this test so far. Each test has its own thread.
    static WORLDS: Cell<u32> = const { Cell::new(0) };
}

pub struct World {
    stack: Stack,
    logs: Arc<Logs>,
    /// Whether users show tokens.
    has_tokens: bool,
    /// The number of this world in its test.
    number: u32,
}

impl World {
    /// A world with `AUTH_MODE=open`.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A world that requires signed tokens.
    pub async fn with_tokens() -> Self {
        Self::with_tokens_and(&[]).await
    }

    /// Like `with_tokens`, with these environment variables.
    pub async fn with_tokens_and(environment: &[(&str, &str)]) -> Self {
        Self::with(&[&[("AUTH_MODE", "jwt"), ("JWT_SECRET", SECRET)], environment].concat()).await
    }

    /// A world that requires tokens of its issuer, with these environment variables.
    pub async fn with_issuer(environment: &[(&str, &str)]) -> Self {
        Self::changed(environment, |options| Options { issuer_port: Some(0), ..options }).await
    }

    /// A world with an event bus, and these environment variables.
    pub async fn with_events(environment: &[(&str, &str)]) -> Self {
        let bus = BusOptions { kept: usize::MAX, ..BusOptions::default() };
        Self::changed(environment, |options| Options { bus: Some(bus), ..options }).await
    }

    /// A world with these environment variables.
    pub async fn with(environment: &[(&str, &str)]) -> Self {
        Self::changed(environment, |options| options).await
    }

    /// Like `with`, with changed options of the stack.
    pub async fn changed(environment: &[(&str, &str)], change: impl FnOnce(Options) -> Options) -> Self {
        let logs = Arc::new(Logs::default());
        let options = Options::on_free_ports(env!("CARGO_BIN_EXE_bootstrap").into(), logs.sink());
        // Tests send as fast as they can; those of the limits name the ones that they need.
        let limits = [("LIMITS", "off")].into_iter().filter(|(name, _)| environment.iter().all(|(set, _)| set != name));
        let environment = limits.chain(environment.iter().copied());
        let environment: Vec<_> = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let has_tokens = environment.iter().any(|(name, value)| name == "AUTH_MODE" && value == "jwt");
        let options = Options { environment, ..options };
        let options = change(options);
        if let Ok(lag) = std::env::var("INDEX_LAG_MS") {
            options.faults.follow(Plan { index_lag_ms: lag.parse().unwrap(), ..Plan::default() });
        }
        let stack = Stack::start(options).await.unwrap();
        let number = WORLDS.replace(WORLDS.get() + 1);
        Self { stack, logs, has_tokens, number }
    }

    pub fn access_key(&self) -> &AccessKey {
        self.stack.access_key()
    }

    /// The issuer of a world that has one.
    pub fn issuer(&self) -> &Issuer {
        self.stack.issuer().unwrap()
    }

    pub(super) fn stack(&self) -> &Stack {
        &self.stack
    }

    pub fn urls(&self) -> &switchboard::local::Urls {
        self.stack.urls()
    }

    /// Connects a user by id, with the native format.
    pub async fn connect(&self, user: &str) -> User {
        self.open(&format!("?userId={user}&format=native")).await.unwrap()
    }

    /// Connects a user for one room, which is created if it does not exist.
    pub async fn connect_to(&self, user: &str, room: &str) -> User {
        self.open(&format!("?userId={user}&roomId={room}&format=native")).await.unwrap()
    }

    /// How a handshake says who connects: by a token, where the world requires one.
    pub fn query_of(&self, user: &str) -> String {
        if !self.has_tokens {
            return format!("?userId={user}");
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        format!("?token={}", token(&serde_json::json!({ "sub": user, "iat": now })))
    }

    /// Connects `count` users to one room, named from `user-0`. At most 8 handshakes are concurrent, because one that
    /// waits longer than the integration timeout fails.
    pub async fn crowd(&self, room: &str, count: usize) -> Vec<User> {
        let names = stream::iter((0..count).map(|number| format!("user-{number}")));
        names.map(|user| async move { self.connect_to(&user, room).await }).buffered(8).collect().await
    }

    /// Opens a connection with this query, or returns the HTTP status of the failed handshake.
    pub async fn open(&self, query: &str) -> Result<User, u16> {
        self.open_with(query, &[]).await.map(|(user, _)| user)
    }

    /// Like `open`, with these request headers. Also returns the response headers.
    pub async fn open_with(&self, query: &str, headers: &[(&str, &str)]) -> Result<(User, HeaderMap), u16> {
        let opened = Socket::open(&format!("{}{query}", self.urls().websocket), headers).await;
        opened.map(|(socket, headers)| (User::new(socket), headers))
    }

    /// A client that sends a handshake and disconnects as soon as the function handles it.
    pub async fn aborts_a_handshake(&self, user: &str) {
        let query = format!("?userId={user}");
        let (host, path) = self.urls().websocket.strip_prefix("ws://").unwrap().split_once('/').unwrap();
        let mut stream = TcpStream::connect(host).await.unwrap();
        let request = format!(
            "GET /{path}{query} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        while self.rows_with("Connections", "userId", user).await == 0 {
            tokio::task::yield_now().await;
        }
    }

    /// The events on the bus so far, in the order in which they were put: once everything that was written is there.
    pub async fn events(&self) -> Vec<Value> {
        self.stack.events_put().await;
        let mut events = self.stack.bus().unwrap().events();
        events.iter_mut().map(|event| event["detail"].take()).inspect(super::contract::heard_event).collect()
    }

    /// Advances the clock of the stack.
    pub fn time_passes(&self, seconds: u64) {
        self.stack.clock().advance(Duration::from_secs(seconds));
    }

    /// Invokes the scheduled sweep and waits for its end.
    pub async fn runs_sweep(&self) {
        self.stack.fire_schedule().await;
    }

    /// The DynamoDB requests of the function since the last call.
    pub fn take_store_calls(&self) -> Vec<StoreCall> {
        self.stack.take_store_calls()
    }

    /// All AWS calls of the function so far.
    pub fn aws_calls(&self) -> BTreeSet<AwsCall> {
        self.stack.aws_calls()
    }

    pub fn function_processes(&self) -> Vec<u32> {
        self.stack.function_processes()
    }

    /// The number of function processes so far, including ended ones.
    pub fn processes_ever(&self) -> usize {
        self.stack.function_processes_started()
    }

    /// The function's log so far.
    pub fn log(&self) -> Vec<Value> {
        self.logs.all()
    }

    /// Waits for the first log line that matches.
    pub async fn logs(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        self.has_logged(1, wanted).await
    }

    /// Waits until a route has been called this many times.
    pub async fn has_called(&self, route: &str, times: usize) {
        self.has_logged(times, |line| line["route"] == route).await;
    }

    /// Waits for the n-th log line that matches, with n = `times`.
    pub async fn has_logged(&self, times: usize, wanted: impl Fn(&Value) -> bool) -> Value {
        self.logs.wait_for(times, wanted).await
    }

    /// A DynamoDB client for the tables of the function.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        clients::dynamodb(&self.urls().dynamodb, self.access_key()).unwrap()
    }

    /// All rows of a table.
    pub async fn rows(&self, table: &str) -> Vec<HashMap<String, AttributeValue>> {
        let pages = self.dynamodb().scan().table_name(table).consistent_read(true).into_paginator().items().send();
        pages.collect::<Result<Vec<_>, _>>().await.unwrap()
    }

    /// Forgets the answer to a request of a backend, like a function that crashes before it keeps that.
    pub async fn loses_answer(&self, key: &str) {
        let update = self.dynamodb().update_item().table_name("Requests");
        let update = update.key("id", AttributeValue::S(key.to_owned())).update_expression("REMOVE answer");
        update.send().await.unwrap();
    }

    /// Deletes a membership and nothing else, like a function that crashes during a removal.
    pub async fn loses_membership(&self, user: &str, room: &str) {
        let delete = self.dynamodb().delete_item().table_name("Members");
        let delete = delete.key("userId", AttributeValue::S(user.to_owned()));
        delete.key("roomId", AttributeValue::S(room.to_owned())).send().await.unwrap();
    }

    /// The number of members of a room: rows of those who have left remain.
    pub async fn member_count(&self, room: &str) -> usize {
        let (room, member) = (AttributeValue::S(room.to_owned()), AttributeValue::S("member".to_owned()));
        let is_member = |row: &&HashMap<_, _>| row.get("roomId") == Some(&room) && row.get("status") == Some(&member);
        self.rows("Members").await.iter().filter(is_member).count()
    }

    /// The number of rows with this value of an attribute.
    pub async fn rows_with(&self, table: &str, attribute: &str, value: &str) -> usize {
        let value = AttributeValue::S(value.to_owned());
        self.rows(table).await.into_iter().filter(|row| row.get(attribute) == Some(&value)).count()
    }

    /// The number of rows whose attribute is `true`.
    pub async fn rows_with_flag(&self, table: &str, attribute: &str) -> usize {
        let rows = self.rows(table).await;
        rows.iter().filter(|row| row.get(attribute) == Some(&AttributeValue::Bool(true))).count()
    }

    /// The subscribers of a channel, sorted: connection and user.
    pub async fn subscribers(&self, channel: &str) -> Vec<(String, String)> {
        let channel = AttributeValue::S(channel.to_owned());
        let is_live = |row: &HashMap<_, _>| row.get("channel") == Some(&channel) && row.contains_key("userId");
        let rows = self.rows("Subscriptions").await.into_iter().filter(is_live);
        let mut live: Vec<_> =
            rows.map(|row| ["connectionId", "userId"].map(|name| row[name].as_s().unwrap().clone()).into()).collect();
        live.sort();
        live
    }

    /// Writes the rows of a connection that API Gateway does not have, as after a lost `$disconnect`.
    pub async fn has_stale_connection(&self, id: &str, room: &str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
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
        let client = self.dynamodb();
        for channel in &channels {
            let mut row = common.clone();
            row.insert("channel".to_owned(), text(channel));
            client.put_item().table_name("Subscriptions").set_item(Some(row)).send().await.unwrap();
        }
        let mut row = common;
        row.insert("channels".to_owned(), AttributeValue::Ss(channels.to_vec()));
        client.put_item().table_name("Connections").set_item(Some(row)).send().await.unwrap();
    }
}

/// Records the AWS calls of the function, for the check `privileges`.
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("aws-calls");
        let test = std::thread::current().name().unwrap().replace("::", ".");
        let calls = serde_json::to_string_pretty(&self.aws_calls()).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{test}.{}.json", self.number)), calls).unwrap();
    }
}

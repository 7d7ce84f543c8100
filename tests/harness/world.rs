//! A whole stack of a test's own: gateway, function processes, stores.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::stream::{self, StreamExt};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::Value;
use switchboard::local::{AccessKey, AwsCall, Options, Stack, StoreCall, clients};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::http::HeaderMap;

use super::{Logs, Socket, User};

/// What tokens are signed with in worlds that want them.
const SECRET: &str = "a secret for tests, long enough for HS256";

/// A token as anybody with the secret can make one.
pub fn token(claims: &Value) -> String {
    switchboard::aws::jwt_crypto::install();
    jsonwebtoken::encode(&Header::default(), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

thread_local! {
    /// How many worlds there have been in this test, which has a thread of its own.
    static WORLDS: Cell<u32> = const { Cell::new(0) };
}

pub struct World {
    stack: Stack,
    logs: Arc<Logs>,
    /// Which of its test's worlds it is.
    number: u32,
}

impl World {
    /// In which everybody is believed.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// In which a signed token is asked for.
    pub async fn with_tokens() -> Self {
        Self::with_tokens_and(&[]).await
    }

    /// As `with_tokens`, and the function finds these variables.
    pub async fn with_tokens_and(environment: &[(&str, &str)]) -> Self {
        Self::with(&[&[("AUTH_MODE", "jwt"), ("JWT_SECRET", SECRET)], environment].concat()).await
    }

    /// In which the function finds these variables.
    pub async fn with(environment: &[(&str, &str)]) -> Self {
        Self::changed(environment, |options| options).await
    }

    /// As `with`, on a stack that differs from the usual one.
    pub async fn changed(environment: &[(&str, &str)], change: impl FnOnce(Options) -> Options) -> Self {
        let logs = Arc::new(Logs::default());
        let options = Options::on_free_ports(env!("CARGO_BIN_EXE_bootstrap").into(), logs.sink());
        let environment = environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let options = Options { environment, ..options };
        let stack = Stack::start(change(options)).await.unwrap();
        let number = WORLDS.replace(WORLDS.get() + 1);
        Self { stack, logs, number }
    }

    pub fn access_key(&self) -> &AccessKey {
        self.stack.access_key()
    }

    pub(super) fn stack(&self) -> &Stack {
        &self.stack
    }

    pub fn urls(&self) -> &switchboard::local::Urls {
        self.stack.urls()
    }

    /// A user who says who they are and wants native frames.
    pub async fn connect(&self, user: &str) -> User {
        self.open(&format!("?userId={user}&format=native")).await.unwrap()
    }

    /// A user who opens a connection for one room, which is made if it is not there.
    pub async fn connect_to(&self, user: &str, room: &str) -> User {
        self.open(&format!("?userId={user}&roomId={room}&format=native")).await.unwrap()
    }

    /// So many users in one room, `user-0` the first of them. They come a few at a time: a handshake waits for its
    /// turn, and the gateway for a handshake not for ever.
    pub async fn crowd(&self, room: &str, count: usize) -> Vec<User> {
        let names = stream::iter((0..count).map(|number| format!("user-{number}")));
        names.map(|user| async move { self.connect_to(&user, room).await }).buffered(8).collect().await
    }

    /// A handshake with this query; the HTTP status where it is refused.
    pub async fn open(&self, query: &str) -> Result<User, u16> {
        self.open_with(query, &[]).await.map(|(user, _)| user)
    }

    /// A handshake with this query and these headers, and the headers of the answer.
    pub async fn open_with(&self, query: &str, headers: &[(&str, &str)]) -> Result<(User, HeaderMap), u16> {
        let opened = Socket::open(&format!("{}{query}", self.urls().websocket), headers).await;
        opened.map(|(socket, headers)| (User::new(socket), headers))
    }

    /// A client that asks for a connection and is gone as soon as the function is at work on it.
    pub async fn begins_a_handshake_and_goes(&self, user: &str) {
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

    /// Lets the events that follow come from so much later.
    pub fn time_passes(&self, seconds: u64) {
        self.stack.clock().advance(Duration::from_secs(seconds));
    }

    /// Calls the function by its schedule, and returns when it is done.
    pub async fn is_swept(&self) {
        self.stack.fire_schedule().await;
    }

    /// What the function asked of DynamoDB since this was last called.
    pub fn take_store_calls(&self) -> Vec<StoreCall> {
        self.stack.take_store_calls()
    }

    /// Every call of AWS that the function has made so far.
    pub fn aws_calls(&self) -> BTreeSet<AwsCall> {
        self.stack.aws_calls()
    }

    pub fn function_processes(&self) -> Vec<u32> {
        self.stack.function_processes()
    }

    /// How many function processes there have been.
    pub fn processes_ever(&self) -> usize {
        self.stack.function_processes_started()
    }

    /// The function's log so far.
    pub fn log(&self) -> Vec<Value> {
        self.logs.all()
    }

    /// The first line of log of which `wanted` holds, when it comes.
    pub async fn logs(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        self.has_logged(1, wanted).await
    }

    /// Waits until a route was called so many times.
    pub async fn has_called(&self, route: &str, times: usize) {
        self.has_logged(times, |line| line["route"] == route).await;
    }

    /// The line of log of which `wanted` holds for the so-many-th time, when it comes.
    pub async fn has_logged(&self, times: usize, wanted: impl Fn(&Value) -> bool) -> Value {
        self.logs.wait_for(times, wanted).await
    }

    /// As the function itself reaches the tables.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        clients::dynamodb(&self.urls().dynamodb, self.access_key()).unwrap()
    }

    /// Every row of a table.
    pub async fn rows(&self, table: &str) -> Vec<HashMap<String, AttributeValue>> {
        let pages = self.dynamodb().scan().table_name(table).consistent_read(true).into_paginator().items().send();
        pages.collect::<Result<Vec<_>, _>>().await.unwrap()
    }

    /// Ends a membership and nothing else, as a function does that dies in the middle of a removal.
    pub async fn loses_membership(&self, user: &str, room: &str) {
        let delete = self.dynamodb().delete_item().table_name("Members");
        let delete = delete.key("userId", AttributeValue::S(user.to_owned()));
        delete.key("roomId", AttributeValue::S(room.to_owned())).send().await.unwrap();
    }

    /// How many rows there are of a connection or of a room, wherever they may be.
    pub async fn rows_with(&self, table: &str, attribute: &str, value: &str) -> usize {
        let value = AttributeValue::S(value.to_owned());
        self.rows(table).await.into_iter().filter(|row| row.get(attribute) == Some(&value)).count()
    }

    /// Who is live on a channel, in the table's order: connection and user.
    pub async fn subscribers(&self, channel: &str) -> Vec<(String, String)> {
        let channel = AttributeValue::S(channel.to_owned());
        let rows = self.rows("Subscriptions").await.into_iter().filter(|row| row.get("channel") == Some(&channel));
        let mut live: Vec<_> =
            rows.map(|row| ["connectionId", "userId"].map(|name| row[name].as_s().unwrap().clone()).into()).collect();
        live.sort();
        live
    }

    /// Lets the tables know a connection that API Gateway does not, as when `$disconnect` was lost.
    pub async fn is_haunted_by(&self, id: &str, room: &str) {
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

/// What the function called is kept, to be held against the permissions that it is deployed with.
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

//! A stack of a test's own, and what reaches the function of it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;
use serde_json::{Value, json};
use switchboard::local::faults::Faults;
use switchboard::local::{Options, Stack, Urls, clients};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::http::HeaderMap;

use super::{Client, Invocation, probe};
use crate::harness::{Socket, soon};

/// The function's program, and the variable that it finds the test by.
pub const PROBE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gateway/probe.py");
pub const PROBE_ASKS: &str = "PROBE_ASKS";

/// Where files are kept.
pub const BUCKET: &str = "switchboard-uploads";

/// The function's answer where nothing is to be said.
pub fn accepted() -> Value {
    json!({ "statusCode": 200 })
}

/// The function's answer to a message on which nothing is to be heard.
pub fn nothing() -> Value {
    json!({ "statusCode": 204 })
}

/// The function's answer with a body.
pub fn said(body: &str) -> Value {
    json!({ "statusCode": 200, "body": body })
}

pub struct World {
    stack: Stack,
    invocations: Invocations,
    connections: OnceLock<aws_sdk_apigatewaymanagement::Client>,
}

/// What the function processes have been given, in the order in which they have.
pub struct Invocations(mpsc::UnboundedReceiver<Invocation>);

impl Invocations {
    /// Nothing yet. The processes of the probe find in `PROBE_ASKS` where they ask what to do.
    pub async fn begin() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let asks = listener.local_addr().unwrap().to_string();
        let (sender, invocations) = mpsc::unbounded_channel();
        probe::attend(listener, sender);
        (Self(invocations), asks)
    }

    pub async fn next(&mut self) -> Invocation {
        soon("the function is not called", self.0.recv()).await.unwrap()
    }
}

/// A handshake under way: it ends in a socket and the answer's headers, or in a status.
pub type Handshake = JoinHandle<Result<(Client, HeaderMap), u16>>;

/// Begins a handshake.
pub fn open(url: &str, headers: &[(&str, &str)]) -> Handshake {
    let url = url.to_owned();
    let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    tokio::spawn(async move {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Socket::open(&url, &headers).await.map(|(socket, headers)| (Client::new(socket), headers))
    })
}

impl World {
    pub async fn start() -> Self {
        Self::with(|options| options).await
    }

    /// On a stack that differs from the usual one.
    pub async fn with(change: impl FnOnce(Options) -> Options) -> Self {
        let (invocations, asks) = Invocations::begin().await;
        let options = Options::on_free_ports("python3".into(), Arc::new(|line: &str| eprintln!("{line}")));
        let options = Options {
            function: vec!["python3".into(), PROBE.into()],
            is_own_function: false,
            environment: vec![(PROBE_ASKS.to_owned(), asks)],
            ..options
        };
        Self { stack: Stack::start(change(options)).await.unwrap(), invocations, connections: OnceLock::new() }
    }

    /// In which something can be made to go wrong.
    pub async fn with_faults() -> (Faults, Self) {
        let faults = Faults::default();
        let world = Self::with(|options| Options { faults: faults.clone(), ..options }).await;
        (faults, world)
    }

    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The stack, and what the function is given meanwhile.
    pub fn apart(&mut self) -> (&Stack, &mut Invocations) {
        (&self.stack, &mut self.invocations)
    }

    pub fn urls(&self) -> &Urls {
        self.stack.urls()
    }

    /// The next event that a function process has been given.
    pub async fn invoked(&mut self) -> Invocation {
        self.invocations.next().await
    }

    /// Nothing but what was asked for has been given to the function so far.
    pub fn has_invoked_nothing_else(&mut self) {
        let further = self.invocations.0.try_recv().ok().map(|invocation| invocation.event);
        assert_eq!(further, None);
    }

    /// Begins a handshake.
    pub fn opens(&self, query: &str, headers: &[(&str, &str)]) -> Handshake {
        open(&format!("{}{query}", self.urls().websocket), headers)
    }

    /// A client that the function has accepted.
    pub async fn connect(&mut self) -> Client {
        let handshake = self.opens("", &[]);
        let connect = self.invoked().await;
        let id = connect.context("connectionId").as_str().unwrap().to_owned();
        connect.answers(accepted());
        let (client, _) = handshake.await.unwrap().unwrap();
        client.known_as(id)
    }

    /// `@connections`, as a function reaches it.
    pub fn connections(&self) -> &aws_sdk_apigatewaymanagement::Client {
        self.connections
            .get_or_init(|| clients::connections(&self.urls().connections, self.stack.access_key()).unwrap())
    }

    /// The stores, as anybody reaches them.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        clients::dynamodb(&self.urls().dynamodb, self.stack.access_key()).unwrap()
    }

    pub fn s3(&self) -> aws_sdk_s3::Client {
        clients::s3(&self.urls().s3, self.stack.access_key()).unwrap()
    }

    /// A URL at which anybody can download an object.
    pub async fn presigns_download(&self, key: &str, lifetime: Duration) -> String {
        let lifetime = PresigningConfig::expires_in(lifetime).unwrap();
        self.s3().get_object().bucket(BUCKET).key(key).presigned(lifetime).await.unwrap().uri().to_owned()
    }

    /// An object that the function hears of.
    pub async fn uploads(&self, key: &str) {
        let put = self.s3().put_object().bucket(BUCKET).key(key);
        put.body(b"leaves".to_vec().into()).send().await.unwrap();
    }
}

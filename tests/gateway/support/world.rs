//! A stack for one test, and the invocations of its function.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use aws_sdk_s3::presigning::PresigningConfig;
use serde_json::{Value, json};
use switchboard::local::faults::Faults;
use switchboard::local::{Options, Stack, Urls, clients};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::http::HeaderMap;

use super::{Client, Invocation, probe};
use crate::harness::{Signing, Socket, soon};

/// The program of the function, and the environment variable with the address at which it reaches the test.
pub const PROBE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gateway/probe.py");
pub const PROBE_ADDRESS: &str = "PROBE_ADDRESS";

/// The bucket of uploaded files.
pub const BUCKET: &str = "switchboard-uploads";

/// A response without a body.
pub fn accepted() -> Value {
    json!({ "statusCode": 200 })
}

/// A response to a message for which the gateway sends no frame.
pub fn nothing() -> Value {
    json!({ "statusCode": 204 })
}

/// A response with a body.
pub fn with_body(body: &str) -> Value {
    json!({ "statusCode": 200, "body": body })
}

pub struct World {
    stack: Stack,
    invocations: Invocations,
    connections: OnceLock<aws_sdk_apigatewaymanagement::Client>,
}

/// The invocations of the function processes, in order.
pub struct Invocations(mpsc::UnboundedReceiver<Invocation>);

impl Invocations {
    /// Also returns the value of `PROBE_ADDRESS` for the processes of the probe.
    pub async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, invocations) = mpsc::unbounded_channel();
        probe::serve(listener, sender);
        (Self(invocations), address)
    }

    pub async fn next(&mut self) -> Invocation {
        soon("the function was not invoked", self.0.recv()).await.unwrap()
    }
}

/// A pending handshake. The result is a client and the response headers, or a status.
pub type Handshake = JoinHandle<Result<(Client, HeaderMap), u16>>;

/// Starts a handshake.
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

    /// With changed options.
    pub async fn with(change: impl FnOnce(Options) -> Options) -> Self {
        let (invocations, address) = Invocations::start().await;
        let options = Options::on_free_ports("python3".into(), Arc::new(|line: &str| eprintln!("{line}")));
        let options = Options {
            function: vec!["python3".into(), PROBE.into()],
            is_own_function: false,
            environment: vec![(PROBE_ADDRESS.to_owned(), address)],
            ..options
        };
        Self { stack: Stack::start(change(options)).await.unwrap(), invocations, connections: OnceLock::new() }
    }

    /// With fault injection.
    pub async fn with_faults() -> (Faults, Self) {
        let faults = Faults::default();
        let world = Self::with(|options| Options { faults: faults.clone(), ..options }).await;
        (faults, world)
    }

    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The stack and the invocations, to use both at once.
    pub fn split(&mut self) -> (&Stack, &mut Invocations) {
        (&self.stack, &mut self.invocations)
    }

    pub fn urls(&self) -> &Urls {
        self.stack.urls()
    }

    /// The next invocation of a function process.
    pub async fn invoked(&mut self) -> Invocation {
        self.invocations.next().await
    }

    /// Asserts that there has been no further invocation so far.
    pub fn has_invoked_nothing_else(&mut self) {
        let event = self.invocations.0.try_recv().ok().map(|invocation| invocation.event);
        assert_eq!(event, None);
    }

    /// Starts a handshake.
    pub fn opens(&self, query: &str, headers: &[(&str, &str)]) -> Handshake {
        open(&format!("{}{query}", self.urls().websocket), headers)
    }

    /// A client whose handshake the function has accepted.
    pub async fn connect(&mut self) -> Client {
        let handshake = self.opens("", &[]);
        let connect = self.invoked().await;
        let id = connect.context("connectionId").as_str().unwrap().to_owned();
        connect.answers(accepted());
        let (client, _) = handshake.await.unwrap().unwrap();
        client.with_id(id)
    }

    /// A client of `@connections`.
    pub fn connections(&self) -> &aws_sdk_apigatewaymanagement::Client {
        self.connections
            .get_or_init(|| clients::connections(&self.urls().connections, self.stack.access_key()).unwrap())
    }

    /// A client of DynamoDB, with the stack's access key.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        clients::dynamodb(&self.urls().dynamodb, self.stack.access_key()).unwrap()
    }

    pub fn s3(&self) -> aws_sdk_s3::Client {
        clients::s3(&self.urls().s3, self.stack.access_key()).unwrap()
    }

    /// A presigned URL to download an object.
    pub async fn presigns_download(&self, key: &str, lifetime: Duration) -> String {
        let lifetime = PresigningConfig::expires_in(lifetime).unwrap();
        self.s3().get_object().bucket(BUCKET).key(key).presigned(lifetime).await.unwrap().uri().to_owned()
    }

    /// Uploads an object, of which S3 notifies the function.
    pub async fn uploads(&self, key: &str) {
        let put = self.s3().put_object().bucket(BUCKET).key(key);
        put.body(b"leaves".to_vec().into()).send().await.unwrap();
    }
}

impl World {
    /// Signs with the access key of the stack, for one of its services.
    pub fn signs(&self, service: &'static str) -> Signing {
        Signing { key: self.stack().access_key().clone(), service, region: "us-east-1", at: SystemTime::now() }
    }
}

//! Cold starts: from the start of the program to its first `GET /next`, and to its first response.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use switchboard::local::{Options, Stack};
use tempfile::NamedTempFile;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use crate::harness::Socket;
use crate::table::{Figure, Goal};
use crate::valgrind::{Counted, Counts};

const GROUP: &str = "cold";
const STARTS: usize = 20;
/// Timeout of every step.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures the function, and the minimal function `lean` in `examples` next to it.
pub async fn figures(function: &Path) -> Vec<Figure> {
    let lean = function.with_file_name("examples").join("lean");
    // DynamoDB has a different port over TLS.
    let allowed_hosts = vec!["127.0.0.1".to_owned()];
    let options = Options { allowed_hosts, ..Options::on_free_ports(function.into(), Arc::new(|_| {})) };
    let stack = Stack::start(options).await.unwrap();
    let (_ana, _) = Socket::open(&format!("{}?userId=ana", stack.urls().websocket), &[]).await.unwrap();
    let plain = Environment::of(&stack, stack.urls().dynamodb.clone(), None);
    let tls = Tls::in_front_of(&stack.urls().dynamodb).await;
    let over_tls = Environment::of(&stack, tls.url.clone(), Some(tls.authority.path()));
    let ping = ping(&stack.open_connections()[0]);

    let to_next = counted(function, &plain, None).await;
    let to_next_of_lean = counted(&lean, &plain, None).await;
    let to_answer = counted(function, &plain, Some(&ping)).await;
    let to_answer_over_tls = counted(function, &over_tls, Some(&ping)).await;
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        starts.push(started(function, &plain).await);
    }
    let sorted = |of: fn(&Start) -> f64| {
        let mut sorted: Vec<_> = starts.iter().map(of).collect();
        sorted.sort_by(f64::total_cmp);
        sorted
    };
    let (ms, resident_mb) = (sorted(|start| start.ms), sorted(|start| start.resident_mb));
    let figure = |name, value, unit| Figure::new(GROUP, name, value, unit);
    vec![
        figure("zip", zip_bytes(function).await, "bytes").with_goal(Goal::AtMost(4.5e6)),
        figure("start to first GET /next", to_next.instructions, "instructions"),
        figure("start to first GET /next, minimal function", to_next_of_lean.instructions, "instructions"),
        figure("ratio to the minimal function", to_next.instructions / to_next_of_lean.instructions, "")
            .with_goal(Goal::AtMost(1.2)),
        figure("start to first GET /next", to_next.allocations, "allocations"),
        figure("start to first response", to_answer.instructions, "instructions"),
        figure("start to first response, over TLS", to_answer_over_tls.instructions, "instructions")
            .with_goal(Goal::AtMost(25e6)),
        // Other load on the machine only adds time, so the minimum is the best estimate.
        figure("start to first GET /next, fastest of 20", ms[0], "ms").with_goal(Goal::AtMost(3.0)),
        figure("start to first GET /next, median of 20", ms[STARTS / 2], "ms"),
        figure("resident memory at first GET /next, median of 20", resident_mb[STARTS / 2], "MB")
            .with_goal(Goal::AtMost(12.0)),
    ]
}

/// The size of the deployment package.
async fn zip_bytes(function: &Path) -> f64 {
    let zip = NamedTempFile::new().unwrap();
    let package = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/package.py");
    let packaged = Command::new("python3").arg(package).arg(function).arg(zip.path()).stdout(Stdio::null()).status();
    assert!(packaged.await.unwrap().success(), "failed to package the function");
    std::fs::metadata(zip.path()).unwrap().len() as f64
}

/// A `ping` event, which makes one request to DynamoDB.
fn ping(connection: &str) -> String {
    let context = json!({
        "routeKey": "ping", "eventType": "MESSAGE", "messageDirection": "IN", "stage": "dev", "requestId": "ping",
        "connectionId": connection, "apiId": "local", "domainName": "localhost", "connectedAt": 1_767_225_600_000_u64,
        "requestTimeEpoch": 1_767_225_600_000_u64, "requestTime": "01/Jan/2026:00:00:00 +0000", "messageId": "ping",
        "identity": { "sourceIp": "127.0.0.1", "userAgent": null },
    });
    json!({ "requestContext": context, "body": r#"{"action":"ping"}"#, "isBase64Encoded": false }).to_string()
}

/// The environment variables of the function.
struct Environment(Vec<(&'static str, String)>);

impl Environment {
    fn of(stack: &Stack, dynamodb: String, authority: Option<&Path>) -> Self {
        let (urls, key) = (stack.urls(), stack.access_key());
        let mut variables = vec![
            ("AUTH_MODE", "open".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", key.id.clone()),
            ("AWS_SECRET_ACCESS_KEY", key.secret.clone()),
            ("AWS_LAMBDA_FUNCTION_NAME", "switchboard".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "bench".to_owned()),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "bench".to_owned()),
            ("UPLOADS_BUCKET", "switchboard-uploads".to_owned()),
            ("WEBSOCKET_ENDPOINT", urls.websocket.clone()),
            ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb),
            ("AWS_ENDPOINT_URL_S3", urls.s3.clone()),
        ];
        variables.extend(authority.map(|file| ("AWS_CA_BUNDLE", file.to_str().unwrap().to_owned())));
        Self(variables)
    }
}

/// A Runtime API with one event or none.
#[derive(Default)]
struct Lambda {
    event: Mutex<Option<String>>,
    idle: Notify,
    answered: Notify,
}

impl Lambda {
    async fn start(event: Option<&str>) -> (Arc<Self>, String) {
        let lambda = Arc::new(Self { event: Mutex::new(event.map(str::to_owned)), ..Self::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(answer))
            .with_state(Arc::clone(&lambda));
        tokio::spawn(async { axum::serve(listener, routes).await });
        (lambda, address)
    }
}

async fn next(State(lambda): State<Arc<Lambda>>) -> Response {
    let event = lambda.event.lock().unwrap().take();
    let Some(event) = event else {
        lambda.idle.notify_one();
        return std::future::pending().await;
    };
    let headers = [
        ("Lambda-Runtime-Aws-Request-Id", "bench"),
        ("Lambda-Runtime-Deadline-Ms", "9999999999999"),
        ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:switchboard"),
    ];
    (headers, event).into_response()
}

async fn answer(State(lambda): State<Arc<Lambda>>, body: String) -> StatusCode {
    assert!(body.contains("pong"), "the function answered {body}");
    lambda.answered.notify_one();
    StatusCode::ACCEPTED
}

fn start(command: &[OsString], environment: &Environment, lambda: String) -> Child {
    Command::new(&command[0])
        .args(&command[1..])
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs(environment.0.iter().map(|(name, value)| (name, value)))
        .env("AWS_LAMBDA_RUNTIME_API", lambda)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Counts until the program has answered the event and requests the next one. Without an event, until its first
/// request.
async fn counted(program: &Path, environment: &Environment, event: Option<&str>) -> Counts {
    let (lambda, address) = Lambda::start(event).await;
    let counted = Counted::new(program);
    let process = start(&counted.command(), environment, address);
    let done = async {
        if event.is_some() {
            lambda.answered.notified().await;
        }
        lambda.idle.notified().await;
    };
    tokio::time::timeout(PATIENCE, done).await.expect("the function made no further request");
    counted.end(process.id().unwrap())
}

/// The time until a program requested its first event, and its resident memory at that point.
struct Start {
    ms: f64,
    resident_mb: f64,
}

async fn started(program: &Path, environment: &Environment) -> Start {
    let (lambda, address) = Lambda::start(None).await;
    let started_at = Instant::now();
    let process = start(&[program.into()], environment, address);
    tokio::time::timeout(PATIENCE, lambda.idle.notified()).await.expect("the function did not start");
    let ms = started_at.elapsed().as_secs_f64() * 1e3;
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id().unwrap())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    Start { ms, resident_mb: resident.unwrap().parse::<f64>().unwrap() * 1024.0 / 1e6 }
}

/// A TLS proxy in front of a plain HTTP server, with its own certificate authority.
struct Tls {
    url: String,
    authority: NamedTempFile,
}

impl Tls {
    async fn in_front_of(url: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let settings = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap();
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), authority.pem()).unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tls_url = format!("https://{}", listener.local_addr().unwrap());
        let upstream = url.trim_start_matches("http://").to_owned();
        let acceptor = TlsAcceptor::from(Arc::new(settings));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, upstream) = (acceptor.clone(), upstream.clone());
                tokio::spawn(async move {
                    let mut outside = acceptor.accept(socket).await?;
                    copy_bidirectional(&mut outside, &mut TcpStream::connect(upstream).await?).await
                });
            }
        });
        Self { url: tls_url, authority: file }
    }
}

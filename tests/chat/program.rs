//! The stack as a program: what `cargo run` starts, how it tells where it is, and how it ends.

use std::process::Stdio;
use std::time::Duration;

use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::primitives::ByteStream;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::harness::{Socket, User, World, request};
use crate::uploads::{Upload, announcement};

pub const PATIENCE: Duration = Duration::from_secs(20);
pub const FREE_PORTS: [&str; 10] =
    ["--http-port", "0", "--websocket-port", "0", "--dynamodb-port", "0", "--s3-port", "0", "--lambda-port", "0"];

/// The status and the body of a GET.
pub async fn get(url: &str) -> (u16, String) {
    let answer = request("GET", url, &[], b"").await;
    (answer.status, answer.text().to_owned())
}

pub fn local(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
    command
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

pub struct Running {
    pub process: Child,
    line: String,
    pub urls: Value,
}

pub async fn running(arguments: &[&str]) -> Running {
    let mut process = local(&[&FREE_PORTS, arguments].concat(), &[]).spawn().unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(process.stdout.take().unwrap());
    timeout(PATIENCE, stdout.read_line(&mut line)).await.unwrap().unwrap();
    process.stdout = Some(stdout.into_inner());
    Running { urls: serde_json::from_str(&line).unwrap(), process, line }
}

pub async fn connect(urls: &Value) -> User {
    let url = format!("{}?userId=ana", urls["websocket"].as_str().unwrap());
    User::new(Socket::open(&url, &[]).await.unwrap().0)
}

/// The processes that this one has started.
fn children_of(process: &Child) -> Vec<Pid> {
    // Each belongs to the thread that started it.
    let threads = std::fs::read_dir(format!("/proc/{}/task", process.id().unwrap())).unwrap();
    let lists =
        threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("children")).unwrap_or_default());
    let ids: Vec<_> = lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    ids.iter().map(|id| Pid::from_raw(id.parse().unwrap()).unwrap()).collect()
}

async fn end(process: &Pid) {
    let ended = async {
        // A zombie whose parent is gone is reaped by init; there is nothing to be notified by.
        while test_kill_process(*process).is_ok() && !is_zombie(*process) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, ended).await.expect("a child lives on");
}

fn is_zombie(process: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

#[tokio::test]
async fn json_output_has_the_urls_and_the_stack_works() {
    let mut stack = running(&["--json", "--stage", "test"]).await;

    let port = |name: &str| stack.urls[name].as_str().unwrap().split(':').nth(2).unwrap().split('/').next().unwrap();
    let expected = format!(
        concat!(
            r#"{{"websocket":"ws://127.0.0.1:{ws}/test","http":"http://127.0.0.1:{http}","#,
            r#""connections":"http://127.0.0.1:{ws}/test","dynamodb":"http://127.0.0.1:{db}","#,
            r#""s3":"http://127.0.0.1:{s3}","#,
            r#""lambda":"http://127.0.0.1:{lambda}","region":"us-east-1","accessKeyId":"{id}","#,
            r#""secretAccessKey":"{secret}"}}"#,
            "\n"
        ),
        id = stack.urls["accessKeyId"].as_str().unwrap(),
        secret = stack.urls["secretAccessKey"].as_str().unwrap(),
        ws = port("websocket"),
        http = port("http"),
        db = port("dynamodb"),
        s3 = port("s3"),
        lambda = port("lambda"),
    );
    assert_eq!(stack.line, expected);
    let mut ana = connect(&stack.urls).await;
    ana.hears_nothing().await;

    kill_process(Pid::from_child_id(&stack.process), Signal::TERM).unwrap();
    let status = timeout(PATIENCE, stack.process.wait()).await.unwrap().unwrap();
    assert!(status.success());
    let mut rest = String::new();
    stack.process.stdout.take().unwrap().read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "");
    let mut logged = String::new();
    stack.process.stderr.take().unwrap().read_to_string(&mut logged).await.unwrap();
    assert!(logged.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{logged}");
}

trait FromChild {
    fn from_child_id(child: &Child) -> Pid;
}

impl FromChild for Pid {
    fn from_child_id(child: &Child) -> Pid {
        Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap()
    }
}

#[tokio::test]
async fn function_processes_end_with_the_stack() {
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let mut stack = running(&["--json"]).await;
        let _ana = connect(&stack.urls).await;
        let children = children_of(&stack.process);
        assert!(!children.is_empty());

        kill_process(Pid::from_child_id(&stack.process), signal).unwrap();
        timeout(Duration::from_secs(2), stack.process.wait()).await.expect("it takes too long to end").unwrap();

        for child in children {
            end(&child).await;
        }
    }
}

#[tokio::test]
async fn the_banner_has_the_urls_and_commands_to_chat() {
    let mut process = local(&FREE_PORTS, &[]).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut told = String::new();
    while told.matches("wscat").count() < 2 || !told.contains("sendMessage") {
        told.push_str(&timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap());
        told.push('\n');
    }
    for what in ["WebSocket API  ws://127.0.0.1:", "HTTP API       http://127.0.0.1:", "DynamoDB", "S3", "roomId=tea"] {
        assert!(told.contains(what), "{told}");
    }
}

#[tokio::test]
async fn a_token_of_the_local_issuer_is_printed_and_connects() {
    let stack = running(&["--json", "--issuer-port", "0"]).await;
    let [issuer, websocket] = ["issuer", "websocket"].map(|name| stack.urls[name].as_str().unwrap());

    let arguments = ["token", "--rs256", "--issuer", issuer, "--sub", "ana", "--name", "Ana", "--roles", "admin"];
    let output = timeout(PATIENCE, local(&arguments, &[]).output()).await.unwrap().unwrap();
    let token = String::from_utf8(output.stdout).unwrap();
    let header = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&header).unwrap()["alg"], "RS256");
    let opened = Socket::open(&format!("{websocket}?format=native&token={}", token.trim()), &[]).await;
    let hello = User::new(opened.unwrap().0).ask(json!({ "action": "hello" })).await;
    assert_eq!((&hello["userId"], &hello["userName"]), (&json!("ana"), &json!("Ana")));
    assert_eq!(Socket::open(&format!("{websocket}?userId=ana"), &[]).await.err(), Some(401));

    let asks = async |method: &str, path: &str| request(method, &format!("{issuer}{path}"), &[], b"").await.status;
    assert_eq!((asks("POST", "/rotate").await, asks("POST", "/down").await), (204, 200));
    assert_eq!((asks("GET", "/jwks.json").await, asks("GET", "/token?sub=ana").await), (503, 200));
    assert_eq!((asks("POST", "/up").await, asks("GET", "/jwks.json").await), (200, 200));
    for path in ["/token", "/token?sub=ana&alg=HS256", "/token?sub=ana&lifetime=soon"] {
        assert_eq!(asks("GET", path).await, 400, "{path}");
    }
    let page = [("origin", "https://page.example")];
    assert_eq!(request("GET", &format!("{issuer}/token?sub=ana"), &page, b"").await.status, 403);

    let output = local(&["token", "--rs256", "--issuer", "http://127.0.0.1:1", "--sub", "ana"], &[]).output();
    let output = timeout(PATIENCE, output).await.unwrap().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("--issuer-port") && error.lines().count() == 1, "{error}");
}

#[tokio::test]
async fn ports_in_use_are_named_with_their_flags() {
    let taken = [TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap()];
    let [http, s3] = taken.each_ref().map(|listener| listener.local_addr().unwrap().port().to_string());
    let free = ["--websocket-port", "0", "--dynamodb-port", "0", "--lambda-port", "0"];
    let arguments = [&free[..], &["--http-port", &http, "--s3-port", &s3]].concat();

    let output = timeout(PATIENCE, local(&arguments, &[]).output()).await.unwrap().unwrap();

    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines.len(), 2, "{error}");
    for (line, (flag, port)) in lines.iter().zip([("--http-port", &http), ("--s3-port", &s3)]) {
        assert!(line.contains(flag) && line.contains(port) && line.contains("--port-base"), "{error}");
    }
}

#[tokio::test]
async fn an_invalid_configuration_stops_the_stack_with_one_line() {
    let wrong: &[(&str, &[(&str, &str)])] = &[
        ("AUTH_MODE", &[("AUTH_MODE", "sometimes")]),
        ("JWT_SECRET", &[("AUTH_MODE", "jwt")]),
        ("JWT_SECRET", &[("AUTH_MODE", "jwt"), ("JWT_SECRET", "short")]),
        ("JWT_ISSUERS", &[("AUTH_MODE", "jwt"), ("JWT_ISSUERS", r#"["auth0:id.example.com"]"#)]),
        ("LOBBY", &[("LOBBY", "maybe")]),
        ("MESSAGE_TTL_DAYS", &[("MESSAGE_TTL_DAYS", "never")]),
    ];
    for (name, environment) in wrong {
        let stack = timeout(PATIENCE, local(&FREE_PORTS, environment).output()).await.unwrap().unwrap();
        let mut function = Command::new(env!("CARGO_BIN_EXE_bootstrap"));
        function.env("AWS_REGION", "us-east-1").env("WEBSOCKET_ENDPOINT", "x.example/prod").env("AUTH_MODE", "open");
        let function = timeout(PATIENCE, function.envs(environment.iter().copied()).output()).await.unwrap().unwrap();
        for output in [stack, function] {
            let error = String::from_utf8(output.stderr).unwrap();
            assert!(!output.status.success() && output.stdout.is_empty());
            assert!(error.contains(name) && error.lines().count() == 1, "{error}");
        }
    }

    let mut function = Command::new(env!("CARGO_BIN_EXE_bootstrap"));
    let output = function.env("AWS_REGION", "us-east-1").env("AUTH_MODE", "open").env_remove("WEBSOCKET_ENDPOINT");
    let output = timeout(PATIENCE, output.output()).await.unwrap().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("WEBSOCKET_ENDPOINT is missing"));
}

#[tokio::test]
async fn a_function_process_that_crashes_is_replaced() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let before = world.function_processes();

    for id in &before {
        let process = Pid::from_raw(i32::try_from(*id).unwrap()).unwrap();
        kill_process(process, Signal::KILL).unwrap();
        end(&process).await;
    }

    ana.hears_nothing().await;
    assert!(world.function_processes().iter().all(|id| !before.contains(id)));
}

#[tokio::test]
async fn s3_requires_signatures() {
    let world = World::start().await;
    let signs = world.s3();
    let guessed = Credentials::new(&*world.access_key().id, "another secret", None, None, "test");
    let guesses = aws_sdk_s3::Client::from_conf(signs.config().to_builder().credentials_provider(guessed).build());
    signs.create_bucket().bucket("files").send().await.unwrap();

    let put = signs.put_object().bucket("files").key("a/b.txt").body(ByteStream::from_static(b"tea"));
    put.send().await.unwrap();

    let got = signs.get_object().bucket("files").key("a/b.txt").send().await.unwrap();
    assert_eq!(got.body.collect().await.unwrap().into_bytes().as_ref(), b"tea");
    let refused = guesses.get_object().bucket("files").key("a/b.txt").send().await.unwrap_err();
    assert_eq!(refused.raw_response().unwrap().status().as_u16(), 403);
}

#[tokio::test]
async fn only_the_functions_aws_calls_are_recorded() {
    let world = World::with(&[("MESSAGES_TABLE", "Said")]).await;
    assert!(world.aws_calls().is_empty(), "{:?}", world.aws_calls());
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;

    ana.says("tea", "hello").await;
    let upload = Upload::of(&ana.ask(announcement("tea", "a.png", 3)).await);
    let (_, key) = upload.url.split_once("/switchboard-uploads/").unwrap();
    world.repeats_object_event("switchboard-uploads", key.split('?').next().unwrap()).await;
    assert_eq!(upload.puts(&world, b"abc").await, 200);
    assert_eq!(ben.hears("message").await["content"], "hello");
    assert_eq!(ben.hears("message").await["content"], "a.png");
    assert_eq!(ana.ask(json!({ "action": "roomInfo", "roomId": "tea" })).await["type"], "room");
    world.rows("Said").await;
    world.objects("switchboard-uploads").await;

    let calls = world.aws_calls();
    let made = |service: &str, call: &str, resource: &str| {
        calls.iter().any(|made| (made.service, &*made.call, &*made.resource) == (service, call, resource))
    };
    for (service, call, resource) in [
        ("dynamodb", "TransactWriteItems.Put", "MEMBERS_TABLE"),
        ("dynamodb", "PutItem", "MESSAGES_TABLE"),
        ("dynamodb", "Query", "SUBSCRIPTIONS_TABLE"),
        ("dynamodb", "Query", "MEMBERS_TABLE/byRoom"),
        ("s3", "PutObject", "rooms/*"),
        ("s3", "HeadObject", "rooms/*"),
        ("s3", "HeadObject of an absent key", ""),
        ("execute-api", "PostToConnection", "@connections/*"),
    ] {
        assert!(made(service, call, resource), "{call} on {resource:?} is missing in {calls:#?}");
    }
    assert!(!made("dynamodb", "Scan", "MESSAGES_TABLE") && !made("s3", "ListObjectsV2", ""), "{calls:#?}");
}

//! The output of the stack for users in a terminal, and for programs that read it through pipes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod client;
#[path = "../harness/mod.rs"]
mod harness;
mod terminal;

use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use client::{Client, get};
use terminal::{PATIENCE, PROGRAM, Terminal};

/// The end of the banner.
const BANNER_ENDS: &str = "s3://switchboard-uploads\r\n";
const GOING_AWAY: (u16, &str) = (1001, "Going away");

fn pid(process: u32) -> Pid {
    Pid::from_raw(i32::try_from(process).unwrap()).unwrap()
}

fn hello(room: &str) -> Value {
    json!({ "action": "sendMessage", "roomId": room, "content": "a-secret-word" })
}

/// Two users chat and upload, one of them causes an error, and Ctrl-C stops the stack.
async fn chats_until_ctrl_c(mut terminal: Terminal) -> Terminal {
    terminal.shows(BANNER_ENDS).await;
    let page = format!("\r\n  {}/\r\n", terminal.url("HTTP API"));
    for part in [page.as_str(), "ws://127.0.0.1:", "aws dynamodb scan", "aws s3 ls", "AWS_SECRET_ACCESS_KEY=", "Ctrl-C"]
    {
        assert!(terminal.shown.contains(part), "{part}:\n{}", terminal.shown);
    }
    let mut ana = Client::connect(&terminal.wscat_url("ana")).await;
    let mut ben = Client::connect(&terminal.wscat_url("ben")).await;
    terminal.shows_line(&["  ana ", "  $connect ", "  tea ", "200", " ms"]).await;

    ana.send(hello("tea")).await;
    assert_eq!(ben.hears("message").await["content"], "a-secret-word");
    terminal.shows_line(&["  ana ", "  sendMessage ", "  tea ", "200", "  to 1 ", " ms"]).await;
    for _ in 0..2 {
        // The second one is a duplicate, whose write fails its condition.
        let mut again = hello("tea");
        again["clientMessageId"] = json!("m1");
        ana.send(again).await;
        ana.hears("message").await;
    }
    ana.uploads("tea").await;
    while ben.hears("message").await["file"].is_null() {}
    terminal.shows_line(&["  ObjectCreated ", "200"]).await;
    ana.send(json!({ "action": "joinRoom", "roomId": "nowhere" })).await;
    ana.hears("error").await;
    terminal.shows_line(&["  ana ", "  joinRoom ", "  nowhere ", "404 ROOM_NOT_FOUND", " ms"]).await;
    assert_eq!(get(&format!("{}/health", terminal.url("HTTP API"))).await.0, 200);
    terminal.shows_line(&["  GET /health ", "200"]).await;

    terminal.presses_ctrl_c().await;
    for client in [&mut ana, &mut ben] {
        let (code, reason) = client.hears_close().await;
        assert_eq!((code, reason.as_str()), GOING_AWAY);
        client.closes().await;
    }
    assert_eq!(terminal.ends().await.code(), Some(0), "{}", terminal.shown);
    assert!(terminal.shown.ends_with("\nstopped\r\n"), "{}", terminal.shown);
    assert!(!terminal.shown.contains("a-secret-word") && !terminal.shown.contains("X-Amz"), "{}", terminal.shown);
    terminal.has_no_warnings();
    terminal
}

#[tokio::test]
async fn a_user_starts_the_stack_chats_and_stops_it_with_ctrl_c() {
    let terminal = chats_until_ctrl_c(Terminal::with_stack(&[], &[])).await;

    assert!(terminal.shown.contains("\x1b["), "the output has no colours:\n{}", terminal.shown);
}

#[tokio::test]
async fn cargo_run_works_in_a_terminal() {
    chats_until_ctrl_c(Terminal::with_cargo_run()).await;
}

#[tokio::test]
async fn existing_tables_are_reused_without_errors() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        chats_until_ctrl_c(Terminal::with_stack(&["--data", folder.path().to_str().unwrap()], &[])).await;
    }
}

#[tokio::test]
async fn no_color_disables_escape_sequences() {
    for variable in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let terminal = chats_until_ctrl_c(Terminal::with_stack(&[], &[variable])).await;

        assert!(!terminal.shown.contains('\x1b'), "{variable:?}:\n{}", terminal.shown);
    }
}

#[tokio::test]
async fn log_level_error_shows_failures_only() {
    let mut terminal = Terminal::with_stack(&[], &[("LOG_LEVEL", "error")]);
    terminal.shows(BANNER_ENDS).await;
    let mut ana = Client::connect(&terminal.wscat_url("ana")).await;
    ana.send(hello("tea")).await;
    ana.hears("message").await;

    terminal.presses_ctrl_c().await;

    assert!(terminal.ends().await.success());
    let (_, after_banner) = terminal.shown.split_once(BANNER_ENDS).unwrap();
    assert_eq!(after_banner.trim_start(), "^C\r\nstopped\r\n");
}

#[tokio::test]
async fn failures_are_one_red_line_and_a_function_that_cannot_start_is_reported_once() {
    let mut terminal = Terminal::with_stack(&["--function", "sh -c 'echo startup failed >&2; exit 3'"], &[]);
    terminal.shows(BANNER_ENDS).await;

    for _ in 0..3 {
        assert_eq!(get(&format!("{}/health", terminal.url("HTTP API"))).await.0, 500);
    }

    terminal.shows_line(&["ERROR", "the function failed to start", "exit status: 3"]).await;
    terminal.presses_ctrl_c().await;
    terminal.ends().await;
    assert_eq!(terminal.shown.matches("ERROR").count(), 1, "{}", terminal.shown);
    assert!(terminal.shown.contains("startup failed"), "{}", terminal.shown);
}

#[tokio::test]
async fn json_logs_can_be_enabled_in_a_terminal() {
    let mut terminal = Terminal::with_stack(&["--json", "--json-logs"], &[]);
    terminal.shows("\n").await;
    let started: Value = serde_json::from_str(terminal.shown.lines().next().unwrap()).unwrap();
    let mut ana = Client::connect(&format!("{}?userId=ana&roomId=tea", started["websocket"].as_str().unwrap())).await;

    terminal.shows_line(&[r#""route":"$connect""#, r#""user_id":"ana""#]).await;
    terminal.presses_ctrl_c().await;

    assert_eq!(ana.hears_close().await.0, 1001);
    ana.closes().await;
    assert!(terminal.ends().await.success());
    let lines = terminal.shown.replace("^C", "");
    let not_json = lines.lines().find(|line| serde_json::from_str::<Value>(line).is_err());
    assert_eq!(not_json, None);
}

fn piped(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["--port-base", "0"]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// A stack started by a program, and the JSON that it printed.
async fn running(arguments: &[&str]) -> (Child, Value) {
    let mut stack = piped(&[&["--json"], arguments].concat()).spawn().unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(stack.stdout.as_mut().unwrap());
    timeout(PATIENCE, stdout.read_line(&mut line)).await.expect("the stack did not start").unwrap();
    let started = serde_json::from_str(&line).unwrap_or_else(|_| panic!("the stack did not start: {line}"));
    (stack, started)
}

#[tokio::test]
async fn a_pipe_gets_json_lines_only() {
    let (stack, started) = running(&["--function", "sh -c 'echo tea; echo {}; echo 1 2 >&2; exit 3'"]).await;
    let http = started["http"].as_str().unwrap();
    assert_eq!(get(&format!("{http}/health")).await.0, 500);

    kill_process(pid(stack.id().unwrap()), Signal::TERM).unwrap();

    let output = timeout(PATIENCE, stack.wait_with_output()).await.expect("the stack did not stop").unwrap();
    assert!(output.status.success() && output.stdout.is_empty());
    let logged = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<Value> =
        logged.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    for message in ["tea", "1 2", "the function failed to start"] {
        assert!(lines.iter().any(|line| line["message"] == message), "{message}: {logged}");
    }
    assert!(lines.contains(&json!({})), "{logged}");
}

#[tokio::test]
async fn sigterm_closes_connections_with_1001() {
    let (mut stack, started) = running(&[]).await;
    let mut ana = Client::connect(&format!("{}?userId=ana", started["websocket"].as_str().unwrap())).await;

    kill_process(pid(stack.id().unwrap()), Signal::TERM).unwrap();

    assert_eq!(ana.hears_close().await.0, 1001);
    ana.closes().await;
    assert_eq!(timeout(PATIENCE, stack.wait()).await.unwrap().unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_second_ctrl_c_stops_at_once() {
    let mut terminal = Terminal::with_stack(&[], &[]);
    terminal.shows(BANNER_ENDS).await;
    let mut ana = Client::connect(&terminal.wscat_url("ana")).await;
    terminal.presses_ctrl_c().await;
    // The stack waits for the close frame of ana, which is never sent.
    ana.hears_close().await;

    terminal.presses_ctrl_c().await;

    assert_eq!(terminal.ends().await.code(), Some(130), "{}", terminal.shown);
    assert!(!terminal.shown.contains("stopped"));
    terminal.has_no_warnings();
}

#[tokio::test]
async fn the_function_gets_disconnect_events_before_the_stack_stops() {
    let folder = tempfile::tempdir().unwrap();
    let data = ["--data", folder.path().to_str().unwrap()];
    let mut terminal = Terminal::with_stack(&data, &[]);
    terminal.shows(BANNER_ENDS).await;
    let mut ana = Client::connect(&terminal.wscat_url("ana")).await;
    terminal.presses_ctrl_c().await;
    ana.hears_close().await;
    ana.closes().await;
    terminal.ends().await;

    assert!(terminal.shown.lines().any(|line| line.contains("  ana ") && line.contains("  $disconnect ")));
    let (_stack, started) = running(&data).await;
    let text = |name: &str| started[name].as_str().unwrap();
    let key = format!("{}:{}", text("accessKeyId"), text("secretAccessKey")).parse().unwrap();
    let dynamodb = switchboard::local::clients::dynamodb(text("dynamodb"), &key).unwrap();
    let rows = dynamodb.scan().table_name("Connections").send().await.unwrap();
    assert_eq!(rows.count(), 0, "{rows:?}");
}

#[tokio::test]
async fn a_data_folder_is_locked_by_one_stack_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let data = ["--data", folder.path().to_str().unwrap()];
    for signal in [Signal::KILL, Signal::TERM] {
        let (mut first, started) = running(&data).await;

        let second = timeout(PATIENCE, piped(&data).output()).await.expect("the second stack did not exit").unwrap();

        assert!(!second.status.success() && second.stdout.is_empty());
        let message = String::from_utf8(second.stderr).unwrap();
        assert_eq!(message.lines().count(), 1, "{message}");
        for part in [data[1], &format!("process {} since ", first.id().unwrap()), started["http"].as_str().unwrap()] {
            assert!(message.contains(part), "{part} is missing in: {message}");
        }

        kill_process(pid(first.id().unwrap()), signal).unwrap();
        timeout(PATIENCE, first.wait()).await.unwrap().unwrap();
    }
    running(&data).await;
}

#[tokio::test]
async fn port_base_sets_five_ports_and_single_flags_take_precedence() {
    // The error names the ports that are in use, which shows the ports that the flags select.
    let (_taken, base) = loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = first.local_addr().unwrap().port();
        let others = (1..5).map(|offset| TcpListener::bind(("127.0.0.1", base.checked_add(offset)?)).ok());
        if let Some(others) = others.collect::<Option<Vec<_>>>() {
            break ((first, others), base);
        }
    };
    let base_and_s3 = (base.to_string(), (base + 4).to_string());

    let mut stack = Command::new(PROGRAM);
    stack.args(["--port-base", &base_and_s3.0, "--lambda-port", "0", "--s3-port", &base_and_s3.1]);
    let output = timeout(PATIENCE, stack.output()).await.expect("the program did not exit").unwrap();

    assert!(!output.status.success() && output.stdout.is_empty());
    let message = String::from_utf8(output.stderr).unwrap();
    let wanted = [("--http-port", 0), ("--websocket-port", 1), ("--dynamodb-port", 2), ("--s3-port", 4)].map(
        |(flag, offset)| {
            let port = base + offset;
            format!("port {port} is in use; choose another with {flag}, or five others with --port-base N")
        },
    );
    assert_eq!(message.lines().collect::<Vec<_>>(), wanted);
}

#[tokio::test]
async fn a_missing_function_program_is_reported_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for (command, problem) in [
        ("nosuchprogram --flag", "nosuchprogram was not found in PATH"),
        ("./no/such/program", "./no/such/program does not exist"),
        ("./Cargo.toml", "./Cargo.toml is not executable"),
        ("./src", "./src is not executable"),
    ] {
        let arguments = ["--data", data.to_str().unwrap(), "--function", command];
        let mut stack = piped(&arguments);
        let output = stack.current_dir(env!("CARGO_MANIFEST_DIR")).output();
        let output = timeout(PATIENCE, output).await.expect("the program did not exit").unwrap();

        assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("--function: {problem}\n"));
        assert!(!output.status.success() && output.stdout.is_empty() && !data.exists());
    }
}

#[tokio::test]
async fn host_opens_the_stack_to_the_network_and_the_banner_warns() {
    for host in ["0.0.0.0", "::"] {
        if TcpListener::bind((host, 0)).is_err() {
            eprintln!("not run: this machine has no IPv6");
            continue;
        }
        let mut terminal = Terminal::with_stack(&["--host", host, "--public-host", "127.0.0.1"], &[]);
        terminal.shows(BANNER_ENDS).await;
        assert!(terminal.shown.contains("Warning: everybody who can reach this machine"), "{}", terminal.shown);

        let mut ana = Client::connect(&terminal.wscat_url("ana")).await;
        ana.uploads("tea").await;
        while ana.hears("message").await["file"].is_null() {}
        terminal.presses_ctrl_c().await;
        assert!(terminal.ends().await.success());
        terminal.has_no_warnings();
    }
}

#[tokio::test]
async fn ipv6_addresses_are_bracketed_in_urls() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("not run: this machine has no IPv6");
        return;
    }
    let mut terminal = Terminal::with_stack(&["--host", "::1"], &[]);
    terminal.shows(BANNER_ENDS).await;
    assert!(!terminal.shown.contains("Warning"), "{}", terminal.shown);
    for name in ["HTTP API", "S3"] {
        assert!(terminal.url(name).starts_with("http://[::1]:"), "{}", terminal.shown);
    }
    for name in ["DynamoDB", "Lambda"] {
        assert!(terminal.url(name).starts_with("http://127.0.0.1:"), "{}", terminal.shown);
    }

    let mut ana = Client::connect(&terminal.wscat_url("ana")).await;
    ana.uploads("tea").await;
    while ana.hears("message").await["file"].is_null() {}
}

#[tokio::test]
async fn network_clients_get_the_machines_address_and_cannot_control_faults() {
    let mut terminal = Terminal::with_stack(&["--host", "0.0.0.0", "--faults"], &[]);
    terminal.shows(BANNER_ENDS).await;

    let url = terminal.url("HTTP API");
    let (host, port) = url.strip_prefix("http://").unwrap().rsplit_once(':').unwrap();
    assert_ne!(host, "0.0.0.0");
    for name in ["WebSocket API", "S3"] {
        assert!(terminal.url(name).contains(&format!("://{host}:")), "{}", terminal.shown);
    }
    if host.parse::<Ipv4Addr>().is_err() {
        eprintln!("not run: this machine is in no network");
        return;
    }
    let mut ana = Client::connect(&terminal.wscat_url("ana")).await;
    ana.uploads("tea").await;
    while ana.hears("message").await["file"].is_null() {}
    assert_eq!(get(&format!("{url}/_faults")).await.0, 403);
    assert_eq!(get(&format!("http://127.0.0.1:{port}/_faults")).await.0, 200);
}

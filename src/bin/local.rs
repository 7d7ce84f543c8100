//! What `cargo run` starts: the whole stack on this machine. As a child of itself it is the function.

use std::io::{IsTerminal, Write};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use serde_json::Value;
use switchboard::config;
use switchboard::local::faults::{Faults, Plan};
use switchboard::local::{AccessKey, LogSink, Options, Stack, Urls, open_files, token};
use tokio::signal::unix::{SignalKind, signal};

/// The argument by which this program becomes the function.
const AS_FUNCTION: &str = "--as-function";
/// With fewer open files than this a crowd does not get in.
const FEW_OPEN_FILES: u64 = 4096;

/// Switchboard on this machine: a WebSocket API, an HTTP API, DynamoDB and S3, and the function behind them.
///
/// It listens on 127.0.0.1 only. The function inherits this program's environment.
#[derive(Parser)]
#[command(name = "local", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
    /// Port of the HTTP API; 0 takes any free one, here and below
    #[arg(long, default_value_t = 7070, value_name = "PORT")]
    http_port: u16,
    /// Port of the WebSocket API and of @connections
    #[arg(long, default_value_t = 7071, value_name = "PORT")]
    websocket_port: u16,
    /// Port of DynamoDB
    #[arg(long, default_value_t = 7072, value_name = "PORT")]
    dynamodb_port: u16,
    /// Port of S3
    #[arg(long, default_value_t = 7073, value_name = "PORT")]
    s3_port: u16,
    /// Port of Lambda
    #[arg(long, default_value_t = 7074, value_name = "PORT")]
    lambda_port: u16,
    /// Stage of the WebSocket API: the path of its URL
    #[arg(long, default_value = "dev")]
    stage: String,
    /// Folder to keep tables and files in [default: in memory, gone at the end]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Most function processes at once, each with one event at a time
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    concurrency: u16,
    /// Refuse events beyond that, as Lambda does, instead of letting them wait
    #[arg(long)]
    throttle: bool,
    /// Time that the function has for an event; then its process is killed
    #[arg(long, default_value_t = 29, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=900))]
    timeout_seconds: u64,
    /// How many times sooner the gateway's limits are reached: 10 idle minutes, 2 hours in all, 29 or 30 s for an answer
    #[arg(long, default_value = "1", value_name = "FACTOR")]
    time_scale: NonZeroU32,
    /// What goes wrong, in JSON (src/local/README.md says what can), and lets POST /_faults on the HTTP port change it
    #[arg(long, value_name = "PLAN", num_args = 0..=1, default_missing_value = "{}")]
    faults: Option<String>,
    /// How often the schedule calls the function, which closes idle rooms then
    #[arg(long, default_value_t = 600, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    schedule_seconds: u64,
    /// Origin of web pages that may ask the HTTP API; can be given more than once
    #[arg(long, default_value = "*", value_name = "ORIGIN")]
    cors_origin: Vec<String>,
    /// Access key that is accepted on the ports of AWS [default: a new one]
    #[arg(long, value_name = "ID:SECRET")]
    access_key: Option<AccessKey>,
    /// Another program that speaks the Lambda Runtime API, with its arguments [default: this one]
    #[arg(long, value_name = "CMD")]
    function: Option<String>,
    /// Print one line of JSON with the URLs on standard output, and nothing else
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Task {
    /// Print a token for trying out AUTH_MODE=jwt, signed with JWT_SECRET
    Token {
        /// The user id
        #[arg(long)]
        sub: String,
        /// The display name
        #[arg(long)]
        name: Option<String>,
        /// Roles, with commas between them; `admin` counts
        #[arg(long, value_delimiter = ',')]
        roles: Vec<String>,
        /// How long the token is to hold
        #[arg(long, default_value_t = 86_400, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
        lifetime: u32,
    },
}

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == AS_FUNCTION) {
        return switchboard::serve();
    }
    let arguments = Arguments::parse();
    if let Some(Task::Token { sub, name, roles, lifetime }) = arguments.task {
        let secret = config::signing_secret(|name| std::env::var(name).ok()).map_err(|error| error.to_string());
        return match secret.and_then(|secret| token::mint(&secret, &sub, name.as_deref(), &roles, lifetime)) {
            Ok(token) => {
                println!("{token}");
                ExitCode::SUCCESS
            }
            Err(problem) => failed(&problem),
        };
    }
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_max_level(tracing::Level::WARN)
        .init();
    let limit = open_files::raise_limit();
    if limit < FEW_OPEN_FILES {
        tracing::warn!("this process may have only {limit} files open (ulimit -Hn), and each connection takes one");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("the asynchronous runtime did not start: {error}")),
    };
    let code = runtime.block_on(run(arguments));
    // What is still at work has nobody to work for.
    runtime.shutdown_timeout(Duration::from_millis(200));
    code
}

async fn run(arguments: Arguments) -> ExitCode {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return failed("signals cannot be handled here");
    };
    let json = arguments.json;
    let options = match options(arguments) {
        Ok(options) => options,
        Err(problem) => return failed(&problem),
    };
    let stack = match Stack::start(options).await {
        Ok(stack) => stack,
        Err(error) => return failed(&error.to_string()),
    };
    let told = if json { told_to_programs(stack.urls()) } else { told_to_people(stack.urls()) };
    let mut stdout = std::io::stdout();
    // Whoever started it may not be listening; the stack is there all the same.
    let _ = stdout.write_all(told.as_bytes()).and_then(|()| stdout.flush());

    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    drop(stack);
    ExitCode::SUCCESS
}

fn failed(problem: &str) -> ExitCode {
    eprintln!("{problem}");
    ExitCode::FAILURE
}

fn options(arguments: Arguments) -> Result<Options, String> {
    let function = match &arguments.function {
        Some(command) => shlex::split(command)
            .filter(|words| !words.is_empty())
            .ok_or("--function is no command: mind the quotes")?
            .into_iter()
            .map(Into::into)
            .collect(),
        None => {
            let this = std::env::current_exe().map_err(|error| format!("this program is not found: {error}"))?;
            vec![this.into_os_string(), AS_FUNCTION.into()]
        }
    };
    let faults = Faults::default();
    if let Some(plan) = &arguments.faults {
        faults.follow(Plan::parse(plan.as_bytes()).map_err(|error| format!("--faults is no plan of faults: {error}"))?);
    }
    Ok(Options {
        http_port: arguments.http_port,
        websocket_port: arguments.websocket_port,
        dynamodb_port: arguments.dynamodb_port,
        s3_port: arguments.s3_port,
        lambda_port: arguments.lambda_port,
        stage: arguments.stage,
        has_default_route: true,
        data: arguments.data,
        concurrency: arguments.concurrency.into(),
        throttles: arguments.throttle,
        timeout: Duration::from_secs(arguments.timeout_seconds),
        time_scale: arguments.time_scale,
        schedule: Some(Duration::from_secs(arguments.schedule_seconds)),
        cors_origins: arguments.cors_origin,
        access_key: arguments.access_key.unwrap_or_else(AccessKey::random),
        allowed_hosts: Vec::new(),
        function_is_ours: arguments.function.is_none(),
        function,
        environment: Vec::new(),
        logs: log_sink(),
        fault_control: arguments.faults.is_some(),
        faults,
    })
}

/// The function's lines as they are, or readable when a person is looking.
fn log_sink() -> LogSink {
    let readable = std::io::stderr().is_terminal();
    Arc::new(move |line| {
        let line = if readable { readable_line(line) } else { None }.unwrap_or_else(|| line.to_owned());
        let _ = writeln!(std::io::stderr(), "{line}");
    })
}

/// `12:00:01.123 sendMessage 200 OK 4 ms user=ana room=tea recipients=2`
fn readable_line(line: &str) -> Option<String> {
    let fields: Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| fields[name].as_str();
    let time = text("timestamp")?.split('T').nth(1)?.get(..12)?;
    let (Some(route), Some(code)) = (text("route"), text("code")) else {
        let details = fields
            .as_object()?
            .iter()
            .filter(|(name, _)| !["timestamp", "level", "message", "target"].contains(&name.as_str()));
        let details: Vec<_> = details.map(|(name, value)| format!("{name}={value}")).collect();
        return Some(format!("{time} {} {} {}", text("level")?, text("message")?, details.join(" ")));
    };
    let mut readable = format!("{time} {route} {} {code} {} ms", fields["status"], fields["duration_ms"]);
    for (name, field) in [("user", "user_id"), ("room", "room_id"), ("connection", "connection_id"), ("error", "error")]
    {
        if let Some(value) = text(field) {
            readable.push_str(&format!(" {name}={value}"));
        }
    }
    for name in ["recipients", "gone"] {
        if fields[name].as_u64().is_some_and(|count| count > 0) {
            readable.push_str(&format!(" {name}={}", fields[name]));
        }
    }
    Some(readable)
}

fn told_to_programs(urls: &Urls) -> String {
    format!("{}\n", serde_json::to_string(urls).unwrap_or_default())
}

fn told_to_people(urls: &Urls) -> String {
    let Urls { websocket, http, connections, dynamodb, s3, lambda } = urls;
    let with_tokens = std::env::var("AUTH_MODE").is_ok_and(|mode| mode == "jwt");
    let wscat = |user: &str| {
        let shown = if with_tokens { format!("token=$(scripts/token --sub {user})") } else { format!("userId={user}") };
        format!("  npx -y wscat@6.1.0 -c \"{websocket}?{shown}&roomId=tea\"\n")
    };
    format!(
        "Switchboard is running. Ctrl-C ends it.\n\
         \n\
         \x20 WebSocket API  {websocket}\n\
         \x20 HTTP API       {http}\n\
         \x20 @connections   {connections}\n\
         \x20 DynamoDB       {dynamodb}\n\
         \x20 S3             {s3}\n\
         \x20 Lambda         {lambda}\n\
         \n\
         Chat with yourself, in two terminals:\n\
         \n\
         {}{}\
         \n\
         and say something in one of them:\n\
         \n\
         \x20 {{\"action\":\"sendMessage\",\"content\":\"hello\"}}\n",
        wscat("ana"),
        wscat("ben"),
    )
}

//! What `cargo run` starts: the whole stack on this machine. As a child of itself it is the function.

use std::io::{IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use switchboard::config;
use switchboard::local::console::{Banner, Console, Format};
use switchboard::local::faults::{Faults, Plan};
use switchboard::local::{AccessKey, Options, Stack, open_files, token};
use tokio::signal::unix::{SignalKind, signal};

/// The argument by which this program becomes the function.
const AS_FUNCTION: &str = "--as-function";
/// With fewer open files than this a crowd does not get in.
const FEW_OPEN_FILES: u64 = 4096;
/// As shells have it of a program that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

/// Switchboard on this machine: a WebSocket API, an HTTP API, DynamoDB and S3, and the function behind them.
///
/// It listens on 127.0.0.1 unless --host names another address. The function inherits this program's environment.
/// A terminal gets a short line for each event; NO_COLOR or TERM=dumb take its colours, LOG_LEVEL=error leaves errors
/// only.
#[derive(Parser)]
#[command(name = "local", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
    /// Address to listen on, IPv4 or IPv6: 0.0.0.0 or :: for phones, containers and everybody else in the network
    ///
    /// The HTTP API, the WebSocket API and S3 listen there: clients need S3 for uploads and downloads by signed URLs.
    /// DynamoDB and Lambda stay on 127.0.0.1. With 0.0.0.0 or :: the URLs that are printed and handed to clients have
    /// the address that this machine reaches the network from.
    #[arg(long, value_name = "ADDR", default_value_t = Ipv4Addr::LOCALHOST.into())]
    host: IpAddr,
    /// Name or address that clients reach this machine by, for the URLs that they are given [default: by --host]
    ///
    /// For a container or a forwarded port, such as `--host 0.0.0.0 --public-host localhost`. Requests may name it as
    /// well.
    #[arg(long, value_name = "NAME", value_parser = host_name)]
    public_host: Option<String>,
    /// Host that requests may name, besides the addresses that are listened on; can be given more than once
    #[arg(long, value_name = "NAME", value_parser = host_name)]
    allow_host: Vec<String>,
    /// First of five ports in a row: HTTP N, WebSocket N+1, DynamoDB N+2, S3 N+3, Lambda N+4; 0 takes any free ones
    #[arg(long, value_name = "N", default_value_t = 7070, value_parser = clap::value_parser!(u16).range(0..=65_531))]
    port_base: u16,
    /// Port of the HTTP API instead; 0 takes any free one, here and below
    #[arg(long, value_name = "PORT")]
    http_port: Option<u16>,
    /// Port of the WebSocket API and of @connections
    #[arg(long, value_name = "PORT")]
    websocket_port: Option<u16>,
    /// Port of DynamoDB
    #[arg(long, value_name = "PORT")]
    dynamodb_port: Option<u16>,
    /// Port of S3
    #[arg(long, value_name = "PORT")]
    s3_port: Option<u16>,
    /// Port of Lambda
    #[arg(long, value_name = "PORT")]
    lambda_port: Option<u16>,
    /// Stage of the WebSocket API: the path of its URL
    #[arg(long, default_value = "dev")]
    stage: String,
    /// Folder to keep tables and files in, for one stack at a time [default: in memory, gone at the end]
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
    /// How many times sooner the gateway's limits are reached: 10 idle minutes, 2 hours in all, 29 or 30 s for an
    /// answer
    #[arg(long, default_value = "1", value_name = "FACTOR")]
    time_scale: NonZeroU32,
    /// What goes wrong, in JSON (src/local/README.md says what can), and lets POST /_faults on the HTTP port change it
    #[arg(long, value_name = "PLAN", num_args = 0..=1, default_missing_value = "{}")]
    faults: Option<String>,
    /// How often the schedule calls the function, which closes idle rooms then
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    schedule_seconds: u64,
    /// Origin of web pages that may ask the HTTP API; can be given more than once
    #[arg(long, default_value = "*", value_name = "ORIGIN", value_parser = origin)]
    cors_origin: Vec<String>,
    /// Access key to look into tables and bucket with [default: a new one at each start, which is printed]
    #[arg(long, value_name = "ID:SECRET")]
    access_key: Option<AccessKey>,
    /// Another program that speaks the Lambda Runtime API, with its arguments [default: this one]
    ///
    /// It finds in its environment what Lambda sets, and the AWS_ENDPOINT_URL_* that the AWS SDKs follow.
    #[arg(long, value_name = "CMD")]
    function: Option<String>,
    /// Print one line of JSON with the URLs and the access key on standard output, and nothing else
    #[arg(long)]
    json: bool,
    /// Log in JSON lines, also in a terminal; elsewhere it is done anyway
    #[arg(long)]
    json_logs: bool,
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
        #[arg(long, default_value_t = 86_400, value_name = "SECONDS")]
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
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
    // First of all, as long as there is no other thread.
    let console = Console::new(Format::detect(arguments.json_logs));
    console.start_tracing();
    let limit = open_files::raise_limit();
    if limit < FEW_OPEN_FILES {
        tracing::warn!("this process may have only {limit} files open (ulimit -Hn), and each connection takes one");
    }
    let in_json = arguments.json || arguments.json_logs;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("the asynchronous runtime did not start: {error}")),
    };
    let code = runtime.block_on(run(arguments, console)).unwrap_or_else(|problems| {
        for problem in problems.lines() {
            if in_json {
                tracing::error!("{problem}");
            } else {
                eprintln!("{problem}");
            }
        }
        ExitCode::FAILURE
    });
    // What is still at work has nobody to work for.
    runtime.shutdown_timeout(Duration::from_millis(200));
    code
}

/// # Errors
/// Why it does not start, a line each.
async fn run(arguments: Arguments, console: Console) -> Result<ExitCode, String> {
    let told = |error: std::io::Error| format!("signals cannot be handled here: {error}");
    let mut interrupt = signal(SignalKind::interrupt()).map_err(told)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(told)?;
    // Of a terminal that is closed.
    let mut hangup = signal(SignalKind::hangup()).map_err(told)?;
    let json = arguments.json;
    let is_open_to_network = !arguments.host.is_loopback();
    let stack = tokio::select! {
        stack = Stack::start(options(arguments, console)?) => stack.map_err(|error| error.to_string())?,
        _ = interrupt.recv() => return Ok(ExitCode::from(INTERRUPTED)),
        _ = terminate.recv() => return Ok(ExitCode::FAILURE),
    };
    let banner = Banner { urls: stack.urls(), access_key: stack.access_key(), is_open_to_network };
    say(&if json { banner.for_programs() } else { banner.for_people().map_err(|error| error.to_string())? });

    let by_keyboard = tokio::select! {
        _ = interrupt.recv() => true,
        _ = terminate.recv() => false,
        _ = hangup.recv() => false,
    };
    if by_keyboard && !json && std::io::stdout().is_terminal() {
        // Behind the `^C` that the terminal shows.
        say("\n");
    }
    tokio::select! {
        () = stack.stop() => {}
        _ = interrupt.recv() => return Ok(ExitCode::from(INTERRUPTED)),
    }
    if !json {
        say("stopped\n");
    }
    Ok(ExitCode::SUCCESS)
}

/// A closed standard output does not stop the stack.
fn say(text: &str) {
    let mut stdout = std::io::stdout();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

fn failed(problem: &str) -> ExitCode {
    eprintln!("{problem}");
    ExitCode::FAILURE
}

/// A name or an address as it stands in a URL, without a port.
fn origin(text: &str) -> Result<String, String> {
    let is_origin = text == "*"
        || text.split_once("://").is_some_and(|(scheme, host)| {
            ["http", "https"].contains(&scheme) && !host.is_empty() && !host.contains(['/', '?', '#', '@', ' '])
        });
    if is_origin {
        Ok(text.to_owned())
    } else {
        Err("it must be * or scheme, host and port of a page, such as https://chat.example:8080".to_owned())
    }
}

fn host_name(name: &str) -> Result<String, String> {
    let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter);
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    if let Ok(address) = address.parse::<Ipv6Addr>() {
        Ok(format!("[{address}]"))
    } else if !name.is_empty() && name.bytes().all(is_letter) {
        Ok(name.to_owned())
    } else {
        Err("it must be a host's name or address, without a port".to_owned())
    }
}

fn options(arguments: Arguments, console: Console) -> Result<Options, String> {
    let function = match &arguments.function {
        Some(command) => shlex::split(command)
            .filter(|words| !words.is_empty())
            .ok_or("--function is not a command: check the quotes")?
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
        faults.follow(
            Plan::parse(plan.as_bytes()).map_err(|error| format!("--faults is not a plan of faults: {error}"))?,
        );
    }
    let port = |given: Option<u16>, offset| {
        given.unwrap_or(if arguments.port_base == 0 { 0 } else { arguments.port_base + offset })
    };
    Ok(Options {
        host: arguments.host,
        http_port: port(arguments.http_port, 0),
        websocket_port: port(arguments.websocket_port, 1),
        dynamodb_port: port(arguments.dynamodb_port, 2),
        s3_port: port(arguments.s3_port, 3),
        lambda_port: port(arguments.lambda_port, 4),
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
        allowed_hosts: arguments.allow_host,
        public_host: arguments.public_host,
        function_is_ours: arguments.function.is_none(),
        function,
        environment: Vec::new(),
        logs: console.log_sink(),
        fault_control: arguments.faults.is_some(),
        faults,
    })
}

//! The program that `cargo run` starts: the whole stack on this machine. Its child processes, with another argument,
//! are the function.

use std::ffi::OsString;
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
use switchboard::local::{AccessKey, BusOptions, Options, Secret, Stack, open_files, token};
use tokio::signal::unix::{SignalKind, signal};

/// The argument with which this program runs as the function.
const AS_FUNCTION: &str = "--as-function";
/// A lower limit for open files causes a warning: it limits the number of connections.
const MIN_OPEN_FILES: u64 = 4096;
/// The exit code that shells report for a program that was stopped with Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Switchboard on this machine: a WebSocket API, an HTTP API, DynamoDB and S3, and the function behind them.
///
/// It listens on 127.0.0.1 unless --host names another address. The function inherits this program's environment
/// variables. A terminal shows a short line for each event. NO_COLOR or TERM=dumb disable colours. LOG_LEVEL=error
/// shows errors only.
#[derive(Parser)]
#[command(name = "local", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
    /// Address to listen on, IPv4 or IPv6; 0.0.0.0 or :: for phones, containers and other machines in the network
    ///
    /// The HTTP API, the WebSocket API and S3 listen there: clients use S3 through presigned URLs. DynamoDB and Lambda
    /// stay on 127.0.0.1. With 0.0.0.0 or ::, URLs contain this machine's address in its network.
    #[arg(long, value_name = "ADDR", default_value_t = Ipv4Addr::LOCALHOST.into())]
    host: IpAddr,
    /// Host name or address in the URLs that clients get [default: derived from --host]
    ///
    /// For a container or a forwarded port, such as `--host 0.0.0.0 --public-host localhost`. Requests with this Host
    /// are accepted too.
    #[arg(long, value_name = "NAME", value_parser = host_name)]
    public_host: Option<String>,
    /// Accept requests with this Host header too; can be repeated
    #[arg(long, value_name = "NAME", value_parser = host_name)]
    allow_host: Vec<String>,
    /// First of five consecutive ports: HTTP N, WebSocket N+1, DynamoDB N+2, S3 N+3, Lambda N+4; 0 uses any free ports
    #[arg(long, value_name = "N", default_value_t = 7070, value_parser = clap::value_parser!(u16).range(0..=65_529))]
    port_base: u16,
    /// Port of the HTTP API, overrides --port-base; 0 uses any free port, also for the flags below
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
    /// Port of an issuer of tokens, whose tokens the function then requires (see src/local/README.md)
    #[arg(long, value_name = "PORT")]
    issuer_port: Option<u16>,
    /// Port of an event bus (EventBridge), where the function puts what was written (see src/local/README.md)
    #[arg(long, value_name = "PORT")]
    events_port: Option<u16>,
    /// Send each event to this URL, signed as Standard Webhooks say; can be repeated. Without --events-port the bus has
    /// the port --port-base + 6
    #[arg(long, value_name = "URL")]
    webhook: Vec<String>,
    /// Secret that signs what is sent to --webhook [default: a new one at each start, printed in the banner]
    #[arg(long, value_name = "whsec_...")]
    webhook_secret: Option<Secret>,
    /// Stage of the WebSocket API: the path of its URL
    #[arg(long, default_value = "dev")]
    stage: String,
    /// Folder for tables and files, for one stack at a time [default: in memory, lost when the stack stops]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Maximum number of concurrent function processes; each handles one event at a time
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    concurrency: u16,
    /// Throttle events above --concurrency, as Lambda does, instead of queueing them
    #[arg(long)]
    throttle: bool,
    /// Timeout of the function for one event, after which its process is killed
    #[arg(long, default_value_t = 29, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=900))]
    timeout_seconds: u64,
    /// Divide the gateway's time limits by this factor: 10 min idle, 2 h lifetime, 29 or 30 s integration timeout
    #[arg(long, default_value = "1", value_name = "FACTOR")]
    time_scale: NonZeroU32,
    /// Inject faults by a JSON plan (see src/local/README.md); enables POST /_faults on the HTTP port to replace it
    #[arg(long, value_name = "PLAN", num_args = 0..=1, default_missing_value = "{}")]
    faults: Option<String>,
    /// Interval of the schedule event, with which the function closes idle rooms
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    schedule_seconds: u64,
    /// Origin of web pages that may use both APIs and upload files (CORS, ALLOWED_ORIGINS); can be repeated
    #[arg(long, default_value = "*", value_name = "ORIGIN", value_parser = origin)]
    cors_origin: Vec<String>,
    /// Access key for the tables and the bucket [default: a new key at each start, printed in the banner]
    #[arg(long, value_name = "ID:SECRET")]
    access_key: Option<AccessKey>,
    /// Run another program as the function: a command that speaks the Lambda Runtime API [default: Switchboard]
    ///
    /// Its environment contains Lambda's variables, and AWS_ENDPOINT_URL_* for the AWS SDKs.
    #[arg(long, value_name = "CMD")]
    function: Option<String>,
    /// Review the texts of rooms with `review` by a command: it gets each event on standard input and prints the answer
    ///
    /// The events and answers are those of a message review handler of Amazon IVS Chat (see src/wire/README.md).
    #[arg(long, value_name = "CMD")]
    review: Option<String>,
    /// Print only one JSON line on standard output, with the URLs and the access key
    #[arg(long)]
    json: bool,
    /// Log JSON lines in a terminal too; without a terminal, logs are always JSON lines
    #[arg(long)]
    json_logs: bool,
}

#[derive(Subcommand)]
enum Task {
    /// Print a token for AUTH_MODE=jwt, signed with JWT_SECRET or by the issuer of a running stack
    Token {
        /// Have the token signed by the issuer of a running stack (--issuer-port), with RS256
        #[arg(long)]
        rs256: bool,
        /// The URL of that issuer
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7075", requires = "rs256")]
        issuer: String,
        /// The user id
        #[arg(long)]
        sub: String,
        /// The display name
        #[arg(long)]
        name: Option<String>,
        /// Roles, separated by commas; Switchboard uses `admin`
        #[arg(long, value_delimiter = ',')]
        roles: Vec<String>,
        /// Lifetime of the token
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
    if let Some(Task::Token { rs256, issuer, sub, name, roles, lifetime }) = arguments.task {
        let request = token::Request { sub: &sub, name: name.as_deref(), roles: &roles, lifetime_seconds: lifetime };
        let minted = if rs256 { token::ask(&issuer, &request) } else { signed_with_secret(&request) };
        return match minted {
            Ok(token) => {
                println!("{token}");
                ExitCode::SUCCESS
            }
            Err(problem) => failed(&problem),
        };
    }
    // Before any other thread starts: it reads the time zone.
    let console = Console::new(Format::detect(arguments.json_logs));
    console.start_tracing();
    let limit = open_files::raise_limit();
    if limit < MIN_OPEN_FILES {
        tracing::warn!("the limit for open files is {limit} (ulimit -Hn); each connection uses one");
    }
    let in_json = arguments.json || arguments.json_logs;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("the async runtime failed to start: {error}")),
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
    // Abandons tasks that are still running.
    runtime.shutdown_timeout(Duration::from_millis(200));
    code
}

fn signed_with_secret(request: &token::Request<'_>) -> Result<String, String> {
    let secret = config::signing_secret(|name| std::env::var(name).ok()).map_err(|error| error.to_string())?;
    token::mint(&secret, request)
}

/// # Errors
/// Why it does not start, one problem per line.
async fn run(arguments: Arguments, console: Console) -> Result<ExitCode, String> {
    let failed = |error: std::io::Error| format!("failed to install a signal handler: {error}");
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    // Sent when the terminal is closed.
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let json = arguments.json;
    let is_open_to_network = !arguments.host.is_loopback();
    let options = options(arguments, console)?;
    let webhook_secret = options.bus.as_ref().filter(|bus| !bus.webhooks.is_empty()).map(|bus| bus.secret.to_text());
    let stack = tokio::select! {
        stack = Stack::start(options) => stack.map_err(|error| error.to_string())?,
        _ = interrupt.recv() => return Ok(ExitCode::from(INTERRUPTED)),
        _ = terminate.recv() => return Ok(ExitCode::FAILURE),
    };
    let (urls, access_key) = (stack.urls(), stack.access_key());
    let banner = Banner { urls, access_key, webhook_secret: webhook_secret.as_deref(), is_open_to_network };
    print(&if json { banner.for_programs() } else { banner.for_people().map_err(|error| error.to_string())? });

    let by_ctrl_c = tokio::select! {
        _ = interrupt.recv() => true,
        _ = terminate.recv() => false,
        _ = hangup.recv() => false,
    };
    if by_ctrl_c && !json && std::io::stdout().is_terminal() {
        // Ends the line on which the terminal shows `^C`.
        print("\n");
    }
    tokio::select! {
        () = stack.stop() => {}
        _ = interrupt.recv() => return Ok(ExitCode::from(INTERRUPTED)),
    }
    if !json {
        print("stopped\n");
    }
    Ok(ExitCode::SUCCESS)
}

/// Ignores errors: a closed standard output does not stop the stack.
fn print(text: &str) {
    let mut stdout = std::io::stdout();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

fn failed(problem: &str) -> ExitCode {
    eprintln!("{problem}");
    ExitCode::FAILURE
}

/// A CORS origin, or `*`.
fn origin(text: &str) -> Result<String, String> {
    let is_origin = text == "*"
        || text.split_once("://").is_some_and(|(scheme, host)| {
            ["http", "https"].contains(&scheme) && !host.is_empty() && !host.contains(['/', '?', '#', '@', ' '])
        });
    if is_origin {
        Ok(text.to_owned())
    } else {
        Err("must be * or the scheme, host and port of a web page, such as https://chat.example:8080".to_owned())
    }
}

/// A host name or an address, in the form of URLs, without a port.
fn host_name(name: &str) -> Result<String, String> {
    let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter);
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    if let Ok(address) = address.parse::<Ipv6Addr>() {
        Ok(format!("[{address}]"))
    } else if !name.is_empty() && name.bytes().all(is_letter) {
        Ok(name.to_owned())
    } else {
        Err("must be a host name or an address, without a port".to_owned())
    }
}

fn options(arguments: Arguments, console: Console) -> Result<Options, String> {
    let function = function_command(arguments.function.as_deref())?;
    let review = arguments.review.as_deref().map(|command| words("--review", command)).transpose()?;
    let faults = Faults::default();
    if let Some(plan) = &arguments.faults {
        faults.follow(Plan::parse(plan.as_bytes()).map_err(|error| format!("--faults is not a valid plan: {error}"))?);
    }
    let port = |number: Option<u16>, offset| {
        number.unwrap_or(if arguments.port_base == 0 { 0 } else { arguments.port_base + offset })
    };
    let events_port = arguments.events_port.or((!arguments.webhook.is_empty()).then(|| port(None, 6)));
    let bus = events_port.map(|port| {
        let options = BusOptions { port, webhooks: arguments.webhook, ..BusOptions::default() };
        BusOptions { secret: arguments.webhook_secret.unwrap_or(options.secret.clone()), ..options }
    });
    Ok(Options {
        host: arguments.host,
        http_port: port(arguments.http_port, 0),
        websocket_port: port(arguments.websocket_port, 1),
        dynamodb_port: port(arguments.dynamodb_port, 2),
        s3_port: port(arguments.s3_port, 3),
        lambda_port: port(arguments.lambda_port, 4),
        issuer_port: arguments.issuer_port,
        bus,
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
        is_own_function: arguments.function.is_none(),
        function,
        review,
        previous_function: None,
        environment: Vec::new(),
        logs: console.log_sink(),
        fault_control: arguments.faults.is_some(),
        faults,
    })
}

/// The program and its arguments; by default this program.
fn function_command(command: Option<&str>) -> Result<Vec<OsString>, String> {
    let Some(command) = command else {
        let this = std::env::current_exe().map_err(|error| format!("failed to find this program: {error}"))?;
        return Ok(vec![this.into_os_string(), AS_FUNCTION.into()]);
    };
    words("--function", command)
}

/// The words of a command.
fn words(flag: &str, command: &str) -> Result<Vec<OsString>, String> {
    let words = shlex::split(command).filter(|words| !words.is_empty());
    let words = words.ok_or(format!("{flag} is not a valid command: check the quotes"))?;
    Ok(words.into_iter().map(Into::into).collect())
}

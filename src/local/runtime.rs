//! The Lambda service: a pool of function processes, each with its own Runtime API.
//!
//! Source: the Lambda developer guide, "Using the Lambda runtime API". One event at a time for each process; past the
//! deadline a process is killed; one that has ended is replaced when the next event comes.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use rustix::fs::{Access, access};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::LogSink;
use super::faults::Faults;
use super::guard::{self, Guard, Pages};

/// The name of the function, as on Lambda.
pub const FUNCTION_NAME: &str = "switchboard";
const FUNCTION_ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:switchboard";
const MEMORY_MB: &str = "256";
/// Lambda's limit for events and responses.
pub const PAYLOAD_BYTES: usize = 6 * 1024 * 1024;
/// How much of a larger one is read: a client that still sends does not read the refusal.
pub const READ_BYTES: usize = 32 * 1024 * 1024;

/// A program that speaks the Runtime API.
pub struct Function {
    pub command: Vec<OsString>,
    pub environment: Vec<(String, String)>,
    pub timeout: Duration,
}

/// # Errors
/// The operating system cannot start the program, which is looked up in `PATH` if its name has no slash.
pub fn require_program(command: &[OsString], environment: &[(String, String)]) -> Result<(), String> {
    let program = command.first().ok_or("the command is empty")?;
    let is_executable = |file: &path::Path| file.is_file() && access(file, Access::EXEC_OK).is_ok();
    let file = path::Path::new(program);
    if program.as_encoded_bytes().contains(&b'/') {
        return match (is_executable(file), file.try_exists()) {
            (true, _) => Ok(()),
            (false, Ok(true)) => Err(format!("{} is not executable", file.display())),
            (false, _) => Err(format!("{} does not exist", file.display())),
        };
    }
    let set = environment.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.into());
    let folders = set.or_else(|| env::var_os("PATH")).unwrap_or_else(|| OsStr::new("/bin:/usr/bin").to_owned());
    match env::split_paths(&folders).any(|folder| is_executable(&folder.join(program))) {
        true => Ok(()),
        false => Err(format!("{} is not found in PATH", file.display())),
    }
}

/// An event got no response.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("the function answered with an error: {0}")]
    Reported(String),
    #[error("the function's process ended ({0}) before it answered")]
    Exited(String),
    #[error("the function's process ended ({0}) before it took an event")]
    EndedAtStart(String),
    #[error("the function was killed on purpose")]
    Killed,
    #[error("the stack has stopped")]
    Stopped,
    #[error("the function did not answer in time, and was ended")]
    TimedOut,
    #[error("the function has as many events as its concurrency allows")]
    Throttled,
    #[error("the event is larger than {PAYLOAD_BYTES} bytes")]
    TooLarge,
    #[error("the function could not be started: {0}")]
    NotStarted(#[from] io::Error),
}

/// One process per concurrent event, up to a limit; above it events wait or are throttled.
pub struct Pool {
    function: Function,
    logs: LogSink,
    throttles: bool,
    places: Semaphore,
    /// The most recently used one is last and is used first.
    idle: Mutex<Vec<Environment>>,
    processes: Arc<Mutex<Vec<u32>>>,
    started: AtomicUsize,
    /// Whether a failure to start was logged since the last successful start.
    does_not_start: AtomicBool,
    /// The tasks that forward log lines.
    forwards: TaskTracker,
    concurrency: usize,
    faults: Faults,
}

impl Failure {
    /// Whether it needs no further log line.
    pub fn is_logged(&self) -> bool {
        matches!(self, Self::Exited(_) | Self::EndedAtStart(_) | Self::NotStarted(_) | Self::TimedOut | Self::Stopped)
    }
}

/// Timeout of Lambda's Init phase, which does not count as event time.
const START: Duration = Duration::from_secs(10);
const PAUSES_BETWEEN_TRIES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(1)];

impl Pool {
    /// A pool without processes: these start with the first events.
    pub fn new(function: Function, concurrency: usize, throttles: bool, logs: LogSink, faults: Faults) -> Self {
        Self {
            function,
            logs,
            throttles,
            places: Semaphore::new(concurrency),
            idle: Mutex::default(),
            processes: Arc::default(),
            started: AtomicUsize::new(0),
            does_not_start: AtomicBool::new(false),
            forwards: TaskTracker::new(),
            concurrency,
            faults,
        }
    }

    /// Sends the function an event and waits for the response.
    ///
    /// # Errors
    /// The function failed, or is throttled.
    pub async fn invoke(&self, event: String) -> Result<Bytes, Failure> {
        if event.len() > PAYLOAD_BYTES {
            return Err(Failure::TooLarge);
        }
        if self.throttles {
            let place = self.places.try_acquire().map_err(|error| match error {
                TryAcquireError::NoPermits => Failure::Throttled,
                TryAcquireError::Closed => Failure::Stopped,
            })?;
            return self.run(event, place).await;
        }
        self.invoke_in_turn(event).await
    }

    async fn invoke_in_turn(&self, event: String) -> Result<Bytes, Failure> {
        let place = self.places.acquire().await.map_err(|_| Failure::Stopped)?;
        self.run(event, place).await
    }

    async fn run(&self, event: String, _place: SemaphorePermit<'_>) -> Result<Bytes, Failure> {
        let answer = self.run_once(event).await;
        match &answer {
            // The stack has stopped it.
            Err(_) if self.places.is_closed() => return Err(Failure::Stopped),
            // Once: every further event would log the same.
            Err(failure @ (Failure::NotStarted(_) | Failure::EndedAtStart(_)))
                if !self.does_not_start.swap(true, Ordering::Relaxed) =>
            {
                tracing::error!(%failure, "the function does not start");
            }
            Err(failure @ (Failure::Exited(_) | Failure::TimedOut)) => {
                tracing::error!(%failure, "a function process is replaced");
            }
            _ => {}
        }
        answer
    }

    async fn run_once(&self, event: String) -> Result<Bytes, Failure> {
        let mut environment = match self.take_idle() {
            Some(environment) => environment,
            None => {
                self.started.fetch_add(1, Ordering::Relaxed);
                Environment::start(&self.function, &self.logs, &self.forwards, &self.processes).await?
            }
        };
        if self.faults.strikes(|plan| plan.function_killed_before) {
            return Err(Failure::Killed);
        }
        let is_killed = self.faults.strikes(|plan| plan.function_killed);
        let killing = is_killed.then(|| environment.dies_after(self.faults.moment()));
        let answer = environment.run(event, self.faults.function_timeout(self.function.timeout)).await;
        if let Some(killing) = killing {
            // It ends in any case, and not during another event.
            killing.abort();
            return answer;
        }
        if answer.is_ok() && self.faults.strikes(|plan| plan.function_killed_after) {
            return Err(Failure::Killed);
        }
        if matches!(answer, Ok(_) | Err(Failure::Reported(_))) {
            self.does_not_start.store(false, Ordering::Relaxed);
            lock(&self.idle).push(environment);
        }
        answer
    }

    /// Sends the function an asynchronous event, with two retries, as Lambda does with longer pauses. It waits where
    /// synchronous events are throttled.
    pub async fn invoke_in_background(&self, event: serde_json::Value) {
        let event = event.to_string();
        tokio::time::sleep(self.faults.lateness()).await;
        let times = 1 + u32::from(self.faults.strikes(|plan| plan.event_repeated));
        for _ in 0..times {
            for pause in PAUSES_BETWEEN_TRIES.into_iter().map(Some).chain([None]) {
                let Err(failure) = self.invoke_in_turn(event.clone()).await else { break };
                match pause {
                    _ if matches!(failure, Failure::Stopped) => return,
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => tracing::error!(%failure, "an event is given up"),
                }
            }
        }
    }

    fn take_idle(&self) -> Option<Environment> {
        let mut idle = lock(&self.idle);
        loop {
            let mut environment = idle.pop()?;
            if environment.is_running() {
                return Some(environment);
            }
        }
    }

    /// How many processes were started.
    pub fn started(&self) -> usize {
        self.started.load(Ordering::Relaxed)
    }

    /// The ids of the running processes.
    pub fn processes(&self) -> Vec<u32> {
        lock(&self.processes).clone()
    }

    /// Returns when no invocation is running or waiting.
    pub async fn drain(&self) {
        let all = u32::try_from(self.concurrency).unwrap_or(u32::MAX);
        // They are free again at once, for whoever comes later.
        drop(self.places.acquire_many(all).await);
    }

    /// Returns when all lines of the ended processes are logged.
    pub async fn log_is_written(&self) {
        self.forwards.close();
        self.forwards.wait().await;
    }

    /// Kills every process, including busy ones.
    pub fn stop(&self) {
        self.places.close();
        lock(&self.idle).clear();
        for id in self.processes() {
            kill_group(id);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kill_group(process: u32) {
    if let Some(group) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        // It may have exited by itself.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Receives the response or the error of an event.
type Reply = oneshot::Sender<Result<Bytes, String>>;

struct Invocation {
    id: String,
    event: String,
    timeout: Duration,
    /// Notified when the process has the event.
    taken: oneshot::Sender<()>,
    answer: Reply,
}

/// The state of the Runtime API of one process.
struct Mailbox {
    next: tokio::sync::Mutex<mpsc::Receiver<Invocation>>,
    current: Mutex<Option<(String, Reply)>>,
    /// The initialisation error that the function reported.
    init_error: Mutex<Option<String>>,
}

/// One process and its Runtime API. Dropping it stops both.
struct Environment {
    child: Child,
    id: u32,
    events: mpsc::Sender<Invocation>,
    mailbox: Arc<Mailbox>,
    api: JoinHandle<()>,
    processes: Arc<Mutex<Vec<u32>>>,
}

impl Drop for Environment {
    fn drop(&mut self) {
        kill_group(self.id);
        self.api.abort();
        lock(&self.processes).retain(|id| *id != self.id);
    }
}

impl Environment {
    async fn start(
        function: &Function,
        logs: &LogSink,
        forwards: &TaskTracker,
        processes: &Arc<Mutex<Vec<u32>>>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let guard = Guard::new(&listener, &Arc::default(), Pages::Refused)?;
        let (program, arguments) =
            function.command.split_first().ok_or_else(|| io::Error::other("the function's command is empty"))?;
        let mut child = Command::new(program)
            .args(arguments)
            // The keys below are not those of a session.
            .env_remove("AWS_SESSION_TOKEN")
            .envs(function.environment.iter().map(|(name, value)| (name, value)))
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MEMORY_MB)
            .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{FUNCTION_NAME}"))
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "local")
            .env("_HANDLER", "bootstrap")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: what the function starts ends with it, and Ctrl-C is the stack's to handle.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let id = child.id().unwrap_or_default();
        forward(child.stdout.take(), logs, forwards);
        forward(child.stderr.take(), logs, forwards);
        lock(processes).push(id);

        let (events, next) = mpsc::channel(1);
        let mailbox = Arc::new(Mailbox { next: next.into(), current: Mutex::default(), init_error: Mutex::default() });
        let router = runtime_api(Arc::clone(&mailbox)).layer(middleware::from_fn_with_state(guard, guard::check));
        let api = tokio::spawn(async move {
            // It serves until it is aborted; the process itself sees errors.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { child, id, events, mailbox, api, processes: Arc::clone(processes) })
    }

    fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn dies_after(&self, moment: Duration) -> JoinHandle<()> {
        let id = self.id;
        tokio::spawn(async move {
            tokio::time::sleep(moment).await;
            kill_group(id);
        })
    }

    async fn run(&mut self, event: String, timeout: Duration) -> Result<Bytes, Failure> {
        let (answer, answered) = oneshot::channel();
        let (taken, is_taken) = oneshot::channel();
        let invocation = Invocation { id: Uuid::new_v4().to_string(), event, timeout, taken, answer };
        let mut was_taken = false;
        let out_of_time = async {
            was_taken = matches!(tokio::time::timeout(START, is_taken).await, Ok(Ok(())));
            tokio::time::sleep(timeout).await;
        };
        // There is always capacity: the event before was taken before it was answered.
        let _ = self.events.try_send(invocation);
        let outcome = tokio::select! {
            biased;
            answer = answered => match answer {
                Ok(Ok(body)) => Ok(body),
                Ok(Err(report)) => Err(Failure::Reported(report)),
                Err(_) => Err(Failure::Exited("its Runtime API has closed".to_owned())),
            },
            ended = self.child.wait() => Err(Failure::Exited(match ended {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            })),
            () = out_of_time => Err(Failure::TimedOut),
        };
        match (outcome, lock(&self.mailbox.init_error).take()) {
            (Err(Failure::Exited(_)), Some(report)) => Err(Failure::EndedAtStart(report)),
            (Err(Failure::Exited(status)), None) if !was_taken => Err(Failure::EndedAtStart(status)),
            (outcome, _) => outcome,
        }
    }
}

fn forward(output: Option<impl AsyncRead + Send + Unpin + 'static>, logs: &LogSink, forwards: &TaskTracker) {
    let Some(output) = output else { return };
    let logs = Arc::clone(logs);
    forwards.spawn(async move {
        let mut lines = BufReader::new(output).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            logs(&String::from_utf8_lossy(&line));
        }
    });
}

fn runtime_api(mailbox: Arc<Mailbox>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .layer(axum::extract::DefaultBodyLimit::max(READ_BYTES))
        .with_state(mailbox)
}

async fn next(State(mailbox): State<Arc<Mailbox>>) -> Response {
    let Some(invocation) = mailbox.next.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // The caller may have timed out.
    let _ = invocation.taken.send(());
    let headers = [
        ("Content-Type", "application/json".to_owned()),
        ("Lambda-Runtime-Aws-Request-Id", invocation.id.clone()),
        ("Lambda-Runtime-Deadline-Ms", (now + invocation.timeout).as_millis().to_string()),
        ("Lambda-Runtime-Invoked-Function-Arn", FUNCTION_ARN.to_owned()),
        ("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000;Sampled=0".to_owned()),
    ];
    *lock(&mailbox.current) = Some((invocation.id, invocation.answer));
    (headers, invocation.event).into_response()
}

async fn response(State(mailbox): State<Arc<Mailbox>>, Path(id): Path<String>, body: Bytes) -> Response {
    if body.len() > PAYLOAD_BYTES {
        let report = r#"{"errorType":"Function.ResponseSizeTooLarge"}"#;
        settle(&mailbox, &id, Err(report.to_owned()));
        return (StatusCode::PAYLOAD_TOO_LARGE, r#"{"errorType":"RequestEntityTooLarge"}"#).into_response();
    }
    settle(&mailbox, &id, Ok(body))
}

async fn error(State(mailbox): State<Arc<Mailbox>>, Path(id): Path<String>, body: Bytes) -> Response {
    settle(&mailbox, &id, Err(String::from_utf8_lossy(&body).into_owned()))
}

async fn init_error(State(mailbox): State<Arc<Mailbox>>, body: Bytes) -> Response {
    *lock(&mailbox.init_error) = Some(String::from_utf8_lossy(&body).into_owned());
    (StatusCode::ACCEPTED, r#"{"status":"OK"}"#).into_response()
}

fn settle(mailbox: &Mailbox, id: &str, answer: Result<Bytes, String>) -> Response {
    let current = lock(&mailbox.current).take_if(|(current, _)| current == id);
    match current {
        Some((_, waiting)) => {
            // The caller may have timed out.
            let _ = waiting.send(answer);
            (StatusCode::ACCEPTED, r#"{"status":"OK"}"#).into_response()
        }
        None => (StatusCode::BAD_REQUEST, r#"{"errorType":"InvalidRequestID"}"#).into_response(),
    }
}

//! A function process: Lambda's execution environment.

use std::ffi::OsString;
use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::middleware;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::runtime_api::{self, Invocation, Mailbox};
use super::{FUNCTION_NAME, Function, InvokeError, MEMORY_MB, lock};
use crate::local::LogSink;
use crate::local::guard::{self, Guard, Pages};

/// Timeout of Lambda's Init phase, which does not count as event time.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Forwards the lines that processes log.
pub struct LogForwarder {
    sink: LogSink,
    tasks: TaskTracker,
}

impl LogForwarder {
    /// Forwards to `sink`.
    pub fn new(sink: LogSink) -> Self {
        Self { sink, tasks: TaskTracker::new() }
    }

    fn forward(&self, output: Option<impl AsyncRead + Send + Unpin + 'static>) {
        let Some(output) = output else { return };
        let sink = Arc::clone(&self.sink);
        self.tasks.spawn(async move {
            let mut lines = BufReader::new(output).split(b'\n');
            while let Ok(Some(line)) = lines.next_segment().await {
                sink(&String::from_utf8_lossy(&line));
            }
        });
    }

    /// Returns when all lines of the exited processes are forwarded.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// A function process: its number in the pool, which its access key shows, and its id in the operating system.
#[derive(Clone, Copy, Debug)]
pub struct ProcessIdentity {
    pub number: u64,
    pub id: u32,
}

/// One process and its Runtime API. Dropping it stops both.
pub struct Process {
    child: Child,
    id: u32,
    /// The number of the process in its pool.
    number: u64,
    is_previous: bool,
    events: mpsc::Sender<Invocation>,
    mailbox: Arc<Mailbox>,
    api: JoinHandle<()>,
    /// The ids of the running processes.
    running: Arc<Mutex<Vec<u32>>>,
}

impl Drop for Process {
    fn drop(&mut self) {
        kill_group(self.id);
        self.api.abort();
        lock(&self.running).retain(|id| *id != self.id);
    }
}

impl Process {
    /// Starts the function, or the `previous` version of it.
    ///
    /// # Errors
    /// The operating system does not start the program.
    pub async fn start(
        function: &Function,
        previous: Option<&Vec<OsString>>,
        number: u64,
        logs: &LogForwarder,
        running: &Arc<Mutex<Vec<u32>>>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let guard = Guard::new(&listener, &Arc::default(), Pages::Refused)?;
        let program = previous.unwrap_or(&function.command);
        let mut child = command(function, program, number, &listener)?.spawn()?;
        let id = child.id().unwrap_or_default();
        logs.forward(child.stdout.take());
        logs.forward(child.stderr.take());
        lock(running).push(id);

        let (events, next) = mpsc::channel(1);
        let mailbox = Arc::new(Mailbox::new(next));
        let router =
            runtime_api::router(Arc::clone(&mailbox)).layer(middleware::from_fn_with_state(guard, guard::check));
        let api = tokio::spawn(async move {
            // Runs until it is aborted. The process itself sees errors.
            let _ = axum::serve(listener, router).await;
        });
        let is_previous = previous.is_some();
        Ok(Self { child, id, number, is_previous, events, mailbox, api, running: Arc::clone(running) })
    }

    /// How requests and signals find the process.
    pub fn identity(&self) -> ProcessIdentity {
        ProcessIdentity { number: self.number, id: self.id }
    }

    /// Whether it runs the previous version of the function.
    pub fn is_previous(&self) -> bool {
        self.is_previous
    }

    /// Whether the process has not exited.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills the process after `delay`, unless the returned task is aborted.
    pub fn kill_after(&self, delay: Duration) -> JoinHandle<()> {
        let id = self.id;
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            kill_group(id);
        })
    }

    /// Sends the process an event and waits for the response.
    ///
    /// # Errors
    /// The function returned an error, timed out, or exited.
    pub async fn run(&mut self, event: String, timeout: Duration) -> Result<Bytes, InvokeError> {
        let (reply, replied) = oneshot::channel();
        let (fetched, is_fetched) = oneshot::channel();
        let invocation = Invocation { id: Uuid::new_v4().to_string(), event, timeout, fetched, reply };
        let mut was_fetched = false;
        let timed_out = async {
            was_fetched = matches!(tokio::time::timeout(INIT_TIMEOUT, is_fetched).await, Ok(Ok(())));
            tokio::time::sleep(timeout).await;
        };
        // There is always capacity: the previous event was fetched before it got its response.
        let _ = self.events.try_send(invocation);
        let outcome = tokio::select! {
            biased;
            reply = replied => match reply {
                Ok(Ok(body)) => Ok(body),
                Ok(Err(report)) => Err(InvokeError::Function(report)),
                Err(_) => Err(InvokeError::Exited("its Runtime API has closed".to_owned())),
            },
            exited = self.child.wait() => Err(InvokeError::Exited(match exited {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            })),
            () = timed_out => Err(InvokeError::TimedOut),
        };
        match (outcome, self.mailbox.take_init_error()) {
            (Err(InvokeError::Exited(_)), Some(report)) => Err(InvokeError::ExitedDuringInit(report)),
            (Err(InvokeError::Exited(status)), None) if !was_fetched => Err(InvokeError::ExitedDuringInit(status)),
            (outcome, _) => outcome,
        }
    }
}

/// The command of a process whose Runtime API listens on `listener`.
fn command(function: &Function, program: &[OsString], number: u64, listener: &TcpListener) -> io::Result<Command> {
    let (program, arguments) =
        program.split_first().ok_or_else(|| io::Error::other("the function's command is empty"))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        // The access keys set below are long-term keys without a session token.
        .env_remove("AWS_SESSION_TOKEN")
        .envs(function.environment.iter().map(|(name, value)| (name, value)))
        .env("AWS_ACCESS_KEY_ID", function.key.for_process(number).id)
        .env("AWS_LAMBDA_RUNTIME_API", listener.local_addr()?.to_string())
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MEMORY_MB)
        .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{FUNCTION_NAME}"))
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "local")
        .env("_HANDLER", "bootstrap")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Its own process group: child processes of the function are killed with it, and only the stack handles Ctrl-C.
        .process_group(0)
        .kill_on_drop(true);
    Ok(command)
}

/// Kills a process and its children.
pub fn kill_group(process: u32) {
    if let Some(group) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        // It may have exited already.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

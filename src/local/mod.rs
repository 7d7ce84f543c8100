//! AWS on a laptop: API Gateway, the Lambda Runtime API, DynamoDB and S3 in one process.
//!
//! The function runs in child processes, as on Lambda, and reaches the services through the AWS SDK over sockets:
//! nothing in it knows that it runs locally. See [`Stack`], and README.md in this folder for how faithful it is to AWS.

mod calls;
pub mod clients;
mod clock;
pub mod console;
mod data_lock;
mod dynamodb;
pub mod faults;
mod gateway;
mod guard;
mod invoke;
mod keys;
mod network;
pub mod open_files;
mod runtime;
mod s3;
mod schedule;
mod sigv4;
pub mod token;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::config::{self, Config, ConfigError};

pub use calls::AwsCall;
use calls::AwsCalls;
pub use clock::Clock;
use data_lock::{DataLock, DataLockError};
pub use dynamodb::StoreCall;
use faults::Faults;
use gateway::Gateway;
use guard::{Guard, Pages};
use keys::Keys;
pub use keys::{AccessKey, AccessKeyError};
use network::{Network, Port};
use runtime::Pool;
pub use s3::PAGE_HEADERS;

/// Receives each line that the function logs.
pub type LogSink = Arc<dyn Fn(&str) + Send + Sync>;

const REGION: &str = "us-east-1";
/// The default bucket.
const BUCKET: &str = "switchboard-uploads";

/// Grace period of a shutdown: connections are closed, the function gets `$disconnect` events, and invocations finish.
const SHUTDOWN: Duration = Duration::from_secs(1);
/// How long a shutdown waits for the last lines of the log.
const LAST_LINES: Duration = Duration::from_millis(200);

/// The settings of a stack.
pub struct Options {
    /// Where the HTTP API, the WebSocket API and S3 listen. DynamoDB and Lambda are on 127.0.0.1: clients need neither.
    pub host: IpAddr,
    /// The host in URLs for clients; derived from `host` by default.
    pub public_host: Option<String>,
    /// 0 takes any free port, for each of the five.
    pub http_port: u16,
    pub websocket_port: u16,
    pub dynamodb_port: u16,
    pub s3_port: u16,
    pub lambda_port: u16,
    pub stage: String,
    /// Whether there is a `$default` route. Without it frames without a route are answered `Forbidden`.
    pub has_default_route: bool,
    /// Where tables and files are kept; in memory and in a temporary folder without it.
    pub data: Option<PathBuf>,
    /// Maximum number of concurrent function processes.
    pub concurrency: usize,
    /// Whether events above that are throttled, as on Lambda. By default they wait, since there are far fewer
    /// processes.
    pub throttles: bool,
    /// The timeout of the function.
    pub timeout: Duration,
    /// The factor by which the gateway's limits are shortened: idle time and lifetime of connections, and the
    /// integration timeout. 1 as on AWS.
    pub time_scale: NonZeroU32,
    /// The interval of the schedule; `None` disables it.
    pub schedule: Option<Duration>,
    /// CORS origins of the HTTP API; `*` for all.
    pub cors_origins: Vec<String>,
    /// The access key for people and tools. The function has its own.
    pub access_key: AccessKey,
    /// Further accepted host names with any port, for example of a container.
    pub allowed_hosts: Vec<String>,
    /// The function: a program and its arguments.
    pub function: Vec<OsString>,
    /// Whether the function is Switchboard's, so that its configuration can be validated at start.
    pub function_is_ours: bool,
    /// Environment variables of the function besides those of this process.
    pub environment: Vec<(String, String)>,
    pub logs: LogSink,
    /// Injected faults.
    pub faults: Faults,
    /// Whether faults can be controlled by `POST /_faults` on the HTTP port, from this machine only.
    pub fault_control: bool,
}

impl Options {
    /// A stack for a function on free ports, in memory and without faults.
    pub fn on_free_ports(function: OsString, logs: LogSink) -> Self {
        Self {
            host: Ipv4Addr::LOCALHOST.into(),
            public_host: None,
            http_port: 0,
            websocket_port: 0,
            dynamodb_port: 0,
            s3_port: 0,
            lambda_port: 0,
            stage: "dev".to_owned(),
            has_default_route: true,
            data: None,
            concurrency: 8,
            throttles: false,
            timeout: Duration::from_secs(29),
            time_scale: NonZeroU32::MIN,
            schedule: None,
            cors_origins: vec!["*".to_owned()],
            access_key: AccessKey::random(),
            allowed_hosts: Vec::new(),
            function: vec![function],
            function_is_ours: true,
            environment: Vec::new(),
            logs,
            faults: Faults::default(),
            fault_control: false,
        }
    }
}

/// The URLs of a stack.
#[derive(Clone, Debug, Serialize)]
pub struct Urls {
    pub websocket: String,
    pub http: String,
    pub connections: String,
    pub dynamodb: String,
    pub s3: String,
    pub lambda: String,
}

/// A stack did not start: the message is for the person who started it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// One line each.
    #[error("{}", problems.join("\n"))]
    Ports { problems: Vec<String> },
    #[error("{0} is no address of this machine; choose another with --host")]
    Host(IpAddr),
    #[error("--function: {0}")]
    Function(String),
    #[error(transparent)]
    Data(#[from] DataLockError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the stage must be 1 to 128 letters, digits, '-' or '_'")]
    Stage,
    #[error("the embedded DynamoDB did not start: {0}")]
    DynamoDb(String),
    #[error("the embedded S3 did not start: {0}")]
    S3(String),
    #[error("a listener did not start: {0}")]
    Io(#[from] std::io::Error),
}

/// A running stack. Dropping it stops everything, including the function processes.
pub struct Stack {
    urls: Urls,
    access_key: AccessKey,
    clock: Clock,
    faults: Faults,
    calls: AwsCalls,
    pool: Arc<Pool>,
    gateway: Arc<Gateway>,
    dynamodb: dynamodb::DynamoDb,
    objects: s3::Objects,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    _s3: s3::Folder,
    /// Dropped last: the folder is released when nothing writes to it any more.
    _data: Option<DataLock>,
}

impl Stack {
    /// Starts everything, and returns when all ports answer.
    ///
    /// # Errors
    /// Names every port in use with its flag, every invalid variable, and the owner of the data folder. Nothing is left
    /// running.
    pub async fn start(mut options: Options) -> Result<Self, StartError> {
        let stage_letters = |letter: u8| letter.is_ascii_alphanumeric() || b"-_".contains(&letter);
        if !(1..=128).contains(&options.stage.len()) || !options.stage.bytes().all(stage_letters) {
            return Err(StartError::Stage);
        }
        runtime::require_program(&options.function, &options.environment).map_err(StartError::Function)?;
        let mut data = options.data.as_deref().map(DataLock::acquire).transpose()?;
        let network = Network::new(options.host, options.public_host.as_deref());
        options.allowed_hosts.extend(network.other_name());
        let port = |flag, number, is_for_clients| Port { flag, number, is_for_clients };
        let [http, websocket, dynamodb, s3, lambda] = network
            .bind([
                port("--http-port", options.http_port, true),
                port("--websocket-port", options.websocket_port, true),
                port("--dynamodb-port", options.dynamodb_port, false),
                port("--s3-port", options.s3_port, true),
                port("--lambda-port", options.lambda_port, false),
            ])
            .await?;
        let (stage, public) = (&options.stage, &network.public);
        let urls = Urls {
            websocket: format!("ws://{public}:{}/{stage}", websocket.local_addr()?.port()),
            http: format!("http://{public}:{}", http.local_addr()?.port()),
            connections: format!("http://{}:{}/{stage}", network.internal, websocket.local_addr()?.port()),
            dynamodb: format!("http://{}", dynamodb.local_addr()?),
            // The function signs URLs with it that clients follow.
            s3: format!("http://{public}:{}", s3.local_addr()?.port()),
            lambda: format!("http://{}", lambda.local_addr()?),
        };
        if let Some(lock) = &mut data {
            lock.sign(&urls.http)?;
        }

        let keys = Arc::new(Keys { function: AccessKey::random(), operator: options.access_key.clone() });
        let environment = environment(&options, &urls, &network, &keys.function);
        let variable = |name: &str| {
            let given = environment.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
            given.or_else(|| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
        };
        let lifetime_days =
            if options.function_is_ours { Config::read(variable)?.message_ttl_days.unsigned_abs() } else { 30 };
        let tables = config::table_names(variable)?;
        let bucket = variable("UPLOADS_BUCKET").unwrap_or_else(|| BUCKET.to_owned());

        let calls = AwsCalls::new(&tables, &bucket, &keys.function);
        let files = s3::Folder::new(options.data.as_deref()).map_err(StartError::S3)?;
        let faults = options.faults;
        let allowed_hosts: Arc<[String]> = options.allowed_hosts.into();
        let guard = |listener: &TcpListener, pages| Guard::new(listener, &allowed_hosts, pages);
        let setup = dynamodb::Setup {
            data: options.data.as_deref(),
            keys: Arc::clone(&keys),
            guard: guard(&dynamodb, Pages::Refused)?,
        };
        let dynamodb = dynamodb::DynamoDb::start(dynamodb, setup, &tables, calls.clone(), faults.clone())
            .await
            .map_err(StartError::DynamoDb)?;

        let clock = Clock::default();
        let pool = Arc::new(Pool::new(
            runtime::Function { command: options.function, environment, timeout: options.timeout },
            options.concurrency,
            options.throttles,
            options.logs,
            faults.clone(),
        ));
        let setup = s3::Setup {
            bucket,
            lifetime: Duration::from_secs(86_400 * lifetime_days),
            cors_origins: options.cors_origins.clone(),
            keys: Arc::clone(&keys),
            guard: guard(&s3, Pages::OnlyPresigned)?,
            faults: faults.clone(),
        };
        let (objects, mut tasks) =
            s3::serve(s3, &files, setup, clock.clone(), calls.clone(), Arc::clone(&pool)).map_err(StartError::S3)?;
        let setup = gateway::Setup {
            stage: options.stage,
            has_default_route: options.has_default_route,
            time_scale: options.time_scale,
            fault_control: options.fault_control,
            keys: Arc::clone(&keys),
            websocket: websocket.local_addr()?,
            http: http.local_addr()?,
        };
        let [guards_websocket, guards_http] = [guard(&websocket, Pages::Allowed)?, guard(&http, Pages::Allowed)?];
        let guards_lambda = guard(&lambda, Pages::Refused)?;
        let gateway = Arc::new(Gateway::new(setup, clock.clone(), calls.clone(), Arc::clone(&pool), faults.clone()));
        tasks.push(gateway::websocket::serve(websocket, guards_websocket, Arc::clone(&gateway)));
        tasks.push(gateway::http::serve(http, guards_http, Arc::clone(&gateway), options.cors_origins));
        tasks.push(invoke::serve(lambda, guards_lambda, keys, calls.clone(), Arc::clone(&pool)));
        if let Some(every) = options.schedule {
            tasks.push(schedule::serve(every, clock.clone(), faults.clone(), Arc::clone(&pool)));
        }
        Ok(Self {
            urls,
            access_key: options.access_key,
            clock,
            faults,
            calls,
            pool,
            gateway,
            dynamodb,
            objects,
            tasks,
            _s3: files,
            _data: data,
        })
    }

    /// Shuts down gracefully within about a second: connections are closed with 1001, the function gets `$disconnect`
    /// events, and running invocations finish.
    pub async fn stop(self) {
        let drained = async {
            self.gateway.close_connections().await;
            self.pool.drain().await;
        };
        // Whatever takes longer is aborted, as in a crash.
        let _ = timeout(SHUTDOWN, drained).await;
        self.pool.stop();
        let _ = timeout(LAST_LINES, self.pool.log_is_written()).await;
    }

    /// Where the stack listens.
    pub fn urls(&self) -> &Urls {
        &self.urls
    }

    /// The access key for people and tools.
    pub fn access_key(&self) -> &AccessKey {
        &self.access_key
    }

    /// The clock of the stack.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sends the function an asynchronous event, and returns when it is handled.
    pub async fn send_event(&self, event: serde_json::Value) {
        self.pool.invoke_in_background(event).await;
    }

    /// Deletes expired files, as the bucket's lifecycle does.
    pub async fn end_old_objects(&self) {
        self.objects.end_old_ones().await;
    }

    /// Sends the function a schedule event, and returns when it is handled.
    pub async fn call_by_schedule(&self) {
        schedule::fire(&self.clock, &self.faults, &self.pool).await;
    }

    /// The distinct AWS calls of the function so far.
    pub fn aws_calls(&self) -> BTreeSet<AwsCall> {
        self.calls.all()
    }

    /// The function's requests to DynamoDB since the last call.
    pub fn take_store_calls(&self) -> Vec<StoreCall> {
        self.dynamodb.take_calls()
    }

    /// Ids of the connections that are open.
    pub fn open_connections(&self) -> Vec<String> {
        self.gateway.open_connections()
    }

    /// Process ids of the running function processes.
    pub fn function_processes(&self) -> Vec<u32> {
        self.pool.processes()
    }

    /// The number of function processes started so far.
    pub fn function_processes_ever(&self) -> usize {
        self.pool.started()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.pool.stop();
    }
}

/// The function's environment variables, besides Lambda's own.
fn environment(options: &Options, urls: &Urls, network: &Network, key: &AccessKey) -> Vec<(String, String)> {
    let given = |name: &str| {
        options.environment.iter().any(|(known, _)| known == name)
            || std::env::var_os(name).is_some_and(|value| !value.is_empty())
    };
    let mut environment = Vec::new();
    for (name, value) in [("AUTH_MODE", "open"), ("UPLOADS_BUCKET", BUCKET)] {
        if !given(name) {
            environment.push((name.to_owned(), value.to_owned()));
        }
    }
    environment.extend(options.environment.iter().cloned());
    let without_proxy = network.without_proxy();
    let ours = [
        ("WEBSOCKET_ENDPOINT", urls.websocket.as_str()),
        ("HTTP_ENDPOINT", &urls.http),
        ("AWS_ENDPOINT_URL_DYNAMODB", &urls.dynamodb),
        ("AWS_ENDPOINT_URL_S3", &urls.s3),
        ("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI", &urls.connections),
        ("AWS_ENDPOINT_URL_LAMBDA", &urls.lambda),
        ("AWS_LAMBDA_FUNCTION_NAME", runtime::FUNCTION_NAME),
        // The local AWS has one region.
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", &key.id),
        ("AWS_SECRET_ACCESS_KEY", &key.secret),
        // Local addresses bypass proxies.
        ("NO_PROXY", &without_proxy),
        ("no_proxy", &without_proxy),
    ];
    environment.extend(ours.map(|(name, value)| (name.to_owned(), value.to_owned())));
    environment
}

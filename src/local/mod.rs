//! AWS's side of every wire, on a laptop: API Gateway, the Lambda Runtime API, DynamoDB and S3 in one process.
//!
//! The function runs as child processes, as it runs on Lambda, and reaches the rest through the AWS SDK over sockets:
//! nothing in it knows that this is no cloud. See [`Stack`], and README.md beside this for how true all of it is to
//! AWS.

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

/// Takes each line that the function logs.
pub type LogSink = Arc<dyn Fn(&str) + Send + Sync>;

const REGION: &str = "us-east-1";
/// Where files are kept, if no other bucket is named.
const BUCKET: &str = "switchboard-uploads";

/// How long the end may take: clients are told, the function hears of it, and invocations that are running finish.
const SHUTDOWN: Duration = Duration::from_secs(1);
/// How long the last lines of the function's log are waited for.
const LAST_LINES: Duration = Duration::from_millis(200);

/// How a stack is to be.
pub struct Options {
    /// Where the HTTP API, the WebSocket API and S3 listen. DynamoDB and Lambda are on 127.0.0.1: clients need neither.
    pub host: IpAddr,
    /// What clients call this machine; chosen by `host` without it.
    pub public_host: Option<String>,
    /// 0 takes any free port, for each of the five.
    pub http_port: u16,
    pub websocket_port: u16,
    pub dynamodb_port: u16,
    pub s3_port: u16,
    pub lambda_port: u16,
    pub stage: String,
    /// Whether frames that name no route go to `$default`. Without it their sender is told that it is forbidden.
    pub has_default_route: bool,
    /// Where tables and files are kept; in memory and in a temporary folder without it.
    pub data: Option<PathBuf>,
    /// Most function processes at once.
    pub concurrency: usize,
    /// Whether events beyond that are refused, as Lambda refuses them beyond a function's concurrency. They wait
    /// otherwise, since the processes here are far fewer.
    pub throttles: bool,
    /// How long the function may take for an event.
    pub timeout: Duration,
    /// How many times sooner the gateway's own limits are reached: a connection's idle time and lifetime, and the time
    /// that it waits for the function. 1 as on AWS.
    pub time_scale: NonZeroU32,
    /// How often the schedule calls the function; never without it.
    pub schedule: Option<Duration>,
    /// Web pages that may ask the HTTP API, by their origins; `*` for all.
    pub cors_origins: Vec<String>,
    /// What a person or a tool signs with that looks into tables and bucket. The function has a key of its own.
    pub access_key: AccessKey,
    /// Names besides those that it listens on by which clients may address it, with any port: of a container, for
    /// example.
    pub allowed_hosts: Vec<String>,
    /// The function: a program and its arguments.
    pub function: Vec<OsString>,
    /// Whether the function is ours, so that its configuration can be checked before it starts.
    pub function_is_ours: bool,
    /// Set for the function on top of this process's own environment.
    pub environment: Vec<(String, String)>,
    pub logs: LogSink,
    /// What goes wrong.
    pub faults: Faults,
    /// Whether anybody on this machine may say what goes wrong, by `POST /_faults` on the HTTP port.
    pub fault_control: bool,
}

impl Options {
    /// A stack of one's own for a function: on free ports, with nothing kept and nothing going wrong.
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

/// Where a stack is reached.
#[derive(Clone, Debug, Serialize)]
pub struct Urls {
    pub websocket: String,
    pub http: String,
    pub connections: String,
    pub dynamodb: String,
    pub s3: String,
    pub lambda: String,
}

/// Why a stack did not start: a line for the person who started it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A line each.
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

/// A running stack. It ends, with every function process, when it is dropped.
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
    /// Last: others may have the directory when nothing here writes to it any more.
    _data: Option<DataLock>,
}

impl Stack {
    /// Starts everything; when it returns, everything answers.
    ///
    /// # Errors
    /// Names every port that is taken with its flag, every variable that is wrong, and who has the data directory.
    /// Nothing is left running then.
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

    /// Ends as a server should: clients hear 1001, the function hears that they have gone, and what it is doing is
    /// finished, all within about a second.
    pub async fn stop(self) {
        let drained = async {
            self.gateway.close_connections().await;
            self.pool.drain().await;
        };
        // Whoever takes longer is cut off, as by a crash.
        let _ = timeout(SHUTDOWN, drained).await;
        self.pool.stop();
        let _ = timeout(LAST_LINES, self.pool.log_is_written()).await;
    }

    /// Where the stack listens.
    pub fn urls(&self) -> &Urls {
        &self.urls
    }

    /// What is accepted on every port of its AWS, besides the function's own key.
    pub fn access_key(&self) -> &AccessKey {
        &self.access_key
    }

    /// The time that events tell.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Gives the function an event as AWS would that waits for no answer, and returns when it is done.
    pub async fn send_event(&self, event: serde_json::Value) {
        self.pool.invoke_in_background(event).await;
    }

    /// Removes the files that have had their time, as it is done every so often.
    pub async fn end_old_objects(&self) {
        self.objects.end_old_ones().await;
    }

    /// Calls the function as the schedule does, and returns when it is done.
    pub async fn call_by_schedule(&self) {
        schedule::fire(&self.clock, &self.faults, &self.pool).await;
    }

    /// Every call of AWS that the function has made so far.
    pub fn aws_calls(&self) -> BTreeSet<AwsCall> {
        self.calls.all()
    }

    /// What the function asked of DynamoDB since this was last called.
    pub fn take_store_calls(&self) -> Vec<StoreCall> {
        self.dynamodb.take_calls()
    }

    /// Ids of the connections that are open.
    pub fn open_connections(&self) -> Vec<String> {
        self.gateway.open_connections()
    }

    /// Process ids of the function processes there are.
    pub fn function_processes(&self) -> Vec<u32> {
        self.pool.processes()
    }

    /// How many function processes there have been, those that ended and were replaced among them.
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

/// What the function finds in its environment here, besides what Lambda itself sets.
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
        // The local AWS is one region, and no other one is signed for.
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", &key.id),
        ("AWS_SECRET_ACCESS_KEY", &key.secret),
        // What is on this machine is not behind anybody's proxy.
        ("NO_PROXY", &without_proxy),
        ("no_proxy", &without_proxy),
    ];
    environment.extend(ours.map(|(name, value)| (name.to_owned(), value.to_owned())));
    environment
}

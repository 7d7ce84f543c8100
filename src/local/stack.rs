//! A running stack: start, shutdown, and what tests control.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::bus::Bus;
use super::calls::{AwsCall, AwsCalls};
use super::data_folder::{DataFolder, DataFolderError};
use super::dynamodb::{DynamoDb, StoreCall};
use super::faults::Faults;
use super::gateway::Gateway;
use super::issuer::Issuer;
use super::keys::{AccessKey, Keys};
use super::lambda::{self, Pool, Review};
use super::network::Network;
use super::services::{Listeners, Settings, Shared};
use super::streams::Streams;
use super::{Clock, Options, environment, s3, schedule};
use crate::config::ConfigError;

/// Grace period of a shutdown: connections are closed, the function gets `$disconnect` events, and invocations finish.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a shutdown waits for the last lines of the log.
const LOG_FLUSH_TIMEOUT: Duration = Duration::from_millis(200);

/// The URLs of a stack.
#[derive(Clone, Debug, Serialize)]
pub struct Urls {
    pub websocket: String,
    pub http: String,
    pub connections: String,
    pub dynamodb: String,
    pub s3: String,
    pub lambda: String,
    /// The issuer of tokens, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The event bus, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<String>,
}

/// A stack did not start: the message is for the person who started it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// One line per port.
    #[error("{}", problems.join("\n"))]
    Ports { problems: Vec<String> },
    #[error("{0} is not an address of this machine; choose another with --host")]
    Host(IpAddr),
    #[error("--function: {0}")]
    Function(String),
    #[error(transparent)]
    Data(#[from] DataFolderError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the stage must be 1 to 128 letters, digits, '-' or '_'")]
    Stage,
    #[error("the embedded DynamoDB did not start: {0}")]
    DynamoDb(String),
    #[error("the embedded S3 did not start: {0}")]
    S3(String),
    #[error("the issuer of tokens did not start: {0}")]
    Issuer(String),
    #[error("--webhook: {0}")]
    Webhook(String),
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
    dynamodb: DynamoDb,
    lifecycle: s3::Lifecycle,
    issuer: Option<Issuer>,
    events: Option<(Bus, Streams)>,
    tasks: Vec<JoinHandle<()>>,
    _s3: s3::Folder,
    /// Dropped last: the folder is released when nothing writes to it any more.
    _data: Option<DataFolder>,
}

impl Stack {
    /// Starts everything, and returns when all ports accept requests.
    ///
    /// # Errors
    /// Names every port in use with its flag, every invalid variable, and why the data folder is refused. Nothing is
    /// left running.
    pub async fn start(mut options: Options) -> Result<Self, StartError> {
        let is_allowed = |letter: u8| letter.is_ascii_alphanumeric() || b"-_".contains(&letter);
        if !(1..=128).contains(&options.stage.len()) || !options.stage.bytes().all(is_allowed) {
            return Err(StartError::Stage);
        }
        lambda::require_program(&options.function, &options.environment).map_err(StartError::Function)?;
        let mut data = options.data.as_deref().map(DataFolder::open).transpose()?;
        let network = Network::new(options.host, options.public_host.as_deref());
        options.allowed_hosts.extend(network.other_name());
        let listeners = Listeners::bind(&options, &network).await?;
        let urls = listeners.urls(&options, &network)?;
        if let Some(folder) = &mut data {
            folder.write_owner(&urls.http)?;
        }
        let keys = Arc::new(Keys { function: AccessKey::random(), operator: options.access_key.clone() });
        let environment = environment::variables(&options, &urls, &network, &keys.function);
        let settings = Settings::read(&options, &environment)?;
        let shared = Shared {
            clock: Clock::default(),
            calls: AwsCalls::new(&settings.tables, &settings.bucket, &keys.function),
            keys,
            faults: options.faults.clone(),
            allowed_hosts: std::mem::take(&mut options.allowed_hosts).into(),
        };
        let pool = shared.pool(&options, environment);
        Self::start_services(options, shared, listeners, settings, urls, pool, data).await
    }

    async fn start_services(
        options: Options,
        shared: Shared,
        listeners: Listeners,
        settings: Settings,
        urls: Urls,
        pool: Arc<Pool>,
        data: Option<DataFolder>,
    ) -> Result<Self, StartError> {
        let folder = s3::Folder::new(options.data.as_deref()).map_err(StartError::S3)?;
        let (tables, has_streams) = (settings.tables.clone(), options.bus.is_some());
        let dynamodb = shared.start_dynamodb(listeners.dynamodb, data.as_ref(), &tables, has_streams).await?;
        // The chat page uploads too.
        let origins = [options.cors_origins.as_slice(), std::slice::from_ref(&urls.http)].concat();
        let (lifecycle, mut tasks) = shared.start_s3(listeners.s3, &folder, settings, origins, &pool)?;
        let (gateway, apis) = shared.start_gateway(listeners.http, listeners.websocket, &options, &urls, &pool)?;
        tasks.extend(apis);
        tasks.push(shared.start_lambda(listeners.lambda, &pool, options.review.map(Review))?);
        let issuer = match listeners.issuer.zip(urls.issuer.as_ref()) {
            Some((listener, url)) => {
                let (issuer, task) = shared.start_issuer(listener, url)?;
                tasks.push(task);
                Some(issuer)
            }
            None => None,
        };
        let events = match listeners.bus.zip(options.bus.as_ref()) {
            Some(bus) => {
                let (bus, streams, running) = shared.start_events(bus, &dynamodb, data.as_ref(), &tables, &pool)?;
                tasks.extend(running);
                Some((bus, streams))
            }
            None => None,
        };
        if let Some(interval) = options.schedule {
            tasks.push(shared.start_schedule(interval, &pool));
        }
        let Shared { clock, calls, faults, .. } = shared;
        Ok(Self {
            urls,
            access_key: options.access_key,
            clock,
            faults,
            calls,
            pool,
            gateway,
            dynamodb,
            lifecycle,
            issuer,
            events,
            tasks,
            _s3: folder,
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
        // What takes longer is aborted, as in a crash.
        let _ = timeout(SHUTDOWN_TIMEOUT, drained).await;
        self.pool.stop();
        let _ = timeout(LOG_FLUSH_TIMEOUT, self.pool.flush_logs()).await;
    }

    /// The URLs of the services.
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

    /// The issuer of tokens, if there is one.
    pub fn issuer(&self) -> Option<&Issuer> {
        self.issuer.as_ref()
    }

    /// The event bus, if there is one.
    pub fn bus(&self) -> Option<&Bus> {
        self.events.as_ref().map(|(bus, _)| bus)
    }

    /// Returns when the function has put everything that was written so far on the event bus.
    pub async fn events_put(&self) {
        if let Some((_, streams)) = &self.events {
            streams.drained().await;
        }
    }

    /// The injected faults.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Sends the function an asynchronous event, and returns when it is handled.
    pub async fn send_event(&self, event: serde_json::Value) {
        self.pool.invoke_async(event).await;
    }

    /// Deletes expired files, as the bucket's lifecycle does.
    pub async fn expire_objects(&self) {
        self.lifecycle.expire_objects().await;
    }

    /// Sends the function a schedule event, and returns when it is handled.
    pub async fn fire_schedule(&self) {
        schedule::fire(&self.clock, &self.faults, &self.pool).await;
    }

    /// The distinct AWS calls of the function so far.
    pub fn aws_calls(&self) -> BTreeSet<AwsCall> {
        self.calls.all()
    }

    /// The function's requests to DynamoDB since the last call of this method.
    pub fn take_store_calls(&self) -> Vec<StoreCall> {
        self.dynamodb.take_calls()
    }

    /// The ids of the open connections.
    pub fn open_connections(&self) -> Vec<String> {
        self.gateway.open_connections()
    }

    /// The process ids of the running function processes.
    pub fn function_processes(&self) -> Vec<u32> {
        self.pool.process_ids()
    }

    /// The number of function processes started so far.
    pub fn function_processes_started(&self) -> usize {
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

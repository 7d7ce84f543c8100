//! The services of a stack: their ports, what they share, and how each is started.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::bus::{Bus, BusOptions};
use super::calls::AwsCalls;
use super::data_folder::DataFolder;
use super::dynamodb::{self, DynamoDb};
use super::faults::Faults;
use super::gateway::{self, Gateway};
use super::guard::{Guard, Pages};
use super::issuer::Issuer;
use super::keys::Keys;
use super::lambda::{self, Function, Pool, Review};
use super::network::{Network, Port};
use super::streams::{self, Streams};
use super::{BUCKET, Clock, Options, StartError, Urls, s3, schedule};
use crate::config::{self, Config};
use crate::tables::TableNames;

/// The sockets of the ports.
pub struct Listeners {
    pub http: TcpListener,
    pub websocket: TcpListener,
    pub dynamodb: TcpListener,
    pub s3: TcpListener,
    pub lambda: TcpListener,
    pub issuer: Option<TcpListener>,
    pub bus: Option<TcpListener>,
}

impl Listeners {
    /// # Errors
    /// Names each port that is in use with its flag.
    pub async fn bind(options: &Options, network: &Network) -> Result<Self, StartError> {
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
        let optional = async |flag, number| match number {
            Some(number) => network.bind([port(flag, number, false)]).await.map(|[listener]| Some(listener)),
            None => Ok(None),
        };
        let issuer = optional("--issuer-port", options.issuer_port).await?;
        let bus = optional("--events-port", options.bus.as_ref().map(|bus| bus.port)).await?;
        Ok(Self { http, websocket, dynamodb, s3, lambda, issuer, bus })
    }

    /// # Errors
    /// A listener has no address.
    pub fn urls(&self, options: &Options, network: &Network) -> io::Result<Urls> {
        let (stage, public) = (&options.stage, &network.public);
        Ok(Urls {
            websocket: format!("ws://{public}:{}/{stage}", self.websocket.local_addr()?.port()),
            http: format!("http://{public}:{}", self.http.local_addr()?.port()),
            connections: format!("http://{}:{}/{stage}", network.internal, self.websocket.local_addr()?.port()),
            dynamodb: format!("http://{}", self.dynamodb.local_addr()?),
            // The public host, because the function presigns URLs for clients with it.
            s3: format!("http://{public}:{}", self.s3.local_addr()?.port()),
            lambda: format!("http://{}", self.lambda.local_addr()?),
            issuer: url_of(self.issuer.as_ref())?,
            events: url_of(self.bus.as_ref())?,
        })
    }
}

/// The URL of a port that there may be.
fn url_of(listener: Option<&TcpListener>) -> io::Result<Option<String>> {
    listener.map(|listener| Ok(format!("http://{}", listener.local_addr()?))).transpose()
}

/// The part of the function's configuration that the stack needs.
pub struct Settings {
    pub tables: TableNames,
    pub bucket: String,
    pub object_lifetime: Duration,
}

impl Settings {
    /// # Errors
    /// A variable is invalid.
    pub fn read(options: &Options, environment: &[(String, String)]) -> Result<Self, StartError> {
        let variable = |name: &str| {
            let set = environment.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
            set.or_else(|| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
        };
        let lifetime_days =
            if options.is_own_function { Config::read(variable)?.message_ttl_days.unsigned_abs() } else { 30 };
        Ok(Self {
            tables: config::table_names(variable)?,
            bucket: variable("UPLOADS_BUCKET").unwrap_or_else(|| BUCKET.to_owned()),
            object_lifetime: Duration::from_secs(86_400 * lifetime_days),
        })
    }
}

/// What the services share.
pub struct Shared {
    pub keys: Arc<Keys>,
    pub clock: Clock,
    pub calls: AwsCalls,
    pub faults: Faults,
    pub allowed_hosts: Arc<[String]>,
}

impl Shared {
    fn guard(&self, listener: &TcpListener, pages: Pages) -> io::Result<Guard> {
        Guard::new(listener, &self.allowed_hosts, pages)
    }

    /// # Errors
    /// The embedded DynamoDB does not start, or another version wrote the tables in the folder.
    pub async fn start_dynamodb(
        &self,
        listener: TcpListener,
        data: Option<&DataFolder>,
        tables: &TableNames,
        has_streams: bool,
    ) -> Result<DynamoDb, StartError> {
        let guard = self.guard(&listener, Pages::Refused)?;
        let data_path = data.map(DataFolder::path);
        let setup = dynamodb::Setup { data: data_path, keys: Arc::clone(&self.keys), guard, has_streams };
        let started = DynamoDb::start(listener, setup, tables, self.calls.clone(), self.faults.clone()).await;
        let dynamodb = started.map_err(|failure| match (failure, data) {
            (dynamodb::Failure::OtherKeys(problem), Some(folder)) => folder.incompatible(problem).into(),
            (failure, _) => StartError::DynamoDb(failure.to_string()),
        })?;
        data.map_or(Ok(()), DataFolder::write_version)?;
        Ok(dynamodb)
    }

    /// The function's processes, which start with the first events.
    pub fn pool(&self, options: &Options, environment: Vec<(String, String)>) -> Arc<Pool> {
        let key = self.keys.function.clone();
        let function = Function {
            command: options.function.clone(),
            previous: options.previous_function.clone(),
            environment,
            timeout: options.timeout,
            key,
        };
        let logs = Arc::clone(&options.logs);
        Arc::new(Pool::new(function, options.concurrency, options.throttles, logs, self.faults.clone()))
    }

    /// # Errors
    /// The embedded S3 does not start.
    pub fn start_s3(
        &self,
        listener: TcpListener,
        folder: &s3::Folder,
        settings: Settings,
        cors_origins: Vec<String>,
        pool: &Arc<Pool>,
    ) -> Result<(s3::Lifecycle, Vec<JoinHandle<()>>), StartError> {
        let setup = s3::Setup {
            bucket: settings.bucket,
            lifetime: settings.object_lifetime,
            cors_origins,
            keys: Arc::clone(&self.keys),
            guard: self.guard(&listener, Pages::OnlyPresigned)?,
            faults: self.faults.clone(),
        };
        s3::serve(listener, folder, setup, self.clock.clone(), self.calls.clone(), Arc::clone(pool))
            .map_err(StartError::S3)
    }

    /// Starts both APIs.
    ///
    /// # Errors
    /// A listener has no address.
    pub fn start_gateway(
        &self,
        http: TcpListener,
        websocket: TcpListener,
        options: &Options,
        urls: &Urls,
        pool: &Arc<Pool>,
    ) -> io::Result<(Arc<Gateway>, [JoinHandle<()>; 2])> {
        let setup = gateway::Setup {
            stage: options.stage.clone(),
            has_default_route: options.has_default_route,
            time_scale: options.time_scale,
            fault_control: options.fault_control,
            page: gateway::page::Addresses {
                websocket: urls.websocket.clone(),
                s3: urls.s3.clone(),
                faults: options.fault_control,
            },
            keys: Arc::clone(&self.keys),
            websocket: websocket.local_addr()?,
            http: http.local_addr()?,
        };
        let websocket_guard = self.guard(&websocket, Pages::Allowed)?;
        let http_guard = self.guard(&http, Pages::Allowed)?;
        let (clock, calls, faults) = (self.clock.clone(), self.calls.clone(), self.faults.clone());
        let gateway = Arc::new(Gateway::new(setup, clock, calls, Arc::clone(pool), faults));
        let tasks = [
            gateway::websocket::serve(websocket, websocket_guard, Arc::clone(&gateway)),
            gateway::http::serve(http, http_guard, Arc::clone(&gateway), options.cors_origins.clone()),
        ];
        Ok((gateway, tasks))
    }

    /// Starts Lambda's `Invoke` API.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn start_lambda(
        &self,
        listener: TcpListener,
        pool: &Arc<Pool>,
        review: Option<Review>,
    ) -> io::Result<JoinHandle<()>> {
        let guard = self.guard(&listener, Pages::Refused)?;
        let functions = (Arc::clone(pool), review);
        Ok(lambda::invoke::serve(listener, guard, Arc::clone(&self.keys), self.calls.clone(), functions))
    }

    /// Starts the event bus, and the event source mappings that feed it.
    ///
    /// # Errors
    /// The address of a webhook is invalid, or the folder cannot be used.
    pub fn start_events(
        &self,
        (listener, options): (TcpListener, &BusOptions),
        dynamodb: &DynamoDb,
        data: Option<&DataFolder>,
        names: &TableNames,
        pool: &Arc<Pool>,
    ) -> Result<(Bus, Streams, Vec<JoinHandle<()>>), StartError> {
        let guard = self.guard(&listener, Pages::Refused)?;
        let (clock, faults) = (self.clock.clone(), self.faults.clone());
        let bus = Bus::new(options, &self.keys, clock.clone(), self.calls.clone(), faults.clone());
        let bus = bus.map_err(StartError::Webhook)?;
        let folder = data.map(|data| data.path().join("streams"));
        let (database, folder, pool) = (dynamodb.database(), folder.as_deref(), Arc::clone(pool));
        let setup = streams::Setup { database, names, folder, clock, faults, pool };
        let (streams, mut tasks) = Streams::start(&setup)?;
        tasks.push(bus.serve(listener, guard));
        Ok((bus, streams, tasks))
    }

    /// Starts the issuer of tokens.
    ///
    /// # Errors
    /// The listener has no address, or no keys can be made.
    pub fn start_issuer(&self, listener: TcpListener, url: &str) -> Result<(Issuer, JoinHandle<()>), StartError> {
        let guard = self.guard(&listener, Pages::Refused)?;
        let issuer = Issuer::new(url, self.clock.clone()).map_err(|error| StartError::Issuer(error.to_string()))?;
        let task = issuer.serve(listener, guard);
        Ok((issuer, task))
    }

    /// Starts the schedule.
    pub fn start_schedule(&self, interval: Duration, pool: &Arc<Pool>) -> JoinHandle<()> {
        schedule::serve(interval, self.clock.clone(), self.faults.clone(), Arc::clone(pool))
    }
}

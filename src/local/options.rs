//! The settings of a stack.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::faults::Faults;
use super::{AccessKey, BusOptions, LogSink};

/// The settings of a stack.
pub struct Options {
    /// Where the HTTP API, the WebSocket API and S3 listen. DynamoDB and Lambda are on 127.0.0.1: clients need neither.
    pub host: IpAddr,
    /// The host in URLs for clients; derived from `host` by default.
    pub public_host: Option<String>,
    /// 0 uses any free port, also for the other four.
    pub http_port: u16,
    pub websocket_port: u16,
    pub dynamodb_port: u16,
    pub s3_port: u16,
    pub lambda_port: u16,
    /// The port of an issuer of tokens on 127.0.0.1, which the function then requires. `None`: there is none.
    pub issuer_port: Option<u16>,
    /// The event bus on 127.0.0.1, where the function puts events then. `None`: there are neither events nor streams.
    pub bus: Option<BusOptions>,
    pub stage: String,
    /// Whether there is a `$default` route. Without it, frames without a route get the error `Forbidden`.
    pub has_default_route: bool,
    /// The folder of tables and files. `None` keeps tables in memory and files in a temporary folder.
    pub data: Option<PathBuf>,
    /// Maximum number of concurrent function processes.
    pub concurrency: usize,
    /// Whether events above that are throttled, as on Lambda. By default they wait, because there are far fewer
    /// processes.
    pub throttles: bool,
    /// The timeout of the function.
    pub timeout: Duration,
    /// The factor by which the gateway's limits are shortened: idle time and lifetime of connections, and the
    /// integration timeout. 1 is as on AWS.
    pub time_scale: NonZeroU32,
    /// The interval of the schedule; `None` disables it.
    pub schedule: Option<Duration>,
    /// CORS origins of the HTTP API; `*` for all.
    pub cors_origins: Vec<String>,
    /// The access key for people and tools. The function has its own.
    pub access_key: AccessKey,
    /// More accepted host names, with any port, for example of a container.
    pub allowed_hosts: Vec<String>,
    /// The function: a program and its arguments.
    pub function: Vec<OsString>,
    /// The review function: a program and its arguments, which gets each event on standard input and prints its answer.
    pub review: Option<Vec<OsString>>,
    /// Another version of the function, which handles the events that the fault `previousVersion` gives it.
    pub previous_function: Option<Vec<OsString>>,
    /// Whether the function is Switchboard's own, so that its configuration can be validated at start.
    pub is_own_function: bool,
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
            issuer_port: None,
            bus: None,
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
            review: None,
            previous_function: None,
            is_own_function: true,
            environment: Vec::new(),
            logs,
            faults: Faults::default(),
            fault_control: false,
        }
    }
}

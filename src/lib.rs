//! Switchboard: real-time chat in one Lambda.
//!
//! The path of a request: API Gateway sends an event to the function ([`serve`]); [`event`] decodes it; [`router`]
//! finds its row in the catalogue ([`actions`]), resolves who may call it (`access`) and calls the handler. Handlers
//! use [`store`] (DynamoDB), [`files`] (S3), [`delivery`] (`@connections`) and [`bus`] (EventBridge). The router writes
//! the response and one log line, which carries the [`metrics`]. [`wire`] holds requests and frames, [`domain`] what
//! depends on neither protocol nor storage. `local` is AWS on a laptop. `src/README.md` says more.

mod access;
pub mod actions;
pub mod auth;
pub mod aws;
pub mod bus;
pub mod config;
pub mod context;
pub mod delivery;
pub mod domain;
pub mod error;
pub mod event;
pub mod file_links;
pub mod files;
mod handlers;
#[cfg(feature = "local")]
pub mod local;
mod log;
pub mod metrics;
pub mod review;
pub mod router;
#[cfg(feature = "schema")]
pub mod schema;
pub mod store;
pub mod tables;
pub mod wire;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::value::RawValue;
use tokio::time::Instant;

use config::Config;
use context::{InvocationContext, Services};

/// Reserved of an invocation's time for returning the answer.
const FOR_THE_ANSWER: Duration = Duration::from_millis(500);

/// Runs the function: polls events from the Lambda Runtime API until it is gone. An invalid configuration ends it at
/// once, with one line on standard error.
pub fn serve() -> ExitCode {
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    log::start(config.log_level);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the asynchronous runtime did not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %error, "lost the Runtime API");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> Result<(), lambda_runtime::Error> {
    let services = &Arc::new(Services::new(config)?);
    let handler = service_fn(move |event: LambdaEvent<Box<RawValue>>| async move {
        let LambdaEvent { payload, context } = event;
        let lambda = InvocationContext { deadline: deadline(context.deadline), request_id: context.request_id };
        router::handle(services, &payload, lambda).await
    });
    lambda_runtime::run(handler).await
}

/// Lambda's deadline (epoch milliseconds) on the monotonic clock.
fn deadline(epoch_ms: u64) -> Instant {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let left = Duration::from_millis(epoch_ms).saturating_sub(now).saturating_sub(FOR_THE_ANSWER);
    Instant::now() + left
}

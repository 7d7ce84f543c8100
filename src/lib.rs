//! Switchboard: real-time chat in one Lambda.
//!
//! The way of an event: API Gateway sends it to the function ([`serve`]), [`event`] decodes it, [`router`] picks the
//! handler by the route that [`routes`] declares, [`handlers`] do what is asked with [`store`] (DynamoDB), [`files`]
//! (S3) and [`delivery`] (`@connections`), and the router writes the response and one line of [`log`], in which stand
//! the [`metrics`]. [`wire`] is what clients send and hear, [`domain`] what is true without either. `local` is AWS's
//! side of every wire, for a laptop.

mod access;
pub mod actions;
pub mod auth;
pub mod aws;
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
pub mod router;
#[cfg(feature = "schema")]
pub mod schema;
pub mod store;
pub mod tables;
pub mod wire;

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::value::RawValue;
use tokio::time::Instant;

use config::Config;
use std::sync::Arc;

use context::Services;

/// Kept back from the time that Lambda gives an invocation, for the answer's own way.
const FOR_THE_ANSWER: Duration = Duration::from_millis(500);

/// Runs the function: takes events from the Lambda Runtime API until that is gone. A configuration that is wrong
/// ends it at once, with one line on standard error.
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
            tracing::error!(error = %error, "the Runtime API is gone");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> Result<(), lambda_runtime::Error> {
    let services = &Arc::new(Services::new(config)?);
    let handler = service_fn(move |event: LambdaEvent<Box<RawValue>>| async move {
        router::handle(services, &event.payload, deadline(event.context.deadline)).await
    });
    lambda_runtime::run(handler).await
}

/// Lambda's deadline (epoch milliseconds) on the clock that waits are measured by.
fn deadline(epoch_ms: u64) -> Instant {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let left = Duration::from_millis(epoch_ms).saturating_sub(now).saturating_sub(FOR_THE_ANSWER);
    Instant::now() + left
}

//! The embedded DynamoDB: an engine on its own thread, and a proxy that verifies signatures, injects faults and meters
//! requests.

mod capacity;
mod create_tables;
mod engine;
mod errors;
mod index_lag;
mod proxy;
mod unprocessed;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use dynoxide::Database;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::calls::AwsCalls;
use super::faults::Faults;
use super::guard::{self, Guard};
use super::keys::Keys;
use super::sigv4::Verifier;
use crate::tables::TableNames;
pub use capacity::StoreCall;
pub use create_tables::Failure;
use proxy::Proxy;

/// The number of recorded requests.
const MAX_RECORDED_CALLS: usize = 10_000;
/// DynamoDB's own limit for a request.
const REQUEST_BYTES: usize = 16 * 1024 * 1024;

/// The operations that read or write rows.
pub(super) const DATA_OPERATIONS: &[&str] = &[
    "BatchGetItem",
    "BatchWriteItem",
    "DeleteItem",
    "GetItem",
    "PutItem",
    "Query",
    "Scan",
    "TransactGetItems",
    "TransactWriteItems",
    "UpdateItem",
];

/// The settings.
pub struct Setup<'a> {
    /// The folder of the database file; `None` keeps the tables in memory.
    pub data: Option<&'a Path>,
    pub keys: Arc<Keys>,
    pub guard: Guard,
    /// Whether the tables have streams.
    pub has_streams: bool,
}

/// The embedded DynamoDB. Dropping it stops the engine.
pub struct DynamoDb {
    database: Database,
    calls: RecordedCalls,
    proxy: JoinHandle<()>,
    /// Set before shutdown: requests that fail during it are not logged as errors.
    is_stopping: Arc<AtomicBool>,
    /// Stops the engine when dropped.
    _stop: oneshot::Sender<()>,
}

impl Drop for DynamoDb {
    fn drop(&mut self) {
        self.is_stopping.store(true, Ordering::Release);
        self.proxy.abort();
    }
}

impl DynamoDb {
    /// Serves on `listener`, with all tables. There are no connections: none survives a restart.
    ///
    /// # Errors
    /// The database cannot be opened, the engine does not start, or a table cannot be created or has other keys.
    pub async fn start(
        listener: TcpListener,
        setup: Setup<'_>,
        names: &TableNames,
        aws_calls: AwsCalls,
        faults: Faults,
    ) -> Result<Self, Failure> {
        let address = listener.local_addr().map_err(|error| Failure::Other(error.to_string()))?;
        let (engine_address, database, stop) = engine::start(setup.data).await.map_err(Failure::Other)?;
        let (calls, is_stopping) = (RecordedCalls::default(), Arc::<AtomicBool>::default());
        let verifier = Verifier::new("dynamodb", "Request is missing Authentication Token", Arc::clone(&setup.keys));
        let proxy = Proxy::new(engine_address, verifier, calls.clone(), aws_calls, faults, Arc::clone(&is_stopping));
        let router = Router::new()
            .fallback(proxy::forward)
            .layer(DefaultBodyLimit::max(REQUEST_BYTES))
            .with_state(Arc::new(proxy))
            .layer(middleware::from_fn_with_state(setup.guard, guard::check));
        let proxy = tokio::spawn(async move {
            // Runs until the stack stops.
            let _ = axum::serve(listener, router).await;
        });
        let started = Self { database, calls, proxy, is_stopping, _stop: stop };
        let (endpoint, key) = (format!("http://{address}"), &setup.keys.operator);
        create_tables::prepare(&endpoint, key, names, setup.has_streams).await?;
        started.take_calls();
        Ok(started)
    }

    /// The engine.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The recorded requests since the last call of this method.
    pub fn take_calls(&self) -> Vec<StoreCall> {
        std::mem::take(&mut *self.calls.lock()).into()
    }
}

/// The latest requests. Clones share the record.
#[derive(Clone, Default)]
struct RecordedCalls(Arc<Mutex<VecDeque<StoreCall>>>);

impl RecordedCalls {
    fn lock(&self) -> MutexGuard<'_, VecDeque<StoreCall>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, call: StoreCall) {
        let mut calls = self.lock();
        if calls.len() == MAX_RECORDED_CALLS {
            calls.pop_front();
        }
        calls.push_back(call);
    }
}

//! The embedded DynamoDB on its own thread, behind a proxy that verifies signatures, injects faults and meters
//! requests.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, TimeToLiveSpecification,
};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use dynoxide::Database;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::calls::AwsCalls;
use super::clients;
use super::faults::Faults;
use super::guard::{self, Guard};
use super::keys::{AccessKey, Keys};
use super::sigv4::{Refusal, Signed, Verifier};
use crate::tables::TableNames;
use crate::tables::{self, Table};

/// The number of recorded requests.
const CALLS_KEPT: usize = 10_000;
const SWEEP_EVERY: Duration = Duration::from_secs(10 * 60);
/// DynamoDB's own limit for a request.
const REQUEST_BYTES: usize = 16 * 1024 * 1024;

/// A request of the function, and the capacity that it consumed.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreCall {
    /// As in the API: `PutItem`, `Query`, ...
    pub operation: String,
    pub read_units: f64,
    pub write_units: f64,
}

/// The settings.
pub struct Setup<'a> {
    /// Where tables are kept; in memory without it.
    pub data: Option<&'a Path>,
    pub keys: Arc<Keys>,
    pub guard: Guard,
}

/// The embedded DynamoDB.
pub struct DynamoDb {
    calls: Arc<Mutex<VecDeque<StoreCall>>>,
    wire: JoinHandle<()>,
    /// Set before shutdown: requests that fail then are not errors.
    is_stopping: Arc<AtomicBool>,
    /// Stops the engine when dropped.
    _stop: oneshot::Sender<()>,
}

impl Drop for DynamoDb {
    fn drop(&mut self) {
        self.is_stopping.store(true, Ordering::Release);
        self.wire.abort();
    }
}

impl DynamoDb {
    /// Serves on `listener`, after creating the tables of the catalogue.
    pub async fn start(
        listener: TcpListener,
        setup: Setup<'_>,
        names: &TableNames,
        aws_calls: AwsCalls,
        faults: Faults,
    ) -> Result<Self, String> {
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let database = open(setup.data)?;
        let engine = bind_engine().await.map_err(|error| error.to_string())?;
        let engine_address = engine.local_addr().map_err(|error| error.to_string())?;
        let engine = engine.into_std().map_err(|error| error.to_string())?;
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("dynamodb".to_owned())
            .spawn(move || run_engine(engine, database, stopped))
            .map_err(|error| error.to_string())?;

        let (calls, is_stopping) = (Arc::default(), Arc::<AtomicBool>::default());
        let wire = Wire {
            is_stopping: Arc::clone(&is_stopping),
            engine: format!("http://{engine_address}/"),
            client: HttpClient::builder(TokioExecutor::new()).build_http(),
            verifier: Verifier::new("dynamodb", "Request is missing Authentication Token", Arc::clone(&setup.keys)),
            calls: Arc::clone(&calls),
            aws_calls,
            faults,
        };
        let router = Router::new()
            .fallback(forward)
            .layer(DefaultBodyLimit::max(REQUEST_BYTES))
            .with_state(Arc::new(wire))
            .layer(middleware::from_fn_with_state(setup.guard, guard::check));
        let wire = tokio::spawn(async move {
            // It serves until the stack ends.
            let _ = axum::serve(listener, router).await;
        });
        let started = Self { calls, wire, is_stopping, _stop: stop };
        make_tables(&format!("http://{address}"), &setup.keys.operator, names).await?;
        started.take_calls();
        Ok(started)
    }

    /// The calls since the last time, with what each consumed.
    pub fn take_calls(&self) -> Vec<StoreCall> {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

/// The engine accepts unsigned requests, so it listens on a random loopback address (127.0.0.0/8) that a web page
/// cannot guess, if the machine has more than one.
async fn bind_engine() -> std::io::Result<TcpListener> {
    let [_, a, b, c, ..] = Uuid::new_v4().into_bytes();
    match TcpListener::bind((Ipv4Addr::new(127, a, b, c), 0)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await,
    }
}

fn open(data: Option<&Path>) -> Result<Database, String> {
    let Some(data) = data else { return Database::memory().map_err(|error| error.to_string()) };
    std::fs::create_dir_all(data).map_err(|error| format!("{}: {error}", data.display()))?;
    let file = data.join("dynamodb.sqlite");
    Database::new(&file.to_string_lossy()).map_err(|error| format!("{}: {error}", file.display()))
}

/// The engine blocks its thread, so it gets its own.
fn run_engine(listener: std::net::TcpListener, database: Database, stopped: oneshot::Receiver<()>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "the embedded DynamoDB has no runtime"),
    };
    runtime.block_on(async {
        let served = match TcpListener::from_std(listener) {
            Ok(listener) => {
                let stopped = async { drop(stopped.await) };
                let sweeping = tokio::spawn(sweep(database.clone()));
                let served = dynoxide::server::serve_with_shutdown(listener, database, stopped).await;
                sweeping.abort();
                served
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = served {
            tracing::error!(%error, "the embedded DynamoDB has ended");
        }
    });
}

/// Deletes expired rows late, as DynamoDB's TTL does.
async fn sweep(database: Database) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        if let Err(error) = database.sweep_ttl() {
            tracing::warn!(%error, "expired rows were not deleted");
        }
    }
}

struct Wire {
    is_stopping: Arc<AtomicBool>,
    engine: String,
    client: HttpClient<HttpConnector, Full<Bytes>>,
    verifier: Verifier,
    calls: Arc<Mutex<VecDeque<StoreCall>>>,
    aws_calls: AwsCalls,
    faults: Faults,
}

async fn forward(State(wire): State<Arc<Wire>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    // Other paths do not concern tables.
    if method == Method::POST
        && let Err(refusal) =
            wire.verifier.verify(&Signed { method: &method, uri: &uri, headers: &headers, body: &body })
    {
        return refused(&refusal);
    }
    match wire.pass_on(method, headers, body).await {
        Ok(response) => response,
        Err(error) => {
            if !wire.is_stopping.load(Ordering::Acquire) {
                tracing::error!(error, "the embedded DynamoDB does not answer");
            }
            StatusCode::BAD_GATEWAY.into_response()
        }
    }
}

impl Wire {
    /// Records every request, and requests its consumed capacity.
    async fn pass_on(&self, method: Method, mut headers: HeaderMap, body: Bytes) -> Result<Response, String> {
        let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let operation = target.and_then(|target| target.split_once('.')).map(|(_, operation)| operation.to_owned());
        if let Some(operation) = &operation {
            self.aws_calls.record_dynamodb(&headers, operation, &body);
        }
        let is_data = operation.as_deref().is_some_and(|operation| DATA_OPERATIONS.contains(&operation));
        if let Some(operation) = operation.as_deref().filter(|_| is_data) {
            self.faults.linger(|plan| plan.store_latency).await;
            if self.faults.strikes(|plan| plan.store_throttled(operation)) {
                return Ok(failure(StatusCode::BAD_REQUEST, "ProvisionedThroughputExceededException"));
            }
        }
        if operation.as_deref() == Some("TransactWriteItems") && self.faults.strikes(|plan| plan.transaction_conflict) {
            return Ok(conflict(&body));
        }
        if operation.as_deref() == Some("PutItem") && self.faults.strikes(|plan| plan.transaction_conflict) {
            return Ok(failure(StatusCode::BAD_REQUEST, "TransactionConflictException"));
        }
        let (body, left) = match operation.as_deref() {
            Some("BatchWriteItem" | "BatchGetItem") if self.faults.strikes(|plan| plan.store_unprocessed) => {
                parted(body)
            }
            _ => (body, None),
        };
        let body = if is_data { asking_for_capacity(body) } else { body };
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::HOST);

        let mut request = axum::http::Request::builder().method(method).uri(&self.engine);
        if let Some(all) = request.headers_mut() {
            *all = headers;
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let response = self.client.request(request).await.map_err(|error| error.to_string())?;
        let (mut parts, body) = response.into_parts();
        if parts.status.is_server_error() {
            tracing::error!(operation, status = %parts.status, "the embedded DynamoDB failed");
        }
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        let body = match left {
            Some((member, left)) => {
                // The headers of the original body.
                parts.headers.remove(header::CONTENT_LENGTH);
                parts.headers.remove("x-amz-crc32");
                answered_in_part(&body, member, left)
            }
            None => body,
        };
        if let Some(operation) = operation.filter(|_| is_data) {
            let call = metered(operation, &body);
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            if calls.len() == CALLS_KEPT {
                calls.pop_front();
            }
            calls.push_back(call);
            drop(calls);
            if self.faults.strikes(|plan| plan.store_answer_lost) {
                return Ok(failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"));
            }
        }
        Ok((parts, body).into_response())
    }
}

/// A batch without the last row of one of its tables, if it has more than one; and the removed row, as the answer's
/// unprocessed items.
fn parted(body: Bytes) -> (Bytes, Option<(&'static str, Value)>) {
    let Ok(mut batch) = serde_json::from_slice::<Value>(&body) else { return (body, None) };
    let Some(tables) = batch.get_mut("RequestItems").and_then(Value::as_object_mut) else { return (body, None) };
    for (table, request) in tables {
        let mut rest = request.clone();
        let is_write = request.is_array();
        let rows = if is_write { Some(&mut *request) } else { request.get_mut("Keys") };
        let Some(rows) = rows.and_then(Value::as_array_mut).filter(|rows| rows.len() > 1) else { continue };
        let last = Value::from_iter(rows.pop());
        let member = if is_write { "UnprocessedItems" } else { "UnprocessedKeys" };
        *(if is_write { &mut rest } else { &mut rest["Keys"] }) = last;
        let left = (member, serde_json::json!({ table.as_str(): rest }));
        return (batch.to_string().into(), Some(left));
    }
    (body, None)
}

fn answered_in_part(answer: &[u8], member: &str, left: Value) -> Bytes {
    let mut answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    answer[member] = left;
    answer.to_string().into()
}

/// DynamoDB's answer to a request that is not signed as it should be.
fn refused(refusal: &Refusal) -> Response {
    let kind = format!("com.amazon.coral.service#{}", refusal.kind);
    let body = serde_json::json!({ "__type": kind, "message": refusal.message });
    (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "application/x-amz-json-1.0")], body.to_string()).into_response()
}

/// An error response of DynamoDB.
fn failure(status: StatusCode, kind: &str) -> Response {
    let body = serde_json::json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": kind });
    (status, [(header::CONTENT_TYPE, "application/x-amz-json-1.0")], body.to_string()).into_response()
}

/// DynamoDB's response to a transaction conflict.
fn conflict(transaction: &[u8]) -> Response {
    let transaction: Value = serde_json::from_slice(transaction).unwrap_or_default();
    let items = transaction["TransactItems"].as_array().map_or(0, Vec::len);
    let mut reasons = vec![serde_json::json!({ "Code": "None" }); items];
    if let Some(last) = reasons.last_mut() {
        *last = serde_json::json!({ "Code": "TransactionConflict", "Message": "Transaction is ongoing for the item" });
    }
    let body = serde_json::json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons",
        "CancellationReasons": reasons,
    });
    (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "application/x-amz-json-1.0")], body.to_string()).into_response()
}

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

fn asking_for_capacity(body: Bytes) -> Bytes {
    match serde_json::from_slice::<Value>(&body) {
        Ok(Value::Object(mut request)) => {
            request.entry("ReturnConsumedCapacity").or_insert("TOTAL".into());
            Value::Object(request).to_string().into()
        }
        _ => body,
    }
}

/// The capacity part of a response, which may be a megabyte.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Charged {
    consumed_capacity: Value,
    #[serde(rename = "__type")]
    error: String,
    /// One per part of a transaction.
    cancellation_reasons: Vec<serde::de::IgnoredAny>,
}

impl Charged {
    /// A write whose condition fails is charged, in a transaction too. The response does not contain the row sizes: the
    /// minimum is assumed.
    fn units(&self) -> f64 {
        match self.error.rsplit('#').next() {
            Some("ConditionalCheckFailedException") => 1.0,
            Some("TransactionCanceledException") => 2.0 * self.cancellation_reasons.len() as f64,
            _ => {
                let capacity = &self.consumed_capacity;
                let tables = capacity.as_array().map_or(std::slice::from_ref(capacity), Vec::as_slice);
                tables.iter().filter_map(|table| table["CapacityUnits"].as_f64()).sum()
            }
        }
    }
}

fn metered(operation: String, answer: &[u8]) -> StoreCall {
    let units = serde_json::from_slice::<Charged>(answer).unwrap_or_default().units();
    let is_read = matches!(operation.as_str(), "BatchGetItem" | "GetItem" | "Query" | "Scan" | "TransactGetItems");
    let (read_units, write_units) = if is_read { (units, 0.0) } else { (0.0, units) };
    StoreCall { operation, read_units, write_units }
}

/// Creates missing tables, through the API.
async fn make_tables(endpoint: &str, key: &AccessKey, names: &TableNames) -> Result<(), String> {
    let client = clients::dynamodb(endpoint, key).map_err(|error| error.to_string())?;
    for table in tables::ALL {
        make_table(&client, table, names.of(table)).await.map_err(|error| {
            format!("table {}: {}", names.of(table), aws_sdk_dynamodb::error::DisplayErrorContext(error))
        })?;
    }
    Ok(())
}

async fn make_table(client: &Client, table: &Table, name: &str) -> Result<(), aws_sdk_dynamodb::Error> {
    let mut attributes = vec![table.partition_key];
    attributes.extend(table.sort_key);
    let mut request = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(key_schema(table.partition_key, table.sort_key)?));
    for index in table.indexes {
        attributes.extend([index.partition_key, index.sort_key]);
        let projection = match index.includes {
            [] => Projection::builder().projection_type(ProjectionType::KeysOnly),
            names => Projection::builder()
                .projection_type(ProjectionType::Include)
                .set_non_key_attributes(Some(names.iter().map(|&name| name.to_owned()).collect())),
        };
        request = request.global_secondary_indexes(
            GlobalSecondaryIndex::builder()
                .index_name(index.name)
                .set_key_schema(Some(key_schema(index.partition_key, Some(index.sort_key))?))
                .projection(projection.build())
                .build()?,
        );
    }
    attributes.sort_unstable();
    attributes.dedup();
    for attribute in attributes {
        request = request.attribute_definitions(
            AttributeDefinition::builder().attribute_name(attribute).attribute_type(ScalarAttributeType::S).build()?,
        );
    }
    match request.send().await {
        Ok(_) => {}
        // Kept from an earlier run.
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) => {
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    }
    let ttl = TimeToLiveSpecification::builder().attribute_name(tables::TTL).enabled(true).build()?;
    client.update_time_to_live().table_name(name).time_to_live_specification(ttl).send().await?;
    Ok(())
}

fn key_schema(partition: &str, sort: Option<&str>) -> Result<Vec<KeySchemaElement>, BuildError> {
    let element = |name: &str, kind: KeyType| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    let mut schema = vec![element(partition, KeyType::Hash)?];
    if let Some(sort) = sort {
        schema.push(element(sort, KeyType::Range)?);
    }
    Ok(schema)
}

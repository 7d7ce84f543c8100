//! The proxy in front of the engine: verifies signatures, injects faults, and records requests with their consumed
//! capacity.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::response::Parts;
use axum::http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::index_lag::IndexLag;
use super::{DATA_OPERATIONS, RecordedCalls, StoreCall, capacity, errors, unprocessed};
use crate::local::calls::AwsCalls;
use crate::local::faults::Faults;
use crate::local::sigv4::{SignedRequest, Verifier};

/// Forwards requests to the engine.
pub struct Proxy {
    engine_url: String,
    client: Client<HttpConnector, Full<Bytes>>,
    verifier: Verifier,
    calls: RecordedCalls,
    aws_calls: AwsCalls,
    faults: Faults,
    lag: IndexLag,
    is_stopping: Arc<AtomicBool>,
}

/// Verifies the signature and forwards the request.
pub async fn forward(
    State(proxy): State<Arc<Proxy>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // Only POST requests access tables.
    if method == Method::POST
        && let Err(error) =
            proxy.verifier.verify(&SignedRequest { method: &method, uri: &uri, headers: &headers, body: &body })
    {
        return errors::signature(&error);
    }
    let lost = || Ok(errors::error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"));
    let (process, what) = (proxy.aws_calls.process(&headers), proxy.aws_calls.description(&headers, &body));
    let requests = proxy.faults.requests();
    match requests.attend(process, &what, proxy.handle(method, headers, body), lost).await {
        Ok(response) => response,
        Err(error) => {
            if !proxy.is_stopping.load(Ordering::Acquire) {
                tracing::error!(error, "the embedded DynamoDB did not respond");
            }
            StatusCode::BAD_GATEWAY.into_response()
        }
    }
}

impl Proxy {
    /// A proxy for the engine at this address.
    pub fn new(
        engine: SocketAddr,
        verifier: Verifier,
        calls: RecordedCalls,
        aws_calls: AwsCalls,
        faults: Faults,
        is_stopping: Arc<AtomicBool>,
    ) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let (engine_url, lag) = (format!("http://{engine}/"), IndexLag::default());
        Self { engine_url, client, verifier, calls, aws_calls, faults, lag, is_stopping }
    }

    /// Injects faults, forwards the request, and records it.
    async fn handle(&self, method: Method, headers: HeaderMap, body: Bytes) -> Result<Response, String> {
        let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let Some(operation) = target.and_then(|target| target.split_once('.')).map(|(_, name)| name.to_owned()) else {
            return Ok(self.send(method, headers, body, None).await?.into_response());
        };
        self.aws_calls.record_dynamodb(&headers, &operation, &body);
        if let Some(error) = self.injected_error(&operation, &body).await {
            return Ok(error);
        }
        let is_batch = matches!(operation.as_str(), "BatchWriteItem" | "BatchGetItem");
        let (body, unprocessed) = if is_batch && self.faults.strikes(|plan| plan.store_unprocessed) {
            unprocessed::split_off(body)
        } else {
            (body, None)
        };
        let is_data = DATA_OPERATIONS.contains(&operation.as_str());
        let body = if is_data { capacity::request_capacity(body) } else { body };
        let request = body.clone();
        let (mut parts, body) = self.send(method, headers, body, Some(&operation)).await?;
        let behind = self.lag.answer(self.faults.index_lag(), &self.aws_calls, &request, &body);
        let body = match behind {
            Some(behind) if parts.status.is_success() => replaced(&mut parts, behind),
            _ => body,
        };
        let body = match unprocessed {
            Some(unprocessed) => replaced(&mut parts, unprocessed.add_to(&body)),
            None => body,
        };
        if is_data {
            self.calls.record(StoreCall::of(operation, &body));
            if self.faults.strikes(|plan| plan.store_answer_lost) {
                return Ok(errors::error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"));
            }
        }
        Ok((parts, body).into_response())
    }

    /// The error of a fault that strikes before the engine gets the request.
    async fn injected_error(&self, operation: &str, body: &[u8]) -> Option<Response> {
        if DATA_OPERATIONS.contains(&operation) {
            self.faults.add_latency(|plan| plan.store_latency).await;
            if self.faults.strikes(|plan| plan.store_denied) {
                return Some(errors::error(StatusCode::BAD_REQUEST, "AccessDeniedException"));
            }
            if self.faults.strikes(|plan| plan.store_throttled(operation)) {
                let request: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
                let table = request["TableName"].as_str();
                tracing::warn!(operation, table, "a request to DynamoDB is throttled");
                return Some(errors::error(StatusCode::BAD_REQUEST, "ProvisionedThroughputExceededException"));
            }
        }
        if operation == "TransactWriteItems" && self.faults.strikes(|plan| plan.transaction_conflict) {
            return Some(errors::transaction_conflict(body));
        }
        if operation == "PutItem" && self.faults.strikes(|plan| plan.transaction_conflict) {
            return Some(errors::error(StatusCode::BAD_REQUEST, "TransactionConflictException"));
        }
        None
    }

    async fn send(
        &self,
        method: Method,
        mut headers: HeaderMap,
        body: Bytes,
        operation: Option<&str>,
    ) -> Result<(Parts, Bytes), String> {
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::HOST);
        let mut request = Request::builder().method(method).uri(&self.engine_url);
        if let Some(all) = request.headers_mut() {
            *all = headers;
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let response = self.client.request(request).await.map_err(|error| error.to_string())?;
        let (parts, body) = response.into_parts();
        if parts.status.is_server_error() {
            tracing::error!(operation, status = %parts.status, "the embedded DynamoDB failed");
        }
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        Ok((parts, body))
    }
}

/// A body in place of the engine's, whose length and checksum are dropped.
fn replaced(parts: &mut Parts, body: Bytes) -> Bytes {
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove("x-amz-crc32");
    body
}

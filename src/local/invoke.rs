//! Lambda's `Invoke` API, by which the function invokes itself.
//!
//! Source: the Lambda API reference, "Invoke".

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::calls::AwsCalls;
use super::guard::{self, Guard};
use super::keys::Keys;
use super::runtime::{FUNCTION_NAME, Failure, PAYLOAD_BYTES, Pool, READ_BYTES};
use super::sigv4::{Refusal, Signed, Verifier};

/// Maximum size of an asynchronous event.
const EVENT_BYTES: usize = 1024 * 1024;

struct Lambda {
    verifier: Verifier,
    calls: AwsCalls,
    pool: Arc<Pool>,
}

/// Serves the API until the stack ends.
pub fn serve(listener: TcpListener, guard: Guard, keys: Arc<Keys>, calls: AwsCalls, pool: Arc<Pool>) -> JoinHandle<()> {
    let verifier = Verifier::new("lambda", "Missing Authentication Token", keys);
    let router = Router::new()
        .route("/2015-03-31/functions/{name}/invocations", post(invoke))
        .layer(DefaultBodyLimit::max(READ_BYTES))
        .with_state(Arc::new(Lambda { verifier, calls, pool }))
        .layer(middleware::from_fn_with_state(guard, guard::check));
    tokio::spawn(async move {
        let _ = axum::serve(listener, router).await;
    })
}

async fn invoke(
    State(lambda): State<Arc<Lambda>>,
    Path(name): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    event: Bytes,
) -> Response {
    let signed = Signed { method: &method, uri: &uri, headers: &headers, body: &event };
    if let Err(Refusal { kind, message }) = lambda.verifier.verify(&signed) {
        return (StatusCode::FORBIDDEN, [("x-amzn-ErrorType", kind)], axum::Json(json!({ "message": message })))
            .into_response();
    }
    lambda.calls.record_lambda(&headers, &name);
    if name != FUNCTION_NAME {
        return refuse(StatusCode::NOT_FOUND, "ResourceNotFoundException", &format!("Function not found: {name}"));
    }
    if event.len() > PAYLOAD_BYTES {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException", "An event has at most 6 MB");
    }
    let Ok(event) = serde_json::from_slice::<Value>(if event.is_empty() { b"{}" } else { &event }) else {
        return refuse(StatusCode::BAD_REQUEST, "InvalidRequestContentException", "The event is no JSON");
    };
    let kind = headers.get("x-amz-invocation-type").map_or(&b"RequestResponse"[..], |kind| kind.as_bytes());
    match kind {
        b"RequestResponse" => match lambda.pool.invoke(event.to_string()).await {
            Ok(answer) => answer.into_response(),
            Err(Failure::Reported(report)) => ([("X-Amz-Function-Error", "Unhandled")], report).into_response(),
            Err(failure @ Failure::Throttled) => {
                refuse(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", &failure.to_string())
            }
            Err(failure) => {
                let told = json!({ "errorMessage": failure.to_string() });
                ([("X-Amz-Function-Error", "Unhandled")], axum::Json(told)).into_response()
            }
        },
        b"Event" if event.to_string().len() > EVENT_BYTES => {
            refuse(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException", "An event has at most 1 MB")
        }
        b"Event" => {
            tokio::spawn(async move { lambda.pool.invoke_in_background(event).await });
            StatusCode::ACCEPTED.into_response()
        }
        b"DryRun" => StatusCode::NO_CONTENT.into_response(),
        _ => refuse(StatusCode::BAD_REQUEST, "InvalidParameterValueException", "There is no such invocation type"),
    }
}

fn refuse(status: StatusCode, kind: &'static str, message: &str) -> Response {
    (status, [("x-amzn-ErrorType", kind)], axum::Json(json!({ "Type": "User", "Message": message }))).into_response()
}

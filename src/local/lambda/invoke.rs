//! Lambda's `Invoke` API, with which the function invokes itself and the review function.
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

use super::{FUNCTION_NAME, InvokeError, PAYLOAD_BYTES, Pool, READ_BYTES, REVIEW_NAME, Review};
use crate::local::calls::AwsCalls;
use crate::local::guard::{self, Guard};
use crate::local::keys::Keys;
use crate::local::sigv4::{SignatureError, SignedRequest, Verifier};

/// Maximum size of an asynchronous event.
const EVENT_BYTES: usize = 1024 * 1024;

struct Lambda {
    verifier: Verifier,
    calls: AwsCalls,
    pool: Arc<Pool>,
    review: Option<Review>,
}

/// Serves the API until the stack ends.
pub fn serve(
    listener: TcpListener,
    guard: Guard,
    keys: Arc<Keys>,
    calls: AwsCalls,
    (pool, review): (Arc<Pool>, Option<Review>),
) -> JoinHandle<()> {
    let verifier = Verifier::new("lambda", "Missing Authentication Token", keys);
    let router = Router::new()
        .route("/2015-03-31/functions/{name}/invocations", post(invoke))
        .layer(DefaultBodyLimit::max(READ_BYTES))
        .with_state(Arc::new(Lambda { verifier, calls, pool, review }))
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
    let signed = SignedRequest { method: &method, uri: &uri, headers: &headers, body: &event };
    if let Err(SignatureError { kind, message }) = lambda.verifier.verify(&signed) {
        return (StatusCode::FORBIDDEN, [("x-amzn-ErrorType", kind)], axum::Json(json!({ "message": message })))
            .into_response();
    }
    lambda.calls.record_lambda(&headers, &name);
    let lost = || error_response(StatusCode::INTERNAL_SERVER_ERROR, "ServiceException", "an injected fault");
    let process = lambda.calls.process(&headers);
    lambda.pool.requests().attend(process, "lambda Invoke", respond(&lambda, &name, &headers, &event), lost).await
}

async fn respond(lambda: &Lambda, name: &str, headers: &HeaderMap, event: &Bytes) -> Response {
    if let Some(review) = lambda.review.as_ref().filter(|_| name == REVIEW_NAME) {
        return review.invoke(event).await;
    }
    if name != FUNCTION_NAME {
        return error_response(
            StatusCode::NOT_FOUND,
            "ResourceNotFoundException",
            &format!("Function not found: {name}"),
        );
    }
    if event.len() > PAYLOAD_BYTES {
        return error_response(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestTooLargeException",
            "event too large: the limit is 6 MB",
        );
    }
    let Ok(event) = serde_json::from_slice::<Value>(if event.is_empty() { b"{}" } else { event }) else {
        return error_response(
            StatusCode::BAD_REQUEST,
            "InvalidRequestContentException",
            "the event is not valid JSON",
        );
    };
    let invocation_type = headers.get("x-amz-invocation-type");
    match invocation_type.map_or(&b"RequestResponse"[..], |name| name.as_bytes()) {
        b"RequestResponse" => invoke_and_wait(&lambda.pool, event).await,
        b"Event" if event.to_string().len() > EVENT_BYTES => error_response(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestTooLargeException",
            "event too large: the limit is 1 MB",
        ),
        b"Event" => {
            let pool = Arc::clone(&lambda.pool);
            tokio::spawn(async move { pool.invoke_async(event).await });
            StatusCode::ACCEPTED.into_response()
        }
        b"DryRun" => StatusCode::NO_CONTENT.into_response(),
        _ => error_response(StatusCode::BAD_REQUEST, "InvalidParameterValueException", "unknown invocation type"),
    }
}

/// A synchronous invocation.
async fn invoke_and_wait(pool: &Pool, event: Value) -> Response {
    match pool.invoke(event.to_string()).await {
        Ok(response) => response.into_response(),
        Err(InvokeError::Function(report)) => ([("X-Amz-Function-Error", "Unhandled")], report).into_response(),
        Err(error @ InvokeError::Throttled) => {
            error_response(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", &error.to_string())
        }
        Err(error) => {
            let report = json!({ "errorMessage": error.to_string() });
            ([("X-Amz-Function-Error", "Unhandled")], axum::Json(report)).into_response()
        }
    }
}

fn error_response(status: StatusCode, kind: &'static str, message: &str) -> Response {
    (status, [("x-amzn-ErrorType", kind)], axum::Json(json!({ "Type": "User", "Message": message }))).into_response()
}

//! Runs before the embedded S3: CORS, the checks of a signed request that the embedded S3 omits, complete error
//! responses, and fault injection.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::cors::Cors;
use super::errors::{self, S3Error};
use super::signatures::SignatureChecks;
use crate::local::calls::AwsCalls;
use crate::local::faults::Faults;

/// What the middleware needs.
pub struct Middleware {
    pub signatures: SignatureChecks,
    pub cors: Cors,
    pub faults: Faults,
    pub calls: AwsCalls,
}

/// Passes a request on, or refuses it as S3 does.
pub async fn check(State(middleware): State<Arc<Middleware>>, request: Request, next: Next) -> Response {
    let Middleware { signatures, cors, faults, calls } = &*middleware;
    if request.method() == Method::OPTIONS {
        return cors.preflight(request.headers()).into_response();
    }
    let origin = cors.allowed_origin(request.headers());
    faults.add_latency(|plan| plan.file_latency).await;
    let operation = calls.record_s3(request.method(), request.uri(), request.headers());
    let process = calls.process(request.headers());
    let what = format!("s3 {}", operation.as_deref().unwrap_or_default());
    let lost = || S3Error::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "an injected fault").into_response();
    let is_refused = process.is_some() && faults.strikes(|plan| plan.file_refused);
    let answered = async {
        if is_refused {
            return S3Error::new(StatusCode::FORBIDDEN, "AccessDenied", "an injected fault").into_response();
        }
        match signatures.check(request.uri(), request.headers()) {
            Ok(()) => errors::complete(next.run(request).await).await,
            Err(error) => error.into_response(),
        }
    };
    let mut response = faults.requests().attend(process, &what, answered, lost).await;
    if operation.as_deref() == Some("HeadObject") && response.status() == StatusCode::NOT_FOUND {
        calls.record_s3_absence();
    }
    if let Some(origin) = origin {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        response.headers_mut().insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("ETag"));
        response.headers_mut().append(header::VARY, HeaderValue::from_static("Origin"));
    }
    response
}

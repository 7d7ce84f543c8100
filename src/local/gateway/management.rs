//! `@connections`, the API Gateway Management API: post to a connection, inspect it, close it.

use axum::body::{Body, Bytes, to_bytes};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::connections::Connection;
use super::events::CloseStatus;
use super::{Gateway, is_id, is_too_long};
use crate::local::guard;
use crate::local::lambda::READ_BYTES;
use crate::local::sigv4::{SignatureError, SignedRequest};

/// Maximum size of a posted message.
pub const MESSAGE_BYTES: usize = 128 * 1024;

/// Handles a request to `@connections/{id}`, if it is signed and does not come from a web page.
pub async fn handle(gateway: &Gateway, id: &str, parts: &Parts, body: Body) -> Response {
    if let Some(refusal) = guard::refuse_page(&parts.headers) {
        return refusal;
    }
    if let Err(error) = gateway.verifier.require_signature(&parts.headers) {
        return invalid_signature(&error);
    }
    let body = match to_bytes(body, READ_BYTES).await {
        Ok(body) => body,
        Err(error) if is_too_long(&error) => return payload_too_large(),
        Err(_) => return StatusCode::BAD_REQUEST.into_response(),
    };
    let signed = SignedRequest { method: &parts.method, uri: &parts.uri, headers: &parts.headers, body: &body };
    if let Err(error) = gateway.verifier.verify(&signed) {
        return invalid_signature(&error);
    }
    gateway.calls.record_connections(&parts.method, &parts.headers);
    let lost = || error_response(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerException", json!({}));
    let (process, what) = (gateway.calls.process(&parts.headers), format!("execute-api {}", parts.method));
    let response = respond(gateway, &parts.method, id, body);
    gateway.faults.requests().attend(process, &what, response, lost).await
}

async fn respond(gateway: &Gateway, method: &Method, id: &str, body: Bytes) -> Response {
    if *method == Method::POST
        && let Some(error) = injected_error(gateway, id).await
    {
        return error;
    }
    if !is_id(id) {
        let message = format!("Invalid connectionId: {id}");
        return error_response(StatusCode::BAD_REQUEST, "BadRequestException", json!({ "message": message }));
    }
    let Some(connection) = gateway.registry.find(id) else {
        return gone();
    };
    match *method {
        Method::POST => post(gateway, &connection, &body),
        Method::GET => axum::Json(json!({
            "connectedAt": connection.connected_at.to_iso(),
            "lastActiveAt": connection.last_active_at().to_iso(),
            "identity": connection.identity,
        }))
        .into_response(),
        Method::DELETE => {
            gateway.registry.remove(id);
            connection.close(CloseStatus::normal());
            StatusCode::NO_CONTENT.into_response()
        }
        _ => forbidden(),
    }
}

fn post(gateway: &Gateway, connection: &Connection, body: &[u8]) -> Response {
    if body.len() > MESSAGE_BYTES {
        return payload_too_large();
    }
    if !connection.send(String::from_utf8_lossy(body).into_owned()) {
        if connection.is_closed() {
            return gone();
        }
        return throttled(json!({ "message": "Too many requests" }));
    }
    if gateway.faults.strikes(|plan| plan.post_gone_but_delivered) {
        return gone();
    }
    StatusCode::OK.into_response()
}

/// The error of a fault that strikes before the post.
async fn injected_error(gateway: &Gateway, id: &str) -> Option<Response> {
    let faults = &gateway.faults;
    faults.add_latency(|plan| plan.post_latency).await;
    if faults.strikes(|plan| plan.post_hanging(id)) {
        std::future::pending::<()>().await;
    }
    if faults.strikes(|plan| plan.post_gone) {
        return Some(gone());
    }
    if faults.strikes(|plan| plan.post_throttled) {
        return Some(throttled(json!({})));
    }
    faults
        .strikes(|plan| plan.post_failed)
        .then(|| error_response(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerException", json!({})))
}

fn gone() -> Response {
    error_response(StatusCode::GONE, "GoneException", json!({}))
}

fn throttled(body: Value) -> Response {
    error_response(StatusCode::TOO_MANY_REQUESTS, "LimitExceededException", body)
}

fn payload_too_large() -> Response {
    let body = json!({ "message": "Payload too large" });
    error_response(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLargeException", body)
}

/// The response to an unknown path or method.
pub fn forbidden() -> Response {
    error_response(StatusCode::FORBIDDEN, "ForbiddenException", json!({ "message": "Forbidden" }))
}

fn invalid_signature(error: &SignatureError) -> Response {
    error_response(StatusCode::FORBIDDEN, error.kind, json!({ "message": error.message }))
}

fn error_response(status: StatusCode, kind: &'static str, body: Value) -> Response {
    (status, [("x-amzn-ErrorType", kind)], axum::Json(body)).into_response()
}

//! The HTTP API.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::cors::{self, Cors};
use super::events::{self, HttpRequest};
use super::{Gateway, IntegrationError, control, is_too_long};
use crate::actions::HttpRoute;
use crate::local::guard::{self, Guard};

/// The largest body that an HTTP API takes.
const BODY_BYTES: usize = 10 * 1024 * 1024;
const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(30);
/// What the gateway says itself of how an answer is sent.
const OF_THE_WIRE: [HeaderName; 5] =
    [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::TRAILER, header::UPGRADE];

struct Api {
    gateway: Arc<Gateway>,
    cors: Cors,
}

/// Serves the API until the stack ends. Pages of `origins` may read its answers, `*` stands for all.
pub fn serve(listener: TcpListener, guard: Guard, gateway: Arc<Gateway>, origins: Vec<String>) -> JoinHandle<()> {
    let host = listener.local_addr().map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip());
    let control = gateway.setup.fault_control.then(|| control::route(gateway.faults.clone(), host));
    let api = Arc::new(Api { gateway, cors: Cors::new(origins) });
    let mut router = Router::new().fallback(request).with_state(api);
    if let Some(control) = control {
        router = router.route(control::PATH, control);
    }
    let api = router.layer(middleware::from_fn_with_state(guard, guard::check));
    tokio::spawn(async move {
        let _ = axum::serve(listener, api.into_make_service_with_connect_info::<SocketAddr>()).await;
    })
}

async fn request(
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> Response {
    if request.method() == Method::OPTIONS {
        return (StatusCode::NO_CONTENT, api.cors.of_preflight(request.headers())).into_response();
    }
    let cors = api.cors.of_answer(request.headers());
    let mut response = integrated(&api.gateway, peer, request).await;
    for (name, value) in cors.iter() {
        // The function may have a `Vary` of its own.
        response.headers_mut().append(name, value.clone());
    }
    response
}

async fn integrated(gateway: &Gateway, peer: SocketAddr, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let path = decoded(parts.uri.path());
    let Some((route, path_parameters)) = selected(parts.method.as_str(), &path) else {
        return told(StatusCode::NOT_FOUND, "Not Found");
    };
    let body = match to_bytes(body, BODY_BYTES).await {
        Ok(body) => body,
        Err(error) if is_too_long(&error) => {
            return told(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        }
        Err(_) => return told(StatusCode::BAD_REQUEST, "Bad Request"),
    };
    let event = events::http(
        gateway,
        HttpRequest {
            route_key: route.key(),
            method: parts.method.as_str(),
            path: &path,
            query: parts.uri.query().unwrap_or_default(),
            path_parameters,
            headers: &parts.headers,
            body: &body,
            source_ip: peer.ip().to_canonical().to_string(),
        },
    );
    match gateway.integrate(&event, INTEGRATION_TIMEOUT).await {
        Ok(answer) => respond(answer),
        Err(IntegrationError::Failed) => told(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
        Err(IntegrationError::TimedOut) => told(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
    }
}

/// A path as the gateway sees it, by which it selects the route: decoded, and cut at a `?` that was encoded in it.
fn decoded(path: &str) -> String {
    let path = percent_decode_str(path).decode_utf8_lossy();
    path.split_once('?').map_or(&*path, |(path, _)| path).to_owned()
}

/// The route whose key matches, and what stands for its parameters.
fn selected(method: &str, path: &str) -> Option<(HttpRoute, BTreeMap<String, String>)> {
    let segments: Vec<_> = path.split('/').collect();
    HttpRoute::ALL.iter().filter_map(|route| Some((*route, route.key().split_once(' ')?))).find_map(
        |(route, (wanted_method, pattern))| {
            let patterns: Vec<_> = pattern.split('/').collect();
            if wanted_method != method || patterns.len() != segments.len() {
                return None;
            }
            let mut parameters = BTreeMap::new();
            for (pattern, segment) in patterns.into_iter().zip(&segments) {
                match pattern.strip_prefix('{').and_then(|pattern| pattern.strip_suffix('}')) {
                    Some(name) if !segment.is_empty() => {
                        parameters.insert(name.to_owned(), (*segment).to_owned());
                    }
                    None if pattern == *segment => {}
                    _ => return None,
                }
            }
            Some((route, parameters))
        },
    )
}

/// A function's answer as the response; one that is no response object stands for a body with status 200.
fn respond(answer: Value) -> Response {
    let Some(status) = answer["statusCode"].as_u64() else {
        return ([(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response();
    };
    let Some(status) = super::final_status(status) else {
        return told(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
    };
    let text = answer["body"].as_str().unwrap_or_default();
    let body = if answer["isBase64Encoded"].as_bool().unwrap_or_default() {
        BASE64_STANDARD.decode(text).unwrap_or_default()
    } else {
        text.as_bytes().to_vec()
    };
    let mut response = (status, body).into_response();
    response.headers_mut().remove(header::CONTENT_TYPE);
    let headers = answer["headers"].as_object().into_iter().flatten();
    for (name, value) in headers {
        let name = HeaderName::try_from(name.as_str());
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value))
            && !cors::is_cors(&name)
            && !OF_THE_WIRE.contains(&name)
        {
            response.headers_mut().insert(name, value);
        }
    }
    for cookie in answer["cookies"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if let Ok(value) = HeaderValue::from_str(cookie) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    response
}

fn told(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(serde_json::json!({ "message": message }))).into_response()
}

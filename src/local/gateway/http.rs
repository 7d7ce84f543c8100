//! The HTTP API: routing, and the function's response as the HTTP response.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::request::Parts;
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
use super::{Gateway, IntegrationError, fault_control, is_too_long, page};
use crate::actions::HttpRoute;
use crate::local::guard::{self, Guard};
use crate::local::keys::AccessKey;
use crate::local::sigv4::SignedRequest;

/// Maximum size of a request body.
const BODY_BYTES: usize = 10 * 1024 * 1024;
const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(30);
/// The headers of the function's response that the gateway sets itself.
const CONNECTION_HEADERS: [HeaderName; 5] =
    [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::TRAILER, header::UPGRADE];

struct Api {
    gateway: Arc<Gateway>,
    cors: Cors,
}

/// Serves the API until the stack stops. Web pages of `origins` may read its responses; `*` allows all.
pub fn serve(listener: TcpListener, guard: Guard, gateway: Arc<Gateway>, origins: Vec<String>) -> JoinHandle<()> {
    let host = listener.local_addr().map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip());
    let fault_control = gateway.setup.fault_control.then(|| fault_control::route(gateway.faults.clone(), host));
    let page = page::routes(gateway.setup.page.clone());
    let api = Arc::new(Api { gateway, cors: Cors::new(origins) });
    let router = Router::new().merge(page).fallback(request).method_not_allowed_fallback(request);
    let mut router = router.with_state(api);
    if let Some(route) = fault_control {
        router = router.route(fault_control::PATH, route);
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
        return (StatusCode::NO_CONTENT, api.cors.preflight_headers(request.headers())).into_response();
    }
    let cors = api.cors.response_headers(request.headers());
    let mut response = invoke(&api.gateway, peer, request).await;
    for (name, value) in cors.iter() {
        // The function may have a `Vary` of its own.
        response.headers_mut().append(name, value.clone());
    }
    response
}

/// Selects the route and invokes the function.
async fn invoke(gateway: &Gateway, peer: SocketAddr, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let path = decode(parts.uri.path());
    let Some((route, path_parameters)) = select_route(parts.method.as_str(), &path) else {
        return error_response(StatusCode::NOT_FOUND, "Not Found");
    };
    let body = match to_bytes(body, BODY_BYTES).await {
        Ok(body) => body,
        Err(error) if is_too_long(&error) => {
            return error_response(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        }
        Err(_) => return error_response(StatusCode::BAD_REQUEST, "Bad Request"),
    };
    let caller = match route.is_for_backends() {
        true => match verified(gateway, &parts, &body) {
            Some(caller) => Some(caller),
            None => return error_response(StatusCode::FORBIDDEN, "Forbidden"),
        },
        false => None,
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
            caller: caller.as_ref(),
        },
    );
    match gateway.integrate(&event, INTEGRATION_TIMEOUT).await {
        Ok(response) => respond(response),
        Err(IntegrationError::Failed) => error_response(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
        Err(IntegrationError::TimedOut) => error_response(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        Err(IntegrationError::Throttled) => error_response(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests"),
    }
}

/// The operator's key, if it signed the request. The function's role may not call the API. The gateway does not tell
/// what is wrong with a signature.
fn verified(gateway: &Gateway, parts: &Parts, body: &[u8]) -> Option<AccessKey> {
    let request = SignedRequest { method: &parts.method, uri: &parts.uri, headers: &parts.headers, body };
    let key = gateway.verifier.verify(&request).ok()?;
    (key.id == gateway.setup.keys.operator.id).then_some(key)
}

/// The path with which the gateway selects the route: percent-decoded, and cut at an encoded `?`.
fn decode(path: &str) -> String {
    let path = percent_decode_str(path).decode_utf8_lossy();
    path.split_once('?').map_or(&*path, |(path, _)| path).to_owned()
}

/// The route whose key matches, and the values of its path parameters.
fn select_route(method: &str, path: &str) -> Option<(HttpRoute, BTreeMap<String, String>)> {
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

/// The HTTP response for the function's response. A value without a status code is the body of a response with status
/// 200.
fn respond(response: Value) -> Response {
    let Some(status) = response["statusCode"].as_u64() else {
        return ([(header::CONTENT_TYPE, "application/json")], response.to_string()).into_response();
    };
    let Some(status) = super::final_status(status) else {
        return error_response(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
    };
    let text = response["body"].as_str().unwrap_or_default();
    let body = if response["isBase64Encoded"].as_bool().unwrap_or_default() {
        BASE64_STANDARD.decode(text).unwrap_or_default()
    } else {
        text.as_bytes().to_vec()
    };
    let mut http = (status, body).into_response();
    http.headers_mut().remove(header::CONTENT_TYPE);
    let headers = response["headers"].as_object().into_iter().flatten();
    for (name, value) in headers {
        let name = HeaderName::try_from(name.as_str());
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value))
            && !cors::is_cors_header(&name)
            && !CONNECTION_HEADERS.contains(&name)
        {
            http.headers_mut().insert(name, value);
        }
    }
    for cookie in response["cookies"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if let Ok(value) = HeaderValue::from_str(cookie) {
            http.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    http
}

fn error_response(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(serde_json::json!({ "message": message }))).into_response()
}

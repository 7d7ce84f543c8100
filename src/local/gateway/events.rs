//! The events that API Gateway sends to the function.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use uuid::Uuid;

use super::connections::Connection;
use super::{Gateway, domain_name, new_id};
use crate::domain::Timestamp;
use crate::local::keys::AccessKey;

/// `19/Feb/2024:07:11:42 +0000`
const REQUEST_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");
const API_ID: &str = "local";
/// The headers of a handshake that events do not contain.
const UPGRADE_HEADERS: [HeaderName; 2] = [header::CONNECTION, header::UPGRADE];
const ACCOUNT_ID: &str = "000000000000";
/// The id of the IAM user that has the operator's key.
const USER_ID: &str = "AIDALOCALOPERATOR000";

/// The status code and reason with which a connection closes.
#[derive(Clone, Debug)]
pub struct CloseStatus {
    pub code: u16,
    pub reason: String,
}

impl CloseStatus {
    /// The connection was lost without a close frame.
    pub fn abnormal() -> Self {
        Self::new(1006, "Connection closed abnormally")
    }

    /// The gateway closes the connection after the idle timeout or the maximum lifetime, or because it stops.
    pub fn going_away() -> Self {
        Self::new(1001, "Going away")
    }

    /// The server closes the connection.
    pub fn normal() -> Self {
        Self::new(1000, "Connection Closed Normally")
    }

    /// A status with this code and reason.
    pub fn new(code: u16, reason: &str) -> Self {
        Self { code, reason: reason.to_owned() }
    }
}

/// The client's headers with `X-Forwarded-For`, `-Port` and `-Proto`, and a trace id, as AWS adds them. The port and
/// the protocol are those of this gateway.
fn with_forwarding_headers(headers: &HeaderMap, source_ip: &str, port: u16, now: Timestamp) -> HeaderMap {
    let mut headers = headers.clone();
    let previous = headers.get("x-forwarded-for").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let addresses = previous.map_or_else(|| source_ip.to_owned(), |list| format!("{list}, {source_ip}"));
    let id = Uuid::new_v4().simple().to_string();
    let trace = format!("Root=1-{:08x}-{}", now.as_secs(), &id[..24]);
    for (name, value) in [
        ("x-forwarded-for", addresses),
        ("x-forwarded-port", port.to_string()),
        ("x-forwarded-proto", "http".to_owned()),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    if let (false, Ok(trace)) = (headers.contains_key("x-amzn-trace-id"), HeaderValue::from_str(&trace)) {
        headers.insert("x-amzn-trace-id", trace);
    }
    headers
}

/// The `$connect` event of a handshake.
pub fn connect(gateway: &Gateway, connection: &Connection, headers: &HeaderMap, query: Option<&str>) -> Value {
    let mut event = websocket_event(gateway, connection, "$connect", "CONNECT");
    let mut single = Map::new();
    let mut multi: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let port = gateway.setup.websocket.port();
    let headers = with_forwarding_headers(headers, &connection.identity.source_ip, port, gateway.clock.now());
    for (name, value) in headers.iter().filter(|(name, _)| !UPGRADE_HEADERS.contains(name)) {
        let name = usual_case(name.as_str());
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        single.insert(name.clone(), value.clone().into());
        multi.entry(name).or_default().push(value);
    }
    event["headers"] = single.into();
    event["multiValueHeaders"] = json!(multi);

    let parameters: Vec<_> = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    if !parameters.is_empty() {
        let single: BTreeMap<_, _> = parameters.iter().cloned().collect();
        let mut multi: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (name, value) in parameters {
            multi.entry(name).or_default().push(value);
        }
        event["queryStringParameters"] = json!(single);
        event["multiValueQueryStringParameters"] = json!(multi);
    }
    event
}

/// The `MESSAGE` event of a text frame.
pub fn message(gateway: &Gateway, connection: &Connection, route_key: &str, body: &str) -> Value {
    let mut event = websocket_event(gateway, connection, route_key, "MESSAGE");
    event["requestContext"]["messageId"] = new_id().into();
    event["body"] = body.into();
    event
}

/// The `$disconnect` event of a closed connection.
pub fn disconnect(gateway: &Gateway, connection: &Connection, status: &CloseStatus) -> Value {
    let mut event = websocket_event(gateway, connection, "$disconnect", "DISCONNECT");
    event["requestContext"]["disconnectStatusCode"] = status.code.into();
    event["requestContext"]["disconnectReason"] = status.reason.as_str().into();
    // Captured events have exactly these headers, all empty but the host.
    let headers = [("Host", connection.host.as_str()), ("X-Forwarded-For", ""), ("x-api-key", ""), ("x-restapi", "")];
    event["headers"] =
        headers.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect::<Map<_, _>>().into();
    event["multiValueHeaders"] =
        headers.into_iter().map(|(name, value)| (name.to_owned(), json!([value]))).collect::<Map<_, _>>().into();
    event
}

fn websocket_event(gateway: &Gateway, connection: &Connection, route_key: &str, event_type: &str) -> Value {
    let now = gateway.faults.skewed(gateway.clock.now());
    let request_id = new_id();
    json!({
        "requestContext": {
            "routeKey": route_key,
            "eventType": event_type,
            "extendedRequestId": request_id,
            "requestTime": request_time(now),
            "messageDirection": "IN",
            "stage": gateway.setup.stage,
            "connectedAt": connection.connected_at.as_millis(),
            "requestTimeEpoch": now.as_millis(),
            "identity": connection.identity,
            "requestId": request_id,
            "domainName": domain_name(gateway.setup.websocket),
            "connectionId": connection.id,
            "apiId": API_ID,
        },
        "isBase64Encoded": false,
    })
}

/// The parts of a request to the HTTP API.
pub struct HttpRequest<'a> {
    pub route_key: &'a str,
    pub method: &'a str,
    /// Percent-decoded.
    pub path: &'a str,
    pub query: &'a str,
    pub path_parameters: BTreeMap<String, String>,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
    pub source_ip: String,
    /// The key that signed the request, on a route with IAM authorization.
    pub caller: Option<&'a AccessKey>,
}

/// The event of an HTTP request, in payload format 2.0.
pub fn http(gateway: &Gateway, request: HttpRequest<'_>) -> Value {
    let now = gateway.faults.skewed(gateway.clock.now());
    let mut headers: BTreeMap<&str, String> = BTreeMap::new();
    let mut cookies = Vec::new();
    let port = gateway.setup.http.port();
    let all_headers = with_forwarding_headers(request.headers, &request.source_ip, port, gateway.clock.now());
    for (name, value) in &all_headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        if name == "cookie" {
            cookies.extend(value.split("; ").map(str::to_owned));
            continue;
        }
        headers.entry(name.as_str()).and_modify(|all| *all = format!("{all},{value}")).or_insert(value);
    }
    let mut event = json!({
        "version": "2.0",
        "routeKey": request.route_key,
        "rawPath": request.path,
        "rawQueryString": request.query,
        "requestContext": {
            "accountId": ACCOUNT_ID,
            "apiId": API_ID,
            "domainName": domain_name(gateway.setup.http),
            "domainPrefix": "localhost",
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.source_ip,
                "userAgent": headers.get("user-agent").cloned().unwrap_or_default(),
            },
            "requestId": new_id(),
            "routeKey": request.route_key,
            "stage": "$default",
            "time": request_time(now),
            "timeEpoch": now.as_millis(),
        },
        "isBase64Encoded": false,
    });
    if let Some(AccessKey { id, .. }) = request.caller {
        event["requestContext"]["authorizer"]["iam"] = json!({
            "accessKey": id,
            "accountId": ACCOUNT_ID,
            "callerId": USER_ID,
            "cognitoIdentity": null,
            "principalOrgId": null,
            "userArn": format!("arn:aws:iam::{ACCOUNT_ID}:user/operator"),
            "userId": USER_ID,
        });
    }
    let is_text = headers.get("content-type").is_some_and(|kind| is_text(kind));
    event["headers"] = json!(headers);
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    let mut query: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(request.query.as_bytes()).into_owned() {
        query.entry(name).and_modify(|all| *all = format!("{all},{value}")).or_insert(value);
    }
    if !query.is_empty() {
        event["queryStringParameters"] = json!(query);
    }
    if !request.path_parameters.is_empty() {
        event["pathParameters"] = json!(request.path_parameters);
    }
    match std::str::from_utf8(request.body) {
        Ok("") => {}
        Ok(text) if is_text => event["body"] = text.into(),
        _ => {
            event["body"] = BASE64_STANDARD.encode(request.body).into();
            event["isBase64Encoded"] = true.into();
        }
    }
    event
}

fn is_text(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.starts_with("text/")
        || ["application/json", "application/xml", "application/javascript"].contains(&kind.as_str())
}

fn request_time(now: Timestamp) -> String {
    OffsetDateTime::from_unix_timestamp(now.as_secs())
        .ok()
        .and_then(|time| time.format(REQUEST_TIME).ok())
        .unwrap_or_default()
}

/// The usual case of a header name, such as `Sec-WebSocket-Key`. AWS keeps the case that the client sent, which hyper
/// does not preserve.
pub fn usual_case(name: &str) -> String {
    let part = |part: &str| match part {
        "websocket" => "WebSocket".to_owned(),
        "dnt" | "gpc" | "te" => part.to_ascii_uppercase(),
        _ => {
            let mut letters = part.chars();
            letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
        }
    };
    name.split('-').map(part).collect::<Vec<_>>().join("-")
}

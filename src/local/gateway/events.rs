//! The events that API Gateway makes of what clients do.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use uuid::Uuid;

use super::connections::Live;
use super::{Gateway, domain_name, new_id};
use crate::domain::Timestamp;

/// "19/Feb/2024:07:11:42 +0000"
const REQUEST_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");
const API_ID: &str = "local";
/// What API Gateway keeps for itself of a handshake.
const OF_THE_HANDSHAKE: [HeaderName; 2] = [header::CONNECTION, header::UPGRADE];
const ACCOUNT: &str = "000000000000";

/// How a connection came to its end.
#[derive(Clone, Debug)]
pub struct Ending {
    pub code: u16,
    pub reason: String,
}

impl Ending {
    /// Without a word from the client.
    pub fn abnormal() -> Self {
        Self::new(1006, "Connection closed abnormally")
    }

    /// By the gateway, since it has been open, or idle, for so long.
    pub fn going_away() -> Self {
        Self::new(1001, "Going away")
    }

    /// On the server's behalf.
    pub fn closed() -> Self {
        Self::new(1000, "Connection Closed Normally")
    }

    /// A close with this code and reason.
    pub fn new(code: u16, reason: &str) -> Self {
        Self { code, reason: reason.to_owned() }
    }
}

/// `X-Forwarded-For`, `-Port` and `-Proto`, and a trace id, as AWS adds them to what a client sends. The port and the
/// protocol are those of this gateway.
fn forwarded(headers: &HeaderMap, source_ip: &str, port: u16, now: Timestamp) -> HeaderMap {
    let mut headers = headers.clone();
    let before = headers.get("x-forwarded-for").map(|before| String::from_utf8_lossy(before.as_bytes()).into_owned());
    let path = before.map_or_else(|| source_ip.to_owned(), |before| format!("{before}, {source_ip}"));
    let id = Uuid::new_v4().simple().to_string();
    let trace = format!("Root=1-{:08x}-{}", now.as_secs(), &id[..24]);
    for (name, value) in
        [("x-forwarded-for", path), ("x-forwarded-port", port.to_string()), ("x-forwarded-proto", "http".to_owned())]
    {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    if let (false, Ok(trace)) = (headers.contains_key("x-amzn-trace-id"), HeaderValue::from_str(&trace)) {
        headers.insert("x-amzn-trace-id", trace);
    }
    headers
}

/// The event of a handshake.
pub fn connect(gateway: &Gateway, live: &Live, headers: &HeaderMap, query: Option<&str>) -> Value {
    let mut event = websocket(gateway, live, "$connect", "CONNECT");
    let mut single = Map::new();
    let mut multi: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let port = gateway.setup.websocket.port();
    let headers = forwarded(headers, &live.identity.source_ip, port, gateway.clock.now());
    for (name, value) in headers.iter().filter(|(name, _)| !OF_THE_HANDSHAKE.contains(name)) {
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

/// The event of a text frame.
pub fn message(gateway: &Gateway, live: &Live, route_key: &str, body: &str) -> Value {
    let mut event = websocket(gateway, live, route_key, "MESSAGE");
    event["requestContext"]["messageId"] = new_id().into();
    event["body"] = body.into();
    event
}

/// The event of a closed connection.
pub fn disconnect(gateway: &Gateway, live: &Live, ending: &Ending) -> Value {
    let mut event = websocket(gateway, live, "$disconnect", "DISCONNECT");
    event["requestContext"]["disconnectStatusCode"] = ending.code.into();
    event["requestContext"]["disconnectReason"] = ending.reason.as_str().into();
    // These, and all but the host empty, as captured.
    let headers = [("Host", live.host.as_str()), ("X-Forwarded-For", ""), ("x-api-key", ""), ("x-restapi", "")];
    event["headers"] =
        headers.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect::<Map<_, _>>().into();
    event["multiValueHeaders"] =
        headers.into_iter().map(|(name, value)| (name.to_owned(), json!([value]))).collect::<Map<_, _>>().into();
    event
}

fn websocket(gateway: &Gateway, live: &Live, route_key: &str, event_type: &str) -> Value {
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
            "connectedAt": live.connected_at.as_millis(),
            "requestTimeEpoch": now.as_millis(),
            "identity": live.identity,
            "requestId": request_id,
            "domainName": domain_name(gateway.setup.websocket),
            "connectionId": live.id,
            "apiId": API_ID,
        },
        "isBase64Encoded": false,
    })
}

/// A request to the HTTP API, as its parts came.
pub struct HttpRequest<'a> {
    pub route_key: &'a str,
    pub method: &'a str,
    /// Decoded.
    pub path: &'a str,
    pub query: &'a str,
    pub path_parameters: BTreeMap<String, String>,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
    pub source_ip: String,
}

/// Payload format 2.0.
pub fn http(gateway: &Gateway, request: HttpRequest<'_>) -> Value {
    let now = gateway.faults.skewed(gateway.clock.now());
    let mut headers: BTreeMap<&str, String> = BTreeMap::new();
    let mut cookies = Vec::new();
    let port = gateway.setup.http.port();
    let all_headers = forwarded(request.headers, &request.source_ip, port, gateway.clock.now());
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
            "accountId": ACCOUNT,
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
        .and_then(|moment| moment.format(REQUEST_TIME).ok())
        .unwrap_or_default()
}

/// Our HTTP stack folds the case of header names, which the real events keep: `Sec-WebSocket-Key`.
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

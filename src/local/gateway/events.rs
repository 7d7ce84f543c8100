//! The events that API Gateway makes of what clients do.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::connections::Live;
use super::{Gateway, request_id};
use crate::domain::Timestamp;

/// "19/Feb/2024:07:11:42 +0000"
const REQUEST_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");
const API_ID: &str = "local";
const DOMAIN: &str = "localhost";
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

    pub fn new(code: u16, reason: &str) -> Self {
        Self { code, reason: reason.to_owned() }
    }
}

pub fn connect(gateway: &Gateway, live: &Live, headers: &HeaderMap, query: Option<&str>) -> Value {
    let mut event = websocket(gateway, live, "$connect", "CONNECT");
    let mut single = Map::new();
    let mut multi: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
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

pub fn message(gateway: &Gateway, live: &Live, route_key: &str, body: &str) -> Value {
    let mut event = websocket(gateway, live, route_key, "MESSAGE");
    event["requestContext"]["messageId"] = super::connection_id().into();
    event["body"] = body.into();
    event
}

pub fn disconnect(gateway: &Gateway, live: &Live, ending: &Ending) -> Value {
    let mut event = websocket(gateway, live, "$disconnect", "DISCONNECT");
    event["requestContext"]["disconnectStatusCode"] = ending.code.into();
    event["requestContext"]["disconnectReason"] = ending.reason.as_str().into();
    event
}

fn websocket(gateway: &Gateway, live: &Live, route_key: &str, event_type: &str) -> Value {
    let now = gateway.faults.skewed(gateway.clock.now());
    let request_id = request_id();
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
            "identity": { "sourceIp": live.identity.source_ip, "userAgent": live.identity.user_agent },
            "requestId": request_id,
            "domainName": DOMAIN,
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
    /// As it came, not decoded.
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
    for (name, value) in request.headers {
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
            "domainName": DOMAIN,
            "domainPrefix": DOMAIN,
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.source_ip,
                "userAgent": headers.get("user-agent").cloned().unwrap_or_default(),
            },
            "requestId": request_id(),
            "routeKey": request.route_key,
            "stage": "$default",
            "time": request_time(now),
            "timeEpoch": now.as_millis(),
        },
        "isBase64Encoded": false,
    });
    let is_text = headers.get("content-type").is_none_or(|kind| is_text(kind));
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
        || ["json", "xml", "javascript"].iter().any(|suffix| kind.ends_with(suffix))
        || kind == "application/x-www-form-urlencoded"
}

fn request_time(now: Timestamp) -> String {
    OffsetDateTime::from_unix_timestamp(now.as_secs())
        .ok()
        .and_then(|moment| moment.format(REQUEST_TIME).ok())
        .unwrap_or_default()
}

/// Our HTTP stack folds the case of header names, which the real events keep: `Sec-WebSocket-Key`.
fn usual_case(name: &str) -> String {
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

//! The HTTP client: what a test sends and hears is validated against the published schemas.

use std::time::SystemTime;

use axum::body::Bytes;
use axum::http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use uuid::Uuid;

use super::outgoing::Outgoing;
use super::{Signing, World, contract, soon};

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Bytes,
    /// `Null` if the body is not JSON.
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn optional_header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }

    /// The status, the code and the field.
    pub fn refusal(&self) -> (u16, &str, &str) {
        (self.status, self.body["code"].as_str().unwrap_or(""), self.body["field"].as_str().unwrap_or(""))
    }
}

/// Sends a request of any kind.
pub async fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, value.as_bytes());
    }
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let answer = client.request(request.body(Full::new(Bytes::copy_from_slice(body))).unwrap());
    let (parts, body) = soon("no answer to a request", answer).await.unwrap().into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or_default();
    Answer { status: parts.status.as_u16(), headers: parts.headers, bytes, body }
}

impl World {
    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], Bytes::new()).await
    }

    pub async fn post(&self, path: &str, body: impl Into<Outgoing>) -> Answer {
        self.request("POST", path, &[("content-type", "application/json")], body).await
    }

    /// A request of a backend, signed with the operator's key. A `null` body is none.
    pub async fn admin(&self, method: &str, path: &str, body: Value) -> Answer {
        self.admin_with_key(&Uuid::new_v4().to_string(), method, path, body).await
    }

    /// As `admin`, with this idempotency key.
    pub async fn admin_with_key(&self, key: &str, method: &str, path: &str, body: Value) -> Answer {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let signing = Signing {
            key: self.access_key().clone(),
            service: "execute-api",
            region: "us-east-1",
            at: SystemTime::now(),
        };
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        let url = format!("{}{path}", self.urls().http);
        let headers = signing.headers(method, &url, &headers, &body);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.request(method, path, &headers, body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path, &[], Bytes::new()).await
    }

    /// A request to the HTTP API. Asserts that a response with a body is JSON, with that content type.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Outgoing>,
    ) -> Answer {
        let body = contract::sent_body((method, path), body);
        let answer = request(method, &format!("{}{path}", self.urls().http), headers, &body).await;
        if !answer.bytes.is_empty() {
            assert_eq!(answer.header("content-type"), "application/json", "{method} {path}");
            assert!(serde_json::from_slice::<Value>(&answer.bytes).is_ok(), "{method} {path}: {}", answer.text());
        }
        contract::heard_answer((method, path), &answer);
        answer
    }

    /// Creates a room at a location and returns its id.
    pub async fn posts_room(&self, user: &str, latitude: f64, longitude: f64) -> String {
        let room = serde_json::json!({ "userId": user, "latitude": latitude, "longitude": longitude });
        let answer = self.post("/rooms", room).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body["id"].as_str().unwrap().to_owned()
    }
}

//! What a client of the HTTP API does.

use axum::body::Bytes;
use axum::http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::World;
use super::world::PATIENCE;

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// Nothing, where there is no JSON.
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The status, the code and the field.
    pub fn refusal(&self) -> (u16, &str, &str) {
        (self.status, self.body["code"].as_str().unwrap_or(""), self.body["field"].as_str().unwrap_or(""))
    }
}

impl World {
    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], Bytes::new()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.request("POST", path, &[("content-type", "application/json")], body.to_string().into()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path, &[], Bytes::new()).await
    }

    /// A request as one likes it. Every answer to it that has a body is JSON, and says so.
    pub async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Bytes) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.urls().http));
        for (name, value) in headers {
            request = request.header(*name, value.as_bytes());
        }
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let answer = client.request(request.body(Full::new(body)).unwrap());
        let answer = tokio::time::timeout(PATIENCE, answer).await.expect("no answer to a request").unwrap();
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let answer = Answer {
            status: parts.status.as_u16(),
            body: if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() },
            headers: parts.headers,
        };
        if !body.is_empty() {
            assert_eq!(answer.header("content-type"), "application/json", "{method} {path}");
        }
        answer
    }

    /// Makes a room at a place, and gives its id.
    pub async fn posts_room(&self, user: &str, latitude: f64, longitude: f64) -> String {
        let room = serde_json::json!({ "userId": user, "latitude": latitude, "longitude": longitude });
        let answer = self.post("/rooms", room).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body["id"].as_str().unwrap().to_owned()
    }
}

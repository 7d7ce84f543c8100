//! Requests as one likes them.

use axum::body::Bytes;
use axum::http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::world::{World, soon};

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub async fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let answer = client.request(request.body(Full::new(Bytes::copy_from_slice(body))).unwrap());
    let (parts, body) = soon("no answer to a request", answer).await.unwrap().into_parts();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
}

impl World {
    /// A request to the HTTP API that the function answers with `answer`: its event, and what comes of it.
    pub async fn serves(
        &mut self,
        (method, path): (&'static str, &str),
        headers: &'static [(&str, &str)],
        body: &'static [u8],
        answer: Value,
    ) -> (Value, Answer) {
        let url = format!("{}{path}", self.urls().http);
        let asked = tokio::spawn(async move { request(method, &url, headers, body).await });
        let invocation = self.invoked().await;
        let event = invocation.event.clone();
        invocation.answers(answer);
        (event, asked.await.unwrap())
    }
}

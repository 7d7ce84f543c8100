//! Requests to the HTTP API, and the events that they become.

use serde_json::Value;

use super::world::World;
use crate::harness::{Answer, request};

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

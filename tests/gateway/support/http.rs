//! Requests to the HTTP API, and their events.

use serde_json::Value;

use super::world::World;
use crate::harness::{Answer, request};

impl World {
    /// Sends a request to the HTTP API, to which the function responds with `answer`. Returns the event and the
    /// response.
    pub async fn serves(
        &mut self,
        (method, path): (&'static str, &str),
        headers: &'static [(&str, &str)],
        body: &'static [u8],
        answer: Value,
    ) -> (Value, Answer) {
        let url = format!("{}{path}", self.urls().http);
        let response = tokio::spawn(async move { request(method, &url, headers, body).await });
        let invocation = self.invoked().await;
        let event = invocation.event.clone();
        invocation.answers(answer);
        (event, response.await.unwrap())
    }
}

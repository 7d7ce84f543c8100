//! EventBridge, of which one operation is used: `PutEvents`. Its own SDK would add half a megabyte for that.

use std::time::Duration;

use aws_sdk_s3::config::Credentials;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, Serialize};

use super::signing::Signer;
use super::transport::Transport;
use crate::config::Config;

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(3);
/// An answer has a line for each entry.
const MOST_ANSWER_BYTES: usize = 64 * 1024;

/// What puts events on a bus.
#[derive(Debug)]
pub struct EventBridge {
    transport: Transport,
    signer: Signer,
    credentials: Credentials,
    endpoint: String,
}

/// An event to be put.
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsRequestEntry.html>
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutEntry<'a> {
    pub source: &'a str,
    pub detail_type: &'a str,
    /// JSON.
    pub detail: &'a str,
    pub event_bus_name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    entries: &'a [PutEntry<'a>],
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    entries: Vec<AnsweredEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AnsweredEntry {
    error_code: Option<String>,
}

/// The type of an error.
#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "__type", default)]
    kind: String,
}

impl EventBridge {
    /// Nothing is sent before the first event.
    pub(super) fn new(config: &Config, transport: &Transport, credentials: Credentials) -> Self {
        let region = &config.region;
        let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
        let usual = || format!("https://events.{region}.amazonaws.com{suffix}");
        Self {
            transport: transport.clone(),
            signer: Signer::new("events", region),
            credentials,
            endpoint: config.events.endpoint.clone().unwrap_or_else(usual),
        }
    }

    /// Puts at most ten events. Returns the error code of each, `None` for one that is on the bus.
    ///
    /// # Errors
    /// The request failed: perhaps some of them are on the bus.
    pub async fn put(&self, entries: &[PutEntry<'_>]) -> Result<Vec<Option<String>>, BoxError> {
        let body = serde_json::to_vec(&Request { entries })?;
        let answer = tokio::time::timeout(TIMEOUT, self.send(body)).await??;
        let Answer { entries: answered } = serde_json::from_slice(&answer)?;
        if answered.len() != entries.len() {
            return Err("EventBridge answered another number of entries".into());
        }
        Ok(answered.into_iter().map(|entry| entry.error_code).collect())
    }

    async fn send(&self, body: Vec<u8>) -> Result<Vec<u8>, BoxError> {
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method("POST")?;
        request.set_uri(format!("{}/", self.endpoint.trim_end_matches('/')))?;
        request.headers_mut().insert("content-type", "application/x-amz-json-1.1");
        request.headers_mut().insert("x-amz-target", "AWSEvents.PutEvents");
        self.signer.sign_now(&mut request, &self.credentials)?;
        let answer = self.transport.call(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MOST_ANSWER_BYTES).collect().await?.to_bytes();
        if status.is_success() {
            return Ok(body.into());
        }
        let kind = serde_json::from_slice(&body).map_or_else(|_| String::new(), |Refusal { kind }| kind);
        Err(format!("EventBridge answered {} {kind}", status.as_u16()).into())
    }
}

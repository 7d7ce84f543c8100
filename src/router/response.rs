//! The responses that API Gateway gets.

use aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use http::HeaderValue;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL, X_CONTENT_TYPE_OPTIONS,
};
use serde::Serialize;

use crate::wire::Frame;

/// What API Gateway gets back.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Response {
    WebSocket(Box<ApiGatewayProxyResponse>),
    Http(Box<ApiGatewayV2httpResponse>),
    /// For a stream.
    Batch(BatchResponse),
    /// For a source that expects no answer.
    Done,
}

/// What Lambda gets back for a batch of records of a stream (`ReportBatchItemFailures`): all are handled, or those
/// before the one that it names. Lambda retries from there.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    batch_item_failures: Vec<FailedItem>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FailedItem {
    /// The sequence number of the record.
    item_identifier: String,
}

impl BatchResponse {
    /// The record with this sequence number and those behind it are not handled.
    pub fn retry_from(sequence_number: String) -> Self {
        Self { batch_item_failures: vec![FailedItem { item_identifier: sequence_number }] }
    }
}

impl Response {
    /// A response of the WebSocket API.
    pub fn websocket(status: u16) -> Self {
        let mut response = ApiGatewayProxyResponse::default();
        response.status_code = status.into();
        Self::WebSocket(Box::new(response))
    }

    /// A response of the HTTP API.
    pub fn http(status: u16, json: String) -> Self {
        let mut response = ApiGatewayV2httpResponse::default();
        response.status_code = status.into();
        response.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response.body = Some(Body::Text(json));
        Self::Http(Box::new(response))
    }

    /// Redirects the client, if the frame tells where a file is. The address is valid for a minute and not cached.
    pub fn with_location(mut self, frame: Option<&Frame>) -> Self {
        if let (Self::Http(response), Some(Frame::Download(download))) = (&mut self, frame)
            && let Ok(url) = HeaderValue::from_str(&download.file.file_url)
        {
            response.headers.insert(LOCATION, url);
            response.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        self
    }

    /// Says when to try again, over HTTP.
    pub fn with_retry_after(mut self, milliseconds: Option<u64>) -> Self {
        if let (Self::Http(response), Some(milliseconds)) = (&mut self, milliseconds) {
            response.headers.insert(RETRY_AFTER, HeaderValue::from(milliseconds.div_ceil(1_000)));
        }
        self
    }

    /// With a body, on the WebSocket API.
    pub fn with_body(mut self, json: String) -> Self {
        if let Self::WebSocket(response) = &mut self {
            response.body = Some(Body::Text(json));
        }
        self
    }

    /// With the subprotocol that the server chose from those that a handshake offers.
    pub fn with_subprotocol(mut self, subprotocol: &'static str) -> Self {
        if let Self::WebSocket(response) = &mut self {
            response.headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
        }
        self
    }
}

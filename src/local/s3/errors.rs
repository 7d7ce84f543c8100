//! S3's error responses.
//!
//! Source: S3 API reference, "Error responses".

use axum::body::{Body, to_bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

/// An upper limit for the size of the embedded S3's error responses.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// An error response of S3.
pub struct S3Error {
    status: StatusCode,
    /// The elements within `Error`.
    elements: String,
}

impl S3Error {
    /// An error with its code and message.
    pub fn new(status: StatusCode, code: &str, message: &str) -> Self {
        Self { status, elements: String::new() }.with("Code", code).with("Message", message)
    }

    /// Adds an element.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let value = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        // XML does not allow control characters.
        let value = value.replace(|letter: char| letter.is_control(), "?");
        self.elements.push_str(&format!("<{name}>{value}</{name}>"));
        self
    }
}

impl IntoResponse for S3Error {
    fn into_response(self) -> Response {
        error(self.status, &self.elements)
    }
}

fn error(status: StatusCode, elements: &str) -> Response {
    let id = Uuid::new_v4().simple().to_string();
    let (request_id, host_id) = (id[..16].to_uppercase(), id);
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>{elements}<RequestId>{request_id}</RequestId>\
         <HostId>{host_id}</HostId></Error>"
    );
    let headers =
        [("content-type", "application/xml".to_owned()), ("x-amz-request-id", request_id), ("x-amz-id-2", host_id)];
    (status, headers, body).into_response()
}

/// Completes an error response: the embedded S3 omits the message of many errors, and the request ids.
pub async fn complete(response: Response) -> Response {
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    let is_xml = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().ends_with(b"/xml"));
    if !is_error || !is_xml {
        return response;
    }
    let (parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, MAX_ERROR_BYTES).await else { return parts.status.into_response() };
    let body = String::from_utf8_lossy(&body);
    let Some(elements) = body.split_once("<Error>").and_then(|(_, body)| body.split_once("</Error>")) else {
        return (parts, Body::from(body.into_owned())).into_response();
    };
    let (elements, _) = elements;
    let code =
        elements.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map_or("", |(code, _)| code);
    if elements.contains("<Message>") {
        return error(parts.status, elements);
    }
    error(parts.status, &format!("{elements}<Message>{}</Message>", message_of(code)))
}

fn message_of(code: &str) -> &str {
    match code {
        "AccessDenied" => "Access Denied",
        "BadDigest" => "The Content-MD5 or checksum value that you specified did not match what the server received.",
        "InternalError" => "We encountered an internal error. Please try again.",
        "MissingContentLength" => "You must provide the Content-Length HTTP header.",
        "NoSuchBucket" => "The specified bucket does not exist",
        "NoSuchKey" => "The specified key does not exist.",
        "PreconditionFailed" => "At least one of the pre-conditions you specified did not hold",
        "SignatureDoesNotMatch" => {
            "The request signature we calculated does not match the signature you provided. Check your key and signing \
             method."
        }
        other => other,
    }
}

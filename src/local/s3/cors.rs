//! CORS of the bucket: web pages may use presigned URLs.
//!
//! Source: S3 user guide, "Using cross-origin resource sharing (CORS)".

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::errors::S3Error;

const ALLOWED_METHODS: [&str; 3] = ["GET", "PUT", "HEAD"];
/// The allowed request headers besides the CORS-safelisted ones, as configured for the bucket of a deployment.
pub const S3_CORS_HEADERS: [&str; 3] = ["content-type", "if-none-match", "x-amz-checksum-sha256"];

/// The CORS rule of the bucket.
pub struct Cors {
    /// `*` allows every origin.
    pub origins: Vec<String>,
}

impl Cors {
    /// The request's origin, if it is allowed.
    pub fn allowed_origin(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let origin = request.get(header::ORIGIN)?;
        let is_allowed = |known: &String| known == "*" || known.as_bytes() == origin.as_bytes();
        self.origins.iter().any(is_allowed).then(|| origin.clone())
    }

    /// # Errors
    /// The origin is missing, or the origin, the method or a header is not allowed.
    pub fn preflight(&self, request: &HeaderMap) -> Result<Response, S3Error> {
        if !request.contains_key(header::ORIGIN) {
            let message = "Insufficient information. Origin request header needed.";
            return Err(S3Error::new(StatusCode::BAD_REQUEST, "BadRequest", message));
        }
        let method = request.get(header::ACCESS_CONTROL_REQUEST_METHOD).map(HeaderValue::as_bytes).unwrap_or_default();
        let is_allowed = ALLOWED_METHODS.iter().any(|allowed| allowed.as_bytes() == method);
        let requested = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        let names = requested.as_ref().map(HeaderValue::as_bytes).unwrap_or_default();
        let names = String::from_utf8_lossy(names).to_lowercase();
        let mut names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        let is_allowed = is_allowed && names.all(|name| S3_CORS_HEADERS.contains(&name));
        let Some(origin) = self.allowed_origin(request).filter(|_| is_allowed) else {
            let message = "CORSResponse: This CORS request is not allowed. This is usually because the evalution of \
                           Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers \
                           are not whitelisted by the resource's CORS spec.";
            return Err(S3Error::new(StatusCode::FORBIDDEN, "AccessForbidden", message));
        };
        let mut response = StatusCode::OK.into_response();
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, PUT, HEAD"));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("300"));
        if let Some(requested) = requested {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, requested);
        }
        Ok(response)
    }
}

//! CORS of the HTTP API: the gateway's configuration replaces the CORS headers of the function.

use std::collections::BTreeSet;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::actions::HttpRoute;

const ANY: &str = "*";
/// The allowed request headers besides the CORS-safelisted ones.
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static("authorization,content-type");
/// How long a browser may cache a preflight response, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("300");

/// The CORS configuration.
pub struct Cors {
    origins: Vec<String>,
    methods: HeaderValue,
}

impl Cors {
    /// Allows these origins; `*` allows all.
    pub fn new(origins: Vec<String>) -> Self {
        let for_pages = HttpRoute::ALL.iter().filter(|route| !route.is_for_backends());
        let methods = for_pages.filter_map(|route| Some(route.key().split_once(' ')?.0));
        let methods: BTreeSet<_> = methods.chain(["OPTIONS"]).collect();
        let methods = methods.into_iter().collect::<Vec<_>>().join(",");
        Self { origins, methods: HeaderValue::from_str(&methods).unwrap_or(HeaderValue::from_static(ANY)) }
    }

    /// The headers of the response to a preflight.
    pub fn preflight_headers(&self, request: &HeaderMap) -> HeaderMap {
        let mut headers = self.response_headers(request);
        if !headers.is_empty() && request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
        headers
    }

    /// The headers of any other response: none if the request has no origin, or one that is not allowed.
    pub fn response_headers(&self, request: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let Some(origin) = request.get(header::ORIGIN) else { return headers };
        if self.origins.iter().any(|allowed| allowed == ANY) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static(ANY));
        } else if self.origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        }
        headers
    }
}

/// Whether it is a CORS header, which is ignored in the function's response.
pub fn is_cors_header(name: &HeaderName) -> bool {
    name.as_str().starts_with("access-control-")
}

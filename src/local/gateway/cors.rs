//! Cross-origin requests, as an HTTP API answers them by its own configuration, whatever the function says of them.

use std::collections::BTreeSet;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::actions::HttpRoute;

const ANY: &str = "*";
/// What a page may send besides the simple headers.
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static("authorization,content-type");
/// For so many seconds a browser need not ask again.
const MAX_AGE: HeaderValue = HeaderValue::from_static("300");

/// Which pages may ask.
pub struct Cors {
    origins: Vec<String>,
    methods: HeaderValue,
}

impl Cors {
    /// Allows pages of these origins; `*` is every page.
    pub fn new(origins: Vec<String>) -> Self {
        let methods: BTreeSet<_> = HttpRoute::ALL.iter().filter_map(|route| route.key().split_once(' ')).collect();
        let methods: BTreeSet<_> = methods.into_iter().map(|(method, _)| method).chain(["OPTIONS"]).collect();
        let methods = methods.into_iter().collect::<Vec<_>>().join(",");
        Self { origins, methods: HeaderValue::from_str(&methods).unwrap_or(HeaderValue::from_static(ANY)) }
    }

    /// The headers of an answer to a preflight.
    pub fn of_preflight(&self, request: &HeaderMap) -> HeaderMap {
        let mut headers = self.of_answer(request);
        if !headers.is_empty() && request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
        headers
    }

    /// The headers of any other answer: none to a page that may not ask, and to what is no page.
    pub fn of_answer(&self, request: &HeaderMap) -> HeaderMap {
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

/// Whether a header speaks of cross-origin requests: the function's own such are ignored.
pub fn is_cors(name: &HeaderName) -> bool {
    name.as_str().starts_with("access-control-")
}

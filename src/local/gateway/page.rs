//! The chat page, embedded in the program: `GET /` on the HTTP port. It is not a part of the Lambda.

use std::sync::Arc;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

const INDEX: &str = include_str!("../../page/index.html");
const SCRIPT: &str = "text/javascript; charset=utf-8";
const CLIENT: &str = include_str!("../../client/switchboard.js");
/// The files of `/page/`: name, content type and content.
const FILES: [(&str, &str, &str); 11] = [
    ("page.css", "text/css; charset=utf-8", include_str!("../../page/page.css")),
    ("icon.svg", "image/svg+xml", include_str!("../../page/icon.svg")),
    ("app.js", SCRIPT, include_str!("../../page/app.js")),
    ("composer.js", SCRIPT, include_str!("../../page/composer.js")),
    ("conversation.js", SCRIPT, include_str!("../../page/conversation.js")),
    ("details.js", SCRIPT, include_str!("../../page/details.js")),
    ("dom.js", SCRIPT, include_str!("../../page/dom.js")),
    ("hood.js", SCRIPT, include_str!("../../page/hood.js")),
    ("message.js", SCRIPT, include_str!("../../page/message.js")),
    ("nearby.js", SCRIPT, include_str!("../../page/nearby.js")),
    ("rooms.js", SCRIPT, include_str!("../../page/rooms.js")),
];

/// What the page needs to know of the stack.
#[derive(Clone, Serialize)]
pub struct Addresses {
    /// The URL of the WebSocket API.
    pub websocket: String,
    /// The URL of S3, from which the page loads pictures and to which it uploads files.
    #[serde(skip)]
    pub s3: String,
    /// Whether `/_faults` exists.
    pub faults: bool,
}

impl Addresses {
    /// The page loads nothing from other places, and has no inline scripts or styles.
    fn content_security_policy(&self) -> String {
        let Self { websocket, s3, .. } = self;
        // A source with a path matches that path only.
        let socket = websocket.rsplit_once('/').map_or(websocket.as_str(), |(host, _stage)| host);
        format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' {socket} {s3}; img-src 'self' \
             {s3}; frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
        )
    }
}

/// The routes of the page.
pub fn routes<S: Clone + Send + Sync + 'static>(addresses: Addresses) -> Router<S> {
    let policy: Arc<str> = addresses.content_security_policy().into();
    let index = move || async move { with_headers("text/html; charset=utf-8", &policy, INDEX) };
    Router::new()
        .route("/", get(index))
        .route("/page/config.json", get(move || async move { Json(addresses) }))
        .route("/page/{file}", get(file))
        .route("/client/switchboard.js", get(|| async { with_headers(SCRIPT, "", CLIENT) }))
}

async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(known, _, _)| *known == name) {
        Some((_, content_type, content)) => with_headers(content_type, "", content),
        None => (StatusCode::NOT_FOUND, Json(serde_json::json!({ "message": "Not Found" }))).into_response(),
    }
}

fn with_headers(content_type: &str, policy: &str, content: &'static str) -> Response {
    let fixed: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, content_type),
        // After a new build the page must not be a mixture.
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, policy),
    ];
    let mut headers = HeaderMap::new();
    for (name, value) in fixed {
        if let (false, Ok(value)) = (value.is_empty(), value.parse()) {
            headers.insert(name, value);
        }
    }
    (headers, content).into_response()
}

//! What a test sends. It must be valid by the published schemas unless the test marks it.

use std::fmt;

use axum::body::Bytes;
use serde_json::Value;

/// What the text of a frame or the body of an HTTP request has to satisfy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// The schema as published, and no field that it does not have.
    Strict,
    /// The same after aliases have been replaced: see [`with_aliases`].
    WithAliases,
    /// Nothing: see [`unchecked`].
    Unchecked,
}

/// The text of a frame or the body of an HTTP request.
#[derive(Clone)]
pub struct Outgoing {
    pub body: Bytes,
    pub validity: Validity,
}

/// Marks what is sent as invalid on purpose, or as a lenient form that the schemas do not have.
pub fn unchecked(outgoing: impl Into<Outgoing>) -> Outgoing {
    Outgoing { validity: Validity::Unchecked, ..outgoing.into() }
}

/// Marks what is sent as written by an older client: with aliases of fields and kebab-case actions.
pub fn with_aliases(outgoing: impl Into<Outgoing>) -> Outgoing {
    Outgoing { validity: Validity::WithAliases, ..outgoing.into() }
}

impl Outgoing {
    /// The same frame with a request id. The frame must be a JSON object.
    pub fn with_request_id(self, id: &Value) -> Self {
        let mut frame: Value = serde_json::from_slice(&self.body).unwrap();
        frame["requestId"] = id.clone();
        Self { body: frame.to_string().into(), ..self }
    }
}

impl fmt::Display for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.body))
    }
}

impl From<Bytes> for Outgoing {
    fn from(body: Bytes) -> Self {
        Self { body, validity: Validity::Strict }
    }
}

impl From<Value> for Outgoing {
    fn from(body: Value) -> Self {
        Bytes::from(body.to_string()).into()
    }
}

impl From<String> for Outgoing {
    fn from(body: String) -> Self {
        Bytes::from(body).into()
    }
}

impl From<&str> for Outgoing {
    fn from(body: &str) -> Self {
        body.to_owned().into()
    }
}

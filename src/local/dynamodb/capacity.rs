//! Consumed capacity: requested with every operation, and read from the response.

use axum::body::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// A request of the function, and the capacity that it consumed.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreCall {
    /// The operation's name in the API: `PutItem`, `Query`, ...
    pub operation: String,
    pub read_units: f64,
    pub write_units: f64,
}

impl StoreCall {
    /// An operation and its response.
    pub(super) fn of(operation: String, response: &[u8]) -> Self {
        let units = serde_json::from_slice::<Charge>(response).unwrap_or_default().units();
        let is_read = matches!(operation.as_str(), "BatchGetItem" | "GetItem" | "Query" | "Scan" | "TransactGetItems");
        let (read_units, write_units) = if is_read { (units, 0.0) } else { (0.0, units) };
        Self { operation, read_units, write_units }
    }
}

/// The request with `ReturnConsumedCapacity`.
pub(super) fn request_capacity(body: Bytes) -> Bytes {
    match serde_json::from_slice::<Value>(&body) {
        Ok(Value::Object(mut request)) => {
            request.entry("ReturnConsumedCapacity").or_insert("TOTAL".into());
            Value::Object(request).to_string().into()
        }
        _ => body,
    }
}

/// The capacity part of a response. The rest, up to a megabyte, is skipped.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Charge {
    consumed_capacity: Value,
    #[serde(rename = "__type")]
    error: String,
    /// One per item of a transaction.
    cancellation_reasons: Vec<IgnoredAny>,
}

impl Charge {
    /// A write whose condition fails is charged, in a transaction too. The response does not contain the row sizes: the
    /// minimum is assumed.
    fn units(&self) -> f64 {
        match self.error.rsplit('#').next() {
            Some("ConditionalCheckFailedException") => 1.0,
            Some("TransactionCanceledException") => 2.0 * self.cancellation_reasons.len() as f64,
            _ => {
                let capacity = &self.consumed_capacity;
                let tables = capacity.as_array().map_or(std::slice::from_ref(capacity), Vec::as_slice);
                tables.iter().filter_map(|table| table["CapacityUnits"].as_f64()).sum()
            }
        }
    }
}

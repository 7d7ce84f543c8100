//! The fault "unprocessed items": a batch is executed without its last row, which the response returns as unprocessed.

use axum::body::Bytes;
use serde_json::{Value, json};

/// The part of a batch that was not executed.
pub struct Unprocessed {
    /// `UnprocessedItems` or `UnprocessedKeys`.
    member: &'static str,
    request: Value,
}

/// Removes the last row of the first table with more than one row. Other batches are unchanged.
pub fn split_off(body: Bytes) -> (Bytes, Option<Unprocessed>) {
    let Ok(mut batch) = serde_json::from_slice::<Value>(&body) else { return (body, None) };
    let Some(tables) = batch.get_mut("RequestItems").and_then(Value::as_object_mut) else { return (body, None) };
    for (table, request) in tables {
        let mut rest = request.clone();
        let is_write = request.is_array();
        let rows = if is_write { Some(&mut *request) } else { request.get_mut("Keys") };
        let Some(rows) = rows.and_then(Value::as_array_mut).filter(|rows| rows.len() > 1) else { continue };
        let last = Value::from_iter(rows.pop());
        let member = if is_write { "UnprocessedItems" } else { "UnprocessedKeys" };
        *(if is_write { &mut rest } else { &mut rest["Keys"] }) = last;
        let unprocessed = Unprocessed { member, request: json!({ table.as_str(): rest }) };
        return (batch.to_string().into(), Some(unprocessed));
    }
    (body, None)
}

impl Unprocessed {
    /// The response with the unprocessed part.
    pub fn add_to(self, response: &[u8]) -> Bytes {
        let mut response: Value = serde_json::from_slice(response).unwrap_or_default();
        response[self.member] = self.request;
        response.to_string().into()
    }
}

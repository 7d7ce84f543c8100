//! DynamoDB's error responses.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::local::sigv4::SignatureError;

/// A request without a valid signature.
pub fn signature(error: &SignatureError) -> Response {
    let kind = format!("com.amazon.coral.service#{}", error.kind);
    response(StatusCode::BAD_REQUEST, &json!({ "__type": kind, "message": error.message }))
}

/// An error whose message is its type.
pub fn error(status: StatusCode, kind: &str) -> Response {
    response(status, &json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": kind }))
}

/// A cancelled transaction: its last item is in conflict with another transaction.
pub fn transaction_conflict(transaction: &[u8]) -> Response {
    let transaction: Value = serde_json::from_slice(transaction).unwrap_or_default();
    let items = transaction["TransactItems"].as_array().map_or(0, Vec::len);
    let mut reasons = vec![json!({ "Code": "None" }); items];
    if let Some(last) = reasons.last_mut() {
        *last = json!({ "Code": "TransactionConflict", "Message": "Transaction is ongoing for the item" });
    }
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons",
        "CancellationReasons": reasons,
    });
    response(StatusCode::BAD_REQUEST, &body)
}

fn response(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/x-amz-json-1.0")], body.to_string()).into_response()
}

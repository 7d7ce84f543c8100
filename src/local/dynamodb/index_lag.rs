//! Indexes that lag behind their tables: the answer to a query of an index has no items that were put a moment ago.
//!
//! DynamoDB's global secondary indexes are eventually consistent. Only items that are put are delayed; updates and
//! deletions show at once.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::local::calls::AwsCalls;

/// The items that were put under a plan with a lag, oldest first.
#[derive(Default)]
pub struct IndexLag(Mutex<VecDeque<Put>>);

struct Put {
    at: Instant,
    table: String,
    key: Value,
}

impl IndexLag {
    /// Notes what a request puts. For a query of an index also returns the answer that lags behind.
    pub fn answer(&self, lag: Duration, calls: &AwsCalls, request: &[u8], answer: &[u8]) -> Option<Bytes> {
        let mut puts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lag.is_zero() {
            puts.clear();
            return None;
        }
        while puts.front().is_some_and(|put| put.at.elapsed() >= lag) {
            puts.pop_front();
        }
        let request: Value = serde_json::from_slice(request).ok()?;
        puts.extend(items_put(&request).into_iter().filter_map(|(table, item)| {
            let key = key_of(calls, table, item)?;
            Some(Put { at: Instant::now(), table: table.to_owned(), key })
        }));
        request["IndexName"].as_str()?;
        let table = request["TableName"].as_str()?;
        let mut answer: Value = serde_json::from_slice(answer).ok()?;
        let items = answer["Items"].as_array_mut()?;
        let is_new = |item: &Value| {
            let key = key_of(calls, table, item);
            puts.iter().any(|put| put.table == table && Some(&put.key) == key.as_ref())
        };
        items.retain(|item| !is_new(item));
        answer["Count"] = json!(items.len());
        Some(answer.to_string().into())
    }
}

/// The tables and items that a request puts, also within transactions and batches.
fn items_put(request: &Value) -> Vec<(&str, &Value)> {
    let puts = request["TransactItems"].as_array().into_iter().flatten().map(|item| &item["Put"]);
    let puts = puts.chain([request]).filter_map(|put| Some((put["TableName"].as_str()?, put.get("Item")?)));
    let batches = request["RequestItems"].as_object().into_iter().flatten();
    let batches = batches.flat_map(|(table, items)| {
        let items = items.as_array().into_iter().flatten();
        items.filter_map(|item| Some((table.as_str(), item["PutRequest"].get("Item")?)))
    });
    puts.chain(batches).collect()
}

fn key_of(calls: &AwsCalls, table: &str, item: &Value) -> Option<Value> {
    let table = calls.definition(table)?;
    Some(json!([item[table.partition_key], table.sort_key.map(|name| &item[name])]))
}

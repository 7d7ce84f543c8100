//! Records the function's calls to AWS, which its role must permit. A call belongs to the function if its key signed
//! it: presigned requests from clients count, requests of the stack itself or of a test do not.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::{HeaderMap, Method, Uri, header};
use serde::Serialize;
use serde_json::Value;

use super::keys::{AccessKey, process_of};
use super::lambda::FUNCTION_NAME;
use crate::tables;
use crate::tables::TableNames;

/// An operation and its resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct AwsCall {
    /// `dynamodb`, `s3`, `execute-api`, `lambda` or `events`.
    pub service: &'static str,
    /// The operation's name in the API: `Query`, `GetObject`. Each item of a transaction is a separate call, such as
    /// `TransactWriteItems.Put`.
    pub call: String,
    /// For a table its variable, `MEMBERS_TABLE`; for an index `MEMBERS_TABLE/byRoom`; for objects the first segment of
    /// the key, `rooms/*`; for the bucket itself an empty string; otherwise `@connections/*`, `function` or `bus`.
    pub resource: String,
}

/// The distinct calls so far. Clones share the record.
#[derive(Clone)]
pub struct AwsCalls(Arc<Inner>);

struct Inner {
    /// The variables of the tables, by table name.
    variables: HashMap<String, &'static str>,
    bucket: String,
    /// The access key id of the function.
    function_key_id: String,
    made: Mutex<BTreeSet<AwsCall>>,
}

impl AwsCalls {
    /// An empty record.
    pub fn new(names: &TableNames, bucket: &str, function: &AccessKey) -> Self {
        let variables = tables::ALL.iter().map(|table| (names.of(table).to_owned(), table.variable)).collect();
        Self(Arc::new(Inner {
            variables,
            bucket: bucket.to_owned(),
            function_key_id: function.id.clone(),
            made: Mutex::default(),
        }))
    }

    /// Every call that was recorded.
    pub fn all(&self) -> BTreeSet<AwsCall> {
        self.made().clone()
    }

    /// Records a request to DynamoDB, if the function sent it.
    pub fn record_dynamodb(&self, headers: &HeaderMap, operation: &str, request: &[u8]) {
        if !self.is_from_function(headers, "") {
            return;
        }
        let request: Value = serde_json::from_slice(request).unwrap_or_default();
        let record = |call: &str, resource: &str| self.record("dynamodb", call, resource);
        match operation {
            "TransactGetItems" | "TransactWriteItems" => {
                let items = request["TransactItems"].as_array().into_iter().flatten();
                for (action, item) in items.filter_map(Value::as_object).flatten() {
                    record(&format!("{operation}.{action}"), self.table(item["TableName"].as_str()));
                }
            }
            "BatchGetItem" | "BatchWriteItem" => {
                for table in request["RequestItems"].as_object().into_iter().flat_map(|items| items.keys()) {
                    record(operation, self.table(Some(table)));
                }
            }
            _ => {
                let table = self.table(request["TableName"].as_str());
                match request["IndexName"].as_str() {
                    Some(index) => record(operation, &format!("{table}/{index}")),
                    None => record(operation, table),
                }
            }
        }
    }

    /// A request to DynamoDB in short: the operation and the tables, for reports of faults.
    pub fn description(&self, headers: &HeaderMap, request: &[u8]) -> String {
        let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let request: Value = serde_json::from_slice(request).unwrap_or_default();
        let items = request["TransactItems"].as_array().into_iter().flatten().filter_map(Value::as_object).flatten();
        let parts = items.map(|(action, item)| format!("{action} {}", self.table(item["TableName"].as_str())));
        let batch = request["RequestItems"].as_object().into_iter().flat_map(|tables| tables.keys());
        let batch = batch.map(|table| self.table(Some(table)).to_owned());
        let single = request["TableName"].as_str().map(|table| self.table(Some(table)).to_owned());
        let tables: Vec<_> = parts.chain(batch).chain(single).collect();
        let index = request["IndexName"].as_str().map_or_else(String::new, |index| format!("/{index}"));
        format!("dynamodb {operation} {}{index}", tables.join(", "))
    }

    /// Records a request to S3, if the function sent it, and returns its operation.
    pub fn record_s3(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<String> {
        let query = uri.query().unwrap_or_default();
        if !self.is_from_function(headers, query) {
            return None;
        }
        let path = uri.path().trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let objects = key.split_once('/').map_or_else(|| key.to_owned(), |(first, _)| format!("{first}/*"));
        let resource = if bucket == self.0.bucket { objects } else { format!("{bucket}/{objects}") };
        let operation = s3_operation(method, key, query);
        self.record("s3", &operation, &resource);
        Some(operation)
    }

    /// Records that S3 answered 404 for an object, which requires permission to list the bucket.
    pub fn record_s3_absence(&self) {
        self.record("s3", "HeadObject of an absent key", "");
    }

    /// Records a request to `@connections`, if the function sent it.
    pub fn record_connections(&self, method: &Method, headers: &HeaderMap) {
        if !self.is_from_function(headers, "") {
            return;
        }
        let call = match *method {
            Method::POST => "PostToConnection",
            Method::GET => "GetConnection",
            Method::DELETE => "DeleteConnection",
            _ => method.as_str(),
        };
        self.record("execute-api", call, "@connections/*");
    }

    /// Records a request to Lambda, if the function sent it.
    pub fn record_lambda(&self, headers: &HeaderMap, function: &str) {
        if self.is_from_function(headers, "") {
            self.record("lambda", "Invoke", if function == FUNCTION_NAME { "function" } else { function });
        }
    }

    /// Records a request to EventBridge, if the function sent it.
    pub fn record_events(&self, headers: &HeaderMap) {
        if self.is_from_function(headers, "") {
            self.record("events", "PutEvents", "bus");
        }
    }

    /// The number of the function process that sent a request. A presigned request is a client's.
    pub fn process(&self, headers: &HeaderMap) -> Option<u64> {
        process_of(credential(headers)?.split('/').next()?, &self.0.function_key_id)
    }

    /// Whether a request is signed with the function's key, in a header or in a presigned URL.
    fn is_from_function(&self, headers: &HeaderMap, query: &str) -> bool {
        let scope = credential(headers).map(str::to_owned).or_else(|| parameter(query, "X-Amz-Credential"));
        let Some(id) = scope.as_deref().and_then(|scope| scope.split('/').next()) else { return false };
        id == self.0.function_key_id || process_of(id, &self.0.function_key_id).is_some()
    }

    /// The table of this name, if it is one of the stack's.
    pub fn definition(&self, name: &str) -> Option<&'static tables::Table> {
        tables::ALL.iter().copied().find(|table| self.0.variables.get(name) == Some(&table.variable))
    }

    fn record(&self, service: &'static str, call: &str, resource: &str) {
        self.made().insert(AwsCall { service, call: call.to_owned(), resource: resource.to_owned() });
    }

    fn made(&self) -> MutexGuard<'_, BTreeSet<AwsCall>> {
        self.0.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table's variable, or its name if it is not one of the stack's tables.
    fn table<'a>(&'a self, name: Option<&'a str>) -> &'a str {
        let name = name.unwrap_or_default();
        self.0.variables.get(name).copied().unwrap_or(name)
    }
}

/// The SDK names the operation in the query where method and path are ambiguous. Unknown operations are recorded by
/// their method.
fn s3_operation(method: &Method, key: &str, query: &str) -> String {
    if let Some(operation) = parameter(query, "x-id") {
        return operation;
    }
    match *method {
        Method::HEAD if key.is_empty() => "HeadBucket",
        Method::HEAD => "HeadObject",
        Method::GET if parameter(query, "list-type").is_some() => "ListObjectsV2",
        _ => method.as_str(),
    }
    .to_owned()
}

/// The credential of a request that is signed in a header: the key's id and the scope.
fn credential(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    header.split_once("Credential=").map(|(_, scope)| scope)
}

fn parameter(query: &str, wanted: &str) -> Option<String> {
    let found = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == wanted);
    found.map(|(_, value)| value.into_owned())
}

//! Records the function's calls to AWS, which its role must permit. A call belongs to the function if its key signed
//! it: so presigned requests of clients count, and requests of the stack or of a test do not.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::{HeaderMap, Method, Uri, header};
use serde::Serialize;
use serde_json::Value;

use super::keys::AccessKey;
use super::runtime::FUNCTION_NAME;
use crate::tables;
use crate::tables::TableNames;

/// An operation and its resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct AwsCall {
    /// `dynamodb`, `s3`, `execute-api` or `lambda`.
    pub service: &'static str,
    /// As in the API: `Query`, `GetObject`. Parts of a transaction are calls of their own: `TransactWriteItems.Put`.
    pub call: String,
    /// A table by its variable, `MEMBERS_TABLE`, and an index as `MEMBERS_TABLE/byRoom`; objects by the first segment
    /// of their keys, `rooms/*`, and the bucket itself as nothing; `@connections/*`; the function itself as
    /// `function`.
    pub resource: String,
}

/// The distinct calls so far. Clones share them.
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
        if !self.is_the_functions(headers, "") {
            return;
        }
        let request: Value = serde_json::from_slice(request).unwrap_or_default();
        let record = |call: &str, resource: &str| self.record("dynamodb", call, resource);
        match operation {
            "TransactGetItems" | "TransactWriteItems" => {
                let items = request["TransactItems"].as_array().into_iter().flatten();
                for (part, asked) in items.filter_map(Value::as_object).flatten() {
                    record(&format!("{operation}.{part}"), self.table(asked["TableName"].as_str()));
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

    /// The operation, if it is one of the function's.
    pub fn record_s3(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<String> {
        let query = uri.query().unwrap_or_default();
        if !self.is_the_functions(headers, query) {
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
        self.record("s3", "HeadObject of nothing", "");
    }

    /// Records a request to `@connections`, if the function sent it.
    pub fn record_connections(&self, method: &Method, headers: &HeaderMap) {
        if !self.is_the_functions(headers, "") {
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
        if self.is_the_functions(headers, "") {
            self.record("lambda", "Invoke", if function == FUNCTION_NAME { "function" } else { function });
        }
    }

    /// Whether a request is signed with the function's key, in a header or in a presigned URL.
    fn is_the_functions(&self, headers: &HeaderMap, query: &str) -> bool {
        let header = headers.get(header::AUTHORIZATION).and_then(|header| header.to_str().ok());
        let in_header = header.and_then(|header| header.split_once("Credential=")).map(|(_, scope)| scope.to_owned());
        let scope = in_header.or_else(|| parameter(query, "X-Amz-Credential"));
        scope.is_some_and(|scope| scope.split('/').next() == Some(&self.0.function_key_id))
    }

    fn record(&self, service: &'static str, call: &str, resource: &str) {
        self.made().insert(AwsCall { service, call: call.to_owned(), resource: resource.to_owned() });
    }

    fn made(&self) -> MutexGuard<'_, BTreeSet<AwsCall>> {
        self.0.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table's variable; its own name if the catalogue does not have it.
    fn table<'a>(&'a self, name: Option<&'a str>) -> &'a str {
        let name = name.unwrap_or_default();
        self.0.variables.get(name).copied().unwrap_or(name)
    }
}

/// The operation that the SDK names in the query, where method and path are ambiguous. Unknown operations are recorded
/// by their method.
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

fn parameter(query: &str, wanted: &str) -> Option<String> {
    let found = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == wanted);
    found.map(|(_, value)| value.into_owned())
}

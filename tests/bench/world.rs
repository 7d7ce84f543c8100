//! A stack in this process, with the function and a crowd of clients in separate processes.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use futures_util::stream::{self, StreamExt};
use serde_json::Value;
use switchboard::local::faults::{Faults, Latency, Plan};
use switchboard::local::{Options, Stack, StoreCall, clients};

use crate::crowd::Crowd;
use crate::harness::{Logs, Socket};
use crate::process;

/// Latencies that are long enough to measure concurrency instead of the speed of this machine.
pub const STORE_MS: f64 = 4.0;
pub const POST_MS: f64 = 50.0;
/// The room of all clients.
pub const ROOM: &str = "tea";
/// The limit of BatchWriteItem.
const BATCH_ROWS: usize = 25;

pub type Row = HashMap<String, AttributeValue>;

/// The latency of DynamoDB and of posts in an AWS region, without faults.
pub fn region_latency() -> Plan {
    let fixed = |median_ms| Latency { median_ms, sigma: 0.0 };
    Plan { store_latency: fixed(STORE_MS), post_latency: fixed(POST_MS), ..Plan::default() }
}

pub struct World {
    pub stack: Stack,
    pub faults: Faults,
    pub crowd: Crowd,
    logs: Arc<Logs>,
    members: usize,
}

impl World {
    /// A stack with the measured function and no connections.
    pub async fn of(function: &Path) -> Self {
        Self::changed(function, |options| options).await
    }

    pub async fn changed(function: &Path, change: impl FnOnce(Options) -> Options) -> Self {
        let (faults, logs) = (Faults::default(), Arc::<Logs>::default());
        let options = Options::on_free_ports(function.into(), logs.sink());
        let options =
            Options { faults: faults.clone(), environment: vec![("LIMITS".to_owned(), "off".to_owned())], ..options };
        let stack = Stack::start(change(options)).await.unwrap();
        let crowd = Crowd::at(&stack.urls().websocket).await;
        Self { stack, faults, crowd, logs, members: 0 }
    }

    /// Grows the room to this many live members, the first of which is the sender. Only the first one joins; the others
    /// have real sockets, and copies of the rows that its join wrote: ten thousand joins would take longer than the
    /// measurement.
    pub async fn grows_to(&mut self, members: usize) {
        let plan = self.faults.plan();
        self.faults.follow(Plan::default());
        if self.members == 0 {
            self.crowd.connects([format!("userId=user-0&roomId={ROOM}")].into_iter()).await;
            self.members = 1;
        }
        let existing = self.stack.open_connections();
        self.crowd.connects((self.members..members).map(|number| format!("userId=user-{number}"))).await;
        let added = self.stack.open_connections().into_iter().filter(|id| !existing.contains(id));
        let added: Vec<_> = added.collect();
        self.subscribe(added.into_iter().zip(self.members..)).await;
        self.members = members;
        self.faults.follow(plan);
        self.stack.take_store_calls();
    }

    /// Rows of connections in the room, by the number of their user.
    pub async fn subscribe(&self, connections: impl Iterator<Item = (String, usize)>) {
        let first = self.first_subscription().await;
        let rows = connections.map(|(connection, number)| {
            let mut row = first.clone();
            for (name, value) in [("connectionId", connection), ("userId", format!("user-{number}"))] {
                row.insert(name.to_owned(), AttributeValue::S(value));
            }
            row.insert("name".to_owned(), AttributeValue::S(format!("user-{number}")));
            row
        });
        self.write("Subscriptions", rows).await;
    }

    async fn first_subscription(&self) -> Row {
        let query = self.dynamodb().query().table_name("Subscriptions").limit(1);
        let query = query.key_condition_expression("channel = :room");
        let rows = query.expression_attribute_values(":room", AttributeValue::S(format!("room#{ROOM}"))).send().await;
        rows.unwrap().items.unwrap().pop().expect("the room has no subscriptions")
    }

    pub async fn write(&self, table: &str, rows: impl Iterator<Item = Row>) {
        let client = self.dynamodb();
        let puts = rows.map(|row| {
            WriteRequest::builder().put_request(PutRequest::builder().set_item(Some(row)).build().unwrap()).build()
        });
        let batches: Vec<Vec<_>> = stream::iter(puts).chunks(BATCH_ROWS).collect().await;
        for batch in batches {
            client.batch_write_item().request_items(table, batch).send().await.unwrap();
        }
    }

    /// A client with the access key of the stack, not that of a function process.
    pub fn dynamodb(&self) -> Client {
        clients::dynamodb(&self.stack.urls().dynamodb, self.stack.access_key()).unwrap()
    }

    /// Waits for the function's log line about a call of this route, and clears the log.
    pub async fn has_called(&self, route: &str) -> Value {
        let line = self.logs.wait_for(1, |line| line["route"] == route).await;
        self.logs.clear();
        line
    }

    /// The cost of the requests to DynamoDB since the last call of this.
    pub fn take_cost(&self) -> Cost {
        cost(&self.stack.take_store_calls())
    }

    /// A client in this process.
    pub async fn connects(&self, query: &str) -> Socket {
        Socket::open(&format!("{}?{query}", self.stack.urls().websocket), &[]).await.unwrap().0
    }

    pub fn clear_logs(&self) {
        self.logs.clear();
    }

    /// CPU time of all running function processes.
    pub fn cpu_ms(&self) -> f64 {
        self.stack.function_processes().into_iter().map(process::cpu_ms).sum()
    }

    /// Waits until the function has used no CPU time for half a second.
    pub async fn waits_until_idle(&self) {
        let mut before = f64::NAN;
        loop {
            let now = self.cpu_ms();
            if now == before {
                return;
            }
            before = now;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Capacity units and number of some requests to DynamoDB.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub writes: f64,
    pub reads: f64,
    pub requests: usize,
}

pub fn cost(calls: &[StoreCall]) -> Cost {
    Cost {
        writes: calls.iter().map(|call| call.write_units).sum(),
        reads: calls.iter().map(|call| call.read_units).sum(),
        requests: calls.len(),
    }
}

/// The middle value, or the mean of the two middle values.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

//! Lambda's event source mappings: they read the streams of the tables and send the function their records, each stream
//! in its order.
//!
//! Sources: the Lambda developer guide, "Using AWS Lambda with Amazon DynamoDB", "Configuring partial batch response".

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dynoxide::Database;
use dynoxide::actions::get_records::GetRecordsRequest;
use dynoxide::actions::get_shard_iterator::GetShardIteratorRequest;
use dynoxide::streams::shard_id;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::{JoinHandle, spawn_blocking};

use super::REGION;
use super::clock::Clock;
use super::faults::Faults;
use super::lambda::{InvokeError, PAYLOAD_BYTES, Pool};
use crate::tables::{STREAMED, TableNames};

/// Most records in an event.
const BATCH: usize = 100;
/// How often a stream is read in which nothing happens.
const INTERVAL: Duration = Duration::from_millis(50);
/// Before the first retry of a batch; it doubles up to the longest.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);

/// The mappings of a stack.
pub struct Streams(Vec<Arc<Mapping>>);

/// What the mappings use.
pub struct Setup<'a> {
    pub database: &'a Database,
    pub names: &'a TableNames,
    /// The folder that keeps their positions; `None`: they begin with the tables.
    pub folder: Option<&'a Path>,
    pub clock: Clock,
    pub faults: Faults,
    pub pool: Arc<Pool>,
}

/// One stream.
struct Mapping {
    database: Database,
    table: String,
    /// The file of the position.
    file: Option<PathBuf>,
    /// The sequence number of the last record that was handled.
    position: Mutex<Option<String>>,
    clock: Clock,
    faults: Faults,
    pool: Arc<Pool>,
}

/// What the function answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchResponse {
    #[serde(default)]
    batch_item_failures: Vec<FailedItem>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FailedItem {
    item_identifier: String,
}

impl Streams {
    /// Starts a task for each stream.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub fn start(setup: &Setup<'_>) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        if let Some(folder) = setup.folder {
            std::fs::create_dir_all(folder)?;
        }
        let mapping = |(table, _): &(&crate::tables::Table, _)| {
            let file = setup.folder.map(|folder| folder.join(table.variable));
            let known = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
            Arc::new(Mapping {
                database: setup.database.clone(),
                table: setup.names.of(table).to_owned(),
                file,
                position: Mutex::new(known.map(|position| position.trim().to_owned())),
                clock: setup.clock.clone(),
                faults: setup.faults.clone(),
                pool: Arc::clone(&setup.pool),
            })
        };
        let mappings: Vec<_> = STREAMED.iter().map(mapping).collect();
        let tasks = mappings.iter().map(|mapping| tokio::spawn(Arc::clone(mapping).run())).collect();
        Ok((Self(mappings), tasks))
    }

    /// Returns when the function has handled every record.
    pub async fn drained(&self) {
        for mapping in &self.0 {
            while mapping.read().await.is_ok_and(|records| !records.is_empty()) {
                tokio::time::sleep(INTERVAL).await;
            }
        }
    }
}

impl Mapping {
    async fn run(self: Arc<Self>) {
        loop {
            match self.read().await {
                Ok(records) if records.is_empty() => tokio::time::sleep(INTERVAL).await,
                Ok(records) => {
                    if !self.handle(records).await {
                        return;
                    }
                }
                Err(error) => {
                    tracing::error!(error, table = self.table, "the stream of a table cannot be read");
                    tokio::time::sleep(LONGEST_BACKOFF).await;
                }
            }
        }
    }

    /// The records behind the position, as an event has them.
    async fn read(&self) -> Result<Vec<Value>, String> {
        let (database, table, position) = (self.database.clone(), self.table.clone(), self.position());
        let read = move || {
            let kind = if position.is_some() { "AFTER_SEQUENCE_NUMBER" } else { "TRIM_HORIZON" };
            let iterator = database.get_shard_iterator(GetShardIteratorRequest {
                stream_arn: arn_of(&table),
                shard_id: shard_id(&table),
                shard_iterator_type: kind.to_owned(),
                sequence_number: position,
            });
            let shard_iterator = iterator?.shard_iterator.unwrap_or_default();
            database.get_records(GetRecordsRequest { shard_iterator, limit: Some(BATCH) })
        };
        let records = spawn_blocking(read).await.map_err(|error| error.to_string())?;
        let records = records.map_err(|error| error.to_string())?.records;
        let records = records.into_iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>();
        Ok(records.map_err(|error| error.to_string())?.into_iter().map(|record| self.in_event(record)).collect())
    }

    fn in_event(&self, mut record: Value) -> Value {
        record["eventSourceARN"] = arn_of(&self.table).into();
        record["awsRegion"] = REGION.into();
        // The clock of the stack may be ahead of the engine's.
        let machine = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let ahead = self.clock.now().as_millis() as f64 / 1000.0 - machine;
        if let Some(created) = record["dynamodb"]["ApproximateCreationDateTime"].as_f64() {
            record["dynamodb"]["ApproximateCreationDateTime"] = json!((created + ahead).round());
        }
        record
    }

    /// Sends the function records until it has handled all of them. A batch that fails is split in two
    /// (`BisectBatchOnFunctionError`). `false` when the stack has stopped.
    async fn handle(&self, mut rest: Vec<Value>) -> bool {
        let (mut size, mut backoff) = (BATCH, FIRST_BACKOFF);
        while !rest.is_empty() {
            let (event, count) = event_of(&rest[..size.min(rest.len())]);
            let done = match self.invoke(event, &rest[..count]).await {
                Ok(done) => done,
                Err(InvokeError::Stopped) => return false,
                Err(_) => {
                    size = count.div_ceil(2);
                    0
                }
            };
            if done == 0 {
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(LONGEST_BACKOFF);
                continue;
            }
            if done == count {
                (size, backoff) = (BATCH, FIRST_BACKOFF);
            }
            // Lambda may deliver a batch again that was handled.
            if !self.faults.strikes(|plan| plan.stream_repeated) {
                let handled = rest.drain(..done).next_back();
                self.note(handled.as_ref());
            }
        }
        true
    }

    /// How many of the first of these records the function has handled.
    async fn invoke(&self, event: String, records: &[Value]) -> Result<usize, InvokeError> {
        let answer = self.pool.invoke_when_free(event).await?;
        // `null` and an object without failures are a success.
        let failures = match serde_json::from_slice::<Option<BatchResponse>>(&answer) {
            Ok(response) => response.map(|response| response.batch_item_failures).unwrap_or_default(),
            Err(_) => return Ok(0),
        };
        let place = |failure: &FailedItem| {
            let is_meant = |record: &Value| record["dynamodb"]["SequenceNumber"] == failure.item_identifier.as_str();
            // An unknown one fails the batch.
            records.iter().position(is_meant).unwrap_or(0)
        };
        Ok(failures.iter().map(place).min().unwrap_or(records.len()))
    }

    fn position(&self) -> Option<String> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that this record and all before it are handled.
    fn note(&self, record: Option<&Value>) {
        let Some(position) = record.and_then(|record| record["dynamodb"]["SequenceNumber"].as_str()) else { return };
        if let Some(file) = &self.file
            && let Err(error) = std::fs::write(file, position)
        {
            tracing::warn!(%error, table = self.table, "the position in a stream was not noted");
        }
        *self.position.lock().unwrap_or_else(PoisonError::into_inner) = Some(position.to_owned());
    }
}

/// The event of as many of these records as one event may have, and how many that are: at least one.
fn event_of(records: &[Value]) -> (String, usize) {
    let mut count = records.len();
    loop {
        let event = json!({ "Records": &records[..count] }).to_string();
        if event.len() <= PAYLOAD_BYTES || count == 1 {
            return (event, count);
        }
        count /= 2;
    }
}

fn arn_of(table: &str) -> String {
    format!("arn:aws:dynamodb:{REGION}:000000000000:table/{table}/stream/2026-01-01T00:00:00.000")
}

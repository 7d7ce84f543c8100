//! What is remembered, in DynamoDB. The only place that names a table or an attribute.

mod connections;
mod files;
mod invites;
mod members;
mod messages;
mod places;
mod rooms;
mod subscriptions;
pub mod tables;

use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, WriteRequest};
use futures_util::stream::{self, Stream};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use crate::config::{Config, TableNames};
use crate::error::Error;

pub use connections::Connection;
pub use files::{Announcement, FileStatus, StoredFile};
pub use invites::Invite;
pub use members::{PARTICIPANTS_PAGE, Standing};
pub use messages::{Appended, Page};
pub use places::Filing;
pub use rooms::{Admission, MAX_FOUNDERS};
pub use subscriptions::{Channel, Part, Subscription};
use tables::{Key, Table};

type Item = HashMap<String, AttributeValue>;

/// Most rows that one BatchWriteItem takes.
const BATCH_ROWS: usize = 25;
/// Most items that one TransactWriteItems takes.
const TRANSACTION_ITEMS: usize = 100;
/// For how long a write that others are in the way of is tried again.
const PATIENCE: Duration = Duration::from_secs(10);

/// What DynamoDB answers to a single write that a transaction is in the way of.
const CONFLICT: &str = "TransactionConflictException";

#[derive(Clone)]
pub struct Store {
    client: Client,
    config: Arc<Config>,
}

impl Store {
    pub fn new(client: Client, config: Arc<Config>) -> Self {
        Self { client, config }
    }

    fn name(&self, table: &Table) -> &str {
        self.names().of(table)
    }

    fn names(&self) -> &TableNames {
        &self.config.tables
    }

    /// Reads one row as it is now, after every write that was answered before.
    async fn row<T: DeserializeOwned>(&self, table: &Table, key: Key) -> Result<Option<T>, Error> {
        let found = self
            .client
            .get_item()
            .table_name(self.name(table))
            .set_key(Some(key))
            .consistent_read(true)
            .send()
            .await
            .map_err(failed)?;
        found.item.map(row_of).transpose()
    }

    /// Writes rows in as few requests as there can be. Not atomic: the order of the rows is kept between requests of
    /// 25, within one there is none.
    async fn write_all(&self, writes: Vec<(&Table, WriteRequest)>) -> Result<(), Error> {
        for batch in writes.chunks(BATCH_ROWS) {
            let mut rest: HashMap<String, Vec<WriteRequest>> = HashMap::new();
            for (table, write) in batch {
                rest.entry(self.name(table).to_owned()).or_default().push(write.clone());
            }
            let mut backoff = Backoff::new();
            loop {
                let answer =
                    self.client.batch_write_item().set_request_items(Some(rest)).send().await.map_err(failed)?;
                rest = answer.unprocessed_items.unwrap_or_default();
                if rest.is_empty() {
                    break;
                }
                if !backoff.pause().await {
                    return Err(Error::Unavailable("rows were left unprocessed by DynamoDB".into()));
                }
            }
        }
        Ok(())
    }

    /// Writes all of `items` or none. Where others are writing the same rows it is tried again until a condition
    /// decides. `Err(refused)` in the answer tells which items' conditions did not hold.
    async fn transact(&self, items: Vec<TransactWriteItem>) -> Result<Result<(), Vec<bool>>, Error> {
        let mut backoff = Backoff::new();
        loop {
            let error = match self.client.transact_write_items().set_transact_items(Some(items.clone())).send().await {
                Ok(_) => return Ok(Ok(())),
                Err(error) => error,
            };
            let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error()
            else {
                return Err(failed(error));
            };
            let codes: Vec<_> = cancelled.cancellation_reasons().iter().map(|reason| reason.code()).collect();
            let refused: Vec<bool> = codes.iter().map(|code| *code == Some("ConditionalCheckFailed")).collect();
            if refused.contains(&true) {
                return Ok(Err(refused));
            }
            let passing = codes.iter().flatten().any(|code| {
                matches!(*code, "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded")
            });
            if !passing {
                return Err(failed(error));
            }
            if !backoff.pause().await {
                return Err(Error::RoomBusy);
            }
        }
    }
}

/// Pauses that grow, with jitter, until patience ends.
struct Backoff {
    until: Instant,
    most: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_millis(400);

    fn new() -> Self {
        Self::until(Instant::now() + PATIENCE)
    }

    fn until(until: Instant) -> Self {
        Self { until, most: Self::FIRST }
    }

    /// `false`, at once, when there is no time for another try.
    async fn pause(&mut self) -> bool {
        if Instant::now() >= self.until {
            return false;
        }
        sleep(self.most.mul_f64(fastrand::f64())).await;
        self.most = (self.most * 2).min(Self::LONGEST);
        true
    }
}

/// A query's rows, page by page.
fn pages<T: DeserializeOwned + Send>(
    query: QueryFluentBuilder,
) -> impl Stream<Item = Result<Vec<T>, Error>> + Send + Unpin + use<T> {
    Box::pin(stream::unfold(query.into_paginator().send(), |mut pages| async {
        let page = pages.next().await?;
        let rows =
            page.map_err(failed).and_then(|page| page.items.unwrap_or_default().into_iter().map(row_of).collect());
        Some((rows, pages))
    }))
}

fn row_of<T: DeserializeOwned>(item: Item) -> Result<T, Error> {
    serde_dynamo::from_item(item).map_err(Error::internal)
}

fn item_of(row: &impl Serialize) -> Result<Item, Error> {
    serde_dynamo::to_item(row).map_err(Error::internal)
}

fn put(row: &impl Serialize) -> Result<WriteRequest, Error> {
    use aws_sdk_dynamodb::types::PutRequest;
    let request = PutRequest::builder().set_item(Some(item_of(row)?)).build().map_err(Error::internal)?;
    Ok(WriteRequest::builder().put_request(request).build())
}

fn delete(key: Key) -> Result<WriteRequest, Error> {
    use aws_sdk_dynamodb::types::DeleteRequest;
    let request = DeleteRequest::builder().set_key(Some(key)).build().map_err(Error::internal)?;
    Ok(WriteRequest::builder().delete_request(request).build())
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Whether a conditional write was done; `false` when its condition did not hold.
fn was_done<T, E>(written: Result<T, SdkError<E>>) -> Result<bool, Error>
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    match written {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

/// What did not answer in time or was throttled may work when tried again; the rest is our fault.
fn failed<E>(error: SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    const PASSING: &[&str] = &[
        "InternalServerError",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingException",
        CONFLICT,
    ];
    let passing = match &error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        SdkError::ServiceError(answer) => {
            answer.raw().status().as_u16() >= 500 || answer.err().code().is_some_and(|code| PASSING.contains(&code))
        }
        _ => false,
    };
    if passing { Error::Unavailable(error.into()) } else { Error::Internal(error.into()) }
}

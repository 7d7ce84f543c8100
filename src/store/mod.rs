//! The rows in DynamoDB, by aggregate. The only place that names an attribute.

mod audit;
mod backoff;
mod batch;
mod blocks;
mod changes;
mod connections;
mod direct;
mod erasures;
mod exports;
mod files;
mod gone;
mod invites;
mod limits;
mod log;
mod members;
mod mentions;
mod nearby;
mod pending;
mod requests;
mod revoked;
mod rooms;
mod statement;
mod subscriptions;
mod tickets;
mod written;

use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update, WriteRequest};
use futures_util::stream::{self, Stream};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::error::Error;

use crate::tables::Table;
pub use audit::{Act, RecordedAct, ReportedMessage, StoredReport};
use backoff::Backoff;
pub use changes::{Change, ChangeKind, Deleted, Edit, Removal};
pub use connections::Connection;
pub use direct::Consent;
pub use erasures::{Erasure, Stage, Traces};
pub use exports::{ExportStage, StoredExport};
pub use files::{Announcement, FileStatus, StoredFile};
use gone::Gone;
pub use invites::Invite;
use limits::LocalCounts;
pub use log::{Appended, Author, EntryPage, IsModerator, Part, ReadBudget, RoomEnds, Setting, Tail, Timing};
pub use members::{Admission, Membership, PARTICIPANTS_PAGE, Pass, Standing};
pub use nearby::NearbyRow;
pub use pending::Pending;
pub use revoked::Revocation;
pub use rooms::MAX_FOUNDERS;
use statement::Statement;
pub use subscriptions::{Channel, KeyRange, Subscription};
pub use tickets::Ticket;
pub use written::{StreamRecord, Written};

/// The first character that an id can have: sort keys with a control character in front come before those of ids.
const FIRST_OF_IDS: &str = " ";

/// The key of a row.
pub(crate) type Key = HashMap<String, AttributeValue>;

impl Table {
    /// A key of a table without a sort key.
    pub fn key(&self, partition: &str) -> Key {
        HashMap::from([(self.partition_key.to_owned(), AttributeValue::S(partition.to_owned()))])
    }

    /// A key of a table with a sort key.
    pub fn key_of(&self, partition: &str, sort: &str) -> Key {
        let mut key = self.key(partition);
        if let Some(name) = self.sort_key {
            key.insert(name.to_owned(), AttributeValue::S(sort.to_owned()));
        }
        key
    }
}

type Item = HashMap<String, AttributeValue>;

/// Most items that one TransactWriteItems takes.
const TRANSACTION_ITEMS: usize = 100;

/// What DynamoDB answers to a single write that conflicts with a transaction.
const CONFLICT: &str = "TransactionConflictException";

/// The tables.
#[derive(Clone)]
pub struct Store {
    client: Client,
    config: Arc<Config>,
    local_counts: Arc<LocalCounts>,
}

impl Store {
    /// Nothing is sent before the first request.
    pub fn new(client: Client, config: Arc<Config>) -> Self {
        Self { client, config, local_counts: Arc::default() }
    }

    fn name(&self, table: &Table) -> &str {
        self.config.tables.of(table)
    }

    /// Reads one row consistently.
    async fn row<T: DeserializeOwned>(&self, table: &Table, key: Key) -> Result<Option<T>, Error> {
        self.item(table, key).await?.map(row_of).transpose()
    }

    /// As `row`, before it is deserialised.
    async fn item(&self, table: &Table, key: Key) -> Result<Option<Item>, Error> {
        let get = self.client.get_item().table_name(self.name(table)).set_key(Some(key)).consistent_read(true);
        Ok(get.send().await.map_err(failed)?.item)
    }

    /// Puts an item, if the statement's condition holds; `false` when it does not.
    async fn put(&self, table: &Table, item: Item, statement: &Statement) -> Result<bool, Error> {
        let put = self.client.put_item().table_name(self.name(table)).set_item(Some(item));
        let put = put
            .set_condition_expression(statement.condition.clone())
            .set_expression_attribute_names(statement.names())
            .set_expression_attribute_values(statement.values());
        was_done(put.send().await)
    }

    /// Updates an item, if the statement's condition holds; `false` when it does not.
    async fn update(&self, table: &Table, key: Key, statement: &Statement) -> Result<bool, Error> {
        let update = self.client.update_item().table_name(self.name(table)).set_key(Some(key));
        let update = update
            .set_update_expression(statement.update.clone())
            .set_condition_expression(statement.condition.clone())
            .set_expression_attribute_names(statement.names())
            .set_expression_attribute_values(statement.values());
        was_done(update.send().await)
    }

    /// Deletes an item, if the statement's condition holds; `false` when it does not.
    async fn delete(&self, table: &Table, key: Key, statement: &Statement) -> Result<bool, Error> {
        let delete = self.client.delete_item().table_name(self.name(table)).set_key(Some(key));
        let delete = delete
            .set_condition_expression(statement.condition.clone())
            .set_expression_attribute_names(statement.names())
            .set_expression_attribute_values(statement.values());
        was_done(delete.send().await)
    }

    /// A query of a table; an index is named by the caller.
    fn query(&self, table: &Table, statement: &Statement) -> QueryFluentBuilder {
        let query = self.client.query().table_name(self.name(table));
        query
            .set_key_condition_expression(statement.key.clone())
            .set_filter_expression(statement.filter.clone())
            .set_expression_attribute_names(statement.names())
            .set_expression_attribute_values(statement.values())
    }

    /// The part of a transaction that puts an item.
    fn put_part(&self, table: &Table, item: Item, statement: &Statement) -> Result<TransactWriteItem, Error> {
        let put = Put::builder()
            .table_name(self.name(table))
            .set_item(Some(item))
            .set_condition_expression(statement.condition.clone())
            .set_expression_attribute_names(statement.names())
            .set_expression_attribute_values(statement.values());
        Ok(TransactWriteItem::builder().put(put.build().map_err(Error::internal)?).build())
    }

    /// The part of a transaction that updates an item.
    fn update_part(&self, table: &Table, key: Key, statement: &Statement) -> Result<TransactWriteItem, Error> {
        let update = Update::builder()
            .table_name(self.name(table))
            .set_key(Some(key))
            .set_update_expression(statement.update.clone())
            .set_condition_expression(statement.condition.clone())
            .set_expression_attribute_names(statement.names())
            .set_expression_attribute_values(statement.values());
        Ok(TransactWriteItem::builder().update(update.build().map_err(Error::internal)?).build())
    }

    /// The part of a transaction that deletes an item.
    fn delete_part(&self, table: &Table, key: Key, statement: &Statement) -> Result<TransactWriteItem, Error> {
        let delete = Delete::builder()
            .table_name(self.name(table))
            .set_key(Some(key))
            .set_condition_expression(statement.condition.clone())
            .set_expression_attribute_names(statement.names())
            .set_expression_attribute_values(statement.values());
        Ok(TransactWriteItem::builder().delete(delete.build().map_err(Error::internal)?).build())
    }

    /// The part of a transaction that writes nothing: it only requires a condition.
    fn check_part(&self, table: &Table, key: Key, statement: &Statement) -> Result<TransactWriteItem, Error> {
        let check = ConditionCheck::builder()
            .table_name(self.name(table))
            .set_key(Some(key))
            .set_condition_expression(statement.condition.clone())
            .set_expression_attribute_names(statement.names())
            .set_expression_attribute_values(statement.values());
        Ok(TransactWriteItem::builder().condition_check(check.build().map_err(Error::internal)?).build())
    }

    /// Writes all parts or none. Where others write the same items it retries until a condition decides. Returns the
    /// names of the parts whose conditions did not hold: none when all was written.
    async fn transact<P: Copy>(&self, parts: Vec<(P, TransactWriteItem)>) -> Result<Vec<P>, Error> {
        self.transact_within(Backoff::new(), parts).await
    }

    /// As `transact`, retried for as long as `backoff` allows.
    async fn transact_within<P: Copy>(
        &self,
        mut backoff: Backoff,
        parts: Vec<(P, TransactWriteItem)>,
    ) -> Result<Vec<P>, Error> {
        let (names, items): (Vec<P>, Vec<_>) = parts.into_iter().unzip();
        loop {
            let error = match self.client.transact_write_items().set_transact_items(Some(items.clone())).send().await {
                Ok(_) => return Ok(Vec::new()),
                Err(error) => error,
            };
            let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error()
            else {
                return Err(failed(error));
            };
            let codes: Vec<_> = cancelled.cancellation_reasons().iter().map(|reason| reason.code()).collect();
            let is_refused = |code: &Option<&str>| *code == Some("ConditionalCheckFailed");
            let refused = names.iter().zip(&codes).filter(|(_, code)| is_refused(code)).map(|(name, _)| *name);
            let refused: Vec<_> = refused.collect();
            if !refused.is_empty() {
                return Ok(refused);
            }
            let is_transient = codes.iter().flatten().any(|code| {
                matches!(*code, "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded")
            });
            if !is_transient {
                return Err(failed(error));
            }
            if !backoff.pause().await {
                return Err(Error::RoomBusy);
            }
        }
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

/// How many read units a query took.
fn units_of(answer: &QueryOutput) -> f64 {
    answer.consumed_capacity.as_ref().and_then(|capacity| capacity.capacity_units).unwrap_or(1.0)
}

fn row_of<T: DeserializeOwned>(item: Item) -> Result<T, Error> {
    serde_dynamo::from_item(item).map_err(Error::internal)
}

fn item_of(row: &impl Serialize) -> Result<Item, Error> {
    serde_dynamo::to_item(row).map_err(Error::internal)
}

fn put_request(row: &impl Serialize) -> Result<WriteRequest, Error> {
    use aws_sdk_dynamodb::types::PutRequest;
    let request = PutRequest::builder().set_item(Some(item_of(row)?)).build().map_err(Error::internal)?;
    Ok(WriteRequest::builder().put_request(request).build())
}

fn delete_request(key: Key) -> Result<WriteRequest, Error> {
    use aws_sdk_dynamodb::types::DeleteRequest;
    let request = DeleteRequest::builder().set_key(Some(key)).build().map_err(Error::internal)?;
    Ok(WriteRequest::builder().delete_request(request).build())
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

/// A timeout or a throttled request may succeed when retried; the rest is our fault.
fn failed<E>(error: SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    const TRANSIENT: &[&str] = &[
        "InternalServerError",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingException",
        CONFLICT,
    ];
    let is_transient = match &error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        SdkError::ServiceError(answer) => {
            answer.raw().status().as_u16() >= 500 || answer.err().code().is_some_and(|code| TRANSIENT.contains(&code))
        }
        _ => false,
    };
    if is_transient { Error::Unavailable(error.into()) } else { Error::Internal(error.into()) }
}

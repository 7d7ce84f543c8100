//! Several rows by one request.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{KeysAndAttributes, WriteRequest};

use super::{Backoff, Item, Key, Store, failed};
use crate::error::Error;
use crate::tables::Table;

/// Most rows that one BatchWriteItem takes.
const BATCH_ROWS: usize = 25;

impl Store {
    /// Reads up to 100 rows of any tables consistently, by one request: each at the place of its key, `None` where
    /// there is none.
    pub(super) async fn items(&self, keys: &[(&Table, Key)]) -> Result<Vec<Option<Item>>, Error> {
        let mut wanted: HashMap<&str, Vec<Key>> = HashMap::new();
        for (table, key) in keys {
            let keys = wanted.entry(self.name(table)).or_default();
            // DynamoDB refuses to read a row twice.
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        let mut rest = HashMap::new();
        for (table, keys) in wanted {
            let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
            rest.insert(table.to_owned(), keys.map_err(Error::internal)?);
        }
        let mut found: HashMap<String, Vec<Item>> = HashMap::new();
        let mut backoff = Backoff::new();
        while !rest.is_empty() {
            let answer = self.client.batch_get_item().set_request_items(Some(rest)).send().await.map_err(failed)?;
            for (table, items) in answer.responses.unwrap_or_default() {
                found.entry(table).or_default().extend(items);
            }
            rest = answer.unprocessed_keys.unwrap_or_default();
            if !rest.is_empty() && !backoff.pause().await {
                return Err(Error::Unavailable("keys were left unprocessed by DynamoDB".into()));
            }
        }
        let at = |(table, key): &(&Table, Key)| {
            let has_key = |item: &&Item| key.iter().all(|(name, value)| item.get(name) == Some(value));
            found.get(self.name(table))?.iter().find(has_key).cloned()
        };
        Ok(keys.iter().map(at).collect())
    }

    /// Writes rows in as few requests as there can be. Not atomic: the order of the rows is kept between requests of
    /// 25, within one there is none.
    pub(super) async fn write_all(&self, writes: Vec<(&Table, WriteRequest)>) -> Result<(), Error> {
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
}

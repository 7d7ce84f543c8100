//! What each user has used of the rate limits. A quiet user costs nothing: each process counts the first request of
//! every second by itself, and only further ones in the table.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};

use super::{Item, Statement, Store, failed};
use crate::domain::{Grant, Rate, Timestamp, micros};
use crate::error::Error;
use crate::tables::LIMITS;

/// Attempts to count in the table. Each one that fails has learned what is in the table.
const ATTEMPTS: usize = 4;
/// Most users and classes that a process remembers.
const MOST_REMEMBERED: usize = 10_000;
/// How long a row outlives its arrival time, in seconds.
const ROW_SECS: i64 = 60;
/// The theoretical arrival time, in epoch microseconds.
const ARRIVAL: &str = "arrival";

/// What this process counts by itself, and what it knows of the table.
#[derive(Default)]
pub(super) struct LocalCounts(Mutex<HashMap<String, Counted>>);

/// The counts of one user and class.
#[derive(Clone, Copy, Default)]
struct Counted {
    /// The last second (epoch) in which a request was counted here.
    second: i64,
    /// The arrival time of those counted here.
    here: i64,
    /// The arrival time in the table, as it was seen last. It never goes back, so it may have grown since.
    in_table: i64,
}

impl LocalCounts {
    /// Counts the first request of a second.
    ///
    /// # Errors
    /// It is not the first one, or this process has granted too much by itself: what is known of the table.
    fn count_first(&self, key: &str, rate: Rate, wanted: u64, now: Timestamp) -> Result<Grant, i64> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST_REMEMBERED {
            counts.retain(|_, counted| counted.here.max(counted.in_table) > micros(now));
        }
        if counts.len() >= MOST_REMEMBERED {
            counts.clear();
        }
        let counted = counts.entry(key.to_owned()).or_default();
        let grant = rate.grant(counted.here, wanted, now);
        if counted.second >= now.as_secs() || grant.count < wanted {
            return Err(counted.in_table);
        }
        *counted = Counted { second: now.as_secs(), here: grant.arrival, ..*counted };
        Ok(grant)
    }

    fn note(&self, key: &str, in_table: i64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.entry(key.to_owned()).or_default().in_table = in_table;
    }
}

impl Store {
    /// Takes as many of `wanted` from a limit as it grants: usually by one conditional update; by none for the first
    /// request of a second, and while it is known that nothing is granted.
    ///
    /// # Errors
    /// The table fails.
    pub async fn take(&self, key: &str, rate: Rate, wanted: u64, now: Timestamp) -> Result<Grant, Error> {
        let mut known = match self.local_counts.count_first(key, rate, wanted, now) {
            Ok(grant) => return Ok(grant),
            Err(known) => known,
        };
        for _ in 0..ATTEMPTS {
            let grant = rate.grant(known, wanted, now);
            if grant.count == 0 {
                return Ok(grant);
            }
            match self.count_in_table(key, rate, grant.count, known, now).await? {
                Ok(arrival) => {
                    self.local_counts.note(key, arrival);
                    return Ok(grant);
                }
                Err(arrival) => {
                    self.local_counts.note(key, arrival);
                    known = arrival;
                }
            }
        }
        Err(Error::Unavailable("too many processes count the requests of one user".into()))
    }

    /// Adds `count` to the arrival time in the table, if they are granted. Returns the new arrival time, or the one
    /// that stands there instead.
    async fn count_in_table(
        &self,
        key: &str,
        rate: Rate,
        count: u64,
        known: i64,
        now: Timestamp,
    ) -> Result<Result<i64, i64>, Error> {
        let statement = counting(rate, count, known, now);
        let updated = self
            .client
            .update_item()
            .table_name(self.name(&LIMITS))
            .set_key(Some(LIMITS.key(key)))
            .set_update_expression(statement.update.clone())
            .set_condition_expression(statement.condition.clone())
            .set_expression_attribute_names(statement.names())
            .set_expression_attribute_values(statement.values())
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match updated {
            Ok(updated) => return Ok(Ok(arrival_of(updated.attributes.as_ref()))),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) => Ok(Err(arrival_of(refused.item()))),
            _ => Err(failed(error)),
        }
    }
}

/// Moves the arrival time on, if it is still where it is `known` to be, or has grown and still grants it.
fn counting(rate: Rate, count: u64, known: i64, now: Timestamp) -> Statement {
    let statement = if known >= micros(now) {
        Statement::update("SET arrival = arrival + :cost, ttl = :ttl")
            .when("arrival BETWEEN :now AND :latest")
            .bind(":cost", rate.cost(count))
            .bind(":latest", rate.latest(count, now))
    } else {
        Statement::update("SET arrival = :arrival, ttl = :ttl")
            .when("attribute_not_exists(arrival) OR arrival < :now")
            .bind(":arrival", micros(now) + rate.cost(count))
    };
    let ttl = rate.latest(0, now) / 1_000_000 + ROW_SECS;
    statement.bind(":now", micros(now)).bind(":ttl", ttl)
}

/// The arrival time of a row; 0 where there is none.
fn arrival_of(item: Option<&Item>) -> i64 {
    item.and_then(|item| item.get(ARRIVAL)?.as_n().ok()?.parse().ok()).unwrap_or_default()
}

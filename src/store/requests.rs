//! Requests of backends, by their idempotency key: a repeat gets the answer of the first one.

use serde::{Deserialize, Serialize};

use super::{Statement, Store, item_of};
use crate::domain::Timestamp;
use crate::error::Error;
use crate::tables::REQUESTS;

/// How long a key is kept, in seconds.
const KEPT_SECS: i64 = 86_400;

/// A request that a backend has made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MadeRequest {
    /// The idempotency key.
    id: String,
    /// Of the route, the path and the body.
    digest: String,
    /// When it was made first: a repeat that finishes it goes by that.
    pub at: Timestamp,
    /// The body of the answer, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    ttl: i64,
}

impl Store {
    /// Notes a request. Returns it as it was made first.
    ///
    /// # Errors
    /// `IDEMPOTENCY_MISMATCH` for a key that another request has used.
    pub async fn begin_request(&self, key: &str, digest: &str, now: Timestamp) -> Result<MadeRequest, Error> {
        let row = MadeRequest {
            id: key.to_owned(),
            digest: digest.to_owned(),
            at: now,
            answer: None,
            ttl: now.as_secs() + KEPT_SECS,
        };
        let unused = Statement::default().when("attribute_not_exists(id) OR ttl <= :now").bind(":now", now.as_secs());
        if self.put(&REQUESTS, item_of(&row)?, &unused).await? {
            return Ok(row);
        }
        match self.row::<MadeRequest>(&REQUESTS, REQUESTS.key(key)).await? {
            Some(known) if known.digest == digest => Ok(known),
            Some(_) => Err(Error::KeyReused),
            None => Err(Error::Unavailable("a request was deleted while it was repeated".into())),
        }
    }

    /// Keeps the answer to a request. One that a crash keeps from having it is carried out again when it is repeated.
    pub async fn finish_request(&self, key: &str, answer: &str) -> Result<(), Error> {
        let kept = Statement::update("SET answer = :answer").when("attribute_exists(id)").bind(":answer", answer);
        self.update(&REQUESTS, REQUESTS.key(key), &kept).await.map(drop)
    }
}

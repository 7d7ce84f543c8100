//! Whose tokens were revoked.

use serde::{Deserialize, Serialize};

use super::{Statement, Store};
use crate::domain::{Timestamp, UserId};
use crate::error::Error;
use crate::tables::REVOKED;

/// What was revoked of a user. Rows do not expire: a token can live for as long as its issuer likes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revocation {
    /// Tokens that were issued before that are refused.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
    /// Until then the user is refused, whatever the token.
    #[serde(default)]
    pub block_until: Option<Timestamp>,
}

impl Revocation {
    /// Whether the user is refused, whatever the token.
    pub fn blocks(&self, now: Timestamp) -> bool {
        self.block_until.is_some_and(|end| now < end)
    }

    /// Whether what was given out at `at` is refused.
    pub fn is_after(&self, at: Timestamp) -> bool {
        self.not_before.is_some_and(|not_before| at < not_before)
    }
}

impl Store {
    /// What was revoked of a user.
    pub async fn revocation(&self, user: &UserId) -> Result<Revocation, Error> {
        self.row(&REVOKED, REVOKED.key(user.as_str())).await.map(Option::unwrap_or_default)
    }

    /// Revokes the tokens of a user that were issued before a time, and those that were revoked already; and if
    /// `block_until` is given, blocks the user until then. The last one that is given counts.
    pub async fn revoke(
        &self,
        user: &UserId,
        not_before: Timestamp,
        block_until: Option<Timestamp>,
    ) -> Result<(), Error> {
        let key = || REVOKED.key(user.as_str());
        let later = Statement::update("SET notBefore = :at")
            .when("attribute_not_exists(notBefore) OR notBefore < :at")
            .bind(":at", not_before.as_millis());
        self.update(&REVOKED, key(), &later).await?;
        if let Some(end) = block_until {
            let block = Statement::update("SET blockUntil = :end").bind(":end", end.as_millis());
            self.update(&REVOKED, key(), &block).await?;
        }
        Ok(())
    }
}

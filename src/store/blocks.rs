//! Users whom a user has blocked.

use serde::{Deserialize, Serialize};

use super::{Statement, Store, failed, item_of, row_of};
use crate::domain::{Timestamp, UserId};
use crate::error::Error;
use crate::tables::BLOCKS;

/// Most users in one answer.
const PAGE: i32 = 100;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockRow {
    user_id: UserId,
    blocked_id: UserId,
    at: Timestamp,
}

impl Store {
    /// Blocks a user, or leaves them blocked.
    pub async fn block(&self, user: &UserId, other: &UserId, now: Timestamp) -> Result<(), Error> {
        let row = BlockRow { user_id: user.clone(), blocked_id: other.clone(), at: now };
        self.put(&BLOCKS, item_of(&row)?, &Statement::default()).await.map(drop)
    }

    /// Unblocks a user, whether they are blocked or not.
    pub async fn unblock(&self, user: &UserId, other: &UserId) -> Result<(), Error> {
        let key = BLOCKS.key_of(user.as_str(), other.as_str());
        self.delete(&BLOCKS, key, &Statement::default()).await.map(drop)
    }

    /// A page of the users whom a user has blocked, in the order of their ids, and whether there are more.
    pub async fn blocked_by(&self, user: &UserId, after: Option<&UserId>) -> Result<(Vec<UserId>, bool), Error> {
        let statement = Statement::query("userId = :user").bind(":user", user.as_str());
        let start = after.map(|other| BLOCKS.key_of(user.as_str(), other.as_str()));
        let query = self.query(&BLOCKS, &statement).consistent_read(true).set_exclusive_start_key(start).limit(PAGE);
        let page = query.send().await.map_err(failed)?;
        let more = page.last_evaluated_key.is_some();
        let rows = page.items.unwrap_or_default().into_iter();
        let blocked = rows.map(|item| row_of::<BlockRow>(item).map(|row| row.blocked_id));
        Ok((blocked.collect::<Result<_, _>>()?, more))
    }

    /// Those of at most 100 users who have not blocked `user`.
    pub async fn not_blocking(&self, users: Vec<UserId>, user: &UserId) -> Result<Vec<UserId>, Error> {
        let key = |other: &UserId| (&BLOCKS, BLOCKS.key_of(other.as_str(), user.as_str()));
        let keys: Vec<_> = users.iter().map(key).collect();
        let rows = self.items(&keys).await?;
        Ok(users.into_iter().zip(rows).filter(|(_, row)| row.is_none()).map(|(other, _)| other).collect())
    }
}

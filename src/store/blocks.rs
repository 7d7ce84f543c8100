//! Users whom a user has blocked. Each block has a row with both of them: whom a user has blocked and who has blocked
//! them are one request each, for presence is not shown to the blocked.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{FIRST_OF_IDS, Key, Statement, Store, failed, item_of, row_of};
use crate::domain::{Timestamp, UserId};
use crate::error::Error;
use crate::tables::BLOCKS;

/// Most users in one answer.
const PAGE: i32 = 100;
/// Most blocks of one user that presence obeys.
const MOST_HIDDEN: i32 = 1_000;
/// In front of who has blocked the user: ids begin with no control character, so these rows sort before all others.
const BLOCKED_BY: char = '\t';
/// The rows of those whom a user has blocked, and of those who have blocked the user.
const WHOM: &str = "userId = :user AND blockedId >= :first";
const BY_WHOM: &str = "userId = :user AND blockedId < :first";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockRow {
    user_id: UserId,
    /// The blocked user; behind a control character, the one who has blocked this user.
    blocked_id: String,
    at: Timestamp,
}

impl BlockRow {
    fn other(self) -> UserId {
        UserId::stored(self.blocked_id.trim_start_matches(BLOCKED_BY).to_owned())
    }
}

fn blocks(user: &UserId, which: &str) -> Statement {
    Statement::query(which).bind(":user", user.as_str()).bind(":first", FIRST_OF_IDS)
}

/// The sort key of the other row of a block, which the blocked user has.
fn blocked_by(user: &UserId) -> String {
    format!("{BLOCKED_BY}{user}")
}

impl Store {
    /// Blocks a user, or leaves them blocked.
    pub async fn block(&self, user: &UserId, other: &UserId, now: Timestamp) -> Result<(), Error> {
        let own = BlockRow { user_id: user.clone(), blocked_id: other.to_string(), at: now };
        let others = BlockRow { user_id: other.clone(), blocked_id: blocked_by(user), at: now };
        let put = |row: &BlockRow| self.put_part(&BLOCKS, item_of(row)?, &Statement::default());
        self.transact(vec![((), put(&own)?), ((), put(&others)?)]).await.map(drop)
    }

    /// Unblocks a user, whether they are blocked or not.
    pub async fn unblock(&self, user: &UserId, other: &UserId) -> Result<(), Error> {
        let keys = [BLOCKS.key_of(user.as_str(), other.as_str()), BLOCKS.key_of(other.as_str(), &blocked_by(user))];
        let delete = |key: Key| Ok(((), self.delete_part(&BLOCKS, key, &Statement::default())?));
        self.transact(keys.into_iter().map(delete).collect::<Result<_, Error>>()?).await.map(drop)
    }

    /// The users to whom it is not told whether `user` is online.
    pub async fn hidden_from(&self, user: &UserId) -> Result<BTreeSet<UserId>, Error> {
        self.some_blocks(blocks(user, WHOM)).await
    }

    /// The users of whom `user` does not learn whether they are online.
    pub async fn hiding_from(&self, user: &UserId) -> Result<BTreeSet<UserId>, Error> {
        self.some_blocks(blocks(user, BY_WHOM)).await
    }

    /// Not consistent: presence may be told for a moment after a block, and nobody pays twice for it.
    async fn some_blocks(&self, which: Statement) -> Result<BTreeSet<UserId>, Error> {
        let page = self.query(&BLOCKS, &which).limit(MOST_HIDDEN).send().await.map_err(failed)?;
        page.items.unwrap_or_default().into_iter().map(|item| Ok(row_of::<BlockRow>(item)?.other())).collect()
    }

    /// A page of the users whom a user has blocked, in the order of their ids, and whether there are more.
    pub async fn blocked_by(&self, user: &UserId, after: Option<&UserId>) -> Result<(Vec<UserId>, bool), Error> {
        let statement = blocks(user, WHOM);
        let start = after.map(|other| BLOCKS.key_of(user.as_str(), other.as_str()));
        let query = self.query(&BLOCKS, &statement).consistent_read(true).set_exclusive_start_key(start).limit(PAGE);
        let page = query.send().await.map_err(failed)?;
        let more = page.last_evaluated_key.is_some();
        let rows = page.items.unwrap_or_default().into_iter();
        let blocked = rows.map(|item| row_of::<BlockRow>(item).map(BlockRow::other));
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

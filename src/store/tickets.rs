//! Tickets: each lets one handshake in, as the user of the token that it was given for.

use aws_sdk_dynamodb::types::ReturnValue;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use uuid::Uuid;

use super::{Statement, Store, failed, item_of, row_of};
use crate::domain::{Name, Timestamp, UserId};
use crate::error::Error;
use crate::tables::TICKETS;

/// How long a ticket is of use, in seconds.
const TICKET_SECS: i64 = 30;

/// What a token says that a ticket stands for.
#[skip_serializing_none]
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    pub user_id: UserId,
    pub name: Option<Name>,
    pub is_admin: bool,
    /// When the token was issued.
    pub issued_at: Option<Timestamp>,
    /// When a connection with it ends (epoch seconds).
    pub session_ends_at: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TicketRow<'a> {
    ticket: &'a str,
    #[serde(flatten)]
    stands_for: &'a Ticket,
    ttl: i64,
}

impl Store {
    /// Stores a ticket. Returns its code, and when it expires.
    pub async fn add_ticket(&self, stands_for: &Ticket, now: Timestamp) -> Result<(String, Timestamp), Error> {
        let (code, expires_at) = (Uuid::new_v4().simple().to_string(), now.plus_secs(TICKET_SECS));
        let row = TicketRow { ticket: &code, stands_for, ttl: expires_at.as_secs() };
        self.put(&TICKETS, item_of(&row)?, &Statement::default()).await?;
        Ok((code, expires_at))
    }

    /// Uses a ticket up: of those who use it at once, one gets it. A crash after that costs the client a new ticket.
    pub async fn redeem_ticket(&self, code: &str, now: Timestamp) -> Result<Option<Ticket>, Error> {
        let delete = self.client.delete_item().table_name(self.name(&TICKETS)).set_key(Some(TICKETS.key(code)));
        let deleted = delete.return_values(ReturnValue::AllOld).send().await.map_err(failed)?;
        let Some(row) = deleted.attributes.filter(|row| !row.is_empty()) else { return Ok(None) };
        let is_over =
            row.get("ttl").and_then(|ttl| ttl.as_n().ok()?.parse().ok()).is_none_or(|ttl| now.has_passed(ttl));
        if is_over { Ok(None) } else { row_of(row).map(Some) }
    }
}

//! What moderators did, and what users reported.

use serde::Serialize;
use serde_with::skip_serializing_none;

use super::{Item, Statement, Store, item_of};
use crate::domain::{Reason, RoomId, Seq, Timestamp, UserId};
use crate::error::Error;
use crate::tables::{AUDIT, REPORTS, TTL};

/// How long an act of a moderator is kept, in seconds.
const AUDIT_SECS: i64 = 365 * 86_400;
/// How long a report is kept, in seconds.
const REPORT_SECS: i64 = 90 * 86_400;

/// An act of a moderator.
#[skip_serializing_none]
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Act<'a> {
    /// The action or route.
    pub action: &'a str,
    pub by: &'a UserId,
    pub room_id: &'a RoomId,
    /// The user whom it is about.
    pub user_id: Option<&'a UserId>,
    /// What the action needs to be understood: a role, a time, an invite.
    pub detail: Option<&'a str>,
    /// The address of the moderator.
    pub source_ip: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ActRow<'a> {
    /// Such as `2026-11-26`.
    day: &'a str,
    /// The time and the id of the request.
    at: &'a str,
    #[serde(flatten)]
    act: &'a Act<'a>,
    ttl: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReportRow<'a> {
    room_id: &'a RoomId,
    /// The position of the message, and who reports it.
    report: String,
    by: &'a UserId,
    reason: &'a Reason,
    at: String,
    ttl: i64,
}

impl Store {
    /// Records an act of a moderator, by the id of its request.
    pub async fn add_act(&self, act: &Act<'_>, request_id: &str, now: Timestamp) -> Result<(), Error> {
        let time = now.to_iso();
        let day = time.split('T').next().unwrap_or_default();
        let row = ActRow { day, at: &format!("{time}#{request_id}"), act, ttl: now.as_secs() + AUDIT_SECS };
        self.put(&AUDIT, item_of(&row)?, &Statement::default()).await.map(drop)
    }

    /// Keeps a report of a message, with the message as it is now. `false` when there is no such message.
    pub async fn add_report(
        &self,
        (room, seq): (&RoomId, Seq),
        by: &UserId,
        reason: &Reason,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let id = seq.message_id();
        let Some(message) = self.live_item(room, seq, now).await? else { return Ok(false) };
        let row = ReportRow {
            room_id: room,
            report: format!("{}#{by}", id.as_str()),
            by,
            reason,
            at: now.to_iso(),
            ttl: now.as_secs() + REPORT_SECS,
        };
        let mut item = item_of(&row)?;
        item.insert("message".to_owned(), snapshot(message));
        self.put(&REPORTS, item, &Statement::default()).await?;
        Ok(true)
    }
}

/// The message without what only its own row needs.
fn snapshot(mut message: Item) -> aws_sdk_dynamodb::types::AttributeValue {
    for name in [TTL, "attempt", "carry"] {
        message.remove(name);
    }
    aws_sdk_dynamodb::types::AttributeValue::M(message)
}

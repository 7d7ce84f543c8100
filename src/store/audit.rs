//! What moderators did, and what users reported.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::{Item, Statement, Store, failed, item_of, row_of};
use crate::domain::{Reason, RoomId, Seq, Timestamp, UserId};
use crate::error::Error;
use crate::tables::{AUDIT, REPORTS, TTL};

/// How long an act of a moderator is kept, in seconds.
const AUDIT_SECS: i64 = 365 * 86_400;
/// How long a report is kept, in seconds.
const REPORT_SECS: i64 = 90 * 86_400;
/// Rows in one answer.
const PAGE: i32 = 50;

/// An act of a moderator, or a call of a backend.
#[skip_serializing_none]
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Act<'a> {
    /// The action or route.
    pub action: &'a str,
    /// The user; of a backend its ARN.
    pub by: &'a str,
    pub room_id: Option<&'a str>,
    /// The user whom it is about.
    pub user_id: Option<&'a str>,
    /// What the action needs to be understood: a role, a time, an invite.
    pub detail: Option<&'a str>,
    /// The address of who did it.
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

/// An act as it was recorded.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedAct {
    pub at: String,
    pub action: String,
    pub by: String,
    pub room_id: Option<String>,
    pub user_id: Option<String>,
    pub detail: Option<String>,
    pub source_ip: Option<String>,
}

/// A report, and the message as it was then.
#[derive(Deserialize)]
pub struct StoredReport {
    pub by: String,
    pub reason: String,
    pub at: String,
    pub message: ReportedMessage,
}

/// A reported message.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedMessage {
    pub message_id: String,
    #[serde(default)]
    pub user_id: String,
    #[serde(default, alias = "text")]
    pub content: String,
    #[serde(default)]
    pub created_at: String,
}

impl Store {
    /// A page of the acts of a day, newest first, and where the next one begins.
    pub async fn acts(&self, day: &str, before: Option<&str>) -> Result<(Vec<RecordedAct>, Option<String>), Error> {
        let statement = Statement::query("day = :day").bind(":day", day);
        let start = before.map(|at| AUDIT.key_of(day, at));
        let query = self.query(&AUDIT, &statement).set_exclusive_start_key(start).scan_index_forward(false).limit(PAGE);
        let page = query.send().await.map_err(failed)?;
        let next = page.last_evaluated_key.and_then(|key| key.get("at")?.as_s().ok().cloned());
        let acts = page.items.unwrap_or_default().into_iter().map(|row| {
            let mut act: RecordedAct = row_of(row)?;
            // Without the id of the request.
            act.at.truncate(act.at.find('#').unwrap_or(act.at.len()));
            Ok::<_, Error>(act)
        });
        Ok((acts.collect::<Result<_, _>>()?, next))
    }

    /// A page of the reports of a room's messages, in the order of the messages, and where the next one begins.
    pub async fn reports(
        &self,
        room: &RoomId,
        after: Option<&str>,
        now: Timestamp,
    ) -> Result<(Vec<StoredReport>, Option<String>), Error> {
        let statement = Statement::query("roomId = :room")
            .filter("ttl > :now")
            .bind(":room", room.as_str())
            .bind(":now", now.as_secs());
        let start = after.map(|report| REPORTS.key_of(room.as_str(), report));
        let page = self.query(&REPORTS, &statement).set_exclusive_start_key(start).limit(PAGE).send().await;
        let page = page.map_err(failed)?;
        let next = page.last_evaluated_key.and_then(|key| key.get("report")?.as_s().ok().cloned());
        let rows = page.items.unwrap_or_default().into_iter().map(row_of);
        Ok((rows.collect::<Result<_, _>>()?, next))
    }

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

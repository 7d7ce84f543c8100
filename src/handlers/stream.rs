//! The route `stream`: puts what was written on the event bus.
//!
//! DynamoDB keeps each write in the stream of its table for 24 hours, and Lambda hands the function the records in
//! their order. A record counts as handled when its events are on the bus. If the process dies before, or the bus
//! fails, Lambda hands over the same records again: each event is there at least once, with the same id each time.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;

use super::notification;
use super::room::summary_of;
use crate::bus::Bus;
use crate::context::Context;
use crate::domain::{CloseReason, Entry, Event as EntryEvent, Iso, Rev, Room, RoomId, Seq, Timestamp, UserId};
use crate::error::Error;
use crate::metrics::Metric;
use crate::store::{Change, ChangeKind, StreamRecord, Written};
use crate::wire::events::{
    ChangedRoom, EditedMessage, Event, EventKey, Fact, FormerMember, ReactedBy, ReactedMessage, Report,
};
use crate::wire::frames::{self, DeletedMessages, Joined, LeaveReason, Left, Message, Pinned, RoomClosed, Unpinned};

/// Records for which something is read at once.
const READ_AT_ONCE: usize = 16;
/// Requests to the bus at once.
const PUT_AT_ONCE: usize = 8;
/// Events that are put before it is asked again whether time is left.
const WAVE: usize = 80;
/// What a wave may take.
const RESERVE: Duration = Duration::from_secs(8);

/// Some of the records are not handled.
pub struct Unfinished {
    /// The sequence number of the first of them.
    pub from: String,
    pub error: Error,
}

/// An event, and what it comes from.
struct Outgoing {
    /// The place of its record in the batch.
    record: usize,
    /// Events of the same series are put one after the other.
    series: Option<String>,
    event: Event,
}

/// Puts the events of these records on the bus, if there is one. Of the events of a room with a `seq`, and of those
/// with a `rev`, one is put only when those before it are on the bus.
pub async fn publish(ctx: &Context, records: Vec<StreamRecord>) -> Result<(), Unfinished> {
    if !ctx.bus.exists() {
        return Ok(());
    }
    let numbers: Vec<_> = records.iter().map(|record| record.sequence_number().to_owned()).collect();
    let mut read = stream::iter(records.into_iter().enumerate())
        .map(|(place, record)| async move { (place, outgoing(ctx, place, record).await) })
        .buffered(READ_AT_ONCE);
    let (mut ready, mut failed) = (Vec::new(), None);
    while failed.is_none()
        && let Some((place, events)) = read.next().await
    {
        match events {
            Ok(events) => ready.extend(events),
            Err(error) => failed = Some((place, error)),
        }
    }
    let unput = put_all(ctx, ready).await.err();
    let first = unput.into_iter().chain(failed).min_by_key(|(place, _)| *place);
    match first {
        Some((place, error)) => Err(Unfinished { from: numbers.get(place).cloned().unwrap_or_default(), error }),
        None => Ok(()),
    }
}

/// # Errors
/// Why the first event that is not on the bus is not, and the place of its record.
async fn put_all(ctx: &Context, mut rest: Vec<Outgoing>) -> Result<(), (usize, Error)> {
    while !rest.is_empty() {
        if Instant::now() + RESERVE > ctx.deadline {
            let first = rest.iter().map(|event| event.record).min().unwrap_or_default();
            return Err((first, Error::Unavailable("no time is left for the other events".into())));
        }
        let (wave, later) = split(rest);
        let failed = put_wave(ctx, wave).await;
        rest = later;
        if let Some((place, error)) = failed {
            let first = rest.iter().map(|event| event.record).min().unwrap_or(place);
            return Err((first.min(place), error));
        }
    }
    Ok(())
}

/// The events that can be put at once: the first of each series; and the others.
fn split(events: Vec<Outgoing>) -> (Vec<Outgoing>, Vec<Outgoing>) {
    let (mut wave, mut later, mut begun) = (Vec::new(), Vec::new(), BTreeSet::new());
    for event in events {
        let is_first = event.series.as_ref().is_none_or(|series| begun.insert(series.clone()));
        if is_first && wave.len() < WAVE {
            wave.push(event);
        } else {
            later.push(event);
        }
    }
    (wave, later)
}

/// Puts events by as few requests as there can be. Returns the place of the first record whose event is not on the bus.
async fn put_wave(ctx: &Context, wave: Vec<Outgoing>) -> Option<(usize, Error)> {
    let (places, events): (Vec<_>, Vec<_>) = wave.into_iter().map(|event| (event.record, event.event)).unzip();
    let (mut requests, mut begin) = (Vec::new(), 0);
    while begin < events.len() {
        let end = begin + Bus::first_request(&events[begin..]);
        requests.push((begin, &events[begin..end]));
        begin = end;
    }
    let results: Vec<_> = stream::iter(requests)
        .map(|(begin, request)| async move { (begin, ctx.bus.put(request).await) })
        .buffered(PUT_AT_ONCE)
        .collect()
        .await;
    let mut first: Option<(usize, Error)> = None;
    let results = results.into_iter().flat_map(|(begin, results)| (begin..).zip(results));
    for (at, result) in results {
        match result {
            Ok(()) => ctx.count(Metric::Events, 1),
            Err(error) if first.as_ref().is_none_or(|(place, _)| places[at] < *place) => {
                first = Some((places[at], error));
            }
            Err(_) => {}
        }
    }
    first
}

/// The events of a record.
async fn outgoing(ctx: &Context, record: usize, written: StreamRecord) -> Result<Vec<Outgoing>, Error> {
    let Some(written) = ctx.store.written(written)? else { return Ok(Vec::new()) };
    let wanted = match &written {
        Written::Entry(entry) if ctx.config.events.has_notifications => notification::wanted(ctx, entry).await?,
        _ => Vec::new(),
    };
    let (event, series) = event_of(ctx, written).await?;
    let events = [(event, series)].into_iter().chain(wanted.into_iter().map(|event| (event, None)));
    let has_bodies = ctx.config.events.has_bodies;
    let body = |event: Event| if has_bodies { event } else { event.without_bodies() };
    Ok(events.map(|(event, series)| Outgoing { record, series, event: body(event) }).collect())
}

/// The event of what was written, and its series.
async fn event_of(ctx: &Context, written: Written) -> Result<(Event, Option<String>), Error> {
    Ok(match written {
        Written::Entry(entry) => in_log(of_entry(*entry)),
        Written::Closed { room, seq, at, reason, by } => {
            let user_id = (reason == CloseReason::Closed).then_some(by);
            let closed = RoomClosed { room_id: room.clone(), reason: reason.as_str(), user_id };
            in_log(entry_event(Fact::RoomClosed(closed), EventKey::of_entry(&room, seq), seq, at))
        }
        Written::Change(change) => in_log(of_change(ctx, change).await?),
        Written::Joined(member) => {
            let (room, user, at) = (member.room, member.user, member.joined_at);
            let (room_id, user_id, user_name, copies) = (room.clone(), user.clone(), member.name, None);
            of_user(Fact::MemberJoined(Joined { room_id, user_id, user_name, copies }), &room, &user, (at, at))
        }
        Written::Left { member, at } => {
            let (room, user) = (member.room, member.user);
            let left = FormerMember { room_id: room.clone(), user_id: user.clone() };
            of_user(Fact::MemberLeft(left), &room, &user, (at, member.joined_at))
        }
        Written::Banned { room, user, at } => {
            let (reason, copies) = (LeaveReason::Banned, None);
            let banned = Left { room_id: room.clone(), user_id: user.clone(), reason, copies };
            of_user(Fact::MemberBanned(banned), &room, &user, (at, at))
        }
        Written::RoomCreated(room) => {
            let (key, at) = (EventKey::of_room(&room.id), room.created_at);
            (Event::new(Fact::RoomCreated(Box::new(summary_of(*room))), key, at, &[&at.to_iso()]), None)
        }
        Written::RoomChanged { room, at } => (of_changed_room(*room, at), None),
        Written::Reported { room, report } => (of_report(room, (*report).into())?, None),
    })
}

fn of_changed_room(room: Room, at: Timestamp) -> Event {
    let key = EventKey::of_room(&room.id);
    let row = summary_of(room);
    let identity = [at.to_iso(), format!("{row:?}")];
    let fact = Fact::RoomChanged(ChangedRoom::Row(Box::new(row)));
    Event::new(fact, key, at, &identity.each_ref().map(String::as_str))
}

fn of_report(room: RoomId, frame: frames::Report) -> Result<Event, Error> {
    let at = Timestamp::from_iso(&frame.at).ok_or_else(|| Error::internal("the time of a report is not ISO 8601"))?;
    let seq = Seq::new(frame.seq).map_err(Error::internal)?;
    let (key, identity) = (EventKey::of_entry(&room, seq), [frame.seq.to_string(), frame.by.clone(), frame.at.clone()]);
    let report = Report {
        room_id: room,
        seq,
        by: frame.by,
        reason: Some(frame.reason),
        at: frame.at,
        user_id: frame.user_id,
        content: Some(frame.content).filter(|content| !content.is_empty()),
        created_at: frame.created_at,
    };
    Ok(Event::new(Fact::ReportCreated(report), key, at, &identity.each_ref().map(String::as_str)))
}

/// An event of a log, in the order of that log.
fn in_log(event: Event) -> (Event, Option<String>) {
    let log = if event.key.seq.is_some() { "seq" } else { "rev" };
    let series = format!("{log} {}", event.key.room_id);
    (event, Some(series))
}

/// An event of a user in a room, behind the earlier ones. `since` tells memberships of the same user apart.
fn of_user(fact: Fact, room: &RoomId, user: &UserId, (at, since): (Timestamp, Timestamp)) -> (Event, Option<String>) {
    let event = Event::new(fact, EventKey::of_room(room), at, &[user.as_str(), &since.to_iso()]);
    (event, Some(format!("member {room} {user}")))
}

fn entry_event(fact: Fact, key: EventKey, seq: Seq, at: Timestamp) -> Event {
    Event::new(fact, key, at, &[&seq.to_string()])
}

fn of_entry(entry: Entry) -> Event {
    let (key, seq, at) = (EventKey::of_entry(&entry.room, entry.seq), entry.seq, entry.created_at);
    let is_message = matches!(entry.event, EntryEvent::Said(_));
    let mut message = Message::from(entry).seen_by_others();
    if let Some(file) = &mut message.body.file {
        // Only members download files.
        file.file_url.clear();
    }
    let message = Box::new(message);
    let fact = if is_message { Fact::MessageCreated(message) } else { Fact::RoomChanged(ChangedRoom::Entry(message)) };
    entry_event(fact, key, seq, at)
}

async fn of_change(ctx: &Context, change: Change) -> Result<Event, Error> {
    let Change { room, rev, seqs, kind, by, at } = change;
    let seq = seqs.first().copied().unwrap_or(Seq::ZERO);
    let (key, room_id) = (EventKey::of_change(&room, rev), room.clone());
    // The log of changes has no content: the message is read as it is now.
    let now = match kind {
        ChangeKind::Edit | ChangeKind::React(..) => ctx.store.entries_at(&room, &[seq], ctx.now).await?.pop(),
        ChangeKind::Delete | ChangeKind::Pin | ChangeKind::Unpin => None,
    };
    let fact = match kind {
        ChangeKind::Edit => Fact::MessageEdited(edited((room_id, seq, rev), now, by, at)),
        ChangeKind::React(emoji, on) => {
            let counts = now.map(|entry| entry.changes.reactions).unwrap_or_default();
            let by = ReactedBy { user_id: by, emoji, on };
            Fact::MessageReacted(ReactedMessage { room_id, seq, rev, counts, by })
        }
        ChangeKind::Delete => {
            let (deleted_at, deleted_by, reason, unchanged) = (Iso(at), by, None, false);
            Fact::MessageDeleted(DeletedMessages { room_id, seqs, rev, deleted_at, deleted_by, reason, unchanged })
        }
        ChangeKind::Pin => Fact::MessagePinned(Pinned { room_id, seq, rev: Some(rev), by, unchanged: false }),
        ChangeKind::Unpin => Fact::MessageUnpinned(Unpinned { room_id, seq, rev: Some(rev), by, unchanged: false }),
    };
    Ok(Event::new(fact, key, at, &[&rev.to_string()]))
}

fn edited((room_id, seq, rev): (RoomId, Seq, Rev), now: Option<Entry>, by: UserId, at: Timestamp) -> EditedMessage {
    let (body, changes) = now.map(|entry| (entry.event.into_body(), entry.changes)).unzip();
    EditedMessage {
        room_id,
        seq,
        message_id: seq.message_id(),
        rev,
        version: changes.and_then(|changes| changes.version),
        content: body.map(|body| body.content).filter(|content| !content.is_absent()),
        edited_at: Iso(at),
        edited_by: by,
    }
}

//! Search in a room. There is no index: parts of the log are read at once, from the newest message on.

use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::access::{self, Sender};
use crate::context::Context;
use crate::domain::{Entry, Event, Page, Seq, UserId, searchable};
use crate::error::Error;
use crate::store::{Part, ReadBudget};
use crate::wire::frames::{Found, Item, Message};
use crate::wire::requests::SearchMessages;
use crate::wire::{ENVELOPE_BYTES, fitting};

/// Read units for one answer.
const READ_UNITS: f64 = 90.0;
/// Parts of the log that are read at once, and most messages of each.
const PARTS: u64 = 4;
const PART: u64 = 250;

/// A page of the messages that contain a text, the newest first.
pub async fn search(ctx: &Context, sender: Sender, request: SearchMessages) -> Result<Found, Error> {
    let wanted = Wanted { text: searchable(&request.text.0), from: request.from.clone() };
    let bottom = request.after.unwrap_or(Seq::ZERO);
    let top = match request.before {
        Some(before) => before,
        None => ctx.store.tail(&sender.room).await?.map_or(Seq::ZERO, |tail| tail.seq.next()),
    };
    let (found, edge) = scan(ctx, &sender, &wanted, (bottom, top), request.limit.0).await?;
    access::confirm_member(ctx, &sender.user, &sender.room).await?;

    let mut items: Vec<_> =
        found.into_iter().map(|entry| Message::seen_by(&sender.user, entry)).map(Item::Message).collect();
    let kept = fitting(items.iter(), ENVELOPE_BYTES);
    let cut = (kept < items.len()).then(|| items.truncate(kept)).is_some();
    let last = items.last().map(|Item::Message(message)| message.position.seq);
    let next_before = if cut { last } else { edge };
    Ok(Found { room_id: sender.room, items, has_more: next_before.is_some(), next_before })
}

/// What is searched for.
struct Wanted {
    text: String,
    from: Option<UserId>,
}

impl Wanted {
    fn is(&self, entry: &Entry) -> bool {
        let Event::Said(body) = &entry.event else { return false };
        entry.changes.deleted.is_none()
            && self.from.as_ref().is_none_or(|from| *from == body.user_id)
            && searchable(body.content.as_str()).contains(&self.text)
    }
}

/// Reads between two positions, both exclusive, from the newest message on: until `limit` messages are found or the
/// budget is used up. Returns them, and where to go on if that is not all.
async fn scan(
    ctx: &Context,
    sender: &Sender,
    wanted: &Wanted,
    (bottom, mut top): (Seq, Seq),
    limit: usize,
) -> Result<(Vec<Entry>, Option<Seq>), Error> {
    let budget = &ReadBudget::new(READ_UNITS);
    let mut found = Vec::new();
    while top > bottom.next() {
        if budget.left() <= 0.0 {
            return Ok((found, Some(top)));
        }
        let parts = read_parts(ctx, sender, (bottom, top), budget).await?;
        let are_empty = parts.iter().all(|(_, part)| part.entries.is_empty());
        for (from, Part { entries, reached }) in parts {
            for entry in entries.into_iter().filter(|entry| wanted.is(entry)) {
                let seq = entry.seq;
                found.push(entry);
                if found.len() >= limit {
                    return Ok((found, Some(seq)));
                }
            }
            top = reached.unwrap_or(from);
            if reached.is_some() {
                // What was read below it is read again, after the rest of this part.
                break;
            }
        }
        if are_empty {
            // What expired leaves gaps, and so does a log that began again.
            let next = ctx.store.entries(&sender.room, Page::Before(top), (1, 1), ctx.now).await?.entries.pop();
            let Some(next) = next else { return Ok((found, None)) };
            top = next.seq.next();
        }
    }
    Ok((found, None))
}

/// Parts of the log, from the newest on, each with its lowest position.
async fn read_parts(
    ctx: &Context,
    sender: &Sender,
    (bottom, top): (Seq, Seq),
    budget: &ReadBudget,
) -> Result<Vec<(Seq, Part)>, Error> {
    let share = budget.left() / PARTS as f64;
    let read = |(from, to)| async move {
        Ok::<_, Error>((from, ctx.store.part(&sender.room, (from, to), (budget, share), ctx.now).await?))
    };
    let ranges = (0..PARTS).filter_map(|number| range(bottom, top, number));
    stream::iter(ranges).map(read).buffered(PARTS as usize).try_collect().await
}

/// A part of the log below `top`, both ends inclusive; `None` where it would end below `bottom`.
fn range(bottom: Seq, top: Seq, number: u64) -> Option<(Seq, Seq)> {
    let last = top.minus(1 + number * PART);
    (last > bottom).then(|| (last.minus(PART - 1).max(bottom.next()), last))
}

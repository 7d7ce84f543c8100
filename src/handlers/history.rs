//! Reading what was said.

use std::collections::BTreeMap;

use futures_util::future;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::try_join;

use super::{room, seat};
use crate::app::App;
use crate::domain::{Name, RoomId, Seq, Timestamp};
use crate::error::Error;
use crate::event::Call;
use crate::store::{Channel, Connection, Page};
use crate::wire::{
    ENVELOPE_BYTES, Frame, History, LARGEST_FRAME_BYTES, Message, Presence, Resume, Resumed, fitting, size_of,
};

/// Rooms that are looked at at once.
const ROOMS_AT_ONCE: usize = 16;
/// Most messages that are read for one room; a frame holds fewer as a rule.
const MOST_MISSED: usize = 100;

/// A page of a conversation, oldest first. It is cut where it would outgrow a frame, at the far end of reading.
pub async fn page(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let History { of, page, limit } = call.request()?;
    let seat = seat::find(app, call, &of).await?;
    let (entries, mut has_more) = app.store.entries(&seat.room, page, limit, call.at).await?;

    let seqs: Vec<_> = entries.iter().map(|entry| entry.seq).collect();
    let mut items: Vec<_> =
        entries.into_iter().map(|entry| Frame::Message(Message::seen_by(&seat.user, entry))).collect();
    let forward = matches!(page, Page::After(_));
    let kept =
        if forward { fitting(items.iter(), ENVELOPE_BYTES) } else { fitting(items.iter().rev(), ENVELOPE_BYTES) };
    let cut = items.len() - kept;
    has_more |= cut > 0;
    let edge = if forward {
        items.truncate(kept);
        kept.checked_sub(1)
    } else {
        items.drain(..cut);
        Some(cut)
    };
    let next = edge.and_then(|at| seqs.get(at).copied()).filter(|_| has_more);
    Ok(Frame::Messages {
        room_id: seat.room,
        has_more,
        next_before: next.filter(|_| !forward),
        next_after: next.filter(|_| forward),
        items,
    })
}

/// Lets the connection hear rooms again and tells what was said there behind the positions it has seen. It is
/// subscribed first, and then the log is read: so a message is in the answer, or delivered, or both.
pub async fn resume(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let Resume { rooms: cursors } = call.request()?;
    let me = seat::known(app, call).await?;

    let refused = hear_again(app, call, &me, cursors.keys()).await?;
    let (me, now) = (&me, call.at);
    let missed = stream::iter(cursors)
        .filter(|(id, _)| future::ready(!refused.contains_key(id)))
        .map(|(id, cursor)| Missed::read(app, me, id, cursor, now))
        .buffer_unordered(ROOMS_AT_ONCE)
        .try_collect()
        .await?;
    let mut rooms = shared_out(missed);
    rooms.extend(refused.iter().map(|(id, error)| (id.clone(), Resumed::Refused { error: error.into() })));
    Ok(Frame::Resumed { rooms })
}

/// Subscribes a connection to those of `rooms` that it may hear, and tells why it may not hear the others.
async fn hear_again(
    app: &App,
    call: &mut Call,
    me: &Connection,
    rooms: impl Iterator<Item = &RoomId>,
) -> Result<BTreeMap<RoomId, Error>, Error> {
    let mine = member_names(app, me).await?;
    let mut refused = BTreeMap::new();
    let mut rows = Vec::new();
    for id in rooms {
        let name = if id.is_lobby() {
            room::require_lobby(app).map(|()| me.display_name())
        } else if let Some(name) = mine.get(id) {
            Ok(name.clone())
        } else if id.is_direct() {
            Err(Error::NotAMember)
        } else {
            seat::membership(app, &me.user_id, id).await.map(|member| member.name)
        };
        match name {
            // Direct conversations are heard as the user.
            Ok(_) if id.is_direct() => {}
            Ok(name) => rows.push(me.on(Channel::of_room(id), me.name.clone().unwrap_or(name))),
            Err(error) if error.status() >= 500 => return Err(error),
            Err(error) => {
                refused.insert(id.clone(), error);
            }
        }
    }
    if rows.is_empty() {
        return Ok(refused);
    }
    if !app.store.subscribe(&me.connection_id, &rows).await? {
        return Err(Error::Reconnect);
    }
    // Whoever ended a membership since, did not see these subscriptions.
    let mine = member_names(app, me).await?;
    for id in rows.iter().filter_map(|row| row.channel.room()).filter(|id| !id.is_lobby()) {
        if !mine.contains_key(&id) {
            app.store.unsubscribe(&me.connection_id, &Channel::of_room(&id)).await?;
            refused.insert(id, Error::NotAMember);
        } else if !me.channels.contains(Channel::of_room(&id).as_str()) {
            call.trace.delivered += app.delivery.announce_presence(&id, me, Presence::Online, call.at).await;
        }
    }
    Ok(refused)
}

/// What a connection's user is called in each of its rooms.
async fn member_names(app: &App, me: &Connection) -> Result<BTreeMap<RoomId, Name>, Error> {
    let memberships = app.store.memberships(&me.user_id).await?;
    Ok(memberships.into_iter().map(|member| (member.room, member.name)).collect())
}

/// What was said in a room behind a position.
struct Missed {
    room: RoomId,
    after: Seq,
    items: Vec<(Seq, Frame)>,
    /// Whether there is more than that.
    more: bool,
    last_seq: Seq,
    /// The oldest position there is, where some of what was missed is no longer there.
    oldest: Option<Seq>,
    /// Whether nothing more will be said.
    closed: bool,
}

impl Missed {
    async fn read(app: &App, me: &Connection, room: RoomId, after: Seq, now: Timestamp) -> Result<Self, Error> {
        let read = || app.store.entries(&room, Page::After(after), MOST_MISSED, now);
        let ((mut entries, mut more), tail) = try_join!(read(), app.store.tail(&room))?;
        // What was said between the two reads is there, and not expired.
        if entries.is_empty() && tail.is_some_and(|tail| tail.seq > after) {
            (entries, more) = read().await?;
        }
        // The next one to be written: one more than the last, but for a log whose end has expired.
        let next = match tail {
            Some(tail) if tail.is_closing || (entries.is_empty() && after >= tail.seq) => tail.last_seq().next(),
            tail => match app.store.next_seq(&room, tail, now).await {
                // Nothing was ever said in the lobby.
                Err(Error::RoomNotFound) => Seq::ZERO.next(),
                next => next?,
            },
        };
        let first = entries.first().map_or(next, |entry| entry.seq);
        Ok(Self {
            oldest: (after.next() < first).then_some(first),
            last_seq: tail.map_or(next.previous(), |tail| tail.last_seq()),
            closed: tail.is_some_and(|tail| tail.is_closing),
            items: entries
                .into_iter()
                .map(|entry| (entry.seq, Frame::Message(Message::seen_by(&me.user_id, entry))))
                .collect(),
            room,
            after,
            more,
        })
    }
}

/// As much as fits a frame, by turns: the first of each room, then the second of each, and so on.
fn shared_out(missed: Vec<Missed>) -> BTreeMap<RoomId, Resumed> {
    // What a room takes without its items: its id, and the numbers.
    const AROUND_BYTES: usize = 160;
    let around: usize = missed.iter().map(|missed| size_of(&missed.room) + AROUND_BYTES).sum();
    let mut left = LARGEST_FRAME_BYTES.saturating_sub(ENVELOPE_BYTES + around);
    let mut taken = vec![0; missed.len()];
    let mut open: Vec<usize> = (0..missed.len()).collect();
    let mut is_first = true;
    while !open.is_empty() {
        open.retain(|&at| {
            let Some((_, item)) = missed[at].items.get(taken[at]) else { return false };
            let size = size_of(item);
            // One goes in whatever its size: the client must get on.
            let fits = size <= left || is_first;
            if fits {
                is_first = false;
                taken[at] += 1;
                left = left.saturating_sub(size);
            }
            fits
        });
    }
    missed
        .into_iter()
        .zip(taken)
        .map(|(mut missed, taken)| {
            let complete = taken == missed.items.len() && !missed.more;
            missed.items.truncate(taken);
            let next_after = missed.items.last().map_or(missed.after, |(seq, _)| *seq);
            let resumed = Resumed::Missed {
                items: missed.items.into_iter().map(|(_, item)| item).collect(),
                complete,
                next_after: (!complete).then_some(next_after),
                last_seq: missed.last_seq,
                reset: missed.oldest.is_some(),
                oldest_seq: missed.oldest,
                closed: missed.closed,
            };
            (missed.room, resumed)
        })
        .collect()
}

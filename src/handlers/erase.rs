//! The erasure of a user: they are shut out, then what they wrote and their names go from every row and file. Their
//! places in the logs stay, so that these have no gaps: an erased message is a deleted one, and is told as such.
//!
//! The first write is a row that says that the erasure is not done (`store/erasures.rs`). The work is done in steps by
//! invocations of their own, each of which notes how far it came. One that dies is followed by another one: the sweep
//! finds the row when its lease has ended. A step that is done again finds nothing.

use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::Instant;

use super::{change, membership};
use crate::access::Backend;
use crate::context::Context;
use crate::domain::{Emoji, Member, RoomId, Seq, Timestamp, UserId};
use crate::error::Error;
use crate::store::{self, Channel, Membership, Stage};
use crate::wire::frames::{Erasure, LeaveReason, Reaction, Reactions, WorkStatus};
use crate::wire::requests::AboutUser;

/// No further step begins when less time than this is left.
const STEP_RESERVE: Duration = Duration::from_secs(10);
/// When the second pass begins, after the first one did (seconds): then no invocation is at work any more that knew the
/// user as one who may write. A function lives 29 seconds.
const SECOND_PASS_SECS: i64 = 60;
/// Messages that are deleted in one transaction: each may mention 20 users and have a file.
const MESSAGES_AT_ONCE: usize = 4;
/// Memberships that one step ends.
const MEMBERSHIPS_AT_ONCE: i32 = 10;
/// Users that one step unblocks.
const BLOCKS_AT_ONCE: usize = 100;
/// For so many days `Audit` is kept.
const AUDIT_DAYS: i64 = 366;
/// Days of it that one step reads.
const DAYS_AT_ONCE: i64 = 30;
const DAY_SECS: i64 = 86_400;
/// The end of a block that has none: the end of the year 9999.
const FOREVER: Timestamp = Timestamp::from_secs(253_402_300_799);

/// Shuts a user out, and begins to erase what they left. Repeating it does no harm.
pub async fn begin(ctx: &Context, _: Backend, request: AboutUser) -> Result<Erasure, Error> {
    let user = request.user_id;
    if user == UserId::system() {
        return Err(Error::invalid("userId", "is the chat itself"));
    }
    // First this is written: whatever happens from here on, the sweep finds it.
    let erasure = ctx.store.begin_erasure(&user, ctx.now).await?;
    shut_out(ctx, &user).await?;
    ctx.delivery.request_erasure(&user, ctx.request()).await;
    Ok(Erasure::of(user, Some(erasure)))
}

/// How far the erasure of a user is.
pub async fn show(ctx: &Context, _: Backend, request: AboutUser) -> Result<Erasure, Error> {
    let known = ctx.store.erasure(&request.user_id).await?;
    Ok(Erasure::of(request.user_id, known))
}

/// Revokes the tokens of a user and blocks them for good, then closes their connections.
async fn shut_out(ctx: &Context, user: &UserId) -> Result<(), Error> {
    ctx.store.revoke(user, ctx.now.plus_secs(1), Some(FOREVER)).await?;
    let live = ctx.store.all_subscribers(&Channel::of_user(user), ctx.now).await?;
    ctx.delivery.disconnect(&live, ctx.request()).await.map(drop)
}

/// Goes on with an erasure, if nobody else is at work on it, until it is done or the time is up.
///
/// # Errors
/// Lambda retries the event.
pub async fn go_on(ctx: &Context, user: &UserId) -> Result<(), Error> {
    ctx.note_user(user);
    let Some(mut erasure) = ctx.store.claim_erasure(user, ctx.now).await? else { return Ok(()) };
    let worked = work(ctx, &mut erasure).await;
    if worked.is_err() {
        // What was done of the step is found to be done.
        ctx.store.release_erasure(&erasure, ctx.now).await?;
    }
    worked
}

async fn work(ctx: &Context, erasure: &mut store::Erasure) -> Result<(), Error> {
    let user = erasure.user();
    while erasure.stage != Stage::Done {
        let second_pass = erasure.started_at.plus_secs(SECOND_PASS_SECS);
        if erasure.is_second_pass && ctx.now < second_pass {
            ctx.store.release_erasure(erasure, second_pass).await?;
            tracing::info!(user_id = %user, "the first pass of an erasure is done");
            return Ok(());
        }
        if ctx.deadline.saturating_duration_since(Instant::now()) < STEP_RESERVE {
            if ctx.store.release_erasure(erasure, ctx.now).await? {
                ctx.delivery.request_erasure(&user, ctx.request()).await;
            }
            return Ok(());
        }
        step(ctx, &user, erasure).await?;
        if !ctx.store.note_erasure(erasure).await? {
            return Ok(());
        }
    }
    if ctx.store.finish_erasure(erasure, ctx.now).await? {
        tracing::info!(user_id = %user, "a user is erased");
    }
    Ok(())
}

async fn step(ctx: &Context, user: &UserId, erasure: &mut store::Erasure) -> Result<(), Error> {
    let after = erasure.after.clone();
    match erasure.stage {
        Stage::Memberships => end_memberships(ctx, user, erasure).await?,
        Stage::Rooms => match ctx.store.all_rooms(user, after.as_deref(), 1).await?.pop() {
            Some((known, _)) => erase_in(ctx, (user, known.peer.as_ref()), &known.room, erasure).await?,
            None => advance(erasure),
        },
        Stage::OtherRooms => match ctx.store.other_room(user, after.as_deref()).await? {
            Some(room) => {
                end_membership(ctx, user, &room, None).await?;
                erase_in(ctx, (user, None), &room, erasure).await?;
            }
            None => advance(erasure),
        },
        Stage::Lobby if after.is_none() => erase_in(ctx, (user, None), &RoomId::lobby(), erasure).await?,
        Stage::Lobby => advance(erasure),
        Stage::Own => erase_own(ctx, user, erasure).await?,
        Stage::Audit => erase_acts(ctx, user, erasure).await?,
        Stage::Members => {
            let memberships = ctx.store.delete_memberships(user).await?;
            erasure.count("memberships", memberships);
            advance(erasure);
        }
        Stage::Done => {}
    }
    Ok(())
}

/// Goes on to the next stage. Only the second pass takes the rows away by which the first one found its way.
fn advance(erasure: &mut store::Erasure) {
    (erasure.after, erasure.row) = (None, None);
    erasure.stage = match erasure.stage {
        Stage::Memberships => Stage::Rooms,
        Stage::Rooms => Stage::OtherRooms,
        Stage::OtherRooms => Stage::Lobby,
        Stage::Lobby if !erasure.is_second_pass => {
            erasure.is_second_pass = true;
            Stage::Memberships
        }
        Stage::Lobby => Stage::Own,
        Stage::Own => Stage::Audit,
        Stage::Audit => Stage::Members,
        Stage::Members | Stage::Done => Stage::Done,
    };
}

/// Ends memberships, so that nobody writes as the user any more, and requests of direct conversations, which have the
/// user's name.
async fn end_memberships(ctx: &Context, user: &UserId, erasure: &mut store::Erasure) -> Result<(), Error> {
    if erasure.after.is_none() {
        // Once more: the request that began may have ended before that.
        shut_out(ctx, user).await?;
    }
    let rooms = ctx.store.all_rooms(user, erasure.after.as_deref(), MEMBERSHIPS_AT_ONCE).await?;
    let Some((last, _)) = rooms.last() else {
        advance(erasure);
        return Ok(());
    };
    erasure.after = Some(last.room.to_string());
    for (known, is_member) in rooms {
        let room = known.room.clone();
        match &known.peer {
            Some(peer) => ctx.store.end_pending(peer, &room).await.map(drop)?,
            None => end_membership(ctx, user, &room, Some(known).filter(|_| is_member)).await?,
        }
    }
    Ok(())
}

/// Also of one that has ended: the step that ended it may have died before the room was told.
async fn end_membership(ctx: &Context, user: &UserId, id: &RoomId, member: Option<Member>) -> Result<(), Error> {
    let Some(room) = ctx.store.room(id, ctx.now).await? else { return Ok(()) };
    let known = member.map_or(Membership::Former, Membership::Member).within(&room);
    membership::end(ctx, known, user, &room, LeaveReason::Removed).await.map(drop)
}

/// Erases what the user left on the next page of a room; behind the last one also reports and invites.
async fn erase_in(
    ctx: &Context,
    (user, peer): (&UserId, Option<&UserId>),
    room: &RoomId,
    erasure: &mut store::Erasure,
) -> Result<(), Error> {
    let channels = [peer.map_or_else(|| Channel::of_room(room), Channel::of_user)];
    let traces = ctx.store.traces(room, user, erasure.row.as_deref(), ctx.now).await?;
    for seqs in traces.messages.chunks(MESSAGES_AT_ONCE) {
        delete(ctx, &channels, (room, user, seqs), erasure).await?;
    }
    for (seq, emojis) in &traces.reactions {
        for emoji in emojis {
            take_back(ctx, &channels, (room, user), (*seq, emoji)).await?;
            erasure.count("reactions", 1);
        }
    }
    ctx.store.delete_traces(room, &traces).await?;
    for (seq, is_lost) in &traces.entries {
        ctx.store.strip_entry(room, *seq, user, *is_lost).await?;
    }
    if traces.last.is_none() {
        erasure.count("reports", ctx.store.delete_reports(room, user).await?);
        erasure.count("invites", ctx.store.delete_invites(room, user).await?);
        erasure.after = Some(room.to_string());
    }
    erasure.row = traces.last;
    Ok(())
}

/// Deletes messages, as their author does.
async fn delete(
    ctx: &Context,
    channels: &[Channel],
    (room, user, seqs): (&RoomId, &UserId, &[Seq]),
    erasure: &mut store::Erasure,
) -> Result<(), Error> {
    let timing = (ctx.now, ctx.deadline);
    match ctx.store.delete_messages(room, user, (seqs, None), false, timing).await {
        Ok(deleted) => {
            erasure.count("messages", deleted.seqs.len());
            erasure.count("files", deleted.removals.len());
            change::publish_deletion(ctx, channels, (room, user, None), deleted).await;
        }
        // The room has expired, or one of them has since it was read: nobody can read them any more.
        Err(Error::RoomNotFound | Error::MessageNotFound) => {
            for seq in seqs {
                ctx.store.strip_entry(room, *seq, user, true).await?;
            }
            erasure.count("messages", seqs.len());
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Takes a reaction back, as the user does. One to a message that is gone goes with its row.
async fn take_back(
    ctx: &Context,
    channels: &[Channel],
    (room, user): (&RoomId, &UserId),
    (seq, emoji): (Seq, &str),
) -> Result<(), Error> {
    let emoji = Emoji::stored(emoji.to_owned());
    let timing = (ctx.now, ctx.deadline);
    let reacted = match ctx.store.react(room, (user, true), (seq, &emoji, false), timing).await {
        Err(Error::MessageNotFound | Error::RoomNotFound) => return Ok(()),
        reacted => reacted?,
    };
    let by = Reaction { user_id: user.clone(), emoji, on: false };
    let (counts, unchanged) = (reacted.counts, reacted.is_unchanged);
    let frame = Reactions { room_id: room.clone(), seq, rev: reacted.rev, counts, by, unchanged };
    change::publish(ctx, channels, frame.into()).await;
    Ok(())
}

/// Erases what concerns the user alone: exports, mentions of them, what waits for their consent, and whom they have
/// blocked.
async fn erase_own(ctx: &Context, user: &UserId, erasure: &mut store::Erasure) -> Result<(), Error> {
    for export in ctx.store.stop_exports(user).await? {
        for object in export.objects() {
            ctx.files.remove(&object).await?;
        }
        ctx.store.delete_export(&export).await?;
        erasure.count("exports", 1);
    }
    for (kind, count) in ctx.store.delete_own_rows(user).await? {
        erasure.count(kind, count);
    }
    let (blocked, more) = ctx.store.blocked_by(user, None).await?;
    for other in blocked.iter().take(BLOCKS_AT_ONCE) {
        ctx.store.unblock(user, other).await?;
    }
    erasure.count("blocks", blocked.len());
    if !more {
        advance(erasure);
    }
    Ok(())
}

/// Erases from which addresses the user moderated, for some days.
async fn erase_acts(ctx: &Context, user: &UserId, erasure: &mut store::Erasure) -> Result<(), Error> {
    let done: i64 = erasure.after.as_deref().and_then(|days| days.parse().ok()).unwrap_or_default();
    // The day after the one on which it started may have begun.
    let newest = erasure.started_at.plus_secs(DAY_SECS);
    let days = (done..done + DAYS_AT_ONCE).map(|number| async move {
        let day = newest.minus_secs(number * DAY_SECS).to_iso();
        ctx.store.strip_acts(day.split('T').next().unwrap_or_default(), user).await
    });
    erasure.count("acts", try_join_all(days).await?.iter().sum());
    erasure.after = Some((done + DAYS_AT_ONCE).to_string());
    if done + DAYS_AT_ONCE > AUDIT_DAYS {
        advance(erasure);
    }
    Ok(())
}

impl Erasure {
    fn of(user_id: UserId, known: Option<store::Erasure>) -> Self {
        let status = WorkStatus::of(known.as_ref().map(|known| known.finished_at.is_some()));
        let (started_at, finished_at, erased) =
            known.map(|known| (Some(known.started_at), known.finished_at, known.erased)).unwrap_or_default();
        Self {
            user_id,
            status,
            started_at: started_at.map(Into::into),
            finished_at: finished_at.map(Into::into),
            erased,
        }
    }
}

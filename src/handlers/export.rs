//! Exports: what a user wrote, their memberships and settings, as JSON lines in the bucket.
//!
//! The first write is a row that says that the export is not done (`store/exports.rs`). The work is done by invocations
//! of their own. Each collects lines, writes them as an object, and notes how far it came: what a crash cut off between
//! is collected again, and written over the same object. The sweep finds a row whose lease has ended.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::access::Backend;
use crate::context::Context;
use crate::domain::{ExportId, Format, Member, ObjectKey, RoomId, Seq, UserId, hash};
use crate::error::Error;
use crate::store::{ExportStage, StoredExport, Traces};
use crate::wire::Frame;
use crate::wire::frames::{Export, ExportLine, Message, WorkStatus};
use crate::wire::requests::{AboutUser, GetExport};

/// An object has no more lines once it has so many bytes.
const PART_BYTES: usize = 4 * 1024 * 1024;
/// No further step begins when less time than this is left.
const STEP_RESERVE: Duration = Duration::from_secs(10);
/// Messages that are read at once.
const MESSAGES_AT_ONCE: usize = 100;

/// How far an export is, and the lines that are not written yet.
struct Draft {
    export: StoredExport,
    lines: String,
}

/// Begins an export. A repeat is answered with the same one.
pub async fn begin(ctx: &Context, backend: Backend, request: AboutUser) -> Result<Export, Error> {
    let user = request.user_id;
    let key = backend.key.unwrap_or_default();
    let id = ExportId::stored(hash(&[user.as_str(), &key])[..32].to_owned());
    let export = ctx.store.begin_export(&user, &id, ctx.now).await?;
    ctx.delivery.request_export(&user, &id, ctx.request()).await;
    Ok(Export::of((user, id), Some(export)))
}

/// How far an export is; when it is done, with signed addresses of its parts.
pub async fn show(ctx: &Context, _: Backend, request: GetExport) -> Result<Export, Error> {
    let GetExport { user_id, export_id } = request;
    let known = ctx.store.export(&user_id, &export_id, ctx.now).await?;
    let mut answer = Export::of((user_id, export_id), known.clone());
    if let Some(export) = known.filter(|export| export.finished_at.is_some()) {
        let urls = answer.urls.insert(Vec::new());
        for object in export.objects() {
            let signed = ctx.files.sign_export(&object, ctx.now).await?;
            answer.expires_at = Some(signed.expires_at.into());
            urls.push(signed.url);
        }
    }
    Ok(answer)
}

/// Goes on with an export, if nobody else is at work on it, until it is done or the time is up.
///
/// # Errors
/// Lambda retries the event.
pub async fn go_on(ctx: &Context, user: &UserId, id: &ExportId) -> Result<(), Error> {
    ctx.note_user(user);
    let Some(mut export) = ctx.store.claim_export(user, id, ctx.now).await? else { return Ok(()) };
    loop {
        let from = export.clone();
        let mut draft = Draft { export, lines: String::new() };
        let is_in_time = match collect(ctx, user, &mut draft).await {
            Ok(is_in_time) => is_in_time,
            Err(error) => {
                ctx.store.release_export(&from, ctx.now).await?;
                return Err(error);
            }
        };
        let Some(written) = write(ctx, draft).await? else { return Ok(()) };
        if written.finished_at.is_some() {
            tracing::info!(user_id = %user, export_id = %id, "an export is done");
            return Ok(());
        }
        if !is_in_time {
            if ctx.store.release_export(&written, ctx.now).await? {
                ctx.delivery.request_export(user, id, ctx.request()).await;
            }
            return Ok(());
        }
        export = written;
    }
}

/// Collects the lines of the next object. `false` when the time is up.
async fn collect(ctx: &Context, user: &UserId, draft: &mut Draft) -> Result<bool, Error> {
    while draft.export.stage != ExportStage::Done && draft.lines.len() < PART_BYTES {
        if ctx.deadline.saturating_duration_since(Instant::now()) < STEP_RESERVE {
            return Ok(false);
        }
        step(ctx, user, draft).await?;
    }
    Ok(true)
}

/// Writes the lines as an object, then notes that. `None` if somebody else has taken the export on, or it was deleted.
async fn write(ctx: &Context, Draft { mut export, lines }: Draft) -> Result<Option<StoredExport>, Error> {
    let object = ObjectKey::of_export(&export.export_id, export.parts + 1);
    if !lines.is_empty() {
        ctx.files.write_export(&object, lines).await?;
        export.parts += 1;
    }
    export.finished_at = Some(ctx.now).filter(|_| export.stage == ExportStage::Done);
    if ctx.store.note_export(&export).await? {
        return Ok(Some(export));
    }
    // One that others go on with is written again by them.
    let known = ctx.store.export(&export.user_id, &export.export_id, ctx.now).await?;
    if known.is_none_or(|known| known.is_stopped) {
        ctx.files.remove(&object).await?;
    }
    Ok(None)
}

async fn step(ctx: &Context, user: &UserId, draft: &mut Draft) -> Result<(), Error> {
    let after = draft.export.after.clone();
    match draft.export.stage {
        ExportStage::Blocks => {
            let from = after.map(UserId::stored);
            let (blocked, more) = ctx.store.blocked_by(user, from.as_ref()).await?;
            draft.export.after = blocked.last().map(ToString::to_string);
            blocked.iter().for_each(|user_id| draft.add("blocked", &ExportLine::Blocked { user_id }.to_json()));
            if !more {
                draft.advance();
            }
        }
        ExportStage::Rooms => match ctx.store.all_rooms(user, after.as_deref(), 1).await?.pop() {
            Some((member, is_member)) => {
                if draft.export.row.is_none() {
                    draft.add("membership", &membership(&member, is_member).to_json());
                }
                export_room(ctx, user, &member.room, draft).await?;
            }
            None => draft.advance(),
        },
        ExportStage::OtherRooms => match ctx.store.other_room(user, after.as_deref()).await? {
            Some(room) => export_room(ctx, user, &room, draft).await?,
            None => draft.advance(),
        },
        ExportStage::Lobby if after.is_none() => export_room(ctx, user, &RoomId::lobby(), draft).await?,
        ExportStage::Lobby => draft.advance(),
        ExportStage::Done => {}
    }
    Ok(())
}

fn membership(member: &Member, is_member: bool) -> ExportLine<'_> {
    ExportLine::Membership {
        room_id: &member.room,
        is_member,
        role: member.role,
        joined_at: member.joined_at.into(),
        user_name: &member.name,
        peer: member.peer.as_ref(),
        last_read_seq: member.last_read,
        notify: member.notify.level,
        muted_until: member.notify.muted_until.map(Into::into),
    }
}

/// Adds what the user wrote on the next page of a room.
async fn export_room(ctx: &Context, user: &UserId, room: &RoomId, draft: &mut Draft) -> Result<(), Error> {
    let traces = ctx.store.traces(room, user, draft.export.row.as_deref(), ctx.now).await?;
    let Traces { messages, reactions, last, .. } = traces;
    for seqs in messages.chunks(MESSAGES_AT_ONCE) {
        for entry in ctx.store.entries_at(room, seqs, ctx.now).await? {
            let frame = Frame::from(Message::seen_by(user, entry));
            draft.add("message", &frame.to_answer(Format::Native, None));
        }
    }
    for (seq, emojis) in &reactions {
        draft.reacted(room, *seq, emojis);
    }
    if last.is_none() {
        draft.export.after = Some(room.to_string());
    }
    draft.export.row = last;
    Ok(())
}

impl Draft {
    fn add(&mut self, kind: &str, line: &str) {
        self.lines.push_str(line);
        self.lines.push('\n');
        self.export.count(kind);
    }

    /// One that was taken back is not a reaction any more.
    fn reacted(&mut self, room_id: &RoomId, seq: Seq, emojis: &BTreeSet<String>) {
        if !emojis.is_empty() {
            self.add("reacted", &ExportLine::Reacted { room_id, seq, emojis }.to_json());
        }
    }

    fn advance(&mut self) {
        (self.export.after, self.export.row) = (None, None);
        self.export.stage = match self.export.stage {
            ExportStage::Blocks => ExportStage::Rooms,
            ExportStage::Rooms => ExportStage::OtherRooms,
            ExportStage::OtherRooms => ExportStage::Lobby,
            ExportStage::Lobby | ExportStage::Done => ExportStage::Done,
        };
    }
}

impl Export {
    fn of((user_id, export_id): (UserId, ExportId), known: Option<StoredExport>) -> Self {
        let status = WorkStatus::of(known.as_ref().map(|known| known.finished_at.is_some()));
        let (started_at, finished_at, lines) =
            known.map(|known| (Some(known.started_at), known.finished_at, known.lines)).unwrap_or_default();
        let (started_at, finished_at) = (started_at.map(Into::into), finished_at.map(Into::into));
        Self { user_id, export_id, status, started_at, finished_at, urls: None, expires_at: None, lines }
    }
}

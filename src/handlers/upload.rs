//! Files: announced by a member, uploaded directly to S3, published once they are really there, and downloaded by
//! members.

use std::time::Duration;

use futures_util::TryFutureExt;
use tokio::time::sleep;

use super::{message, review};
use crate::access::{self, FileReader, Sender};
use crate::actions::Action;
use crate::context::Context;
use crate::delivery::{Except, OutboundFrame, RequestContext};
use crate::domain::{Body, Entry, File, Format, NewFile, Style, Timestamp, file_kind};
use crate::error::Error;
use crate::event::NewObject;
use crate::files::Object;
use crate::metrics::Metric;
use crate::store::{Announcement, Author, Channel, FileStatus, StoredFile, Tail, Timing};
use crate::wire::frames::{Download, Failure, Message, Upload};
use crate::wire::requests::{GetFile, HandleFileUpload};

/// For so long another invocation is trusted to publish a file that it has written a message of.
const PUBLISHING_PATIENCE: Duration = Duration::from_secs(1);

/// Answers where to upload a file, if it may be uploaded.
pub async fn announce(ctx: &Context, sender: Sender, request: HandleFileUpload) -> Result<Upload, Error> {
    if sender.is_muted {
        return Err(Error::Muted);
    }
    let file = request.file();
    require_allowed(ctx, &file)?;
    let mut sender = sender.unblocked(ctx).await?;
    let tail = ctx.store.tail(&sender.room).await?;
    if tail.as_ref().is_some_and(|tail| tail.closes_room(ctx.now)) {
        return Err(Error::RoomClosed);
    }
    message::begin(ctx, &mut sender, tail.is_none()).await?;
    require_accepted(ctx, &sender, &file, tail.as_ref()).await?;
    // Clients of other backends put a file to the address, and send no header that they were not told of.
    let is_strict = ctx.trace().format == Format::Native;
    let announcement = Announcement {
        room: sender.room,
        peer: sender.peer,
        user: sender.user,
        name: sender.name,
        name_verified: sender.name_verified,
        style: sender.style,
        file,
        any_type: !is_strict,
        is_admin: sender.is_admin,
    };
    let stored = StoredFile::announced(&announcement, ctx.now);
    let signed = ctx.files.sign_upload(&stored.object_key, &announcement.file, is_strict, ctx.now).await?;
    ctx.store.add_file(&stored).await?;
    Ok(Upload {
        file_id: stored.file_id,
        upload_url: signed.url,
        method: signed.method,
        headers: signed.headers.into_iter().collect(),
        expires_at: signed.expires_at.into(),
    })
}

/// # Errors
/// `READ_ONLY`, `SLOW_MODE`, `ROOM_RATE` by the mode of the room; `MESSAGE_DENIED` where names are reviewed.
async fn require_accepted(ctx: &Context, sender: &Sender, file: &NewFile, tail: Option<&Tail>) -> Result<(), Error> {
    match require_permit(ctx, sender, tail, false).await {
        Err(Error::Unreviewed) => {
            review::file_name(ctx, sender, file.name.as_str()).await?;
            require_permit(ctx, sender, tail, true).await
        }
        permitted => permitted,
    }
}

/// # Errors
/// As [`require_accepted`]; [`Error::Unreviewed`].
async fn require_permit(ctx: &Context, sender: &Sender, tail: Option<&Tail>, is_reviewed: bool) -> Result<(), Error> {
    let is_moderator = access::asking_rank(ctx, &sender.user, sender.is_admin, &sender.room);
    let author = Author { is_moderator, is_reviewed };
    ctx.store.require_permit((&sender.room, &sender.user), tail, ctx.now, &author).await
}

/// # Errors
/// `INVALID_FIELD` for a type that is not allowed, or that does not go with the name; `TOO_LARGE`.
fn require_allowed(ctx: &Context, file: &NewFile) -> Result<(), Error> {
    let uploads = &ctx.config.uploads;
    if !uploads.allowed.allows(&file.content_type) {
        return Err(Error::TypeNotAllowed { allowed: uploads.allowed.to_string() });
    }
    if !file_kind::name_fits(&file.name, &file.content_type) {
        return Err(Error::ExtensionMismatch);
    }
    if file.size > uploads.max_bytes {
        return Err(Error::FileTooLarge { most_bytes: uploads.max_bytes });
    }
    Ok(())
}

/// Objects were created in the bucket. S3 may tell of each more than once, late, and in any order.
pub async fn created(ctx: &Context, objects: Vec<NewObject>) -> Result<(), Error> {
    let mut outcome = Ok(());
    for object in objects {
        // The others do not wait for one that fails; Lambda retries the event for it.
        outcome = outcome.and(accept(ctx, &object).await);
    }
    outcome
}

async fn accept(ctx: &Context, object: &NewObject) -> Result<(), Error> {
    let key = &object.key;
    if key.is_of_export() {
        return Ok(());
    }
    let announced = match key.file().filter(|_| ctx.config.uploads.bucket.as_ref() == Some(&object.bucket)) {
        // The row of a deleted file does not have the key any more.
        Some(id) => ctx
            .store
            .file(&id, ctx.now)
            .await?
            .filter(|file| file.object_key == *key || file.status == FileStatus::Unwanted),
        None => None,
    };
    let Some(file) = announced else {
        tracing::warn!(object_key = key.as_str(), "ignored an object that was not announced");
        return Ok(());
    };
    ctx.note_room(&file.room_id);
    ctx.note_user(&file.user_id);
    match file.status {
        FileStatus::Pending => inspect(ctx, file).await,
        FileStatus::Ready if was_replaced(ctx, &file).await? => remove_replaced(ctx, &file).await,
        FileStatus::Ready => publish_if_unpublished(ctx, file).await,
        FileStatus::Mismatched | FileStatus::Unwanted => {
            discard(ctx, &StoredFile { object_key: key.clone(), ..file }).await
        }
    }
}

/// Never before the file was announced, whatever the event says.
fn time_of(ctx: &Context, file: &StoredFile) -> Timestamp {
    ctx.now.max(file.announced_at)
}

async fn inspect(ctx: &Context, file: StoredFile) -> Result<(), Error> {
    if access::was_revoked_since(ctx, &file.user_id, file.announced_at).await? {
        return refuse(ctx, file, FileStatus::Unwanted).await;
    }
    let Some(object) = ctx.files.inspect(&file.object_key).await? else {
        tracing::warn!(object_key = file.object_key.as_str(), "an object was deleted before it was inspected");
        return Ok(());
    };
    if !is_as_announced(&object, &file) || !has_announced_bytes(ctx, &file).await? {
        return refuse(ctx, file, FileStatus::Mismatched).await;
    }
    let body = body_of(ctx, &file);
    // Who has left the room since, or is muted, may not write to it.
    let ready = (&file.file_id, object.tag.as_str());
    let timing = Timing { now: time_of(ctx, &file), ..ctx.timing() };
    let is_moderator = access::asking_rank(ctx, &file.user_id, file.is_admin, &file.room_id);
    // Its name was reviewed when it was announced.
    let author = Author { is_moderator, is_reviewed: true };
    let appended = access::require_voice(ctx, &file.user_id, &file.room_id)
        .and_then(|()| ctx.store.append_file(&file.room_id, &body, ready, &author, timing))
        .await;
    drop(author);
    match appended {
        Ok(Some(entry)) => {
            ctx.count(Metric::Uploads, 1);
            ctx.count(Metric::Messages, 1);
            publish(ctx, &file, entry).await
        }
        // Another invocation handles the same object.
        Ok(None) => Ok(()),
        Err(Error::RoomClosed | Error::RoomNotFound | Error::NotAMember | Error::Muted | Error::ReadOnly) => {
            refuse(ctx, file, FileStatus::Unwanted).await
        }
        Err(error) => Err(error),
    }
}

/// First the refusal is written: from then on no other invocation accepts the file, and each retry removes the object.
async fn refuse(ctx: &Context, file: StoredFile, why: FileStatus) -> Result<(), Error> {
    if ctx.store.refuse_file(&file.file_id, FileStatus::Pending, why).await? {
        discard(ctx, &StoredFile { status: why, ..file }).await
    } else {
        Ok(())
    }
}

/// Removes the object, and tells the uploader, once, if it is to be told.
async fn discard(ctx: &Context, file: &StoredFile) -> Result<(), Error> {
    ctx.files.remove(&file.object_key).await?;
    if file.told || file.status != FileStatus::Mismatched {
        return Ok(());
    }
    let failure = Failure::new(&Error::UploadMismatch, Some(Action::HandleFileUpload), &ctx.request_id);
    let failure = Failure { file_id: Some(file.file_id.clone()), ..failure };
    let frame = OutboundFrame::new(&failure.into(), Except::Nobody);
    ctx.publish(&[Channel::of_user(&file.user_id)], &frame).await;
    ctx.store.note_told(&file.file_id).await
}

/// Whether the bytes are other ones than those that were accepted: an address for uploads works more than once, unless
/// that is signed.
async fn was_replaced(ctx: &Context, file: &StoredFile) -> Result<bool, Error> {
    let Some(accepted) = &file.tag else { return Ok(false) };
    Ok(ctx.files.inspect(&file.object_key).await?.is_some_and(|object| object.tag != *accepted))
}

/// Nobody gets what was put in the place of an accepted file. First that is noted: a retry of the event then finds the
/// file refused, and removes the object.
async fn remove_replaced(ctx: &Context, file: &StoredFile) -> Result<(), Error> {
    tracing::warn!(file_id = %file.file_id, room_id = %file.room_id, "removing an accepted file that was replaced");
    ctx.store.refuse_file(&file.file_id, FileStatus::Ready, FileStatus::Unwanted).await?;
    ctx.files.remove(&file.object_key).await
}

fn is_as_announced(object: &Object, file: &StoredFile) -> bool {
    let same_sum = file.sha256.as_ref().is_none_or(|sum| object.sha256.as_deref() == Some(sum.as_str()));
    let same_type = file.any_type || object.content_type == file.content_type.as_str();
    object.size == file.size && same_type && same_sum
}

/// Whether a file begins as one of its type does. One that was deleted in between does not.
async fn has_announced_bytes(ctx: &Context, file: &StoredFile) -> Result<bool, Error> {
    if !file_kind::has_signature(&file.content_type) {
        return Ok(true);
    }
    let first = ctx.files.first_bytes(&file.object_key).await?;
    Ok(first.is_some_and(|first| file_kind::bytes_fit(&first, &file.content_type)))
}

/// The message that tells of a file.
fn body_of(ctx: &Context, file: &StoredFile) -> Body {
    let style = Style { icon: file.user_icon.clone(), color: file.user_color.clone() };
    Body {
        file: Some(Box::new(located(file, ctx.config.file_url(&file.file_id)))),
        name_verified: file.name_verified,
        ..Body::new(file.user_id.clone(), file.user_name.clone(), style, (&file.file_name).into())
    }
}

/// A file, and where it is.
fn located(file: &StoredFile, file_url: String) -> File {
    File {
        file_id: file.file_id.clone(),
        file_name: file.file_name.clone(),
        content_type: file.content_type.clone(),
        size: file.size,
        file_url,
    }
}

/// The invocation that wrote the message may have ended before it published it, or may be publishing just now.
async fn publish_if_unpublished(ctx: &Context, file: StoredFile) -> Result<(), Error> {
    if file.told {
        return Ok(());
    }
    sleep(PUBLISHING_PATIENCE).await;
    let now = time_of(ctx, &file);
    let Some(file) = ctx.store.file(&file.file_id, now).await?.filter(|file| !file.told) else { return Ok(()) };
    let Some(seq) = file.seq else { return Ok(()) };
    match ctx.store.entry(&file.room_id, seq, now).await? {
        Some(entry) => publish(ctx, &file, entry).await,
        None => Ok(()),
    }
}

async fn publish(ctx: &Context, file: &StoredFile, entry: Entry) -> Result<(), Error> {
    let channels = match &file.peer {
        Some(peer) => access::channels_of_both(ctx, &file.user_id, peer).await?,
        None => vec![Channel::of_room(&file.room_id)],
    };
    let frame = OutboundFrame::new(&Message::from(entry).into(), Except::Nobody);
    let request = RequestContext { now: time_of(ctx, file), ..ctx.request() };
    ctx.delivered(ctx.delivery.publish(&channels, &frame, request).await);
    ctx.store.note_told(&file.file_id).await
}

/// Answers where a member can download a file, for a minute. The browser may show an image; it saves everything else.
pub async fn download(ctx: &Context, FileReader { file }: FileReader, request: GetFile) -> Result<Download, Error> {
    let inline = request.inline.0 && file.content_type.is_image();
    let signed = ctx.files.sign_download(&file.object_key, &file.file_name, &file.content_type, inline, ctx.now);
    let signed = signed.await?;
    Ok(Download { file: located(&file, signed.url), expires_at: signed.expires_at.into() })
}

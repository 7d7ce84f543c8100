//! Files: announced by a member, uploaded past us, told of when they are really there, and fetched by members.

use std::time::Duration;

use futures_util::TryFutureExt;
use tokio::time::sleep;
use tokio::try_join;

use super::{message, room, seat};
use crate::app::App;
use crate::delivery::{Except, Publication};
use crate::domain::{Draft, Entry, File, FileId, Format, Style, UserId};
use crate::error::Error;
use crate::event::{Call, NewObject, Payload};
use crate::files::Object;
use crate::metrics::Metric;
use crate::routes::Route;
use crate::store::{Announcement, Channel, FileStatus, StoredFile};
use crate::wire::{Frame, GetFile, HandleFileUpload, Message};

/// For so long another invocation is trusted to be telling of a file that it has written of.
const TELLING_UNDER_WAY: Duration = Duration::from_secs(1);

/// Tells a member where to upload a file, once it is one that may be uploaded.
pub async fn announce(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let HandleFileUpload { to, file } = call.request()?;
    let uploads = &app.config.uploads;
    if !uploads.allowed.allows(&file.content_type) {
        return Err(Error::TypeNotAllowed { allowed: uploads.allowed.to_string() });
    }
    if file.size > uploads.max_bytes {
        return Err(Error::FileTooLarge { most_bytes: uploads.max_bytes });
    }
    let seat = seat::find(app, call, &to).await?;
    match app.store.tail(&seat.room).await? {
        Some(tail) if tail.is_closing => return Err(Error::RoomClosed),
        Some(_) => {}
        None => message::begin(app, call, &seat).await?,
    }
    // Clients of other backends put a file to the address, and send no header that they were not told of.
    let is_strict = call.format == Format::Native;
    let announcement = Announcement {
        room: seat.room,
        peer: seat.peer,
        user: seat.user,
        name: seat.name,
        style: seat.style,
        file,
        any_type: !is_strict,
    };
    let stored = StoredFile::announced(&announcement, call.at);
    let signed = app.files.sign_upload(&stored.object_key, &announcement.file, is_strict, call.at).await?;
    app.store.add_file(&stored).await?;
    Ok(Frame::Upload {
        file_id: stored.file_id,
        upload_url: signed.url,
        method: signed.method,
        headers: signed.headers.into_iter().collect(),
        expires_at: signed.expires_at,
    })
}

/// Objects have come into the bucket. S3 may tell of each more than once, late, and in any order.
pub async fn created(app: &App, call: &mut Call) -> Result<(), Error> {
    let Payload::Objects(objects) = std::mem::replace(&mut call.payload, Payload::Empty) else {
        return Err(Error::internal("the event has no objects"));
    };
    let mut outcome = Ok(());
    for object in objects {
        // The others are not kept waiting for one that fails; the event comes again for it.
        outcome = outcome.and(take_in(app, call, &object).await);
    }
    outcome
}

async fn take_in(app: &App, call: &mut Call, object: &NewObject) -> Result<(), Error> {
    let key = &object.key;
    let announced = match key.file().filter(|_| app.config.uploads.bucket.as_ref() == Some(&object.bucket)) {
        Some(id) => app.store.file(&id, call.at).await?.filter(|file| file.object_key == *key),
        None => None,
    };
    let Some(file) = announced else {
        tracing::warn!(object_key = key.as_str(), "an object has come that nobody announced; it is left alone");
        return Ok(());
    };
    call.trace.room = Some(file.room_id.clone());
    call.trace.user = Some(file.user_id.clone());
    // Not before it was announced, whatever the event says.
    call.at = call.at.max(file.announced_at);
    match file.status {
        FileStatus::Pending => look_at(app, call, file).await,
        FileStatus::Ready if was_replaced(app, &file).await? => remove_replaced(app, &file).await,
        FileStatus::Ready => tell_if_not_told(app, call, file).await,
        FileStatus::Mismatched | FileStatus::Unwanted => turn_away(app, call, &file).await,
    }
}

async fn look_at(app: &App, call: &mut Call, file: StoredFile) -> Result<(), Error> {
    let Some(object) = app.files.look_at(&file.object_key).await? else {
        tracing::warn!(object_key = file.object_key.as_str(), "an object has gone before it was looked at");
        return Ok(());
    };
    if !is_as_announced(&object, &file) {
        return refuse(app, call, file, FileStatus::Mismatched).await;
    }
    let draft = draft(app, &file);
    // Who has left the room since has nothing to say there.
    let appended = require_member(app, &file.user_id, &file)
        .and_then(|()| {
            app.store.append_file(&file.room_id, &draft, (&file.file_id, &object.tag), call.at, call.deadline)
        })
        .await;
    match appended {
        Ok(Some(entry)) => {
            call.trace.count(Metric::Uploads, 1);
            call.trace.count(Metric::Messages, 1);
            tell(app, call, &file, entry).await
        }
        // Another invocation is at the same object.
        Ok(None) => Ok(()),
        Err(Error::RoomClosed | Error::RoomNotFound | Error::NotAMember) => {
            refuse(app, call, file, FileStatus::Unwanted).await
        }
        Err(error) => Err(error),
    }
}

/// First it is noted that the file is not taken: from then on no other invocation takes it, and each removes what has
/// come, however often that is.
async fn refuse(app: &App, call: &mut Call, file: StoredFile, why: FileStatus) -> Result<(), Error> {
    if app.store.refuse_file(&file.file_id, FileStatus::Pending, why).await? {
        turn_away(app, call, &StoredFile { status: why, ..file }).await
    } else {
        Ok(())
    }
}

/// Removes what came, and tells the uploader, once, if it is to be told.
async fn turn_away(app: &App, call: &mut Call, file: &StoredFile) -> Result<(), Error> {
    app.files.remove(&file.object_key).await?;
    if file.told || file.status != FileStatus::Mismatched {
        return Ok(());
    }
    let frame = Frame::error(&Error::UploadMismatch, Route::HandleFileUpload, &call.request_id);
    let frame = frame.about_file(&file.file_id);
    let publication = Publication::new(&frame, Except::Nobody);
    call.trace.delivered +=
        app.delivery.publish(&[Channel::of_user(&file.user_id)], &publication, call.occasion()).await;
    app.store.note_told(&file.file_id).await
}

/// Whether there are other bytes now than those that were accepted: an address for uploads works more than once, unless
/// that is signed.
async fn was_replaced(app: &App, file: &StoredFile) -> Result<bool, Error> {
    let Some(accepted) = &file.tag else { return Ok(false) };
    Ok(app.files.look_at(&file.object_key).await?.is_some_and(|object| object.tag != *accepted))
}

/// Nobody gets what was put in the place of an accepted file. First that is noted: an event that comes again then finds
/// it refused, and removes the object.
async fn remove_replaced(app: &App, file: &StoredFile) -> Result<(), Error> {
    tracing::warn!(file_id = %file.file_id, room_id = %file.room_id, "an accepted file was replaced and is removed");
    app.store.refuse_file(&file.file_id, FileStatus::Ready, FileStatus::Unwanted).await?;
    app.files.remove(&file.object_key).await
}

fn is_as_announced(object: &Object, file: &StoredFile) -> bool {
    let same_sum = file.sha256.as_ref().is_none_or(|sum| object.sha256.as_deref() == Some(sum.as_str()));
    let same_type = file.any_type || object.content_type == file.content_type.as_str();
    object.size == file.size && same_type && same_sum
}

/// # Errors
/// `NOT_A_MEMBER` for a user who is not, or no longer, in the room of a file; everybody is in the lobby, where there is
/// one.
async fn require_member(app: &App, user: &UserId, file: &StoredFile) -> Result<(), Error> {
    if file.room_id.is_lobby() {
        return room::require_lobby(app);
    }
    app.store.member(user, &file.room_id).await?.map(drop).ok_or(Error::NotAMember)
}

fn draft(app: &App, file: &StoredFile) -> Draft {
    Draft {
        user: file.user_id.clone(),
        name: file.user_name.clone(),
        style: Style { icon: file.user_icon.clone(), color: file.user_color.clone() },
        content: (&file.file_name).into(),
        reply_to: None,
        client_id: None,
        file: Some(found_at(file, app.config.file_url(&file.file_id))),
    }
}

/// What is told of a file and where it is.
fn found_at(file: &StoredFile, file_url: String) -> File {
    File {
        file_id: file.file_id.clone(),
        file_name: file.file_name.clone(),
        content_type: file.content_type.clone(),
        size: file.size,
        file_url,
    }
}

/// The first who wrote the message may have ended before it could tell, or may be telling just now.
async fn tell_if_not_told(app: &App, call: &mut Call, file: StoredFile) -> Result<(), Error> {
    if file.told {
        return Ok(());
    }
    sleep(TELLING_UNDER_WAY).await;
    let Some(file) = app.store.file(&file.file_id, call.at).await?.filter(|file| !file.told) else { return Ok(()) };
    let Some(seq) = file.seq else { return Ok(()) };
    match app.store.entry(&file.room_id, seq, call.at).await? {
        Some(entry) => tell(app, call, &file, entry).await,
        None => Ok(()),
    }
}

async fn tell(app: &App, call: &mut Call, file: &StoredFile, entry: Entry) -> Result<(), Error> {
    let frame = Frame::Message(Message::from(entry));
    let channels = match &file.peer {
        Some(peer) => Channel::of_both(&file.user_id, peer),
        None => vec![Channel::of_room(&file.room_id)],
    };
    let publication = Publication::new(&frame, Except::Nobody);
    call.trace.delivered += app.delivery.publish(&channels, &publication, call.occasion()).await;
    app.store.note_told(&file.file_id).await
}

/// Where a member can fetch a file, for a minute. An image may be shown by the browser, everything else is saved.
pub async fn fetch(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let GetFile { file: id, ticket, inline } = call.request()?;
    let file = readable(app, call, &id, ticket).await?;

    let inline = inline && file.content_type.is_image();
    let signed =
        app.files.sign_download(&file.object_key, &file.file_name, &file.content_type, inline, call.at).await?;
    Ok(Frame::File { file: found_at(&file, signed.url), expires_at: signed.expires_at })
}

/// # Errors
/// `FILE_NOT_FOUND`, also while it is not there yet; `NOT_A_MEMBER`.
async fn readable(app: &App, call: &mut Call, id: &FileId, ticket: Option<String>) -> Result<StoredFile, Error> {
    let now = call.at;
    let (user, file) = try_join!(reader(app, call, id, ticket), app.store.file(id, now))?;
    let file = file.filter(|file| file.status == FileStatus::Ready).ok_or(Error::FileNotFound)?;
    call.trace.room = Some(file.room_id.clone());
    require_member(app, &user, &file).await?;
    Ok(file)
}

/// Who asks for a file: whoever says so, else whoever the link is for.
async fn reader(app: &App, call: &mut Call, file: &FileId, ticket: Option<String>) -> Result<UserId, Error> {
    match ticket.filter(|_| !call.says_who_asks(&app.config.auth)) {
        Some(ticket) => {
            let reader = app.links.reader(file, &ticket, call.at)?;
            call.trace.user = Some(reader.clone());
            Ok(reader)
        }
        None => seat::caller(app, call).await.map(|me| me.user),
    }
}

//! Texts in rooms that have them reviewed: the deployment's review function accepts, replaces or denies each.

use crate::access::{Caller, Sender};
use crate::context::Context;
use crate::domain::{Body, Content, Data, Name, Room, RoomId, Style, UserId};
use crate::error::{Error, chain};
use crate::metrics::Metric;
use crate::review::{Kind, Text, Verdict};
use crate::store::{Appended, Edit};
use crate::wire::frames::Message;

/// What became of a message.
pub enum Reviewed {
    /// It may be written so.
    Accepted(Box<Body>),
    /// It is written: by another request with the same id.
    Written(Box<Appended>),
}

/// Has a message reviewed.
///
/// # Errors
/// `MESSAGE_DENIED`, also for each retry of the message; `UNAVAILABLE` where the function says nothing and texts are
/// not let through then; `TOO_LARGE` with the text that the function puts in its place.
pub async fn message(ctx: &Context, sender: &Sender, body: Body) -> Result<Reviewed, Error> {
    let data = body.data.as_ref().map(Data::as_str);
    let content = body.content.as_str();
    let of_sender = (&sender.user, &sender.name, Some(&sender.style));
    match ask(ctx, (Kind::Message, &ctx.request_id), &sender.room, of_sender, (content, data)).await? {
        Verdict::Allowed(None) => Ok(Reviewed::Accepted(Box::new(body))),
        Verdict::Allowed(Some(content)) => {
            let body = body.replaced(content);
            if !Message::fits(&sender.room, &body) {
                return Err(Error::TooLarge);
            }
            Ok(Reviewed::Accepted(Box::new(body)))
        }
        Verdict::Denied { reason } => {
            let written = ctx.store.deny(&sender.room, &body, reason, ctx.now).await?;
            Ok(Reviewed::Written(Box::new(written)))
        }
    }
}

/// Has an edit reviewed. Returns the content that the message may have.
///
/// # Errors
/// As [`message`].
pub async fn edit(ctx: &Context, sender: &Sender, edit: &Edit<'_>) -> Result<Content, Error> {
    let id = edit.seq.message_id();
    let of_sender = (&sender.user, &sender.name, Some(&sender.style));
    let text = (edit.content.as_str(), None);
    match ask(ctx, (Kind::Edit, id.as_str()), &sender.room, of_sender, text).await? {
        Verdict::Allowed(content) => Ok(content.unwrap_or_else(|| edit.content.clone())),
        Verdict::Denied { reason } => {
            ctx.store.deny_edit((&sender.room, &sender.user), edit, &reason, ctx.now).await?;
            Err(Error::MessageDenied { reason })
        }
    }
}

/// Has the name of a file reviewed: one that the function would change is denied, for the object is called so.
///
/// # Errors
/// `MESSAGE_DENIED`, `UNAVAILABLE`.
pub async fn file_name(ctx: &Context, sender: &Sender, name: &str) -> Result<(), Error> {
    let of_sender = (&sender.user, &sender.name, Some(&sender.style));
    match ask(ctx, (Kind::FileName, &ctx.request_id), &sender.room, of_sender, (name, None)).await? {
        Verdict::Allowed(None) => Ok(()),
        Verdict::Allowed(Some(_)) => Err(Error::MessageDenied { reason: String::new() }),
        Verdict::Denied { reason } => Err(Error::MessageDenied { reason }),
    }
}

/// Has the name that a moderator gives a room reviewed, if the room wants it.
///
/// # Errors
/// `MESSAGE_DENIED`, `UNAVAILABLE`.
pub async fn room_name(ctx: &Context, room: &Room, by: (&UserId, &Name), name: Name) -> Result<Name, Error> {
    if room.mode.is_reviewed() { own_name(ctx, Kind::RoomName, &room.id, by, name).await } else { Ok(name) }
}

/// Has the name that a user chose reviewed, if the room wants it. A name of a token is none that a user chose.
///
/// # Errors
/// `MESSAGE_DENIED`, `UNAVAILABLE`.
pub async fn caller_name(ctx: &Context, caller: &mut Caller, room: &RoomId) -> Result<(), Error> {
    if !ctx.reviews.is_on() {
        return Ok(());
    }
    let Some(name) = caller.chosen_name().cloned() else { return Ok(()) };
    if ctx.store.room(room, ctx.now).await?.is_some_and(|room| room.mode.is_reviewed()) {
        let known = ctx.store.member(&caller.user, room, ctx.now).await?;
        if known.is_none_or(|member| member.name != name) {
            let name = own_name(ctx, Kind::UserName, room, (&caller.user, &name), name.clone()).await?;
            caller.rename(Some(&name));
        }
    }
    Ok(())
}

async fn own_name(
    ctx: &Context,
    kind: Kind,
    room: &RoomId,
    (user, user_name): (&UserId, &Name),
    name: Name,
) -> Result<Name, Error> {
    match ask(ctx, (kind, &ctx.request_id), room, (user, user_name, None), (name.as_str(), None)).await? {
        Verdict::Allowed(None) => Ok(name),
        Verdict::Allowed(Some(content)) => Name::try_from(content.as_str().to_owned())
            .map_err(|_| Error::Unavailable("the review function put no valid name in the place of one".into())),
        Verdict::Denied { reason } => Err(Error::MessageDenied { reason }),
    }
}

/// What the review says; where it says nothing, what the deployment says for that case.
async fn ask(
    ctx: &Context,
    (kind, id): (Kind, &str),
    room: &RoomId,
    (user, name, style): (&UserId, &Name, Option<&Style>),
    (content, data): (&str, Option<&str>),
) -> Result<Verdict, Error> {
    let text = Text { kind, room, id, content, data, user, name, style, ip: ctx.source_ip };
    match ctx.reviews.ask(&text).await {
        Ok(verdict) => Ok(verdict),
        Err(error) => {
            ctx.count(Metric::ReviewsFailed, 1);
            tracing::warn!(room_id = %room, error = chain(&*error), "failed to have a text reviewed");
            if ctx.reviews.lets_through() { Ok(Verdict::Allowed(None)) } else { Err(Error::Unavailable(error)) }
        }
    }
}

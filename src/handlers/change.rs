//! Changes to messages: editing, deleting, reacting and pinning. First the change is written, then it is published.

use std::collections::BTreeMap;

use super::review;
use crate::access::{self, Moderator, Sender, audit};
use crate::context::Context;
use crate::delivery::OutboundFrame;
use crate::domain::{Entry, Reason, RoomId, Seq, UserId};
use crate::error::{Error, chain};
use crate::store::{Channel, Deleted, Edit, Removal};
use crate::wire::frames::{
    Ack, DeletedMessages, DeletionAnswer, Edited, Frame, Item, Message, Pinned, Pins, ReactedUser, ReactedUsers,
    Reaction, Reactions, Unpinned,
};
use crate::wire::requests::{AboutMessage, DeleteMessage, EditMessage, GetReactions, ListPins, React};

/// A sender who may say something now.
///
/// # Errors
/// `MUTED`, `BLOCKED`, `NOT_A_MEMBER`.
async fn speaker(ctx: &Context, sender: Sender) -> Result<Sender, Error> {
    if sender.is_muted {
        return Err(Error::Muted);
    }
    access::confirm_member(ctx, &sender.user, &sender.room).await?;
    sender.unblocked(ctx).await
}

/// Gives a message of the caller's own another content.
pub async fn edit(ctx: &Context, sender: Sender, request: EditMessage) -> Result<Edited, Error> {
    let EditMessage { room_id, seq, content, version, client_message_id } = request;
    let (version, id) = (version.map(|version| version.0), client_message_id.as_ref());
    let edit = Edit { seq, content: &content, version, id, is_reviewed: false };
    let sender = speaker(ctx, sender).await?;
    let (entry, is_changed) = match write_edit(ctx, &sender, &edit).await {
        Err(Error::Unreviewed) => {
            let content = &review::edit(ctx, &sender, &edit).await?;
            write_edit(ctx, &sender, &Edit { content, is_reviewed: true, ..edit }).await?
        }
        edited => edited?,
    };
    let Entry { event, changes, .. } = entry;
    let body = event.into_body();
    let edited = Edited {
        room_id,
        seq,
        message_id: seq.message_id(),
        rev: changes.rev,
        version: changes.version.unwrap_or_default(),
        content: body.content,
        edited_at: changes.edited_at,
        edited_by: sender.user.clone(),
        unchanged: !is_changed,
    };
    // A repeat is published again, since the first request may have ended before it. It is marked: its rev is that of
    // the last change of the message, which may be another one.
    if edited.rev.is_some() {
        publish(ctx, &sender.channels, edited.clone().into()).await;
    }
    Ok(edited)
}

async fn write_edit(ctx: &Context, sender: &Sender, edit: &Edit<'_>) -> Result<(Entry, bool), Error> {
    let fits = |body: &_| Message::fits(&sender.room, body);
    ctx.store.edit(&sender.room, &sender.user, edit, fits, (ctx.now, ctx.deadline)).await
}

/// Deletes messages. Repeating it is answered with an ack.
pub async fn delete(ctx: &Context, mut sender: Sender, request: DeleteMessage) -> Result<DeletionAnswer, Error> {
    sender.ask_consent(ctx).await?;
    let seqs = request.seqs();
    let reason = request.reason.as_ref();
    let timing = (ctx.now, ctx.deadline);
    let delete =
        |may_moderate| ctx.store.delete_messages(&sender.room, &sender.user, (&seqs, reason), may_moderate, timing);
    access::confirm_member(ctx, &sender.user, &sender.room).await?;
    let deleted = match delete(false).await {
        Err(Error::Forbidden(_)) if access::moderates(ctx, &sender).await? => {
            let which = seqs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            audit::record(ctx, &sender.user, &sender.room, None, Some(&which)).await?;
            delete(true).await?
        }
        deleted => deleted?,
    };
    match publish_deletion(ctx, &sender.channels, (&sender.room, &sender.user, reason), deleted).await {
        Some(frame) => Ok(DeletionAnswer::Deleted(frame)),
        None => repeated_deletion(ctx, &sender, &seqs).await,
    }
}

/// What follows a deletion: it is published, and the objects and the reactions of the messages go. `None` where all of
/// them had been deleted before.
pub async fn publish_deletion(
    ctx: &Context,
    channels: &[Channel],
    (room, user, reason): (&RoomId, &UserId, Option<&Reason>),
    deleted: Deleted,
) -> Option<DeletedMessages> {
    let frame = DeletedMessages {
        room_id: room.clone(),
        seqs: deleted.seqs,
        rev: deleted.rev?,
        deleted_at: ctx.now.into(),
        deleted_by: user.clone(),
        reason: reason.map(ToString::to_string),
        unchanged: false,
    };
    publish(ctx, channels, frame.clone().into()).await;
    for removal in &deleted.removals {
        finish_removal(ctx, removal).await;
    }
    for seq in deleted.reacted {
        if let Err(error) = ctx.store.remove_reactions(room, seq).await {
            tracing::warn!(error = chain(&error), "failed to remove the reactions to a deleted message");
        }
    }
    Some(frame)
}

/// The first request may have ended before it was published: each deletion is published again, with all of its messages
/// at once, since they share its rev.
async fn repeated_deletion(ctx: &Context, sender: &Sender, seqs: &[Seq]) -> Result<DeletionAnswer, Error> {
    let mut deletions = BTreeMap::new();
    for entry in ctx.store.entries_at(&sender.room, seqs, ctx.now).await? {
        let (Some(deletion), Some(rev)) = (entry.changes.deleted, entry.changes.rev) else { continue };
        let frame = DeletedMessages {
            room_id: sender.room.clone(),
            seqs: Vec::new(),
            rev,
            deleted_at: deletion.at,
            deleted_by: deletion.by,
            reason: deletion.reason,
            unchanged: true,
        };
        deletions.entry(rev).or_insert(frame).seqs.push(entry.seq);
    }
    for frame in deletions.into_values() {
        publish(ctx, &sender.channels, frame.into()).await;
    }
    Ok(DeletionAnswer::Ack(Ack::of(ctx.route, sender.room.clone())))
}

/// Removes the object of a deleted message. What fails here the sweep does later.
pub async fn finish_removal(ctx: &Context, removal: &Removal) {
    let finished = async {
        ctx.files.remove(&removal.object_key).await?;
        ctx.store.note_removed(removal).await
    };
    if let Err(error) = finished.await {
        tracing::warn!(error = chain(&error), "failed to remove the object of a deleted message");
    }
}

/// Adds a reaction of the caller, or takes it back.
pub async fn react(ctx: &Context, sender: Sender, request: React) -> Result<Reactions, Error> {
    let React { room_id, seq, emoji, on } = request;
    let on = on.unwrap_or(true);
    let sender = speaker(ctx, sender).await?;
    let timing = (ctx.now, ctx.deadline);
    let react = |is_moderator| ctx.store.react(&sender.room, (&sender.user, is_moderator), (seq, &emoji, on), timing);
    let reacted = match react(sender.is_admin).await {
        Err(Error::ReadOnly) if access::moderates(ctx, &sender).await? => react(true).await?,
        reacted => reacted?,
    };
    let by = Reaction { user_id: sender.user.clone(), emoji, on };
    let (counts, unchanged) = (reacted.counts, reacted.is_unchanged);
    let frame = Reactions { room_id, seq, rev: reacted.rev, counts, by, unchanged };
    if frame.rev.is_some() {
        publish(ctx, &sender.channels, frame.clone().into()).await;
    }
    Ok(frame)
}

/// A page of the users who reacted to a message.
pub async fn reactions(ctx: &Context, sender: Sender, request: GetReactions) -> Result<ReactedUsers, Error> {
    let GetReactions { room_id, seq, emoji, cursor } = request;
    let entry = ctx.store.entry(&sender.room, seq, ctx.now).await?;
    if entry.is_none_or(|entry| entry.changes.deleted.is_some()) {
        return Err(Error::MessageNotFound);
    }
    let (users, next_cursor) = ctx.store.reactions(&sender.room, seq, emoji.as_ref(), cursor.as_ref()).await?;
    access::confirm_member(ctx, &sender.user, &sender.room).await?;
    let items = users.into_iter().map(|(user_id, emojis)| ReactedUser { user_id, emojis }).collect();
    Ok(ReactedUsers { room_id, seq, items, next_cursor })
}

/// Pins a message in its room.
pub async fn pin(ctx: &Context, moderator: Moderator, request: AboutMessage) -> Result<Pinned, Error> {
    let AboutMessage { room_id, seq } = request;
    let timing = (ctx.now, ctx.deadline);
    let (rev, is_changed) = ctx.store.set_pinned(&room_id, &moderator.user, (seq, true), timing).await?;
    let frame = Pinned { room_id, seq, rev, by: moderator.user, unchanged: !is_changed };
    publish(ctx, &[Channel::of_room(&frame.room_id)], frame.clone().into()).await;
    Ok(frame)
}

/// Unpins a message.
pub async fn unpin(ctx: &Context, moderator: Moderator, request: AboutMessage) -> Result<Unpinned, Error> {
    let AboutMessage { room_id, seq } = request;
    let timing = (ctx.now, ctx.deadline);
    let (rev, is_changed) = ctx.store.set_pinned(&room_id, &moderator.user, (seq, false), timing).await?;
    let frame = Unpinned { room_id, seq, rev, by: moderator.user, unchanged: !is_changed };
    publish(ctx, &[Channel::of_room(&frame.room_id)], frame.clone().into()).await;
    Ok(frame)
}

/// The pinned messages of a room.
pub async fn pins(ctx: &Context, sender: Sender, request: ListPins) -> Result<Pins, Error> {
    let (entries, rev) = ctx.store.pinned(&sender.room, ctx.now).await?;
    access::confirm_member(ctx, &sender.user, &sender.room).await?;
    let items = entries.into_iter().map(|entry| Item::Message(Message::seen_by(&sender.user, entry))).collect();
    Ok(Pins { room_id: request.room_id, items, rev })
}

/// Tells the others of a change.
pub async fn publish(ctx: &Context, channels: &[Channel], frame: Frame) {
    ctx.publish(channels, &OutboundFrame::new(&frame, ctx.others())).await;
}

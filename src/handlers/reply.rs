//! Replies: the message that another one replies to is shown with it, as it is now, and never stored.

use std::collections::BTreeMap;

use crate::context::Context;
use crate::domain::{Entry, Event, RoomId, Seq, UserId};
use crate::error::Error;
use crate::wire::frames::{Item, Message, Parent};

/// The items of a page, as `reader` sees them, with the messages that they reply to: from the page itself, or read.
pub async fn items_of(ctx: &Context, reader: &UserId, room: &RoomId, entries: Vec<Entry>) -> Result<Vec<Item>, Error> {
    let parents = parents_of(ctx, room, &entries).await?;
    let item = |entry: Entry| {
        let mut message = Message::seen_by(reader, entry);
        message.parent = message.body.reply_to.and_then(|seq| parents.get(&seq).cloned());
        Item::Message(message)
    };
    Ok(entries.into_iter().map(item).collect())
}

/// The messages that entries reply to, where they still exist.
async fn parents_of(ctx: &Context, room: &RoomId, entries: &[Entry]) -> Result<BTreeMap<Seq, Box<Parent>>, Error> {
    let mut wanted: Vec<_> = entries.iter().filter_map(replies_to).collect();
    wanted.sort();
    wanted.dedup();
    let mut parents: BTreeMap<_, _> = entries
        .iter()
        .filter(|entry| wanted.binary_search(&entry.seq).is_ok())
        .map(|entry| (entry.seq, Box::new(Parent::from(entry.clone()))))
        .collect();
    wanted.retain(|seq| !parents.contains_key(seq));
    let others = ctx.store.entries_at(room, &wanted, ctx.now).await?;
    parents.extend(others.into_iter().map(|entry| (entry.seq, Box::new(Parent::from(entry)))));
    Ok(parents)
}

fn replies_to(entry: &Entry) -> Option<Seq> {
    match &entry.event {
        Event::Said(body) => body.reply_to,
        Event::System { .. } => None,
    }
}

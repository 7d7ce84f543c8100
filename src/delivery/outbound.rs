//! A frame on its way, and who hears which text of it.

use std::borrow::Cow;
use std::iter;

use serde::{Deserialize, Serialize};

use super::encoded::Encoded;
use crate::domain::{ConnectionId, Timestamp, UserId};
use crate::file_links::FileLinks;
use crate::store::Subscription;
use crate::wire::Frame;

/// Who on a channel is left out.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Except {
    Nobody,
    Connection(ConnectionId),
    /// Every device of a user.
    User(UserId),
}

impl Except {
    /// The connection that asked, if one did.
    pub fn caller(connection: Option<&ConnectionId>) -> Self {
        connection.cloned().map_or(Self::Nobody, Self::Connection)
    }
}

/// A frame and who hears it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutboundFrame {
    frame: Encoded,
    /// What a user's own devices hear instead.
    for_own: Option<(UserId, Encoded)>,
    except: Except,
    /// Whether the frame tells of a file: many recipients get a link of their own.
    #[serde(default)]
    has_file: bool,
    /// The frames that each recipient receives after this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    next: Vec<Self>,
    /// Whether it is the last frame of the channel: recipients are unsubscribed.
    pub(super) is_last: bool,
}

impl OutboundFrame {
    /// The same frame for all recipients.
    pub fn new(frame: &Frame, except: Except) -> Self {
        let has_file = matches!(frame, Frame::Message(message) if message.body.file.is_some());
        Self { frame: Encoded::new(frame, false), for_own: None, except, has_file, next: Vec::new(), is_last: false }
    }

    /// The last frame of its channel.
    pub fn last(self) -> Self {
        Self { is_last: true, ..self }
    }

    /// Another frame for a user's own devices.
    pub fn with_own(self, user: &UserId, frame: &Frame) -> Self {
        Self { for_own: Some((user.clone(), Encoded::new(frame, true))), ..self }
    }

    /// With frames that each recipient receives after this one, in their order.
    pub fn followed_by(self, next: Vec<Self>) -> Self {
        Self { next, ..self }
    }

    /// What a connection hears of it and of the frames after it.
    pub(super) fn texts_for<'a>(
        &'a self,
        live: &'a Subscription,
        links: &'a FileLinks,
        now: Timestamp,
    ) -> impl Iterator<Item = Cow<'a, str>> {
        iter::once(self).chain(&self.next).filter_map(move |frame| frame.text_for(live, links, now))
    }

    /// What a connection hears of it; `None` where it is left out.
    fn text_for(&self, live: &Subscription, links: &FileLinks, now: Timestamp) -> Option<Cow<'_, str>> {
        let is_left_out = match &self.except {
            Except::Nobody => false,
            Except::Connection(connection) => live.connection_id == *connection,
            Except::User(user) => live.user_id == *user,
        };
        if is_left_out {
            return None;
        }
        let own = self.for_own.as_ref().filter(|(user, _)| live.user_id == *user);
        let text = own.map_or(&self.frame, |(_, own)| own).text_in(live.format)?;
        Some(if self.has_file && links.are_in(live.format) {
            links.personalise(text, &live.user_id, now).into()
        } else {
            text.into()
        })
    }
}

//! What depends on neither AWS nor the protocol: ids, names, rooms, messages, positions in a log, geography, time.

mod change;
pub mod checked;
mod content_type;
pub mod file_kind;
mod format;
mod geo;
mod id;
mod idempotency;
mod limit;
mod message;
mod mode;
mod room;
mod seq;
mod text;
mod time;
mod upload;

pub use change::{Changes, Deletion, Rev};
pub use content_type::{AllowedTypes, ContentType};
pub use format::Format;
pub use geo::{CellRange, GeoKey, Location, Metres};
pub use id::{
    ClientMessageId, ConnectionId, Emoji, Epoch, ExportId, FileId, Invalid, InviteCode, MessageId, Name, Reason,
    RoomId, UserId, hash,
};
pub use idempotency::IdempotencyKey;
pub use limit::{Grant, Limit, Limited, Rate, micros};
pub use message::{Body, Content, Data, Entry, Event, MAX_CONTENT_BYTES, Style, System};
pub use mode::{Mode, NotifyLevel, Switch, Who};
pub use room::{CloseReason, Member, Notify, Place, Role, Room, RoomStatus, RoomType};
pub use seq::{Page, RESTART_GAP, Seq};
pub use text::searchable;
pub use time::{Iso, Timestamp};
pub use upload::{File, FileName, NewFile, ObjectKey, Sha256};

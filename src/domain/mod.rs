//! What is true without AWS and without JSON: ids, rooms, places, messages, positions in a log, time.

mod format;
mod geo;
mod id;
mod message;
mod once;
mod room;
mod seq;
mod text;
mod time;
mod upload;

pub use format::Format;
pub use geo::{Filed, Location, Metres, Stretch};
pub use id::{ClientMessageId, ConnectionId, FileId, Invalid, InviteCode, MessageId, Name, RoomId, UserId};
pub use message::{Content, Draft, Entry, MAX_CONTENT_BYTES, Style};
pub use once::Once;
pub use room::{CloseReason, Member, Place, Role, Room, RoomStatus, RoomType};
pub use seq::{RESTART_GAP, Seq, Tail};
pub use time::Timestamp;
pub use upload::{AllowedTypes, ContentType, File, FileName, NewFile, ObjectKey, Sha256};

//! What is true without AWS and without JSON: ids, rooms, messages, positions in a log, time.

mod id;
mod message;
mod once;
mod room;
mod seq;
mod time;

pub use id::{ClientMessageId, ConnectionId, Invalid, MessageId, Name, RoomId, UserId};
pub use message::{Content, Draft, Entry, MAX_CONTENT_BYTES, Style};
pub use once::Once;
pub use room::{Member, Role, Room, RoomStatus, RoomType};
pub use seq::{RESTART_GAP, Seq, Tail};
pub use time::Timestamp;

//! What goes over the wire: requests in, frames out.

mod fields;
mod formats;
mod frames;
mod json;
mod requests;

pub use fields::{Cursor, Fields};
pub use frames::{
    ENVELOPE_BYTES, Frame, LARGEST_FRAME_BYTES, LeaveReason, Limits, ListedRoom, Message, NearRoom, Participant,
    Participants, Presence, Resumed, RoomFrame, fitting, size_of,
};
pub use requests::{
    AboutMember, Broadcast, CreateRoom, FoundRoom, GetFile, HandleFileUpload, Handshake, History, InRoom, Introduction,
    JoinRoom, ListRooms, MakeInvite, MarkRead, Recipient, Resume, RevokeInvite, RoomInfo, SearchRooms, SendMessage,
    SetRole, Typing,
};

//! What goes over the wire: requests in, frames out.

mod fields;
mod frames;
mod requests;

pub use fields::Fields;
pub use frames::{
    ENVELOPE_BYTES, Frame, LARGEST_FRAME_BYTES, ListedRoom, Message, Participant, Presence, Resumed, RoomFrame,
    fitting, size_of,
};
pub use requests::{
    Broadcast, CreateRoom, Handshake, History, JoinRoom, LeaveRoom, ListRooms, MarkRead, Recipient, Resume, RoomInfo,
    SendMessage, Typing,
};

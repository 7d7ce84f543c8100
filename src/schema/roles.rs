//! The role that each type of access requires, as the documents name it.

use crate::access::{
    Anyone, Backend, Bearer, Caller, Connection, FileReader, Guest, Identified, Listener, Moderator, Owner, Sender,
    Visitor, Writer,
};

/// A type of access, for the documents.
pub trait Who {
    /// The role that it requires.
    const WHO: &'static str;
}

macro_rules! who {
    ($($access:ident = $who:literal,)+) => {
        $(impl Who for $access {
            const WHO: &'static str = $who;
        })+
    };
}

who! {
    Anyone = "anyone",
    Backend = "backend",
    Bearer = "caller",
    Identified = "caller",
    Guest = "guest",
    Connection = "caller",
    Caller = "caller",
    Visitor = "member",
    Moderator = "admin",
    Owner = "owner",
    Sender = "member",
    Writer = "member",
    Listener = "member",
    FileReader = "member",
}

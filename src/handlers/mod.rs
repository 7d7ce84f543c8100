//! What each route does, one file for each group of routes.

pub mod connection;
pub mod history;
pub mod inbox;
pub mod message;
pub mod room;
mod seat;
pub mod typing;

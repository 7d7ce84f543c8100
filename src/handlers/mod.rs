//! What each route does, one file for each group of routes.

pub mod connection;
pub mod history;
pub mod inbox;
pub mod invites;
mod membership;
pub mod message;
pub mod moderation;
pub mod places;
pub mod room;
mod seat;
pub mod sweep;
pub mod typing;
pub mod upload;

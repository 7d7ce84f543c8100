//! What each action and route does: one file for each group. The catalogue (`actions.rs`) says who may call it.

pub mod additions;
pub mod admin;
pub mod admin_rooms;
pub mod blocks;
pub mod change;
pub mod closing;
pub mod connection;
pub mod direct;
pub mod erase;
pub mod export;
pub mod history;
pub mod inbox;
pub mod invites;
mod membership;
mod mention;
pub mod message;
pub mod moderation;
pub mod nearby;
pub mod reply;
mod review;
pub mod room;
pub mod search;
pub mod settings;
pub mod sweep;
pub mod typing;
pub mod unread;
pub mod upload;

//! A world for each test, with users in it who send and hear.

mod bucket;
mod http;
mod user;
mod world;

pub use user::User;
pub use world::{World, token};

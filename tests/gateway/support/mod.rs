//! A world for each test, in which the test itself is the function.

mod client;
mod http;
mod probe;
mod world;

pub use client::Client;
pub use http::request;
pub use probe::Invocation;
pub use world::{BUCKET, Invocations, PROBE, PROBE_ASKS, World, accepted, open, said, soon};

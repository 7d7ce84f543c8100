//! A stack for each test, in which the test itself is the function.

mod client;
mod http;
mod probe;
mod raw;
mod world;

pub use crate::harness::Signing;
pub use crate::harness::{Answer, request, soon};
pub use client::Client;
pub use probe::Invocation;
pub use raw::Raw;
pub use world::{BUCKET, Invocations, PROBE, PROBE_ADDRESS, World, accepted, nothing, open, with_body};

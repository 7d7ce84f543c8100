//! What API Gateway and Lambda do, and the local ones with them: a check for each fact, named after it, with where the
//! fact is from. The function is no chat but a probe, which does what the test says. "Our notes" are gathered from the
//! guides and from captures on real accounts. `src/local/README.md` lists all checks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../harness/mod.rs"]
mod harness;
mod support;

mod connections;
mod faults;
mod frames;
mod handshakes;
mod http_api;
mod lambda;
mod limits;
mod matrix;
mod ports;
mod program;
mod signatures;
mod stores;

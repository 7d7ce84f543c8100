//! Conformance tests of the local API Gateway, Lambda, DynamoDB and S3. Each test is named after the behaviour of AWS
//! that it verifies, and its doc comment names the source: an AWS page, an issue, or "our notes", which are taken from
//! the guides and from captures on real accounts. `src/local/README.md` lists all tests.
//!
//! The function is not the chat but a probe, which follows the instructions of the test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../harness/mod.rs"]
mod harness;
mod support;

mod connections;
mod events;
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

//! The Lambda service: a pool of function processes, each with its own Runtime API, and the `Invoke` API.
//!
//! Source: the Lambda developer guide, "Using the Lambda runtime API". A process handles one event at a time and is
//! killed after the deadline. A process that has exited is replaced when the next event arrives.

pub mod invoke;
mod pool;
mod process;
mod program;
mod review;
mod runtime_api;

use std::ffi::OsString;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::keys::AccessKey;
pub use pool::Pool;
pub use process::{ProcessIdentity, kill_group};
pub use program::require_program;
pub use review::Review;

/// The name of the function, as on Lambda.
pub const FUNCTION_NAME: &str = "switchboard";
/// The name of the review function.
pub const REVIEW_NAME: &str = "review";
const FUNCTION_ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:switchboard";
const MEMORY_MB: &str = "256";
/// Lambda's limit for events and responses.
pub const PAYLOAD_BYTES: usize = 6 * 1024 * 1024;
/// How much of a larger payload is read: a client that is still sending does not read the error response.
pub const READ_BYTES: usize = 32 * 1024 * 1024;

/// A program that speaks the Runtime API.
pub struct Function {
    pub command: Vec<OsString>,
    /// Another version of it.
    pub previous: Option<Vec<OsString>>,
    pub environment: Vec<(String, String)>,
    pub timeout: Duration,
    /// The function's access key, from which each process gets its own.
    pub key: AccessKey,
}

/// An event got no response.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    #[error("the function returned an error: {0}")]
    Function(String),
    #[error("the function process exited ({0}) before it responded")]
    Exited(String),
    #[error("the function process exited ({0}) during initialisation")]
    ExitedDuringInit(String),
    #[error("the function was killed by an injected fault")]
    Killed,
    #[error("the stack has stopped")]
    Stopped,
    #[error("the function timed out and was killed")]
    TimedOut,
    #[error("the function is throttled: its concurrency limit is reached")]
    Throttled,
    #[error("the event is larger than {PAYLOAD_BYTES} bytes")]
    TooLarge,
    #[error("the function process could not be started: {0}")]
    NotStarted(#[from] io::Error),
}

impl InvokeError {
    /// Whether the pool has logged it.
    pub fn is_logged(&self) -> bool {
        matches!(
            self,
            Self::Exited(_) | Self::ExitedDuringInit(_) | Self::NotStarted(_) | Self::TimedOut | Self::Stopped
        )
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

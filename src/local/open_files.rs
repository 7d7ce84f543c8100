//! The limit for open files and sockets.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit of macOS, which reports no hard limit.
const MACOS_HARD_LIMIT: u64 = 10_240;

/// Raises the soft limit to the hard limit for this process and its children, and returns the new limit. The soft limit
/// is often 1,024 or lower, and each connection uses one file.
pub fn raise_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(MACOS_HARD_LIMIT);
    if limit.current.is_some_and(|current| current < hard) {
        // If refused, the limit stays as it was.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(hard), ..limit });
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

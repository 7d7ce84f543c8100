//! The limit of open files and sockets.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit of macOS, which reports no hard limit.
const WITHOUT_HARD_LIMIT: u64 = 10_240;

/// Raises the soft limit to the hard one for this process and its children: it is often 1,024 or fewer, and each
/// connection takes one. Returns the new limit.
pub fn raise_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(WITHOUT_HARD_LIMIT);
    if limit.current.is_some_and(|current| current < most) {
        // If refused, the limit stays as it was.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limit });
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

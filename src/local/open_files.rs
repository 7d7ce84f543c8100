//! How many files and sockets this process may have open at once.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As many as macOS grants where it names no hard limit.
const WITHOUT_HARD_LIMIT: u64 = 10_240;

/// Raises the soft limit to the hard one, for this process and those that it starts: it is often 1,024 or fewer, and
/// each connection takes one. Gives the limit that holds then.
pub fn raise_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(WITHOUT_HARD_LIMIT);
    if limit.current.is_some_and(|current| current < most) {
        // Where it is refused the limit is what it was.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limit });
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

//! Counts instructions and allocations of a program with Valgrind's callgrind, independent of the load of the machine.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Timeout for Valgrind to write its profile.
const PATIENCE: Duration = Duration::from_secs(60);

/// The functions that allocate memory.
const ALLOCATORS: [&str; 5] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"];

/// A program that runs under callgrind. It must have only one process.
pub struct Counted {
    folder: TempDir,
    program: PathBuf,
}

/// The counts of a program, without the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    pub instructions: f64,
    /// Memory allocations, including reallocations.
    pub allocations: f64,
}

impl Counted {
    pub fn new(program: &Path) -> Self {
        Self { folder: TempDir::new().unwrap(), program: program.to_owned() }
    }

    /// The command to start it.
    pub fn command(&self) -> Vec<OsString> {
        let mut file = OsString::from("--callgrind-out-file=");
        file.push(self.file());
        vec!["valgrind".into(), "--quiet".into(), "--tool=callgrind".into(), file, self.program.clone().into()]
    }

    /// Terminates the process and returns its counts.
    pub fn end(self, process: u32) -> Counts {
        let process = Pid::from_raw(process.try_into().unwrap()).unwrap();
        kill_process(process, Signal::TERM).unwrap();
        let until = Instant::now() + PATIENCE;
        loop {
            let counts = std::fs::read_to_string(self.file()).ok().and_then(|profile| read(&profile));
            if let Some(counts) = counts {
                return counts;
            }
            assert!(Instant::now() < until, "valgrind wrote no profile: is it installed?");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("profile")
    }
}

/// Parses a profile in callgrind's format, or returns `None` if it is incomplete. The first occurrence of a function
/// has its number and name, later ones only the number: `cfn=(12) malloc`, `cfn=(12)`. The next line has the number of
/// calls: `calls=3 ...`.
fn read(profile: &str) -> Option<Counts> {
    let totals = profile.lines().rev().find_map(|line| line.strip_prefix("totals: "))?;
    let mut allocators = HashSet::new();
    let (mut allocates, mut allocations) = (false, 0.0);
    for line in profile.lines() {
        let called = line.strip_prefix("cfn=");
        if let Some((id, name)) =
            called.or_else(|| line.strip_prefix("fn=")).map(|of| of.split_once(' ').unwrap_or((of, "")))
        {
            if ALLOCATORS.contains(&name) {
                allocators.insert(id);
            }
            allocates = called.is_some() && allocators.contains(id);
        } else if let Some(calls) = line.strip_prefix("calls=")
            && allocates
        {
            allocations += calls.split(' ').next().and_then(|calls| calls.parse::<f64>().ok()).unwrap_or_default();
        }
    }
    Some(Counts { instructions: totals.trim().parse().ok()?, allocations })
}

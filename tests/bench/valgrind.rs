//! Counts what a program does, with valgrind's callgrind: the same on any machine, however busy.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long valgrind may take to write down what it has counted.
const PATIENCE: Duration = Duration::from_secs(60);

/// What allocates.
const ALLOCATORS: [&str; 5] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"];

/// A program that is counted while it runs. There can be only one process of it.
pub struct Counted {
    folder: TempDir,
    program: PathBuf,
}

/// What a program did, the kernel's part left out.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    pub instructions: f64,
    /// Of memory; growing what there is counts too.
    pub allocations: f64,
}

impl Counted {
    pub fn new(program: &Path) -> Self {
        Self { folder: TempDir::new().unwrap(), program: program.to_owned() }
    }

    /// How it is started.
    pub fn command(&self) -> Vec<OsString> {
        let mut file = OsString::from("--callgrind-out-file=");
        file.push(self.file());
        vec!["valgrind".into(), "--quiet".into(), "--tool=callgrind".into(), file, self.program.clone().into()]
    }

    /// Ends the process, and tells what it did.
    pub fn end(self, process: u32) -> Counts {
        let process = Pid::from_raw(process.try_into().unwrap()).unwrap();
        kill_process(process, Signal::TERM).unwrap();
        let until = Instant::now() + PATIENCE;
        loop {
            let counts = std::fs::read_to_string(self.file()).ok().and_then(|profile| read(&profile));
            if let Some(counts) = counts {
                return counts;
            }
            assert!(Instant::now() < until, "valgrind has written nothing: is it installed?");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("profile")
    }
}

/// Reads a profile in callgrind's format, once it is complete. A function has its name where it is first met, and a
/// number from then on: `cfn=(12) malloc`, `cfn=(12)`; how often it is called stands in the next line: `calls=3 ...`.
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

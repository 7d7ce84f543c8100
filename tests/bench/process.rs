//! Resource usage of a process, from /proc.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Times in /proc are in hundredths of a second (USER_HZ).
const TICK_MS: f64 = 10.0;

/// CPU time, user and system; 0 if the process has ended.
pub fn cpu_ms(id: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The process name comes first and may contain any character.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() * TICK_MS
}

/// Peak resident memory, in MB (a million bytes).
pub fn peak_memory_mb(id: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() * 1024.0 / 1e6
}

fn open_files(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/fd")).map_or(0, Iterator::count)
}

/// Samples processes every few milliseconds for the peak number of open file descriptors of one of them.
pub struct OpenFiles {
    most: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    watch: JoinHandle<()>,
}

impl OpenFiles {
    pub fn of(processes: Vec<u32>) -> Self {
        let (most, is_over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (noted, stop) = (Arc::clone(&most), Arc::clone(&is_over));
        let watch = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                noted
                    .fetch_max(processes.iter().map(|&id| open_files(id)).max().unwrap_or_default(), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(20));
            }
        });
        Self { most, is_over, watch }
    }

    pub fn most(self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        self.watch.join().unwrap();
        self.most.load(Ordering::Relaxed)
    }
}

//! A program in a terminal of its own, as a person has it before them.

use std::env;
use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use pty_process::{Command, Pty, Size};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::time::timeout;

/// Nothing in a test may take longer.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_local");

pub struct Terminal {
    pty: Pty,
    child: Child,
    /// All that it has shown so far.
    pub shown: String,
}

impl Terminal {
    /// The stack, on free ports.
    pub fn with_stack(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::with(PROGRAM.as_ref(), &[&["--port-base", "0"], arguments].concat(), environment)
    }

    pub fn with(program: &OsStr, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let (pty, shell) = pty_process::open().unwrap();
        pty.resize(Size::new(50, 200)).unwrap();
        let mut command = Command::new(program).args(arguments).env("TERM", "xterm-256color");
        // Whatever this test's own environment is.
        for name in ["NO_COLOR", "LOG_LEVEL", "AUTH_MODE", "JWT_SECRET", "UPLOADS_BUCKET"] {
            command = command.env_remove(name);
        }
        // Cargo has set them for this test. Build scripts that look at them would run again.
        let of_cargo = |name: &str| ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|prefix| name.starts_with(prefix));
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_cargo)) {
            command = command.env_remove(name);
        }
        command = command.envs(environment.iter().copied()).current_dir(env!("CARGO_MANIFEST_DIR")).kill_on_drop(true);
        Self { child: command.spawn(shell).unwrap(), pty, shown: String::new() }
    }

    /// Through `cargo run`, with what the tests were built with.
    pub fn with_cargo_run() -> Self {
        let profile = Path::new(PROGRAM).parent().unwrap();
        let target = profile.parent().unwrap().to_str().unwrap();
        let release: &[_] = if profile.ends_with("release") { &["--release"] } else { &[] };
        let arguments = [&["run", "--locked", "--offline"], release, &["--", "--port-base", "0"]].concat();
        // Built before: dependencies of the tests give shared crates more features, so `cargo run` has to build again.
        let built = std::process::Command::new(env!("CARGO"))
            .args([&["build", "--locked", "--offline"], release].concat())
            .env("CARGO_TARGET_DIR", target)
            .status();
        assert!(built.unwrap().success());
        Self::with(env!("CARGO").as_ref(), &arguments, &[("CARGO_TARGET_DIR", target)])
    }

    /// Waits until what is shown holds this, and gives all of it.
    pub async fn shows(&mut self, wanted: &str) -> &str {
        while !self.shown.contains(wanted) {
            assert!(self.read().await, "it has ended without {wanted:?}:\n{}", self.shown);
        }
        &self.shown
    }

    /// Waits for a line that holds all of these.
    pub async fn shows_line(&mut self, wanted: &[&str]) -> String {
        loop {
            let whole = self.shown.rsplit_once('\n').map(|(whole, _)| whole).unwrap_or_default();
            let line = whole.lines().find(|line| wanted.iter().all(|part| line.contains(part)));
            if let Some(line) = line {
                return line.to_owned();
            }
            assert!(self.read().await, "it has ended without a line with {wanted:?}:\n{}", self.shown);
        }
    }

    pub async fn presses_ctrl_c(&mut self) {
        self.pty.write_all(b"\x03").await.unwrap();
    }

    /// Waits for the end.
    pub async fn ends(&mut self) -> ExitStatus {
        while self.read().await {}
        timeout(PATIENCE, self.child.wait()).await.expect("it does not end").unwrap()
    }

    /// The URL that stands behind a name in the banner.
    pub fn url(&self, name: &str) -> String {
        let line = self.shown.lines().find_map(|line| line.trim_start().strip_prefix(name)).unwrap_or_default();
        line.trim().to_owned()
    }

    /// The URL that a person would copy with `wscat`.
    pub fn wscat_url(&self, user: &str) -> String {
        let line = self.shown.lines().find(|line| line.contains("wscat") && line.contains(&format!("userId={user}")));
        line.and_then(|line| line.split('"').nth(1)).expect("no line to copy").to_owned()
    }

    /// Nothing was wrong, and nothing says so.
    pub fn was_calm(&self) {
        for alarm in ["panicked", "WARN", "ERROR", "Compiling"] {
            assert!(!self.shown.contains(alarm), "{alarm}:\n{}", self.shown);
        }
    }

    /// `false` when there is no more to come.
    async fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let read = timeout(PATIENCE, self.pty.read(&mut bytes)).await;
        let read = read.unwrap_or_else(|_| panic!("nothing happens:\n{}", self.shown));
        // Linux says EIO when the last program has left a terminal.
        let count = read.unwrap_or_default();
        self.shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
        count > 0
    }
}

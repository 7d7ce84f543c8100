//! A program in its own pseudo-terminal, as a user runs it.

use std::env;
use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use pty_process::{Command, Pty, Size};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::time::timeout;

/// Timeout of every step of a test.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_local");

pub struct Terminal {
    pty: Pty,
    child: Child,
    /// The output so far.
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
        // The environment of this test must not affect the program.
        for name in ["NO_COLOR", "LOG_LEVEL", "AUTH_MODE", "JWT_SECRET", "UPLOADS_BUCKET"] {
            command = command.env_remove(name);
        }
        for name in package_variables() {
            command = command.env_remove(name);
        }
        command = command.envs(environment.iter().copied()).current_dir(env!("CARGO_MANIFEST_DIR")).kill_on_drop(true);
        Self { child: command.spawn(shell).unwrap(), pty, shown: String::new() }
    }

    /// Through `cargo run`, with the build directory and profile of the tests.
    pub fn with_cargo_run() -> Self {
        let profile = Path::new(PROGRAM).parent().unwrap();
        let target = profile.parent().unwrap().to_str().unwrap();
        let release: &[_] = if profile.ends_with("release") { &["--release"] } else { &[] };
        let arguments = [&["run", "--locked", "--offline"], release, &["--", "--port-base", "0"]].concat();
        // Built before: dependencies of the tests give shared crates more features, so `cargo run` has to build again.
        let mut build = std::process::Command::new(env!("CARGO"));
        build.args([&["build", "--locked", "--offline"], release].concat()).env("CARGO_TARGET_DIR", target);
        for name in package_variables() {
            build.env_remove(name);
        }
        assert!(build.status().unwrap().success());
        Self::with(env!("CARGO").as_ref(), &arguments, &[("CARGO_TARGET_DIR", target)])
    }

    /// Waits until the output contains this text, and returns the output.
    pub async fn shows(&mut self, wanted: &str) -> &str {
        while !self.shown.contains(wanted) {
            assert!(self.read().await, "the program exited without {wanted:?}:\n{}", self.shown);
        }
        &self.shown
    }

    /// Waits for a line that contains all of these.
    pub async fn shows_line(&mut self, wanted: &[&str]) -> String {
        loop {
            let whole = self.shown.rsplit_once('\n').map(|(whole, _)| whole).unwrap_or_default();
            let line = whole.lines().find(|line| wanted.iter().all(|part| line.contains(part)));
            if let Some(line) = line {
                return line.to_owned();
            }
            assert!(self.read().await, "the program exited without a line with {wanted:?}:\n{}", self.shown);
        }
    }

    pub async fn presses_ctrl_c(&mut self) {
        self.pty.write_all(b"\x03").await.unwrap();
    }

    /// Waits until the program exits.
    pub async fn ends(&mut self) -> ExitStatus {
        while self.read().await {}
        timeout(PATIENCE, self.child.wait()).await.expect("the program did not exit").unwrap()
    }

    /// The URL after a name in the banner.
    pub fn url(&self, name: &str) -> String {
        let line = self.shown.lines().find_map(|line| line.trim_start().strip_prefix(name)).unwrap_or_default();
        line.trim().to_owned()
    }

    /// The URL in the `wscat` command of a user.
    pub fn wscat_url(&self, user: &str) -> String {
        let line = self.shown.lines().find(|line| line.contains("wscat") && line.contains(&format!("userId={user}")));
        line.and_then(|line| line.split('"').nth(1)).expect("the banner has no wscat command").to_owned()
    }

    /// Asserts that the output has no warnings, errors or panics.
    pub fn has_no_warnings(&self) {
        for word in ["panicked", "WARN", "ERROR", "Compiling"] {
            assert!(!self.shown.contains(word), "{word}:\n{}", self.shown);
        }
    }

    /// Reads more output. `false` at its end.
    async fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let read = timeout(PATIENCE, self.pty.read(&mut bytes)).await;
        let read = read.unwrap_or_else(|_| panic!("no output arrived:\n{}", self.shown));
        // Linux returns EIO when no process has the terminal open any more.
        let count = read.unwrap_or_default();
        self.shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
        count > 0
    }
}

/// Variables that Cargo has set for this test. Build scripts that depend on them would run again.
fn package_variables() -> impl Iterator<Item = std::ffi::OsString> {
    let of_cargo = |name: &str| ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|prefix| name.starts_with(prefix));
    env::vars_os().map(|(name, _)| name).filter(move |name| name.to_str().is_some_and(of_cargo))
}

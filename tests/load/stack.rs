//! The stack, in its own process.

use std::fs::File;
use std::process::Stdio;

use serde::Deserialize;
use switchboard::local::AccessKey;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::function;

/// Its log, which includes the exits of function processes.
pub const LOG: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/load.log");

pub struct Stack {
    pub urls: Urls,
    pub access_key: AccessKey,
    process: Child,
}

#[derive(Deserialize)]
pub struct Urls {
    pub websocket: String,
    pub connections: String,
}

impl Stack {
    pub async fn start() -> Self {
        let this = std::env::current_exe().unwrap();
        let function = format!("'{}' {}", this.display(), function::ARGUMENT);
        let access_key = AccessKey::random();
        let mut process = Command::new(env!("CARGO_BIN_EXE_local"))
            .args(["--json", "--http-port", "0", "--websocket-port", "0", "--dynamodb-port", "0", "--s3-port", "0"])
            .args(["--lambda-port", "0", "--function", &function])
            .args(["--access-key", &format!("{}:{}", access_key.id, access_key.secret)])
            .env("LIMITS", "off")
            .stdout(Stdio::piped())
            .stderr(File::create(LOG).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
        let urls = serde_json::from_str(&line).unwrap_or_else(|_| panic!("the stack did not start: see {LOG}"));
        Self { urls, access_key, process }
    }

    /// Resident memory, if the machine reports it.
    pub fn memory_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()?)).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = resident.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kibibytes * 1024)
    }
}

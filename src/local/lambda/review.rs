//! The review function: a command that runs once for each event, instead of a program that speaks the Runtime API.

use std::ffi::OsString;
use std::io;
use std::process::{Output, Stdio};

use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// A program and its arguments. It gets the event on standard input, and prints the answer.
pub struct Review(pub Vec<OsString>);

impl Review {
    /// A synchronous invocation. A command that does not start or that fails is a function error.
    pub async fn invoke(&self, event: &[u8]) -> Response {
        let problem = match self.run(event).await {
            Ok(output) if output.status.success() => return output.stdout.into_response(),
            Ok(output) => format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()),
            Err(error) => error.to_string(),
        };
        tracing::warn!("the review function failed: {problem}");
        let report = json!({ "errorType": "ReviewFailed", "errorMessage": problem });
        ([("X-Amz-Function-Error", "Unhandled")], axum::Json(report)).into_response()
    }

    async fn run(&self, event: &[u8]) -> io::Result<Output> {
        let (program, arguments) = self.0.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Who invokes it may not wait for it any more.
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read its event may answer all the same.
            let _ = stdin.write_all(event).await;
        }
        child.wait_with_output().await
    }
}

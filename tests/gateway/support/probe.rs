//! The function: processes of `probe.py`, each of which asks the test for an instruction per event.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::harness::soon;

/// An invocation of a function process, which waits for an instruction. If this is dropped, the process never responds.
pub struct Invocation {
    pub event: Value,
    /// The headers that the Runtime API sent with the event.
    pub headers: HashMap<String, String>,
    pub process: u32,
    /// The access key of the process: `ID:SECRET`.
    pub key: String,
    /// The status with which the Runtime API answered the previous response of this process.
    pub previous_status: Option<u16>,
    instruction: oneshot::Sender<Value>,
}

impl Invocation {
    /// Part of the event's `requestContext`.
    pub fn context(&self, name: &str) -> &Value {
        &self.event["requestContext"][name]
    }

    pub fn answers(self, answer: Value) {
        self.instructs(json!({ "as": "response", "body": answer.to_string() }));
    }

    /// Responds with a text that is not JSON.
    pub fn answers_with_text(self, text: &str) {
        self.instructs(json!({ "as": "response", "body": text }));
    }

    /// Responds to an invocation that does not exist. The process then still has this event.
    pub fn answers_another(self, id: &str) {
        self.instructs(json!({ "as": "response", "id": id, "body": "{}" }));
    }

    pub fn fails(self) {
        let report = json!({ "errorType": "Probe", "errorMessage": "failure requested by the test" });
        self.instructs(json!({ "as": "error", "body": report.to_string() }));
    }

    pub fn crashes(self) {
        self.instructs(json!({ "exit": 1 }));
    }

    /// Waits until the process is killed while it handles the event.
    pub async fn waits_to_be_killed(mut self) {
        soon("the process was not killed", self.instruction.closed()).await;
    }

    fn instructs(self, instruction: Value) {
        self.instruction.send(instruction).expect("the process exited before it got an instruction");
    }
}

#[derive(Deserialize)]
struct Report {
    event: Value,
    headers: HashMap<String, String>,
    process: u32,
    key: String,
    previous_status: Option<u16>,
}

/// Serves the processes, until the test ends.
pub fn serve(listener: TcpListener, invocations: mpsc::UnboundedSender<Invocation>) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Ok((process, _)) = listener.accept().await {
            tokio::spawn(serve_process(process, invocations.clone()));
        }
    })
}

async fn serve_process(mut process: TcpStream, invocations: mpsc::UnboundedSender<Invocation>) {
    let (reader, mut writer) = process.split();
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Report { event, headers, process, key, previous_status } = serde_json::from_str(&line).unwrap();
        let (instruction, instructed) = oneshot::channel();
        let _ = invocations.send(Invocation { event, headers, process, key, previous_status, instruction });
        tokio::select! {
            Ok(instruction) = instructed => {
                let _ = writer.write_all(format!("{instruction}\n").as_bytes()).await;
            }
            // The process sends nothing before it gets an instruction, so this is the end of its output.
            _ = lines.next_line() => return,
        }
    }
}

//! The function: processes of `probe.py`, each of which asks what to do with its event.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::harness::soon;

/// An event that a function process has been given. It works on it until it is told what to do; for ever, if this is
/// dropped.
pub struct Invocation {
    pub event: Value,
    /// What the Runtime API has said with the event.
    pub headers: HashMap<String, String>,
    pub process: u32,
    /// The access key of the process: `ID:SECRET`.
    pub key: String,
    /// The Runtime API's status to this process's answer before.
    pub taken: Option<u16>,
    order: oneshot::Sender<Value>,
}

impl Invocation {
    /// Part of the event's `requestContext`.
    pub fn context(&self, name: &str) -> &Value {
        &self.event["requestContext"][name]
    }

    pub fn answers(self, answer: Value) {
        self.obeys(json!({ "as": "response", "body": answer.to_string() }));
    }

    /// What is no JSON.
    pub fn answers_with_text(self, text: &str) {
        self.obeys(json!({ "as": "response", "body": text }));
    }

    /// Answers an invocation that there is not. It has this event as before, then.
    pub fn answers_another(self, id: &str) {
        self.obeys(json!({ "as": "response", "id": id, "body": "{}" }));
    }

    pub fn fails(self) {
        let report = json!({ "errorType": "Probe", "errorMessage": "as the test wants it" });
        self.obeys(json!({ "as": "error", "body": report.to_string() }));
    }

    pub fn crashes(self) {
        self.obeys(json!({ "exit": 1 }));
    }

    /// Waits for the process to be killed at its work.
    pub async fn waits_to_be_killed(mut self) {
        soon("the process works on", self.order.closed()).await;
    }

    fn obeys(self, order: Value) {
        self.order.send(order).expect("the process has ended before it was told what to do");
    }
}

#[derive(Deserialize)]
struct Seen {
    event: Value,
    headers: HashMap<String, String>,
    process: u32,
    key: String,
    taken: Option<u16>,
}

/// Hears what the processes ask, until the test ends.
pub fn attend(listener: TcpListener, invocations: mpsc::UnboundedSender<Invocation>) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Ok((process, _)) = listener.accept().await {
            tokio::spawn(attend_one(process, invocations.clone()));
        }
    })
}

async fn attend_one(mut process: TcpStream, invocations: mpsc::UnboundedSender<Invocation>) {
    let (reader, mut writer) = process.split();
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Seen { event, headers, process, key, taken } = serde_json::from_str(&line).unwrap();
        let (order, ordered) = oneshot::channel();
        let _ = invocations.send(Invocation { event, headers, process, key, taken, order });
        tokio::select! {
            Ok(order) = ordered => {
                let _ = writer.write_all(format!("{order}\n").as_bytes()).await;
            }
            // It says nothing until it is answered: it has ended.
            _ = lines.next_line() => return,
        }
    }
}

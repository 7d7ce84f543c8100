//! Instructions and allocations per event of a warm function: the difference between a run with n events and one with
//! 2n, divided by n.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use switchboard::local::{Options, Stack};

use crate::harness::Socket;
use crate::table::{Figure, Goal};
use crate::valgrind::{Counted, Counts};

const GROUP: &str = "warm";
/// Timeout of every step. Valgrind slows a program down by a factor of about fifty.
const PATIENCE: Duration = Duration::from_secs(60);
/// Additional recipients, to measure the cost of one post.
const MANY: usize = 50;

pub async fn figures(function: &Path) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut add = |name: &str, each: Counts, goal: Option<Goal>| {
        let instructions = Figure::new(GROUP, name, each.instructions, "instructions");
        figures.push(goal.into_iter().fold(instructions, Figure::with_goal));
        figures.push(Figure::new(GROUP, name, each.allocations, "allocations"));
    };
    add("$connect", each(function, Kind::Connect, 10).await, None);
    add("$connect, a token with RS256", each(function, Kind::ConnectWithToken, 10).await, None);
    add("sendMessage in a room of 2", each(function, Kind::Send, 20).await, Some(Goal::AtMost(2e6)));
    add("typingIndicator in a room of 2", each(function, Kind::Type, 20).await, None);
    add("getMessages, 50 messages", each(function, Kind::Read, 20).await, None);
    add("handleFileUpload", each(function, Kind::Upload, 20).await, None);
    let to_two = each(function, Kind::Broadcast { recipients: 2 }, 5).await;
    let to_many = each(function, Kind::Broadcast { recipients: 2 + MANY }, 5).await;
    let share = |of: fn(Counts) -> f64| (of(to_many) - of(to_two)) / MANY as f64;
    let post = Counts { instructions: share(|of| of.instructions), allocations: share(|of| of.allocations) };
    add("each additional recipient of a message", post, None);
    figures
}

/// A kind of event.
#[derive(Clone, Copy)]
enum Kind {
    Connect,
    /// With a token of an issuer whose key is known.
    ConnectWithToken,
    Send,
    Type,
    Read,
    Upload,
    /// To all connections, in the lobby.
    Broadcast {
        recipients: usize,
    },
}

async fn each(function: &Path, kind: Kind, count: usize) -> Counts {
    let once = counted(function, kind, count).await;
    let twice = counted(function, kind, 2 * count).await;
    let difference = |of: fn(Counts) -> f64| (of(twice) - of(once)) / count as f64;
    Counts { instructions: difference(|of| of.instructions), allocations: difference(|of| of.allocations) }
}

/// Counts over the whole life of a function process that handles `count` events of a kind.
async fn counted(function: &Path, kind: Kind, count: usize) -> Counts {
    let counted = Counted::new(function);
    let options = Options::on_free_ports(function.into(), Arc::new(|_| {}));
    let lobby = if matches!(kind, Kind::Broadcast { .. }) { "on" } else { "off" };
    let environment =
        [("LOBBY", lobby), ("LIMITS", "off")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let issuer_port = matches!(kind, Kind::ConnectWithToken).then_some(0);
    let options = Options { function: counted.command(), concurrency: 1, environment, issuer_port, ..options };
    let stack = Stack::start(options).await.unwrap();
    let user = |query: String| User::connect(format!("{}?{query}", stack.urls().websocket));
    let identity = |user: &str| match stack.issuer() {
        Some(issuer) => format!("token={}", issuer.key("RS256").unwrap().token(&issuer.claims(user, 3_600)).unwrap()),
        None => format!("userId={user}"),
    };

    let mut others = Vec::new();
    let mut ana = user(format!("{}&roomId=tea&events=1", identity("ana"))).await;
    match kind {
        Kind::Connect | Kind::ConnectWithToken => {
            for number in 0..count {
                others.push(user(identity(&format!("user-{number}"))).await);
            }
        }
        Kind::Send | Kind::Type | Kind::Upload => {
            others.push(user("userId=ben&roomId=tea&events=1".to_owned()).await);
            for _ in 0..count {
                match kind {
                    Kind::Send => ana.asks(json!({ "action": "sendMessage", "roomId": "tea", "content": TEXT })).await,
                    Kind::Type => {
                        ana.sends(json!({ "action": "typingIndicator", "roomId": "tea" })).await;
                        others[0].hears("typing").await;
                    }
                    _ => {
                        let file = json!({
                            "action": "handleFileUpload", "roomId": "tea", "fileName": "cat.png",
                            "contentType": "image/png",
                            "size": 1000,
                        });
                        ana.asks(file).await;
                    }
                }
            }
        }
        Kind::Read => {
            for _ in 0..50 {
                ana.asks(json!({ "action": "sendMessage", "roomId": "tea", "content": TEXT })).await;
            }
            for _ in 0..count {
                ana.asks(json!({ "action": "getMessages", "roomId": "tea" })).await;
            }
        }
        Kind::Broadcast { recipients } => {
            for number in 1..recipients {
                others.push(user(format!("userId=user-{number}")).await);
            }
            for _ in 0..count {
                ana.asks(json!({ "action": "sendMessage", "roomId": "lobby", "content": TEXT })).await;
            }
        }
    }
    // One process handles the events one after the other, so this is the last one.
    ana.asks(json!({ "action": "ping" })).await;
    counted.end(stack.function_processes()[0])
}

/// A text of typical length.
const TEXT: &str = "Shall we meet at the tea house at five, or is that too early for you?";

struct User(Socket);

impl User {
    async fn connect(url: String) -> Self {
        Self(Socket::open(&url, &[]).await.unwrap().0)
    }

    async fn sends(&mut self, frame: Value) {
        self.0.send_frame(frame).await.unwrap();
    }

    /// Sends a frame and waits for its response.
    async fn asks(&mut self, mut frame: Value) {
        frame["requestId"] = "request".into();
        self.sends(frame).await;
        self.waits_for(|frame| frame["requestId"] == "request").await;
    }

    async fn hears(&mut self, kind: &str) {
        self.waits_for(|frame| frame["type"] == kind).await;
    }

    async fn waits_for(&mut self, wanted: impl Fn(&Value) -> bool) {
        let frame = async {
            loop {
                let frame = self.0.receive().await.unwrap().unwrap();
                let frame =
                    frame.to_text().ok().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
                assert_ne!(frame["type"], "error", "{frame}");
                if wanted(&frame) {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, frame).await.expect("no such frame arrived");
    }
}

//! Many clients in a separate process, so that the limit of open files and the CPU time of the clients do not affect
//! the measurements.
//!
//! Each message contains a number, such as `#17#`, which identifies it in all frames that the function sends.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use futures_util::stream::{self, SplitSink, StreamExt};
use futures_util::{SinkExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::harness::{Socket, sent_frame};

/// The argument that runs this program as the crowd.
pub const AS_CROWD: &str = "--as-crowd";
/// Concurrent handshakes.
const HANDSHAKES: usize = 16;
/// Deliveries that take longer count as missing.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize)]
enum Order {
    /// Opens one connection for each query.
    Connect(Vec<String>),
    /// Sends these on the first connection without waiting; `{}` is replaced by the number.
    Say(Vec<String>),
    /// Reports again on what was sent last.
    Recount,
}

/// The deliveries of messages that were sent at once.
#[derive(Debug, Serialize, Deserialize)]
pub struct Heard {
    /// From the first byte sent to the first delivery to another connection.
    pub first_ms: f64,
    /// From the first byte sent to the last delivery.
    pub last_ms: f64,
    /// Until the sender had all responses; a minute if it did not.
    pub answered_ms: f64,
    /// Received by all connections, including responses.
    pub frames: u64,
    /// Missing deliveries.
    pub skipped: u64,
    /// Messages that a connection received twice.
    pub twice: u64,
    /// Messages that a connection received more than twice.
    pub more_often: u64,
    /// The sequence numbers of the messages, sorted, if the frames have any.
    pub seqs: Vec<u64>,
    /// Deliveries with a different sequence number than another delivery of the same message.
    pub contradictions: u64,
}

impl Heard {
    /// Deliveries that are missing or duplicate.
    pub fn amiss(&self) -> u64 {
        self.skipped + self.twice + self.more_often
    }
}

/// The process of the clients, from the side of the benchmark.
pub struct Crowd {
    orders: ChildStdin,
    reports: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Crowd {
    pub async fn at(url: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([AS_CROWD, url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (orders, reports) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { orders, reports: BufReader::new(reports).lines(), _process: process }
    }

    /// Opens connections, one for each query (`userId=ana`).
    pub async fn connects(&mut self, queries: impl Iterator<Item = String>) {
        self.asks::<()>(&Order::Connect(queries.collect())).await;
    }

    /// Sends these on the first connection without waiting for responses. Returns when all others have received all of
    /// them and the sender has its responses, or after a minute. `{}` in a frame becomes the message's number.
    pub async fn hears(&mut self, frames: &[&str]) -> Heard {
        self.asks(&Order::Say(frames.iter().map(|&frame| sent_frame(frame)).collect())).await
    }

    /// The deliveries so far of what was sent last: duplicates may have arrived since.
    pub async fn recounts(&mut self) -> Heard {
        self.asks(&Order::Recount).await
    }

    async fn asks<T: for<'a> Deserialize<'a>>(&mut self, order: &Order) -> T {
        self.orders.write_all((serde_json::to_string(order).unwrap() + "\n").as_bytes()).await.unwrap();
        let report = self.reports.next_line().await.unwrap().expect("the process of the crowd has ended");
        serde_json::from_str(&report).unwrap()
    }
}

/// What the crowd has received of what was sent last.
#[derive(Default)]
struct Ears {
    /// Number of deliveries, by message and connection.
    heard: BTreeMap<u64, Vec<u8>>,
    /// Number of deliveries that are still missing.
    missing: usize,
    answers_missing: usize,
    frames: u64,
    first: Option<Instant>,
    last: Option<Instant>,
    answered: Option<Instant>,
    places: BTreeMap<u64, u64>,
    contradictions: u64,
}

impl Ears {
    fn for_messages(numbers: std::ops::Range<u64>, connections: usize) -> Self {
        let count = (numbers.end - numbers.start) as usize;
        Self {
            heard: numbers.map(|number| (number, vec![0; connections])).collect(),
            missing: count * (connections - 1),
            answers_missing: count,
            ..Self::default()
        }
    }

    fn hear(&mut self, connection: usize, frame: &str) {
        self.frames += 1;
        let Some(number) = number_behind(frame, "#") else { return };
        let Some(count) = self.heard.get_mut(&number).and_then(|heard| heard.get_mut(connection)) else { return };
        *count = count.saturating_add(1);
        if *count == 1 && connection == 0 {
            self.answers_missing -= 1;
            self.answered = Some(Instant::now());
        } else if *count == 1 {
            self.missing -= 1;
            self.last = Some(Instant::now());
            self.first = self.first.or(self.last);
        }
        if let Some(seq) = number_behind(frame, "\"seq\":")
            && *self.places.entry(number).or_insert(seq) != seq
        {
            self.contradictions += 1;
        }
    }

    fn is_done(&self) -> bool {
        self.missing == 0 && self.answers_missing == 0
    }

    fn report(&self, started: Instant) -> Heard {
        let since = |moment: Option<Instant>| moment.map_or(PATIENCE, |moment| moment - started).as_secs_f64() * 1e3;
        let times = |holds: fn(u8) -> bool| {
            let others = self.heard.values().flat_map(|heard| &heard[1..]);
            others.filter(|count| holds(**count)).count() as u64
        };
        let mut seqs: Vec<_> = self.places.values().copied().collect();
        seqs.sort_unstable();
        Heard {
            first_ms: since(self.first),
            last_ms: since(self.last),
            answered_ms: since(self.answered.filter(|_| self.answers_missing == 0)),
            frames: self.frames,
            skipped: times(|count| count == 0),
            twice: times(|count| count == 2),
            more_often: times(|count| count > 2),
            seqs,
            contradictions: self.contradictions,
        }
    }
}

fn number_behind(text: &str, mark: &str) -> Option<u64> {
    let rest = &text[text.find(mark)? + mark.len()..];
    rest[..rest.find(|letter: char| !letter.is_ascii_digit())?].parse().ok()
}

/// The main function of the crowd's process: executes orders until the input ends.
pub fn run(url: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, obey(url));
}

async fn obey(url: &str) {
    let ears: Rc<RefCell<Ears>> = Rc::default();
    let changed: Rc<Notify> = Rc::default();
    let mut sender: Option<SplitSink<WebSocketStream<MaybeTlsStream<TcpStream>>, Message>> = None;
    let (mut connections, mut number, mut started) = (0, 0, Instant::now());
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Some(order) = orders.next_line().await.unwrap() {
        match serde_json::from_str(&order).unwrap() {
            Order::Connect(queries) => {
                let sockets = stream::iter(queries).map(|query| open(format!("{url}?{query}"))).buffered(HANDSHAKES);
                let mut sockets = std::pin::pin!(sockets);
                while let Some(socket) = sockets.next().await {
                    let (sink, mut frames) = socket.split();
                    let (ears, changed, connection) = (Rc::clone(&ears), Rc::clone(&changed), connections);
                    connections += 1;
                    sender.get_or_insert(sink);
                    tokio::task::spawn_local(async move {
                        while let Ok(Some(frame)) = frames.try_next().await {
                            if let Message::Text(text) = frame {
                                let mut ears = ears.borrow_mut();
                                ears.hear(connection, &text);
                                if ears.is_done() {
                                    changed.notify_one();
                                }
                            }
                        }
                    });
                }
                answer(&());
            }
            Order::Say(frames) => {
                let sender = sender.as_mut().expect("there are no connections");
                let numbers = number..number + frames.len() as u64;
                number = numbers.end;
                *ears.borrow_mut() = Ears::for_messages(numbers.clone(), connections);
                started = Instant::now();
                for (frame, number) in frames.iter().zip(numbers) {
                    sender.feed(Message::text(frame.replace("{}", &format!("#{number}#")))).await.unwrap();
                }
                sender.flush().await.unwrap();
                let _ = tokio::time::timeout(PATIENCE, async {
                    while !ears.borrow().is_done() {
                        changed.notified().await;
                    }
                })
                .await;
                answer(&ears.borrow().report(started));
            }
            Order::Recount => answer(&ears.borrow().report(started)),
        }
    }
}

async fn open(url: String) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
    Socket::open(&url, &[]).await.unwrap_or_else(|status| panic!("{url}: {status}")).0.into_inner()
}

fn answer(report: &impl Serialize) {
    println!("{}", serde_json::to_string(report).unwrap());
    std::io::stdout().flush().unwrap();
}

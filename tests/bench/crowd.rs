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
enum Instruction {
    /// Opens one connection for each query.
    Connect(Vec<String>),
    /// Sends these frames on the first connection without waiting; `{}` is replaced by the number.
    Send(Vec<String>),
    /// Reports again on the messages that were sent last.
    Recount,
}

/// The deliveries of messages that were sent at once.
#[derive(Debug, Serialize, Deserialize)]
pub struct Deliveries {
    /// From the first byte sent to the first delivery to another connection.
    pub first_ms: f64,
    /// From the first byte sent to the last delivery.
    pub last_ms: f64,
    /// Until the sender had all responses; a minute if it did not.
    pub answered_ms: f64,
    /// Received by all connections, including responses.
    pub frames: u64,
    /// Missing deliveries.
    pub missing: u64,
    /// Messages that a connection received twice.
    pub twice: u64,
    /// Messages that a connection received more than twice.
    pub more_than_twice: u64,
    /// The sequence numbers of the messages, sorted, if the frames have any.
    pub seqs: Vec<u64>,
    /// Deliveries with a different sequence number than another delivery of the same message.
    pub conflicting_seqs: u64,
}

impl Deliveries {
    /// Deliveries that are missing or duplicate.
    pub fn missing_or_duplicate(&self) -> u64 {
        self.missing + self.twice + self.more_than_twice
    }
}

/// The handle of the process of the clients.
pub struct Crowd {
    instructions: ChildStdin,
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
        let (instructions, reports) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { instructions, reports: BufReader::new(reports).lines(), _process: process }
    }

    /// Opens connections, one for each query (`userId=ana`).
    pub async fn connects(&mut self, queries: impl Iterator<Item = String>) {
        self.asks::<()>(&Instruction::Connect(queries.collect())).await;
    }

    /// Sends these frames on the first connection without waiting for responses. Returns when all others have received
    /// all of them and the sender has its responses, or after a minute. `{}` in a frame becomes the message's number.
    pub async fn sends(&mut self, frames: &[&str]) -> Deliveries {
        self.asks(&Instruction::Send(frames.iter().map(|&frame| sent_frame(frame)).collect())).await
    }

    /// The deliveries so far of the messages that were sent last: duplicates may have arrived since.
    pub async fn counts_again(&mut self) -> Deliveries {
        self.asks(&Instruction::Recount).await
    }

    async fn asks<T: for<'a> Deserialize<'a>>(&mut self, instruction: &Instruction) -> T {
        self.instructions.write_all((serde_json::to_string(instruction).unwrap() + "\n").as_bytes()).await.unwrap();
        let report = self.reports.next_line().await.unwrap().expect("the process of the crowd exited");
        serde_json::from_str(&report).unwrap()
    }
}

/// Counts the deliveries of the messages that were sent last.
#[derive(Default)]
struct Tracker {
    /// Number of deliveries, by message and connection.
    counts: BTreeMap<u64, Vec<u8>>,
    /// Number of deliveries that are still missing.
    missing: usize,
    missing_answers: usize,
    frames: u64,
    first: Option<Instant>,
    last: Option<Instant>,
    answered: Option<Instant>,
    seqs: BTreeMap<u64, u64>,
    conflicting_seqs: u64,
}

impl Tracker {
    fn for_messages(numbers: std::ops::Range<u64>, connections: usize) -> Self {
        let count = (numbers.end - numbers.start) as usize;
        Self {
            counts: numbers.map(|number| (number, vec![0; connections])).collect(),
            missing: count * (connections - 1),
            missing_answers: count,
            ..Self::default()
        }
    }

    fn record(&mut self, connection: usize, frame: &str) {
        self.frames += 1;
        let Some(number) = number_after(frame, "#") else { return };
        let Some(count) = self.counts.get_mut(&number).and_then(|counts| counts.get_mut(connection)) else { return };
        *count = count.saturating_add(1);
        if *count == 1 && connection == 0 {
            self.missing_answers -= 1;
            self.answered = Some(Instant::now());
        } else if *count == 1 {
            self.missing -= 1;
            self.last = Some(Instant::now());
            self.first = self.first.or(self.last);
        }
        if let Some(seq) = number_after(frame, "\"seq\":")
            && *self.seqs.entry(number).or_insert(seq) != seq
        {
            self.conflicting_seqs += 1;
        }
    }

    fn is_done(&self) -> bool {
        self.missing == 0 && self.missing_answers == 0
    }

    fn report(&self, started: Instant) -> Deliveries {
        let since = |moment: Option<Instant>| moment.map_or(PATIENCE, |moment| moment - started).as_secs_f64() * 1e3;
        let times = |holds: fn(u8) -> bool| {
            let others = self.counts.values().flat_map(|counts| &counts[1..]);
            others.filter(|count| holds(**count)).count() as u64
        };
        let mut seqs: Vec<_> = self.seqs.values().copied().collect();
        seqs.sort_unstable();
        Deliveries {
            first_ms: since(self.first),
            last_ms: since(self.last),
            answered_ms: since(self.answered.filter(|_| self.missing_answers == 0)),
            frames: self.frames,
            missing: times(|count| count == 0),
            twice: times(|count| count == 2),
            more_than_twice: times(|count| count > 2),
            seqs,
            conflicting_seqs: self.conflicting_seqs,
        }
    }
}

fn number_after(text: &str, mark: &str) -> Option<u64> {
    let rest = &text[text.find(mark)? + mark.len()..];
    rest[..rest.find(|letter: char| !letter.is_ascii_digit())?].parse().ok()
}

/// The main function of the crowd's process: executes instructions until the input ends.
pub fn run(url: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, execute(url));
}

async fn execute(url: &str) {
    let tracker: Rc<RefCell<Tracker>> = Rc::default();
    let changed: Rc<Notify> = Rc::default();
    let mut sender: Option<SplitSink<WebSocketStream<MaybeTlsStream<TcpStream>>, Message>> = None;
    let (mut connections, mut number, mut started) = (0, 0, Instant::now());
    let mut instructions = BufReader::new(tokio::io::stdin()).lines();
    while let Some(instruction) = instructions.next_line().await.unwrap() {
        match serde_json::from_str(&instruction).unwrap() {
            Instruction::Connect(queries) => {
                let sockets = stream::iter(queries).map(|query| open(format!("{url}?{query}"))).buffered(HANDSHAKES);
                let mut sockets = std::pin::pin!(sockets);
                while let Some(socket) = sockets.next().await {
                    let (sink, mut frames) = socket.split();
                    let (tracker, changed, connection) = (Rc::clone(&tracker), Rc::clone(&changed), connections);
                    connections += 1;
                    sender.get_or_insert(sink);
                    tokio::task::spawn_local(async move {
                        while let Ok(Some(frame)) = frames.try_next().await {
                            if let Message::Text(text) = frame {
                                let mut tracker = tracker.borrow_mut();
                                tracker.record(connection, &text);
                                if tracker.is_done() {
                                    changed.notify_one();
                                }
                            }
                        }
                    });
                }
                answer(&());
            }
            Instruction::Send(frames) => {
                let sender = sender.as_mut().expect("there are no connections");
                let numbers = number..number + frames.len() as u64;
                number = numbers.end;
                *tracker.borrow_mut() = Tracker::for_messages(numbers.clone(), connections);
                started = Instant::now();
                for (frame, number) in frames.iter().zip(numbers) {
                    sender.feed(Message::text(frame.replace("{}", &format!("#{number}#")))).await.unwrap();
                }
                sender.flush().await.unwrap();
                let _ = tokio::time::timeout(PATIENCE, async {
                    while !tracker.borrow().is_done() {
                        changed.notified().await;
                    }
                })
                .await;
                answer(&tracker.borrow().report(started));
            }
            Instruction::Recount => answer(&tracker.borrow().report(started)),
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

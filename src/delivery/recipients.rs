//! The recipients that remain, and how they are divided among further invocations.

use std::vec;

use futures_util::stream::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::CONCURRENCY;
use crate::error::Error;
use crate::log;
use crate::store::{Channel, KeyRange, Subscription};

/// Fewest connections of a range that is handed on, the last one aside.
const RANGE_SIZE: usize = 1_000;

/// What reading a channel yields.
enum Read {
    Page(Vec<Subscription>),
    /// There are no more.
    End(Channel),
    /// The rest cannot be read.
    Failure(Error),
}

/// Who is posted to, until time is up.
pub(super) struct Recipients {
    /// Until the end of all channels.
    reads: Option<mpsc::Receiver<Read>>,
    /// What is left of the page that was read last.
    page: vec::IntoIter<Subscription>,
    /// What is not read yet, of each channel that is not read to its end.
    unread: Vec<KeyRange>,
    /// Whether any of it could be read: handing on would never end otherwise.
    has_read: bool,
    /// Why not all of it could.
    failure: Option<Error>,
    taken: usize,
    until: Instant,
    /// When there is no time left even to read how many remain.
    read_until: Instant,
}

impl Recipients {
    /// The recipients on ranges of channels, with the pages in which each range is read.
    pub(super) fn new<P>(
        ranges: impl IntoIterator<Item = (KeyRange, P)>,
        until: Instant,
        read_until: Instant,
        request_id: &str,
    ) -> Self
    where
        P: Stream<Item = Result<Vec<Subscription>, Error>> + Send + Unpin + 'static,
    {
        let (sender, reads) = mpsc::channel(1);
        let read = |(range, pages): (KeyRange, P)| {
            tokio::spawn(log::about(request_id.to_owned(), read_ahead(range.channel.clone(), pages, sender.clone())));
            range
        };
        let unread = ranges.into_iter().map(read).collect();
        Self {
            reads: Some(reads),
            page: Vec::new().into_iter(),
            unread,
            has_read: false,
            failure: None,
            taken: 0,
            until,
            read_until,
        }
    }

    /// The next recipient; `None` at the end, and when time is up. Some are returned however short the time is, so
    /// handing on ends.
    ///
    /// # Errors
    /// Nobody could be read.
    pub(super) async fn next(&mut self) -> Result<Option<Subscription>, Error> {
        let are_enough = self.taken >= CONCURRENCY;
        if are_enough && Instant::now() >= self.until {
            return Ok(None);
        }
        self.taken += 1;
        loop {
            if let Some(live) = self.page.next() {
                return Ok(Some(live));
            }
            if self.reads.is_none() {
                return Ok(None);
            }
            if are_enough {
                let Ok(read) = timeout_at(self.until, self.read()).await else { return Ok(None) };
                read?;
            } else {
                self.read_in_time().await?;
            }
        }
    }

    /// The next thousand or so of a channel; all that remain there, when they cannot be read, or not in time.
    ///
    /// # Errors
    /// Nobody could be read.
    pub(super) async fn next_range(&mut self) -> Result<Option<KeyRange>, Error> {
        let mut ends: Option<(Subscription, Subscription)> = None;
        let mut count = 0;
        loop {
            if let (Some(first), Some(last)) = (self.page.as_slice().first(), self.page.as_slice().last()) {
                if ends.as_ref().is_some_and(|(begin, _)| begin.channel != first.channel) {
                    break;
                }
                count += self.page.len();
                let begin = ends.map_or_else(|| first.clone(), |(begin, _)| begin);
                ends = Some((begin, last.clone()));
                self.page = Vec::new().into_iter();
            }
            if self.reads.is_none() || count >= RANGE_SIZE {
                break;
            }
            self.read_in_time().await?;
        }
        Ok(ends.map(|(first, last)| KeyRange::between(&first, &last)).or_else(|| self.unread.pop()))
    }

    /// As `read`, with a timeout.
    async fn read_in_time(&mut self) -> Result<(), Error> {
        match timeout_at(self.read_until, self.read()).await {
            Ok(read) => read,
            Err(_) => {
                self.failure = Some(Error::internal("no time left to read the remaining recipients"));
                self.stop()
            }
        }
    }

    /// Takes what is read next, if there is anything.
    async fn read(&mut self) -> Result<(), Error> {
        let Some(reads) = &mut self.reads else { return Ok(()) };
        match reads.recv().await {
            Some(Read::Page(page)) => {
                if let Some(last) = page.last() {
                    self.has_read = true;
                    if let Some(range) = self.unread.iter_mut().find(|range| range.channel == last.channel) {
                        *range = range.beginning_at(last);
                    }
                }
                self.page = page.into_iter();
            }
            Some(Read::End(channel)) => {
                self.has_read = true;
                self.unread.retain(|range| range.channel != channel);
            }
            Some(Read::Failure(error)) => {
                tracing::warn!(error = error.cause(), "failed to read the subscribers of a channel");
                self.failure = Some(error);
            }
            None => self.stop()?,
        }
        Ok(())
    }

    /// Stops reading.
    fn stop(&mut self) -> Result<(), Error> {
        self.reads = None;
        if self.has_read || self.unread.is_empty() {
            return Ok(());
        }
        self.unread.clear();
        Err(self.failure.take().unwrap_or_else(|| Error::internal("no subscribers could be read")))
    }
}

/// Reads ahead in a task of its own, since nothing polls for a page while all posts are under way.
async fn read_ahead(
    channel: Channel,
    mut pages: impl Stream<Item = Result<Vec<Subscription>, Error>> + Unpin,
    reads: mpsc::Sender<Read>,
) {
    loop {
        let (read, is_last) = match pages.next().await {
            Some(Ok(page)) => (Read::Page(page), false),
            Some(Err(error)) => (Read::Failure(error), true),
            None => (Read::End(channel.clone()), true),
        };
        // The receiver may be gone.
        if reads.send(read).await.is_err() || is_last {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::stream::{self, BoxStream};
    use serde_json::json;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    type Page = Result<Vec<Subscription>, Error>;

    fn live(channel: &str, connection: &str) -> Subscription {
        let row = json!({
            "channel": channel, "connectionId": connection, "userId": "ana", "name": "Ana", "connectedAt": 0, "ttl": 0
        });
        serde_json::from_value(row).unwrap()
    }

    fn page(connections: &[&str]) -> Page {
        Ok(connections.iter().map(|connection| live("room#tea", connection)).collect())
    }

    fn unreadable() -> Page {
        Err(Error::internal("it cannot be read"))
    }

    fn range_of(channel: &str) -> KeyRange {
        (&live(channel, "nobody").channel).into()
    }

    fn recipients<const N: usize>(ranges: [(KeyRange, BoxStream<'static, Page>); N]) -> Recipients {
        let later = Instant::now() + PATIENCE;
        Recipients::new(ranges, later, later, "a request")
    }

    async fn all(recipients: &mut Recipients) -> Vec<String> {
        let mut connections = Vec::new();
        while let Some(live) = recipients.next().await.unwrap() {
            connections.push(live.connection_id.to_string());
        }
        connections
    }

    /// What remains, as the events have it.
    async fn ranges(recipients: &mut Recipients) -> Vec<serde_json::Value> {
        let mut ranges = Vec::new();
        while let Some(range) = recipients.next_range().await.unwrap() {
            ranges.push(serde_json::to_value(range).unwrap());
        }
        ranges
    }

    #[tokio::test]
    async fn the_next_page_is_read_ahead() {
        let (begins, begun) = oneshot::channel();
        let second = stream::once(async {
            begins.send(()).unwrap();
            page(&["b"])
        });
        let mut recipients = recipients([(range_of("room#tea"), stream::iter([page(&["a"])]).chain(second).boxed())]);

        let first = recipients.next().await.unwrap().unwrap();
        timeout(PATIENCE, begun).await.expect("it is not read ahead").unwrap();

        assert_eq!(first.connection_id.to_string(), "a");
        assert_eq!(all(&mut recipients).await, ["b"]);
        assert!(ranges(&mut recipients).await.is_empty());
    }

    #[tokio::test]
    async fn only_the_channel_that_cannot_be_read_is_handed_on() {
        let mine = stream::iter([Ok(vec![live("user#ana", "a")])]).boxed();
        let other = stream::iter([unreadable()]).boxed();
        let mut recipients = recipients([(range_of("user#ana"), mine), (range_of("user#ben"), other)]);

        assert_eq!(all(&mut recipients).await, ["a"]);

        let whole = json!({ "channel": "user#ben", "first": null, "last": null });
        assert_eq!(ranges(&mut recipients).await, [whole]);
    }

    #[tokio::test]
    async fn a_range_that_fails_halfway_is_handed_on_from_there() {
        let range = KeyRange::between(&live("room#tea", "a"), &live("room#tea", "x"));
        let pages = stream::iter([page(&["a", "b"]), unreadable()]).boxed();
        let mut recipients = recipients([(range, pages)]);

        assert_eq!(all(&mut recipients).await, ["a", "b"]);

        assert_eq!(ranges(&mut recipients).await, [json!({ "channel": "room#tea", "first": "b", "last": "x" })]);
    }

    #[tokio::test]
    async fn a_channel_that_is_read_too_slowly_is_handed_on() {
        let mine = stream::iter([Ok(vec![live("user#ana", "a")])]).boxed();
        let slow = stream::pending().boxed();
        let both = [(range_of("user#ana"), mine), (range_of("user#ben"), slow)];
        let soon = Instant::now() + Duration::from_millis(200);
        let mut recipients = Recipients::new(both, soon, soon, "a request");

        assert_eq!(all(&mut recipients).await, ["a"]);

        let whole = json!({ "channel": "user#ben", "first": null, "last": null });
        assert_eq!(ranges(&mut recipients).await, [whole]);
    }

    #[tokio::test]
    async fn it_is_an_error_when_nothing_can_be_read() {
        let mut recipients = recipients([(range_of("room#tea"), stream::iter([unreadable()]).boxed())]);

        assert!(recipients.next().await.is_err());
    }
}

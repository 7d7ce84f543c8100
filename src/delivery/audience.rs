//! Who is left to be told, and how those are parted among other invocations.

use std::vec;

use futures_util::stream::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::CONCURRENCY;
use crate::error::Error;
use crate::log;
use crate::store::{Channel, Part, Subscription};

/// Connections of which a part that is handed on has no fewer, but for the last one.
const PART: usize = 1_000;

/// What comes of reading who is live on a channel.
enum Read {
    Page(Vec<Subscription>),
    /// Nobody else is live there.
    End(Channel),
    /// It cannot be read any further.
    Failure(Error),
}

/// Those who are to be posted to, until time is up.
pub(super) struct Audience {
    /// Until the end of all channels.
    reads: Option<mpsc::Receiver<Read>>,
    /// What is left of the page that was read last.
    page: vec::IntoIter<Subscription>,
    /// What is not read yet, of each channel that is not read to its end.
    unread: Vec<Part>,
    /// Whether any of it could be read: else to hand on would never come to an end.
    has_read: bool,
    /// Why not all of it could.
    failure: Option<Error>,
    taken: usize,
    until: Instant,
    /// When there is no more time to read even how many are left.
    read_until: Instant,
}

impl Audience {
    /// Those on parts of channels, with the pages in which each of these is read.
    pub(super) fn new<P>(
        parts: impl IntoIterator<Item = (Part, P)>,
        until: Instant,
        read_until: Instant,
        request_id: &str,
    ) -> Self
    where
        P: Stream<Item = Result<Vec<Subscription>, Error>> + Send + Unpin + 'static,
    {
        let (sender, reads) = mpsc::channel(1);
        let read = |(part, pages): (Part, P)| {
            tokio::spawn(log::about(request_id.to_owned(), read_ahead(part.channel.clone(), pages, sender.clone())));
            part
        };
        let unread = parts.into_iter().map(read).collect();
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

    /// The next one; nobody at the end, and when time is up. However short it is, some are posted to: so what is handed
    /// on comes to an end.
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

    /// The next thousand or so of a channel. All that are left there, when they cannot be read, or not in time.
    ///
    /// # Errors
    /// Nobody could be read.
    pub(super) async fn part(&mut self) -> Result<Option<Part>, Error> {
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
            if self.reads.is_none() || count >= PART {
                break;
            }
            self.read_in_time().await?;
        }
        Ok(ends.map(|(first, last)| Part::between(&first, &last)).or_else(|| self.unread.pop()))
    }

    /// As `read`, but what takes too long is not waited for.
    async fn read_in_time(&mut self) -> Result<(), Error> {
        match timeout_at(self.read_until, self.read()).await {
            Ok(read) => read,
            Err(_) => {
                self.failure = Some(Error::internal("there was no time to read who is left"));
                self.stop()
            }
        }
    }

    /// Turns to what is read next, if there is anything.
    async fn read(&mut self) -> Result<(), Error> {
        let Some(reads) = &mut self.reads else { return Ok(()) };
        match reads.recv().await {
            Some(Read::Page(page)) => {
                if let Some(last) = page.last() {
                    self.has_read = true;
                    if let Some(part) = self.unread.iter_mut().find(|part| part.channel == last.channel) {
                        *part = part.beginning_at(last);
                    }
                }
                self.page = page.into_iter();
            }
            Some(Read::End(channel)) => {
                self.has_read = true;
                self.unread.retain(|part| part.channel != channel);
            }
            Some(Read::Failure(error)) => {
                tracing::warn!(error = error.cause(), "those who are live on a channel could not all be read");
                self.failure = Some(error);
            }
            None => self.stop()?,
        }
        Ok(())
    }

    /// Reads no further.
    fn stop(&mut self) -> Result<(), Error> {
        self.reads = None;
        if self.has_read || self.unread.is_empty() {
            return Ok(());
        }
        self.unread.clear();
        Err(self.failure.take().unwrap_or_else(|| Error::internal("nobody was read")))
    }
}

/// Reads on while a page is told: by a task of its own, since nobody asks for a page while all posts are under way.
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
        // Nobody may want more.
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

    fn part_of(channel: &str) -> Part {
        (&live(channel, "nobody").channel).into()
    }

    fn audience<const N: usize>(parts: [(Part, BoxStream<'static, Page>); N]) -> Audience {
        let later = Instant::now() + PATIENCE;
        Audience::new(parts, later, later, "a request")
    }

    async fn all(audience: &mut Audience) -> Vec<String> {
        let mut connections = Vec::new();
        while let Some(live) = audience.next().await.unwrap() {
            connections.push(live.connection_id.to_string());
        }
        connections
    }

    /// What is left, as the events have it.
    async fn parts(audience: &mut Audience) -> Vec<serde_json::Value> {
        let mut parts = Vec::new();
        while let Some(part) = audience.part().await.unwrap() {
            parts.push(serde_json::to_value(part).unwrap());
        }
        parts
    }

    #[tokio::test]
    async fn the_next_page_is_read_while_nobody_asks_for_it() {
        let (begins, begun) = oneshot::channel();
        let second = stream::once(async {
            begins.send(()).unwrap();
            page(&["b"])
        });
        let mut audience = audience([(part_of("room#tea"), stream::iter([page(&["a"])]).chain(second).boxed())]);

        let first = audience.next().await.unwrap().unwrap();
        timeout(PATIENCE, begun).await.expect("it waits to be asked").unwrap();

        assert_eq!(first.connection_id.to_string(), "a");
        assert_eq!(all(&mut audience).await, ["b"]);
        assert!(parts(&mut audience).await.is_empty());
    }

    #[tokio::test]
    async fn a_channel_that_cannot_be_read_is_left_to_others_and_only_that() {
        let mine = stream::iter([Ok(vec![live("user#ana", "a")])]).boxed();
        let other = stream::iter([unreadable()]).boxed();
        let mut audience = audience([(part_of("user#ana"), mine), (part_of("user#ben"), other)]);

        assert_eq!(all(&mut audience).await, ["a"]);

        let whole = json!({ "channel": "user#ben", "first": null, "last": null });
        assert_eq!(parts(&mut audience).await, [whole]);
    }

    #[tokio::test]
    async fn a_part_that_cannot_be_read_to_its_end_is_left_from_there_to_its_end() {
        let part = Part::between(&live("room#tea", "a"), &live("room#tea", "x"));
        let pages = stream::iter([page(&["a", "b"]), unreadable()]).boxed();
        let mut audience = audience([(part, pages)]);

        assert_eq!(all(&mut audience).await, ["a", "b"]);

        assert_eq!(parts(&mut audience).await, [json!({ "channel": "room#tea", "first": "b", "last": "x" })]);
    }

    #[tokio::test]
    async fn a_channel_that_is_not_read_in_time_is_left_to_others() {
        let mine = stream::iter([Ok(vec![live("user#ana", "a")])]).boxed();
        let slow = stream::pending().boxed();
        let both = [(part_of("user#ana"), mine), (part_of("user#ben"), slow)];
        let soon = Instant::now() + Duration::from_millis(200);
        let mut audience = Audience::new(both, soon, soon, "a request");

        assert_eq!(all(&mut audience).await, ["a"]);

        let whole = json!({ "channel": "user#ben", "first": null, "last": null });
        assert_eq!(parts(&mut audience).await, [whole]);
    }

    #[tokio::test]
    async fn what_cannot_be_read_at_all_is_an_error() {
        let mut audience = audience([(part_of("room#tea"), stream::iter([unreadable()]).boxed())]);

        assert!(audience.next().await.is_err());
    }
}

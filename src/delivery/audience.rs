//! Who is left to be told, and how those are parted among other invocations.

use std::vec;

use futures_util::stream::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::CONCURRENCY;
use crate::error::Error;
use crate::log;
use crate::store::{Part, Subscription};

/// Connections of which a part that is handed on has no fewer, but for the last one.
const PART: usize = 1_000;

/// Those who are to be posted to, until time is up.
pub(super) struct Audience {
    /// Until their end.
    pages: Option<mpsc::Receiver<Result<Vec<Subscription>, Error>>>,
    /// What is left of the page that was read last.
    page: vec::IntoIter<Subscription>,
    /// The last one of that page.
    read_to: Option<Subscription>,
    /// All who are left behind the pages, where these could not be read to their end.
    unread: Option<Part>,
    taken: usize,
    until: Instant,
}

impl Audience {
    pub(super) fn new(
        pages: impl Stream<Item = Result<Vec<Subscription>, Error>> + Send + Unpin + 'static,
        until: Instant,
        request_id: String,
    ) -> Self {
        let pages = Some(ahead(pages, request_id));
        Self { pages, page: Vec::new().into_iter(), read_to: None, unread: None, taken: 0, until }
    }

    /// The next one; nobody at the end, and when time is up. However short it is, some are posted to: so what is handed
    /// on comes to an end.
    pub(super) async fn next(&mut self) -> Result<Option<Subscription>, Error> {
        if self.taken >= CONCURRENCY && Instant::now() >= self.until {
            return Ok(None);
        }
        self.taken += 1;
        loop {
            if let Some(live) = self.page.next() {
                return Ok(Some(live));
            }
            if self.pages.is_none() {
                return Ok(None);
            }
            self.turn().await?;
        }
    }

    /// The next thousand or so of a channel. All that are left, when they cannot be read, or not before `read_until`.
    pub(super) async fn part(&mut self, read_until: Instant) -> Result<Option<Part>, Error> {
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
            if self.pages.is_none() || count >= PART {
                break;
            }
            match timeout_at(read_until, self.turn()).await {
                Ok(turned) => turned?,
                Err(_) => self.give_up().ok_or_else(|| Error::internal("there was no time to read who is left"))?,
            }
        }
        Ok(ends.map(|(first, last)| Part::between(&first, &last)).or_else(|| self.unread.take()))
    }

    /// Turns to the next page, if there is one.
    async fn turn(&mut self) -> Result<(), Error> {
        let Some(pages) = &mut self.pages else { return Ok(()) };
        match pages.recv().await {
            Some(Ok(page)) => {
                self.read_to = page.last().cloned().or(self.read_to.take());
                self.page = page.into_iter();
            }
            Some(Err(error)) => self.give_up().ok_or(error)?,
            None => self.pages = None,
        }
        Ok(())
    }

    /// Reads no further, and leaves who is behind the last page to others; nothing, if there was none.
    fn give_up(&mut self) -> Option<()> {
        self.pages = None;
        self.unread = Some(Part::from_on(self.read_to.as_ref()?));
        Some(())
    }
}

/// Reads on while a page is told: by a task of its own, since nobody asks for a page while all posts are under way.
fn ahead(
    mut pages: impl Stream<Item = Result<Vec<Subscription>, Error>> + Send + Unpin + 'static,
    request_id: String,
) -> mpsc::Receiver<Result<Vec<Subscription>, Error>> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(log::about(request_id, async move {
        while let Some(page) = pages.next().await {
            // Nobody wants more.
            if sender.send(page).await.is_err() {
                break;
            }
        }
    }));
    receiver
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::stream;
    use serde_json::json;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn page(connection: &str) -> Result<Vec<Subscription>, Error> {
        let row = json!({
            "channel": "room#tea", "connectionId": connection, "userId": "ana", "name": "Ana", "connectedAt": 0, "ttl": 0
        });
        Ok(vec![serde_json::from_value(row).unwrap()])
    }

    #[tokio::test]
    async fn the_next_page_is_read_while_nobody_asks_for_it() {
        let (begins, begun) = oneshot::channel();
        let second = stream::once(async {
            begins.send(()).unwrap();
            page("second")
        });
        let pages = stream::iter([page("first")]).chain(second).boxed();
        let mut audience = Audience::new(pages, Instant::now() + PATIENCE, "a request".to_owned());

        let first = audience.next().await.unwrap().unwrap();
        timeout(PATIENCE, begun).await.expect("it waits to be asked").unwrap();

        let second = audience.next().await.unwrap().unwrap();
        assert_eq!([first, second].map(|live| live.connection_id.to_string()), ["first", "second"]);
        assert!(audience.next().await.unwrap().is_none());
    }
}

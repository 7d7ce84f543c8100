//! Waiting between attempts to write rows that others write too.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long a write that conflicts with others is retried.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a change of a membership is retried: its transaction counts the participants in the room's row, so
/// concurrent joins are written one by one. Nearly as long as a client waits for API Gateway.
const MEMBERSHIP_PATIENCE: Duration = Duration::from_secs(25);

/// After this time a row that is written all the time counts as busy.
const BUSY: Duration = Duration::from_millis(200);

/// Exponential backoff with full jitter, until a deadline.
pub(super) struct Backoff {
    until: Instant,
    most: Duration,
    longest: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_millis(400);

    pub(super) fn new() -> Self {
        Self::until(Instant::now() + PATIENCE)
    }

    pub(super) fn until(until: Instant) -> Self {
        Self { until, most: Self::FIRST, longest: Self::LONGEST }
    }

    /// For changes of memberships: a thousand may wait for one row, and each attempt that fails costs write units.
    pub(super) fn of_memberships() -> Self {
        Self { longest: Duration::from_secs(1), ..Self::until(Instant::now() + MEMBERSHIP_PATIENCE) }
    }

    /// For a write that can be done in another way while others write the same row.
    pub(super) fn brief() -> Self {
        Self::until(Instant::now() + BUSY)
    }

    /// `false`, at once, when there is no time for another attempt.
    pub(super) async fn pause(&mut self) -> bool {
        if Instant::now() >= self.until {
            return false;
        }
        sleep(self.next_wait()).await;
        true
    }

    fn next_wait(&mut self) -> Duration {
        let wait = self.most.mul_f64(fastrand::f64());
        self.most = (self.most * 2).min(self.longest);
        wait
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use super::super::members::COUNTERS;
    use super::*;

    /// How long a transaction takes, and a conflict.
    const REQUEST: Duration = Duration::from_millis(20);
    /// Of all transactions, so many are in conflict with something else.
    const OTHER_CONFLICTS: f64 = 0.2;

    /// What a join does next, as `transact_counted` has it.
    enum Step {
        CountInRoom(Backoff),
        Spread(Backoff),
        Count(usize, Backoff),
    }

    /// Rows that transactions write: the room's own, and its counters.
    struct Rows {
        busy_until: Vec<Instant>,
        is_spread: bool,
    }

    impl Rows {
        /// Whether a write that begins at `at` succeeds.
        fn write(&mut self, row: usize, at: Instant) -> bool {
            let succeeds = at >= self.busy_until[row] && fastrand::f64() >= OTHER_CONFLICTS;
            if succeeds {
                self.busy_until[row] = at + REQUEST;
            }
            succeeds
        }
    }

    /// After which time the last of `count` joins of one room, all begun in the same second, has succeeded; `None` if
    /// one does not succeed in time.
    fn last_join(count: usize) -> Option<Duration> {
        let begun = Instant::now();
        let mut rows = Rows { busy_until: vec![begun; 1 + COUNTERS as usize], is_spread: false };
        let starts: Vec<_> = (0..count).map(|_| begun + Duration::from_secs(1).mul_f64(fastrand::f64())).collect();
        let mut steps: Vec<_> = starts.iter().map(|&at| Step::CountInRoom(Backoff::until(at + BUSY))).collect();
        let mut queue: BinaryHeap<_> = starts.iter().enumerate().map(|(join, &at)| Reverse((at, join))).collect();
        let mut last = begun;
        while let Some(Reverse((at, join))) = queue.pop() {
            let end = at + REQUEST;
            let patient = || Backoff { until: end + MEMBERSHIP_PATIENCE, ..Backoff::of_memberships() };
            let next = match &mut steps[join] {
                Step::CountInRoom(_) if rows.write(0, at) => None,
                Step::CountInRoom(backoff) if end < backoff.until => Some(end + backoff.next_wait()),
                Step::CountInRoom(_) => {
                    steps[join] = Step::Spread(patient());
                    Some(end)
                }
                Step::Spread(backoff) => {
                    rows.is_spread |= rows.write(0, at);
                    if rows.is_spread {
                        steps[join] = Step::Count(fastrand::usize(1..rows.busy_until.len()), patient());
                        Some(end)
                    } else {
                        Some(end + backoff.next_wait())
                    }
                }
                Step::Count(row, _) if rows.write(*row, at) => None,
                Step::Count(_, backoff) if end < backoff.until => Some(end + backoff.next_wait()),
                Step::Count(..) => return None,
            };
            match next {
                Some(next) => queue.push(Reverse((next, join))),
                None => last = last.max(end),
            }
        }
        Some(last - begun)
    }

    #[test]
    fn a_thousand_concurrent_joins_of_one_room_succeed_within_10_seconds() {
        for _ in 0..10 {
            let last = last_join(1000);
            assert!(last.is_some_and(|last| last < Duration::from_secs(10)), "{last:?}");
        }
    }
}

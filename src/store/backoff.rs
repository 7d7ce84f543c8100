//! Waiting between attempts to write rows that others write too.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long a write that conflicts with others is retried.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a change of a membership is retried: its transaction counts the participants in the room's row, so
/// concurrent joins are written one by one. Nearly as long as a client waits for API Gateway.
const MEMBERSHIP_PATIENCE: Duration = Duration::from_secs(25);

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

    use super::*;

    /// How long a transaction takes, and a conflict.
    const REQUEST: Duration = Duration::from_millis(20);

    /// How many of `count` transactions on one row, all begun in the same second, do not succeed in time; and how many
    /// attempts all of them need.
    fn contend(count: u64, backoff: fn() -> Backoff) -> (usize, usize) {
        let begun = Instant::now();
        let mut waiting: Vec<_> = (0..count).map(|_| backoff()).collect();
        let mut attempts: BinaryHeap<_> =
            (0..count).map(|index| Reverse((begun + Duration::from_secs(1).mul_f64(fastrand::f64()), index))).collect();
        let (mut busy_until, mut failed, mut count) = (begun, 0, 0);
        while let Some(Reverse((at, index))) = attempts.pop() {
            count += 1;
            if at >= busy_until {
                busy_until = at + REQUEST;
                continue;
            }
            let (refused, backoff) = (at + REQUEST, &mut waiting[index as usize]);
            if refused < backoff.until {
                attempts.push(Reverse((refused + backoff.next_wait(), index)));
            } else {
                failed += 1;
            }
        }
        (failed, count)
    }

    #[test]
    fn a_thousand_concurrent_joins_of_one_room_succeed() {
        let (failed, attempts) = contend(1000, Backoff::of_memberships);
        assert_eq!(failed, 0);
        assert!(attempts < 32_000, "{attempts} attempts");
    }
}

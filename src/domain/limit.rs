//! Rate limits by the generic cell rate algorithm (GCRA): each limit is one number, the theoretical arrival time.

use super::Timestamp;

/// Declares [`Limit`] with the name and the default rate of each class.
macro_rules! limits {
    ($(#[doc = $about:literal] $name:ident = $key:literal,
        $count:literal in $seconds:literal s, burst $burst:literal;)+) => {
        /// Classes of rate limits: the requests of a class count together.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Limit {
            $(#[doc = $about] $name,)+
        }

        impl Limit {
            /// All classes.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name in `LIMITS`, in rows and in errors.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $key,)+ }
            }

            /// The rate unless `LIMITS` has another one.
            pub const fn default_rate(self) -> Rate {
                match self { $(Self::$name => Rate { count: $count, seconds: $seconds, burst: $burst },)+ }
            }
        }
    };
}

limits! {
    /// Every request.
    Frames = "frame", 20 in 1 s, burst 100;
    /// New messages.
    Messages = "message", 5 in 1 s, burst 20;
    /// Changes to what was said, and reports of it.
    Changes = "change", 2 in 1 s, burst 10;
    /// Typing indicators.
    Typing = "typing", 1 in 1 s, burst 3;
    /// New rooms.
    Rooms = "room", 30 in 3_600 s, burst 30;
    /// New invites.
    Invites = "invite", 60 in 3_600 s, burst 60;
    /// Members whom others add.
    Additions = "addition", 50 in 3_600 s, burst 50;
    /// Announced files.
    Uploads = "upload", 60 in 3_600 s, burst 60;
    /// New connections.
    Connections = "connection", 30 in 60 s, burst 30;
    /// Requests that a limit refuses: above it the connection is closed. The default only.
    Refusals = "refusal", 50 in 60 s, burst 50;
}

impl Limit {
    /// Live connections of a user: above it the oldest is closed.
    pub const DEFAULT_LIVE: usize = 20;
}

/// A request that a limit refuses, or some of its messages.
#[derive(Clone, Copy, Debug)]
pub struct Limited {
    pub limit: Limit,
    pub retry_after_ms: u64,
    /// How many messages of the request may be written nevertheless.
    pub granted: usize,
}

/// A rate, and how much of it may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many in `seconds`: 1 to 1,000,000.
    count: i64,
    seconds: i64,
    burst: i64,
}

/// What a limit grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// How many of those that were wanted.
    pub count: u64,
    /// The theoretical arrival time after that, in epoch microseconds.
    pub arrival: i64,
    /// When one more is granted, in milliseconds from now.
    pub retry_after_ms: u64,
}

impl Rate {
    const MOST: i64 = 1_000_000;

    /// A rate such as `50/s burst 200`, `100/min` or `30/h`. The burst is by default as large as the number.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| text.trim().parse().ok().filter(|number| (1..=Self::MOST).contains(number));
        let (rate, burst) = match text.split_once(" burst ") {
            Some((rate, burst)) => (rate, Some(number(burst)?)),
            None => (text, None),
        };
        let (count, unit) = rate.split_once('/')?;
        let count = number(count)?;
        let seconds = match unit.trim() {
            "s" => 1,
            "min" => 60,
            "h" => 3_600,
            _ => return None,
        };
        Some(Self { count, seconds, burst: burst.unwrap_or(count) })
    }

    /// So many times as much.
    pub const fn times(self, factor: i64) -> Self {
        Self { count: self.count * factor, burst: self.burst * factor, ..self }
    }

    /// How many in a second.
    pub fn per_second(self) -> f64 {
        self.count as f64 / self.seconds as f64
    }

    /// How many at once.
    pub const fn burst(self) -> u64 {
        self.burst.unsigned_abs()
    }

    /// Microseconds from one to the next.
    const fn interval(self) -> i64 {
        let interval = self.seconds * 1_000_000 / self.count;
        if interval > 0 { interval } else { 1 }
    }

    /// What `count` of them take of the limit, in microseconds.
    pub const fn cost(self, count: u64) -> i64 {
        self.interval() * count as i64
    }

    /// The latest arrival time at which `count` are granted, in epoch microseconds.
    pub const fn latest(self, count: u64, now: Timestamp) -> i64 {
        micros(now) + self.interval() * self.burst - self.cost(count)
    }

    /// Grants as many of `wanted` as there is room for at an arrival time (epoch microseconds; 0 for none).
    pub fn grant(self, arrival: i64, wanted: u64, now: Timestamp) -> Grant {
        let start = arrival.max(micros(now));
        let free = ((self.latest(0, now) - start) / self.interval()).max(0).unsigned_abs();
        let count = wanted.min(free);
        let arrival = start + self.cost(count);
        let wait = (arrival - self.latest(1, now)).max(0).unsigned_abs();
        Grant { count, arrival, retry_after_ms: wait.div_ceil(1_000) }
    }
}

/// Epoch microseconds.
pub const fn micros(moment: Timestamp) -> i64 {
    moment.as_millis().saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    #[test]
    fn a_burst_is_granted_at_once_and_then_the_rate() {
        let rate = Rate::parse("5/s burst 20").unwrap();
        let burst = rate.grant(0, 30, NOW);
        assert_eq!((burst.count, burst.retry_after_ms), (20, 200));
        assert_eq!(rate.grant(burst.arrival, 1, NOW.plus_millis(199)).count, 0);
        assert_eq!(rate.grant(burst.arrival, 9, NOW.plus_secs(1)).count, 5);
        assert_eq!(rate.grant(burst.arrival, 30, NOW.plus_secs(3_600)).count, 20);
        assert!(burst.arrival - rate.cost(1) <= rate.latest(1, NOW));
    }

    #[test]
    fn rates_are_read_with_and_without_a_burst() {
        assert_eq!(Rate::parse("30/h"), Some(Rate { count: 30, seconds: 3_600, burst: 30 }));
        assert_eq!(Rate::parse("50/s burst 200"), Some(Rate { count: 50, seconds: 1, burst: 200 }));
        for wrong in
            ["", "5", "5/d", "0/s", "-1/s", "5/s burst", "5/s burst 0", "5/s of 3", "x/s", "5/s burst 3 burst 4"]
        {
            assert_eq!(Rate::parse(wrong), None, "{wrong}");
        }
    }
}

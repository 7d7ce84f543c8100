//! `LIMITS`: how much each user may ask for.

use crate::domain::{Limit, Rate};

/// The rate limits of a user.
#[derive(Debug)]
pub struct Limits {
    rates: Vec<(Limit, Rate)>,
    /// Live connections: above it the oldest is closed.
    pub live_connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rates: Vec::new(), live_connections: Limit::DEFAULT_LIVE }
    }
}

impl Limits {
    /// The name of the number of live connections.
    const LIVE: &str = "live";
    /// What `LIMITS` must be.
    pub const EXPECTED: &str =
        "\"off\", or what differs from the defaults, such as \"message=50/s burst 200, room=100/h, live=50\"";

    /// Reads the list of what differs from the defaults.
    ///
    /// # Errors
    /// The first part that is wrong.
    pub fn parse(list: &str) -> Result<Self, &str> {
        let mut limits = Self::default();
        for part in list.split(',').map(str::trim) {
            limits.change(part).ok_or(part)?;
        }
        Ok(limits)
    }

    fn change(&mut self, part: &str) -> Option<()> {
        let (name, value) = part.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        if name == Self::LIVE {
            self.live_connections = value.parse().ok().filter(|live| (1..=1_000).contains(live))?;
            return Some(());
        }
        let limit = Limit::ALL.iter().copied().find(|limit| limit.name() == name && *limit != Limit::Refusals)?;
        self.rates.push((limit, Rate::parse(value)?));
        Some(())
    }

    /// The rate of a class.
    pub fn rate(&self, limit: Limit) -> Rate {
        let changed = self.rates.iter().rev().find(|(changed, _)| *changed == limit);
        changed.map_or(limit.default_rate(), |(_, rate)| *rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_changes_what_it_names() {
        let limits = Limits::parse("message=50/s burst 200,live=3").unwrap();
        assert_eq!(limits.rate(Limit::Messages).burst(), 200);
        assert_eq!(limits.rate(Limit::Frames), Limit::Frames.default_rate());
        assert_eq!(limits.live_connections, 3);
        for wrong in ["", "message", "messages=5/s", "message=5", "message=5/s,,live=3", "live=0", "refusal=5/s"] {
            assert!(Limits::parse(wrong).is_err(), "{wrong}");
        }
    }
}

//! Timestamps. Nothing here reads the machine's clock.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

const ISO: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// A moment, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the epoch.
    pub const fn from_millis(epoch_ms: i64) -> Self {
        Self(epoch_ms)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Milliseconds from `earlier` to this moment; negative when it is the later one.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whether something that ends at `expires_at` (epoch seconds) is over. The table's own expiry comes up to two
    /// days late, so every reader asks.
    pub const fn has_passed(self, expires_at: i64) -> bool {
        self.as_secs() >= expires_at
    }

    /// ISO 8601 in UTC with milliseconds and `Z`.
    pub fn to_iso(self) -> String {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .ok()
            .and_then(|moment| moment.format(ISO).ok())
            .unwrap_or_default()
    }

    /// A moment in ISO 8601, as [`Timestamp::to_iso`] and AWS's events have it, such as `2026-11-21T11:33:07Z`.
    pub fn from_iso(text: &str) -> Option<Self> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok().map(Self)
    }

    /// The moment so many seconds before.
    pub const fn minus_secs(self, seconds: i64) -> Self {
        Self(self.0.saturating_sub(seconds.saturating_mul(1000)))
    }

    /// The moment so many seconds after.
    pub const fn plus_secs(self, seconds: i64) -> Self {
        self.minus_secs(-seconds)
    }

    /// The moment so many milliseconds after.
    pub const fn plus_millis(self, milliseconds: i64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }

    /// From whole seconds since the epoch.
    pub const fn from_secs(epoch_secs: i64) -> Self {
        Self(epoch_secs.saturating_mul(1000))
    }
}

/// A moment as clients and rows have it: ISO 8601 in UTC with milliseconds and `Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Iso(pub Timestamp);

impl From<Timestamp> for Iso {
    fn from(moment: Timestamp) -> Self {
        Self(moment)
    }
}

impl Serialize for Iso {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_iso())
    }
}

impl<'de> Deserialize<'de> for Iso {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::from_iso(&text).map(Self).ok_or_else(|| D::Error::custom("a time that is not ISO 8601"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_times_are_utc_with_milliseconds() {
        let moment = Timestamp::from_millis(1_708_328_531_007);
        assert_eq!(moment.to_iso(), "2024-02-19T07:42:11.007Z");
        assert_eq!(Timestamp::from_iso("2024-02-19T07:42:11.007Z"), Some(moment));
    }
}

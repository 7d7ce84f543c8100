//! What random clients would rarely come to.

mod again;
mod races;

pub use again::{rooms_are_made_again, users};
pub use races::removals_race;

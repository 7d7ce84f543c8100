//! What random clients would rarely come to.

mod again;
mod modes;
mod races;

pub use again::{rooms_are_made_again, users};
pub use modes::modes_race;
pub use races::removals_race;

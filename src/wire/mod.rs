//! What goes over the wire: requests in, frames out. The reference for clients is `README.md` beside this file.

mod deserialize;
mod fields;
pub mod formats;
pub mod frames;
mod json;
pub mod requests;
mod size;
pub mod types;

pub use fields::{ClientFrame, Fields};
pub use frames::Frame;
pub use size::{ENVELOPE_BYTES, LARGEST_FRAME_BYTES, fitting, size_of};

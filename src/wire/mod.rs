//! What goes over the wire: requests in, frames out. The reference for clients is `README.md` beside this file.

/// The attributes of what clients receive: a field without a value is left out.
macro_rules! sent {
    ($($item:tt)+) => {
        #[serde_with::skip_serializing_none]
        #[derive(Clone, Debug, serde::Serialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "camelCase")]
        $($item)+
    };
}

/// The attributes of what clients send.
macro_rules! received {
    ($($item:tt)+) => {
        #[derive(Debug, serde::Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "camelCase")]
        $($item)+
    };
}

mod client_frame;
mod deserialize;
pub mod events;
mod fields;
pub mod formats;
pub mod frames;
mod json;
pub mod requests;
mod size;
pub mod types;

pub use client_frame::ClientFrame;
pub use fields::Fields;
pub use frames::Frame;
pub use size::{ENVELOPE_BYTES, LARGEST_FRAME_BYTES, fitting, size_of};

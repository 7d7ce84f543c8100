//! How a connection hears frames.

use serde::{Deserialize, Serialize};

/// The format of a connection: fixed at its handshake, and kept on its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Format {
    /// The frames of the protocol, as the reference has them.
    #[serde(rename = "n")]
    Native,
    /// For clients of other backends, who know fields by other names: those are added.
    #[default]
    #[serde(rename = "c")]
    Compat,
    /// As `Compat`, for a page of one room that shows whatever it hears as a message: it hears nothing else.
    #[serde(rename = "m")]
    MessagesOnly,
    /// As `Compat`, but in the lobby messages are bare text.
    #[serde(rename = "r")]
    Raw,
}

impl Format {
    pub const ALL: [Self; 4] = [Self::Native, Self::Compat, Self::MessagesOnly, Self::Raw];

    /// The format that a client can ask for by this name.
    pub fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "native" => Some(Self::Native),
            "compat" => Some(Self::Compat),
            "raw" => Some(Self::Raw),
            _ => None,
        }
    }

    /// What it is called towards clients.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Compat | Self::MessagesOnly => "compat",
            Self::Raw => "raw",
        }
    }

    /// Whether its clients follow the address of a file as it stands, with no token to send along.
    pub fn wants_links(self) -> bool {
        self != Self::Native
    }

    // The signature is serde's.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

//! How a connection hears frames.

use serde::{Deserialize, Serialize};

/// The format of a connection: fixed at its handshake, and kept on its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "&'static str", from = "String")]
pub enum Format {
    /// The frames of the protocol, as the reference has them.
    Native,
    /// For clients of other backends, who know fields by other names: those are added.
    #[default]
    Compat,
    /// As `Compat`, for a page of one room that shows whatever it hears as a message: it hears nothing else.
    MessagesOnly,
    /// As `Compat`, but in the lobby messages are bare text.
    Raw,
}

impl Format {
    /// Every format.
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

    /// What rows have of it.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Native => "n",
            Self::Compat => "c",
            Self::MessagesOnly => "m",
            Self::Raw => "r",
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
    /// Whether it is `compat`, which rows leave out.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl From<Format> for &'static str {
    fn from(format: Format) -> Self {
        format.letter()
    }
}

/// A format that only a later version knows is the default here: versions mix during a deployment.
impl From<String> for Format {
    fn from(letter: String) -> Self {
        Self::ALL.into_iter().find(|format| format.letter() == letter).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_read_as_it_was_written_and_an_unknown_one_as_the_default() {
        for format in Format::ALL {
            let row = serde_json::to_string(&format).unwrap();
            assert_eq!(serde_json::from_str::<Format>(&row).unwrap(), format);
        }
        assert_eq!(serde_json::from_str::<Format>("\"z\"").unwrap(), Format::Compat);
    }
}

//! The formats of frames.

use serde::{Deserialize, Serialize};

/// The format of a connection: fixed at its handshake, and kept on its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "&'static str", from = "String")]
pub enum Format {
    /// The frames of the protocol reference.
    Native,
    /// For clients of other backends: fields are repeated under the names that these use.
    #[default]
    Compat,
    /// As `Compat`, with the frames that other backends did not have.
    Events,
    /// As `Compat`, for a page of one room that shows every frame as a message: it receives messages only.
    MessagesOnly,
    /// As `Compat`, but in the lobby messages are bare text.
    Raw,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Native, Self::Compat, Self::Events, Self::MessagesOnly, Self::Raw];

    /// The format of this name, as clients request it.
    pub fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "native" => Some(Self::Native),
            "compat" => Some(Self::Compat),
            "raw" => Some(Self::Raw),
            _ => None,
        }
    }

    /// The value in rows.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Native => "n",
            Self::Compat => "c",
            Self::Events => "e",
            Self::MessagesOnly => "m",
            Self::Raw => "r",
        }
    }

    /// The name for clients.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Compat | Self::Events | Self::MessagesOnly => "compat",
            Self::Raw => "raw",
        }
    }

    /// Whether its clients use file addresses without a token.
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

/// Formats of later versions are read as the default: versions mix during a deployment.
impl From<String> for Format {
    fn from(letter: String) -> Self {
        Self::ALL.into_iter().find(|format| format.letter() == letter).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_round_trip_and_unknown_ones_are_read_as_the_default() {
        for format in Format::ALL {
            let row = serde_json::to_string(&format).unwrap();
            assert_eq!(serde_json::from_str::<Format>(&row).unwrap(), format);
        }
        assert_eq!(serde_json::from_str::<Format>("\"z\"").unwrap(), Format::Compat);
    }
}

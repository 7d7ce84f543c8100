//! A frame in the formats of its recipients.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use crate::domain::Format;
use crate::wire::Frame;

/// A frame that is serialised once per format, lazily. Clones share the result.
#[derive(Clone, Serialize, Deserialize)]
#[serde(into = "Texts", from = "Texts")]
pub(super) struct Encoded(Arc<Inner>);

/// The form in the event that continues a fan-out. Versions mix during a deployment: unknown formats of another version
/// are ignored.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Texts {
    /// By the letter of the format; absent if it does not receive the frame.
    ByFormat(BTreeMap<String, String>),
    /// One text for all, as sent before there were formats.
    One(String),
}

struct Inner {
    /// The frame to serialise, and whether its recipients sent it or are its subject; `None` if all texts are known.
    frame: Option<(Frame, bool)>,
    texts: [OnceLock<Option<String>>; Format::ALL.len()],
}

impl Encoded {
    pub(super) fn new(frame: &Frame, is_own: bool) -> Self {
        Self(Arc::new(Inner { frame: Some((frame.clone(), is_own)), texts: Default::default() }))
    }

    /// The text for connections of this format; `None` if they do not receive the frame.
    pub(super) fn text_in(&self, format: Format) -> Option<&str> {
        let Inner { frame, texts } = &*self.0;
        let encode = || frame.as_ref().and_then(|(frame, is_own)| frame.heard_in(format, *is_own));
        texts[format as usize].get_or_init(encode).as_deref()
    }
}

impl From<Encoded> for Texts {
    fn from(encoded: Encoded) -> Self {
        let text = |format: Format| Some((format.letter().to_owned(), encoded.text_in(format)?.to_owned()));
        Self::ByFormat(Format::ALL.into_iter().filter_map(text).collect())
    }
}

impl From<Texts> for Encoded {
    fn from(texts: Texts) -> Self {
        let texts = match texts {
            Texts::ByFormat(mut texts) => Format::ALL.map(|format| OnceLock::from(texts.remove(format.letter()))),
            Texts::One(text) => Format::ALL.map(|_| OnceLock::from(Some(text.clone()))),
        };
        Self(Arc::new(Inner { frame: None, texts }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frames::Pong;

    #[test]
    fn formats_are_indexed_by_their_order() {
        for (place, format) in Format::ALL.into_iter().enumerate() {
            assert_eq!(format as usize, place);
        }
    }

    #[test]
    fn events_of_other_versions_are_understood_as_far_as_possible() {
        let older: Encoded = serde_json::from_str(r#""{\"type\":\"pong\"}""#).unwrap();
        assert_eq!(older.text_in(Format::Compat), Some(r#"{"type":"pong"}"#));
        let newer: Encoded = serde_json::from_str(r#"{"n":"native","z":"unheard of"}"#).unwrap();
        assert_eq!((newer.text_in(Format::Native), newer.text_in(Format::Compat)), (Some("native"), None));
    }

    #[test]
    fn a_frame_that_is_handed_on_has_every_format() {
        let encoded = Encoded::new(&Pong {}.into(), false);
        let event = serde_json::to_string(&encoded).unwrap();
        let handed: Encoded = serde_json::from_str(&event).unwrap();
        for format in Format::ALL {
            assert_eq!(handed.text_in(format), encoded.text_in(format), "{format:?}");
        }
        assert_eq!(
            (handed.text_in(Format::Raw), handed.text_in(Format::MessagesOnly)),
            (Some(r#"{"type":"pong"}"#), None)
        );
    }
}

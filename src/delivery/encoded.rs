//! A frame in the formats that its recipients have.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use crate::domain::Format;
use crate::wire::Frame;

/// A frame that is serialised once for each format that a recipient has. Clones share that.
#[derive(Clone, Serialize, Deserialize)]
#[serde(into = "Texts", from = "Texts")]
pub(super) struct Encoded(Arc<Inner>);

/// What another invocation gets that goes on with a fan-out. Versions mix during a deployment: what this one does not
/// know of another's event must not keep it from being told.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Texts {
    /// By format, as rows have it; none for those that hear nothing of the frame.
    ByFormat(BTreeMap<String, String>),
    /// The same for all, before there were formats.
    One(String),
}

struct Inner {
    /// What is to be serialised, and whether its recipients are those whom it is about or who sent it; nothing where
    /// all that there is has been.
    frame: Option<(Frame, bool)>,
    texts: [OnceLock<Option<String>>; Format::ALL.len()],
}

impl Encoded {
    pub(super) fn new(frame: &Frame, is_own: bool) -> Self {
        Self(Arc::new(Inner { frame: Some((frame.clone(), is_own)), texts: Default::default() }))
    }

    /// What a connection of this format hears; `None` where it hears nothing.
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
    fn each_format_reads_its_text_from_its_place() {
        for (place, format) in Format::ALL.into_iter().enumerate() {
            assert_eq!(format as usize, place);
        }
    }

    #[test]
    fn an_event_of_another_version_is_told_as_far_as_it_is_known() {
        let older: Encoded = serde_json::from_str(r#""{\"type\":\"pong\"}""#).unwrap();
        assert_eq!(older.text_in(Format::Compat), Some(r#"{"type":"pong"}"#));
        let newer: Encoded = serde_json::from_str(r#"{"n":"native","z":"unheard of"}"#).unwrap();
        assert_eq!((newer.text_in(Format::Native), newer.text_in(Format::Compat)), (Some("native"), None));
    }

    #[test]
    fn what_is_handed_to_another_invocation_is_heard_there_in_every_format() {
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

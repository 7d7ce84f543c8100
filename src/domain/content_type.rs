//! Content types: of files, and which of them a deployment allows.

use std::fmt;

use super::{FileName, Invalid, checked, file_kind};

const MAX_TYPE_BYTES: usize = 128;
/// Types that browsers run or draw with scripts in them; no `*` stands for them.
const ACTIVE: &[&str] = &["html", "svg", "xml", "script", "shockwave"];
const DEFAULT_ALLOWED: &str = "\
    image/png,image/jpeg,image/gif,image/webp,image/avif,image/heic,image/heif,image/bmp,image/tiff,\
    audio/*,video/*,application/pdf,text/plain,text/csv,text/markdown,application/zip,\
    application/x-zip-compressed,application/rtf,application/msword,application/vnd.ms-excel,\
    application/vnd.ms-powerpoint,\
    application/vnd.openxmlformats-officedocument.wordprocessingml.document,\
    application/vnd.openxmlformats-officedocument.spreadsheetml.sheet,\
    application/vnd.openxmlformats-officedocument.presentationml.presentation,\
    application/vnd.oasis.opendocument.text,application/vnd.oasis.opendocument.spreadsheet,\
    application/vnd.oasis.opendocument.presentation,application/octet-stream";

checked::texts! {
    /// What a file is, such as `image/png` or `text/plain; charset=utf-8`.
    ContentType by content_type, up to MAX_TYPE_BYTES, TEXT "must be a content type, such as image/png";
}

/// No slash behind the type itself: where two types could be read, some browser reads the worse one.
fn content_type(text: String) -> Result<String, Invalid> {
    let text = text.trim_matches(' ');
    let mut parts = text.split(';').map(|part| part.trim_matches(' '));
    let is_plain = parts.next().is_some_and(|kind| is_type(kind, is_token));
    let are_parameters = parts.all(|part| part.split_once('=').is_some_and(|(name, value)| is_parameter(name, value)));
    let fits = text.len() <= MAX_TYPE_BYTES && is_plain && are_parameters;
    if fits { Ok(text.to_owned()) } else { Err(Invalid) }
}

impl ContentType {
    /// The type of a file by the extension of its name; `application/octet-stream` for an unknown one.
    /// Browsers give no type for files that their system does not know.
    pub fn of_name(name: &FileName) -> Self {
        Self(file_kind::usual_type(name).to_owned())
    }

    /// The type without its parameters.
    pub fn essence(&self) -> &str {
        self.0.split(';').next().unwrap_or_default().trim_matches(' ')
    }

    /// Whether it is an image.
    pub fn is_image(&self) -> bool {
        self.essence().to_ascii_lowercase().starts_with("image/")
    }
}

/// Such as `charset=utf-8`, and `codecs=vp8,opus` or `codecs="vp8, opus"` of recordings.
fn is_parameter(name: &str, value: &str) -> bool {
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    is_token(name) && quoted.unwrap_or(value).split(',').all(|item| is_token(item.trim_matches(' ')))
}

fn is_type(text: &str, is_subtype: impl Fn(&str) -> bool) -> bool {
    text.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_subtype(subtype))
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
}

/// The types that files may have.
#[derive(Clone, Debug)]
pub struct AllowedTypes(Vec<String>);

impl AllowedTypes {
    /// Types with commas between them; `*` stands for every subtype but those with scripts in them.
    ///
    /// # Errors
    /// The first that is none.
    pub fn parse(list: &str) -> Result<Self, String> {
        let types: Vec<_> = list.split(',').map(|kind| kind.trim().to_ascii_lowercase()).collect();
        match types.iter().find(|kind| !is_type(kind, |subtype| subtype == "*" || is_token(subtype))) {
            Some(wrong) => Err(wrong.clone()),
            None => Ok(Self(types)),
        }
    }

    /// Whether files may have this type.
    pub fn allows(&self, content_type: &ContentType) -> bool {
        let wanted = content_type.essence().to_ascii_lowercase();
        self.0.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(kind) => wanted.starts_with(kind) && !ACTIVE.iter().any(|active| wanted.contains(active)),
            None => *allowed == wanted,
        })
    }
}

/// The list as it is configured.
impl fmt::Display for AllowedTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

impl Default for AllowedTypes {
    fn default() -> Self {
        Self(DEFAULT_ALLOWED.split(',').map(|kind| kind.trim().to_owned()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_content_is_not_allowed_by_default_or_by_wildcards() {
        let allows = |allowed: &AllowedTypes, kind: &str| {
            ContentType::try_from(kind.to_owned()).is_ok_and(|kind| allowed.allows(&kind))
        };
        let default = AllowedTypes::default();
        for kind in
            ["image/png", "IMAGE/JPEG", "audio/ogg", "video/mp4", "application/pdf", "text/plain; charset=utf-8"]
        {
            assert!(allows(&default, kind), "{kind}");
        }
        let active =
            ["text/html", "image/svg+xml", "text/javascript", "application/javascript", "application/xhtml+xml"];
        let anything = AllowedTypes::parse("image/*, text/*, application/*").unwrap();
        for kind in active {
            assert!(!allows(&default, kind) && !allows(&anything, kind), "{kind}");
        }
        for kind in ["", "image", "/png", "image/", "image/p ng", "image/png\r\nx: y", "*/*", "audio/*"] {
            assert!(!allows(&default, kind), "{kind}");
        }
        for kind in ["image/png, text/html", "image/png;a=b, text/html", "image/png;a=\"b", "image/png;", "image/png;a"]
        {
            assert!(!allows(&default, kind), "{kind}");
        }
        assert_eq!(ContentType::try_from(" image/png ".to_owned()).unwrap().as_str(), "image/png");
        for recording in
            ["video/webm;codecs=vp8,opus", "audio/webm; codecs=\"opus\"", "video/mp4;codecs=\"avc1.42E01E, mp4a.40.2\""]
        {
            assert!(allows(&default, recording), "{recording}");
        }
        assert!(AllowedTypes::parse("*/*").is_err());
        assert!(allows(&AllowedTypes::parse("image/svg+xml").unwrap(), "image/svg+xml"));
    }

    #[test]
    fn a_missing_content_type_is_derived_from_the_file_name() {
        for (name, content_type) in [
            ("notes.md", "text/markdown"),
            ("Photo.JPG", "image/jpeg"),
            ("data.bin", "application/octet-stream"),
            ("README", "application/octet-stream"),
        ] {
            let name = FileName::try_from(name.to_owned()).unwrap();
            assert_eq!(ContentType::of_name(&name).as_str(), content_type);
        }
    }
}

//! Files: what may be uploaded, how it is called, and where it is kept.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::hash;
use super::{FileId, Invalid, RoomId, checked, text};

/// Most bytes of a file's name: as many as file systems take.
const MAX_NAME_BYTES: usize = 255;
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

/// Types by the ends of file names, for those that systems often do not know.
const EXTENSIONS: &[(&str, &str)] = &[
    ("avif", "image/avif"),
    ("csv", "text/csv"),
    ("gif", "image/gif"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("m4a", "audio/mp4"),
    ("markdown", "text/markdown"),
    ("md", "text/markdown"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("ogg", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("txt", "text/plain"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    ("zip", "application/zip"),
];

/// A file's name for people: 1 to 255 bytes of UTF-8 without a path and without control characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct FileName(String);

impl TryFrom<String> for FileName {
    type Error = Invalid;

    /// Folders in front of the name are left out, and control characters. A name that climbs out of its folder is none.
    fn try_from(path: String) -> Result<Self, Invalid> {
        let mut parts = path.split(['/', '\\']);
        if parts.clone().any(|part| part == "..") {
            return Err(Invalid);
        }
        let name: String = parts.next_back().unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
        let name = text::cleaned(&name);
        let fits = text::has_visible(&name) && name.len() <= MAX_NAME_BYTES && !name.chars().all(|c| c == '.');
        if fits { Ok(Self(name)) } else { Err(Invalid) }
    }
}

checked::text!(
    FileName,
    TEXT,
    "must be a name of 1 to 255 bytes of UTF-8 that leads to no other folder",
    MAX_NAME_BYTES
);

/// What a file is, such as `image/png` or `text/plain; charset=utf-8`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ContentType(String);

impl TryFrom<String> for ContentType {
    type Error = Invalid;

    /// No slash behind the type itself: where two types could be read, some browser reads the worse one.
    fn try_from(text: String) -> Result<Self, Invalid> {
        let text = text.trim_matches(' ');
        let mut parts = text.split(';').map(|part| part.trim_matches(' '));
        let is_plain = parts.next().is_some_and(|kind| is_type(kind, is_token));
        let are_parameters =
            parts.all(|part| part.split_once('=').is_some_and(|(name, value)| is_parameter(name, value)));
        let fits = text.len() <= MAX_TYPE_BYTES && is_plain && are_parameters;
        if fits { Ok(Self(text.to_owned())) } else { Err(Invalid) }
    }
}

checked::text!(ContentType, TEXT, "must be a content type, such as image/png", MAX_TYPE_BYTES);

impl ContentType {
    /// The type of a file whose sender knows none, by the end of its name; `application/octet-stream` where that tells
    /// nothing. Browsers give no type for files that their system does not know.
    pub fn of_name(name: &FileName) -> Self {
        const UNKNOWN: &str = "application/octet-stream";
        let extension = name.as_str().rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        let known = extension.and_then(|extension| EXTENSIONS.iter().find(|(known, _)| *known == extension));
        Self(known.map_or(UNKNOWN, |(_, content_type)| content_type).to_owned())
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

/// Which types files may have.
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

/// A SHA-256 checksum as S3 writes it: base64 of 32 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Sha256(String);

impl TryFrom<String> for Sha256 {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        use base64::Engine;
        let bytes = base64::prelude::BASE64_STANDARD.decode(&text).map_err(|_| Invalid)?;
        if bytes.len() == 32 { Ok(Self(text)) } else { Err(Invalid) }
    }
}

checked::text!(Sha256, TEXT, "must be a SHA-256 checksum: 32 bytes in base64", 44);

/// What a client says of a file that it is about to upload.
#[derive(Clone, Debug)]
pub struct NewFile {
    pub name: FileName,
    pub content_type: ContentType,
    pub size: u64,
    pub sha256: Option<Sha256>,
}

/// A file, as a message tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct File {
    pub file_id: FileId,
    pub file_name: FileName,
    pub content_type: ContentType,
    /// In bytes.
    pub size: u64,
    /// Where members find it. Empty in rows, which never hold it: the deployment's address may change.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file_url: String,
}

/// Where a file is kept: `rooms/{room}/{file id}/{name}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// The key of a new file.
    pub fn new(room: &RoomId, file: &FileId, name: &FileName) -> Self {
        let plain = |letter: u8| letter.is_ascii_alphanumeric() || b"-_".contains(&letter);
        // Rooms can be called anything, and a key has 1,024 bytes.
        let room = if room.as_str().bytes().all(plain) { room.to_string() } else { hash(&[room.as_str()]) };
        Self(format!("rooms/{room}/{file}/{}", name.as_str()))
    }

    /// A key that S3 tells of, as it is.
    pub fn of(text: String) -> Self {
        Self(text)
    }

    /// The file whose key it is, if it is one of ours.
    pub fn file(&self) -> Option<FileId> {
        let mut parts = self.0.strip_prefix("rooms/")?.splitn(3, '/');
        let (_room, file, _name) = (parts.next()?, parts.next()?, parts.next()?);
        FileId::try_from(file.to_owned()).ok()
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Option<String> {
        FileName::try_from(text.to_owned()).ok().map(|name| name.as_str().to_owned())
    }

    #[test]
    fn a_file_name_keeps_unicode_and_loses_its_path_and_control_characters() {
        assert_eq!(name("Grüße 💬.txt").as_deref(), Some("Grüße 💬.txt"));
        assert_eq!(name("/home/ana/photo.jpg").as_deref(), Some("photo.jpg"));
        assert_eq!(name("C:\\fakepath\\photo.jpg").as_deref(), Some("photo.jpg"));
        assert_eq!(name("a\u{202e}gpj.exe").as_deref(), Some("agpj.exe"));
        assert_eq!(name("a\r\nb\u{0}.txt").as_deref(), Some("ab.txt"));
        assert_eq!(name(&"é".repeat(127)).map(|name| name.len()), Some(254));
    }

    #[test]
    fn invalid_file_names_are_refused() {
        let too_long = ["💬".repeat(300), "x".repeat(256)];
        let others = ["../../x", "..\\x", "a/../b", "..", ".", "", " ", "\n", "a/"];
        for text in others.into_iter().chain(too_long.iter().map(String::as_str)) {
            assert_eq!(name(text), None, "{text:?}");
        }
    }

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

    #[test]
    fn object_keys_identify_the_file_and_escape_the_room() {
        let file = FileId::fresh();
        let key_in = |room: &str| {
            let room = RoomId::try_from(room.to_owned()).unwrap();
            ObjectKey::new(&room, &file, &FileName("a/b".to_owned()))
        };
        assert_eq!(key_in("tea").as_str(), format!("rooms/tea/{file}/a/b"));
        for room in ["tea", "../../etc", "a/b", &"💬".repeat(128)] {
            let key = key_in(room);
            assert_eq!(key.file().as_ref(), Some(&file));
            assert!(key.as_str().len() < 300 && !key.as_str().contains(".."));
        }
        for text in ["", "rooms/", "rooms/tea", "other/tea/x/y", "rooms/tea/x"] {
            assert_eq!(ObjectKey::of(text.to_owned()).file(), None, "{text}");
        }
    }
}

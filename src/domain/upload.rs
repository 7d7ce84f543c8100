//! Files: their names, checksums and keys in the bucket.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use super::id::hash;
use super::{ContentType, ExportId, FileId, Invalid, RoomId, checked, text};

/// Most bytes of a file's name: as many as file systems take.
const MAX_NAME_BYTES: usize = 255;

checked::texts! {
    /// A file's name for people: 1 to 255 bytes of UTF-8 without a path and without control characters.
    FileName by file_name, up to MAX_NAME_BYTES,
        TEXT "must be a name of 1 to 255 bytes of UTF-8 that leads to no other folder";
    /// A SHA-256 checksum as S3 writes it: base64 of 32 bytes.
    Sha256 by sha256, up to 44, TEXT "must be a SHA-256 checksum: 32 bytes in base64";
}

/// Folders in front of the name are left out, and control characters. A name that climbs out of its folder is none.
fn file_name(path: String) -> Result<String, Invalid> {
    let mut parts = path.split(['/', '\\']);
    if parts.clone().any(|part| part == "..") {
        return Err(Invalid);
    }
    let name: String = parts.next_back().unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
    let name = text::cleaned(&name);
    let fits = text::has_visible(&name) && name.len() <= MAX_NAME_BYTES && !name.chars().all(|c| c == '.');
    if fits { Ok(name) } else { Err(Invalid) }
}

fn sha256(text: String) -> Result<String, Invalid> {
    let bytes = BASE64_STANDARD.decode(&text).map_err(|_| Invalid)?;
    if bytes.len() == 32 { Ok(text) } else { Err(Invalid) }
}

/// The file that a client announces.
#[derive(Clone, Debug)]
pub struct NewFile {
    pub name: FileName,
    pub content_type: ContentType,
    pub size: u64,
    pub sha256: Option<Sha256>,
}

/// The file of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct File {
    pub file_id: FileId,
    pub file_name: FileName,
    pub content_type: ContentType,
    /// In bytes.
    pub size: u64,
    /// Its address for members. Empty in rows, which never have it: the deployment's address may change.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file_url: String,
}

/// The key of a file in the bucket: `rooms/{room}/{file id}/{name}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectKey(String);

/// In front of the keys of exports. The bucket's lifecycle deletes them after a week.
const EXPORTS: &str = "exports/";

impl ObjectKey {
    /// The key of a new file.
    pub fn new(room: &RoomId, file: &FileId, name: &FileName) -> Self {
        let plain = |letter: u8| letter.is_ascii_alphanumeric() || b"-_".contains(&letter);
        // Rooms can be called anything, and a key has 1,024 bytes.
        let room = if room.as_str().bytes().all(plain) { room.to_string() } else { hash(&[room.as_str()]) };
        Self(format!("rooms/{room}/{file}/{}", name.as_str()))
    }

    /// The key of a part of an export, counted from 1.
    pub fn of_export(export: &ExportId, part: u32) -> Self {
        Self(format!("{EXPORTS}{export}/{part:04}.jsonl"))
    }

    /// Whether the object is a part of an export, which the function itself has put there.
    pub fn is_of_export(&self) -> bool {
        self.0.starts_with(EXPORTS)
    }

    /// A key from an event of S3, unchanged.
    pub fn of(text: String) -> Self {
        Self(text)
    }

    /// The file of the key; `None` for a key of another form.
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

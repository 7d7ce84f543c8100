//! Whether the extension of a file, and its first bytes, go with its content type.

use super::{ContentType, FileName};

/// Kinds of files that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Image,
    /// Audio and video: many containers hold either.
    Media,
    Pdf,
    /// Also what is a zip file inside, such as documents of today's offices.
    Zip,
    /// Documents of older offices.
    Office,
    Text,
    /// What has no signature, or is not known.
    Other,
}

/// Bytes that are looked at.
pub const FIRST_BYTES: usize = 4_096;
/// The type of files that nothing is known of.
const UNKNOWN: &str = "application/octet-stream";
/// Extensions that systems run or open as programs and pages.
const RUNNABLE: &[&str] = &[
    "apk", "app", "bat", "cmd", "com", "command", "cpl", "deb", "dll", "dmg", "exe", "gadget", "hta", "htm", "html",
    "iso", "jar", "js", "jse", "lnk", "msi", "msp", "php", "pif", "pkg", "ps1", "py", "reg", "rpm", "scr", "sh", "svg",
    "url", "vb", "vbe", "vbs", "wsf", "wsh", "xhtml",
];
/// Types by extension: the first one of a type is its usual one.
const EXTENSIONS: &[(&str, &str)] = &[
    ("3gp", "video/3gpp"),
    ("aac", "audio/aac"),
    ("aif", "audio/aiff"),
    ("aiff", "audio/aiff"),
    ("amr", "audio/amr"),
    ("avi", "video/x-msvideo"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("flac", "audio/flac"),
    ("gif", "image/gif"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("jfif", "image/jpeg"),
    ("jpe", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("log", "text/plain"),
    ("m4a", "audio/mp4"),
    ("m4v", "video/mp4"),
    ("markdown", "text/markdown"),
    ("md", "text/markdown"),
    ("mid", "audio/midi"),
    ("midi", "audio/midi"),
    ("mka", "audio/x-matroska"),
    ("mkv", "video/x-matroska"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("mpeg", "video/mpeg"),
    ("mpg", "video/mpeg"),
    ("odp", "application/vnd.oasis.opendocument.presentation"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("opus", "audio/ogg"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("rtf", "application/rtf"),
    ("svg", "image/svg+xml"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("txt", "text/plain"),
    ("wav", "audio/wav"),
    ("weba", "audio/webm"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    ("wma", "audio/x-ms-wma"),
    ("wmv", "video/x-ms-wmv"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("zip", "application/zip"),
];
/// Further types that files of an extension have.
const ALIASES: &[(&str, &str)] = &[
    // Windows says so where a spreadsheet program is installed.
    ("csv", "application/vnd.ms-excel"),
    ("heic", "image/heif"),
    ("heif", "image/heic"),
    ("jpeg", "image/jpg"),
    ("jpg", "image/jpg"),
    ("rtf", "text/rtf"),
];

/// The type of a file by the extension of its name; `application/octet-stream` for an unknown one.
pub fn usual_type(name: &FileName) -> &'static str {
    extension(name).and_then(|extension| type_of(&extension)).unwrap_or(UNKNOWN)
}

/// Whether a file of this type can have this name. Files of an unknown type can have any.
pub fn name_fits(name: &FileName, content_type: &ContentType) -> bool {
    let announced = content_type.essence().to_ascii_lowercase();
    let Some(extension) = extension(name).filter(|_| announced != UNKNOWN) else { return true };
    let kind = kind_of(&announced);
    match type_of(&extension) {
        Some(usual) if usual == announced || ALIASES.contains(&(&extension, &announced)) => true,
        Some(usual) => kind_of(usual) == kind && !matches!(kind, Kind::Image | Kind::Other),
        None if RUNNABLE.contains(&&*extension) => false,
        None => matches!(kind, Kind::Text | Kind::Other),
    }
}

/// Whether files of this type have a signature.
pub fn has_signature(content_type: &ContentType) -> bool {
    kind_of(&content_type.essence().to_ascii_lowercase()) != Kind::Other
}

/// Whether a file of this type can begin with these bytes.
pub fn bytes_fit(first: &[u8], content_type: &ContentType) -> bool {
    let announced = content_type.essence().to_ascii_lowercase();
    let kind = kind_of(&announced);
    let found = infer::get(first).map(|found| kind_of(found.mime_type()));
    match kind {
        Kind::Other => true,
        Kind::Text => is_text(first),
        // A table may be called so and be a text.
        Kind::Office => matches!(found, Some(Kind::Office | Kind::Zip)) || (found.is_none() && is_text(first)),
        // What is not recognized may be a format that is not known here: only what is known to be another kind is not
        // what it was announced as.
        Kind::Image | Kind::Media | Kind::Pdf | Kind::Zip => found.is_none_or(|found| found == kind),
    }
}

/// What follows the last dot, in lower case. Systems ignore dots and spaces at the end of a name.
fn extension(name: &FileName) -> Option<String> {
    let (_, extension) = name.as_str().trim_end_matches(['.', ' ']).rsplit_once('.')?;
    let is_one = extension.chars().any(char::is_alphabetic) && extension.chars().all(char::is_alphanumeric);
    is_one.then(|| extension.to_lowercase())
}

fn type_of(extension: &str) -> Option<&'static str> {
    EXTENSIONS.iter().find(|(known, _)| *known == extension).map(|(_, usual)| *usual)
}

fn kind_of(essence: &str) -> Kind {
    let (top, subtype) = essence.split_once('/').unwrap_or_default();
    match (top, subtype) {
        ("text", "rtf") => Kind::Other,
        ("text", _) | ("image", "svg+xml") => Kind::Text,
        ("image", _) => Kind::Image,
        ("audio" | "video", _) | ("application", "ogg") => Kind::Media,
        ("application", "pdf") => Kind::Pdf,
        ("application", "zip" | "x-zip-compressed") => Kind::Zip,
        ("application", "msword" | "vnd.ms-excel" | "vnd.ms-powerpoint" | "x-ole-storage") => Kind::Office,
        ("application", subtype) if subtype.starts_with("vnd.openxmlformats-") => Kind::Zip,
        ("application", subtype) if subtype.starts_with("vnd.oasis.opendocument.") => Kind::Zip,
        _ => Kind::Other,
    }
}

/// Whether bytes are text: programs and archives have zeros near their beginning. UTF-16 has a mark.
fn is_text(first: &[u8]) -> bool {
    first.starts_with(b"\xff\xfe") || first.starts_with(b"\xfe\xff") || !first.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    const PROGRAM: &[u8] = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0";

    fn fits(name: &str, content_type: &str) -> bool {
        let name = FileName::try_from(name.to_owned()).unwrap();
        name_fits(&name, &ContentType::try_from(content_type.to_owned()).unwrap())
    }

    fn begins(first: &[u8], content_type: &str) -> bool {
        bytes_fit(first, &ContentType::try_from(content_type.to_owned()).unwrap())
    }

    #[test]
    fn an_extension_goes_with_the_types_that_systems_give_it() {
        for (name, content_type) in [
            ("cat.png", "image/png"),
            ("Cat.JPG", "image/jpeg"),
            ("cat", "image/png"),
            ("Screen 10.24.31", "image/png"),
            ("voice.m4a", "audio/x-m4a"),
            ("talk.webm", "audio/webm;codecs=opus"),
            ("clip.mov", "video/mp4"),
            ("table.csv", "application/vnd.ms-excel"),
            ("notes.md", "text/plain; charset=utf-8"),
            ("main.rs", "text/plain"),
            ("archive.zip", "application/x-zip-compressed"),
            ("setup.exe", "application/octet-stream"),
            ("model.step", "application/step"),
            ("photo.heic", "image/heif"),
        ] {
            assert!(fits(name, content_type), "{name} {content_type}");
        }
    }

    #[test]
    fn an_extension_of_another_type_or_of_a_program_is_refused() {
        for (name, content_type) in [
            ("invoice.exe", "image/png"),
            ("invoice.png.EXE", "image/png"),
            ("invoice.exe.", "image/png"),
            ("invoice.exe", "application/pdf"),
            ("invoice.exe", "text/plain"),
            ("page.html", "text/plain"),
            ("cat.jpg", "image/png"),
            ("cat.foo", "image/png"),
            ("cat.png", "audio/ogg"),
            ("movie.scr", "video/mp4"),
            ("table.js", "text/csv"),
            ("letter.pdf", "application/zip"),
        ] {
            assert!(!fits(name, content_type), "{name} {content_type}");
        }
    }

    #[test]
    fn first_bytes_tell_what_a_file_is() {
        assert!(
            begins(PNG, "image/png") && begins(b"GIF89a", "image/gif") && begins(b"\xff\xd8\xff\xe0", "image/jpeg")
        );
        assert!(begins(b"%PDF-1.7", "application/pdf") && begins(b"PK\x03\x04", "application/zip"));
        assert!(begins(b"PK\x03\x04", "application/vnd.oasis.opendocument.text"));
        assert!(begins(b"ID3\x04", "audio/mpeg") && begins(b"what is it", "audio/mpeg"));
        assert!(begins(b"BMW is a car", "text/plain") && begins("Grüße".as_bytes(), "text/csv"));
        assert!(begins(b"\xff\xfeh\0i\0", "text/plain") && begins(b"a,b", "application/vnd.ms-excel"));
        assert!(begins(PROGRAM, "application/octet-stream"));
        for content_type in [
            "image/png",
            "image/gif",
            "image/heic",
            "audio/mpeg",
            "video/mp4",
            "application/pdf",
            "application/zip",
            "text/plain",
            "text/csv",
            "application/msword",
        ] {
            assert!(!begins(PROGRAM, content_type), "{content_type}");
            assert!(content_type.starts_with("text/") || !begins(b"#!/bin/sh\n\0", content_type), "{content_type}");
        }
        assert!(
            !begins(b"<html><script>", "image/png") && !begins(PNG, "application/pdf") && !begins(PNG, "text/plain")
        );
    }
}

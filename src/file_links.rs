//! Links to files that a page can use without a token: `<a href>` and `<img src>` cannot send one.
//!
//! A ticket in the address says who asks: `/files/{fileId}?t={ticket}`. It needs a secret of its own, `TICKET_SECRET`.
//! Without one only pages that were written for other backends get links, signed with a key that is derived from the
//! secret of tokens: `/files/{fileId}~{ticket}`, so that such a page can still add a query. Membership and revocation
//! are checked on every download: the link ends with them, or after a day.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::hmac::{self, HMAC_SHA256};

use crate::config::{Auth, Config};
use crate::domain::{FileId, Format, Timestamp, UserId};
use crate::error::Error;

/// Separates a file's id and a ticket.
const SEPARATOR: &str = FileId::TICKET_SEPARATOR;
/// The same, of a ticket that is a parameter.
const PARAMETER: &str = "?t=";
const HOUR_SECS: i64 = 3_600;
/// Minimum lifetime of a ticket. It expires on a full hour, so links repeat and browsers can cache them.
const LIFETIME_HOURS: i64 = 24;
/// The purpose for which the keys of tickets are derived: the secret itself signs tokens only.
const PURPOSE: &[u8] = b"switchboard file links 1";
const INVALID: &str = "this file link is invalid or expired; read the message again to get a new one";

/// Signs links and verifies them.
pub struct FileLinks {
    /// The start of a file address in a frame.
    prefix: String,
    /// The first key signs. The others belong to secrets that are being rotated.
    keys: Vec<hmac::Key>,
    /// Whether tickets have a secret of their own: then they are parameters of the address, in every format.
    has_own_secret: bool,
}

impl FileLinks {
    /// Derives the keys from the secret of tickets, and from those that sign tokens.
    pub fn new(config: &Config) -> Self {
        let own = config.ticket_secret.as_ref().map(|secret| secret.0.as_bytes());
        let of_tokens = match &config.auth {
            Auth::Jwt(rules) => rules.secrets.iter().map(String::as_bytes).collect(),
            // Open mode: links need no protection.
            Auth::Open => vec![&b"open"[..]],
        };
        let derived = |secret: &[u8]| {
            let key = hmac::sign(&hmac::Key::new(HMAC_SHA256, secret), PURPOSE);
            hmac::Key::new(HMAC_SHA256, key.as_ref())
        };
        Self {
            prefix: format!("\"fileUrl\":\"{}", config.files_url()),
            keys: own.into_iter().chain(of_tokens).map(derived).collect(),
            has_own_secret: own.is_some(),
        }
    }

    /// Whether the frames of a format have links.
    pub fn are_in(&self, format: Format) -> bool {
        self.has_own_secret || format.wants_links()
    }

    /// Adds a ticket for `reader` to each file address in a JSON frame. Content cannot be mistaken for an address: its
    /// quotes are escaped.
    pub fn personalise(&self, frame: &str, reader: &UserId, now: Timestamp) -> String {
        let mut personal = String::with_capacity(frame.len());
        let mut rest = frame;
        while let Some(at) = rest.find(&self.prefix) {
            let (before, behind) = rest.split_at(at + self.prefix.len());
            let id = behind.split('"').next().unwrap_or_default();
            personal.push_str(before);
            personal.push_str(id);
            if let Some(ticket) = self.ticket(id, reader, now) {
                personal.push_str(if self.has_own_secret { PARAMETER } else { SEPARATOR });
                personal.push_str(&ticket);
            }
            rest = &behind[id.len()..];
        }
        personal.push_str(rest);
        personal
    }

    /// The user of a link, and when it was made: the beginning of that hour, which is all that it tells.
    ///
    /// # Errors
    /// `UNAUTHORIZED` for a ticket that is forged, of another file, or expired.
    pub fn reader(&self, file: &FileId, ticket: &str, now: Timestamp) -> Result<(UserId, Timestamp), Error> {
        self.verified(file.as_str(), ticket, now).ok_or(Error::Unauthorized(INVALID))
    }

    fn ticket(&self, file: &str, reader: &UserId, now: Timestamp) -> Option<String> {
        let end = now.as_secs() / HOUR_SECS + LIFETIME_HOURS + 1;
        let mac = hmac::sign(self.keys.first()?, signed_text(file, end, reader.as_str()).as_bytes());
        let [user, mac] = [reader.as_str().as_bytes(), mac.as_ref()].map(|bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes));
        Some(format!("{end}.{user}.{mac}"))
    }

    fn verified(&self, file: &str, ticket: &str, now: Timestamp) -> Option<(UserId, Timestamp)> {
        let mut parts = ticket.splitn(3, '.');
        let written_end = parts.next()?;
        let end: i64 = written_end.parse().ok().filter(|end: &i64| end.to_string() == written_end)?;
        let user = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(parts.next()?).ok()?).ok()?;
        let mac = BASE64_URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
        let text = signed_text(file, end, &user);
        let is_ours = self.keys.iter().any(|key| hmac::verify(key, text.as_bytes(), &mac).is_ok());
        let is_over = now.has_passed(end.checked_mul(HOUR_SECS)?);
        let made_at = Timestamp::from_secs((end - LIFETIME_HOURS - 1).checked_mul(HOUR_SECS)?);
        UserId::try_from(user).ok().filter(|_| is_ours && !is_over).map(|user| (user, made_at))
    }
}

/// Unambiguous, since ids contain no control characters.
fn signed_text(file: &str, end: i64, user: &str) -> String {
    format!("{file}\n{end}\n{user}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn links(secrets: &[(&str, &str)]) -> FileLinks {
        let settings = [
            ("AWS_REGION", "eu-west-1"),
            ("AWS_LAMBDA_FUNCTION_NAME", "chat"),
            ("WEBSOCKET_ENDPOINT", "abc.example/prod"),
            ("HTTP_ENDPOINT", "https://files.example"),
        ];
        let variable = |name: &str| {
            settings.iter().chain(secrets).find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        FileLinks::new(&Config::read(variable).unwrap())
    }

    fn signed() -> FileLinks {
        links(&[("JWT_SECRET", "a secret of thirty-two bytes, ok")])
    }

    fn id<T: TryFrom<String>>(text: &str) -> T {
        T::try_from(text.to_owned()).ok().unwrap()
    }

    fn ticket_of(links: &FileLinks, user: &str) -> String {
        let frame = r#"{"fileUrl":"https://files.example/files/f1"}"#;
        let personal = links.personalise(frame, &id(user), NOW);
        personal.split_once("f1~").unwrap().1.trim_end_matches("\"}").to_owned()
    }

    #[test]
    fn a_link_identifies_its_user_until_it_expires() {
        let (links, file) = (signed(), id("f1"));
        let ticket = ticket_of(&links, "ana/?~ü");
        assert_eq!(links.reader(&file, &ticket, NOW).unwrap().0, id("ana/?~ü"));
        assert!(links.reader(&file, &ticket, NOW.plus_secs(24 * HOUR_SECS)).is_ok());
        assert!(links.reader(&file, &ticket, NOW.plus_secs(25 * HOUR_SECS + 1)).is_err());
        assert_eq!(ticket, ticket_of(&links, "ana/?~ü"));
    }

    #[test]
    fn a_forged_link_is_refused() {
        let links = signed();
        let (ana, ben) = (ticket_of(&links, "ana"), ticket_of(&links, "ben"));
        let [(end, _), (_, rest)] = [&ana, &ben].map(|ticket| ticket.split_once('.').unwrap());
        let mac_of_ana = ana.rsplit_once('.').unwrap().1;
        let user_of_ben = rest.split_once('.').unwrap().0;
        assert!(links.reader(&id("f2"), &ana, NOW).is_err());
        for forged in [
            format!("{end}.{user_of_ben}.{mac_of_ana}"),
            format!("9{ana}"),
            format!("+{ana}"),
            ana[..ana.len() - 2].to_owned(),
            format!("{end}.{user_of_ben}"),
            "9223372036854775807.YQ.YQ".to_owned(),
            String::new(),
        ] {
            assert!(links.reader(&id("f1"), &forged, NOW).is_err(), "{forged}");
        }
        let others = links_with_another_secret();
        assert!(others.reader(&id("f1"), &ana, NOW).is_err());
    }

    fn links_with_another_secret() -> FileLinks {
        links(&[("JWT_SECRET", "another secret of thirty-two byt")])
    }

    #[test]
    fn links_stay_valid_during_a_rotation_of_the_secret() {
        let ticket = ticket_of(&signed(), "ana");
        let rotated = links(&[
            ("JWT_SECRET", "another secret of thirty-two byt"),
            ("JWT_SECRET_PREVIOUS", "a secret of thirty-two bytes, ok"),
        ]);
        assert!(rotated.reader(&id("f1"), &ticket, NOW).is_ok());
    }

    #[test]
    fn tickets_with_a_secret_of_their_own_are_parameters_in_every_format() {
        let own = ("TICKET_SECRET", "a secret for tickets, which no token has");
        let with_own = links(&[("JWT_SECRET", "a secret of thirty-two bytes, ok"), own]);
        let personal = with_own.personalise(r#"{"fileUrl":"https://files.example/files/f1"}"#, &id("ana"), NOW);
        let ticket = personal.split_once("/files/f1?t=").unwrap().1.trim_end_matches("\"}").to_owned();
        assert_eq!(with_own.reader(&id("f1"), &ticket, NOW).unwrap().0, id("ana"));
        assert!(signed().reader(&id("f1"), &ticket, NOW).is_err());
        assert!(with_own.are_in(Format::Native) && !signed().are_in(Format::Native));
        // What was given out before there was one still counts.
        assert!(with_own.reader(&id("f1"), &ticket_of(&signed(), "ana"), NOW).is_ok());
    }

    #[test]
    fn only_file_addresses_are_changed() {
        let links = signed();
        let said =
            r#"{"content":"\"fileUrl\":\"https://files.example/files/f1\"","fileUrl":"https://s3.example/files/f1"}"#;
        assert_eq!(links.personalise(said, &id("ana"), NOW), said);
        let two = r#"[{"fileUrl":"https://files.example/files/f1"},{"fileUrl":"https://files.example/files/f2"}]"#;
        assert_eq!(links.personalise(two, &id("ana"), NOW).matches('~').count(), 2);
    }
}

//! Ids and names: validated when they are created.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Timestamp, checked, text};

/// Most characters that an id or a name may have.
const MAX_CHARS: usize = 128;
/// Most characters of a report.
const MAX_REASON_CHARS: usize = 500;

/// Most bytes of UTF-8 in an emoji.
const MAX_EMOJI_BYTES: usize = 64;

/// A text is not a valid id or name.
#[derive(Debug, thiserror::Error)]
#[error("must be 1 to {MAX_CHARS} characters long, without control characters")]
pub struct Invalid;

fn id(text: String) -> Result<String, Invalid> {
    let fits = !text.is_empty() && text.chars().count() <= MAX_CHARS && !text.chars().any(char::is_control);
    if fits { Ok(text) } else { Err(Invalid) }
}

/// Whether an id is a reserved one of rooms, or looks like it.
fn looks_reserved(text: &str) -> bool {
    let folded = text::folded(&text::cleaned(text));
    folded == RoomId::LOBBY || folded.starts_with(RoomId::DIRECT_PREFIX)
}

/// Refuses ids that look like a reserved one and differ from it.
fn room_id(text: String) -> Result<String, Invalid> {
    let is_reserved = text == RoomId::LOBBY || text.starts_with(RoomId::DIRECT_PREFIX);
    if looks_reserved(&text) && !is_reserved { Err(Invalid) } else { id(text) }
}

/// An emoji, also one of several code points: 1 to 64 bytes.
fn emoji(text: String) -> Result<String, Invalid> {
    if text.len() <= MAX_EMOJI_BYTES { id(text) } else { Err(Invalid) }
}

impl Name {
    /// The name in a text that somebody else wrote: cleaned, and cut to the length of a name. `None` where nothing of
    /// it is visible.
    pub fn shortened(text: &str) -> Option<Self> {
        let printable: String = text.chars().filter(|letter| !letter.is_control()).collect();
        let cut: String = text::cleaned(&printable).chars().take(MAX_CHARS).collect();
        cut.try_into().ok()
    }
}

/// A display name: normalised, with at least one visible character.
fn name(text: String) -> Result<String, Invalid> {
    if text.chars().any(char::is_control) {
        return Err(Invalid);
    }
    let cleaned = text::cleaned(&text);
    if text::has_visible(&cleaned) { id(cleaned) } else { Err(Invalid) }
}

fn reason(text: String) -> Result<String, Invalid> {
    let fits = text::has_visible(&text) && text.chars().count() <= MAX_REASON_CHARS;
    if fits { Ok(text) } else { Err(Invalid) }
}

checked::texts! {
    /// A user, as named by the query or the token: 1 to 128 characters.
    UserId by id, up to MAX_CHARS,
        ID "must be a user id: a string of 1 to 128 characters without control characters";
    /// A room, a direct conversation (`dm-...`) or the lobby: 1 to 128 characters. Ids that differ
    /// from a reserved one only in case or width, such as `Lobby`, are refused.
    RoomId by room_id, up to MAX_CHARS,
        ID "must be a room id: a string of 1 to 128 characters without control characters, \
        `lobby` and `dm-` in small letters";
    /// A display name, cleaned: 1 to 128 characters, at least one of them visible.
    Name by name, up to MAX_CHARS,
        TEXT "must be a string of 1 to 128 characters, at least one of them visible, \
        without control characters";
    /// A WebSocket connection, as API Gateway names it.
    ConnectionId by id, up to MAX_CHARS,
        ID "must be a connection id";
    /// A client's idempotency key for a message, by which a retry is recognised: 1 to 128 characters.
    ClientMessageId by id, up to MAX_CHARS,
        ID "must be a string of 1 to 128 characters without control characters";
    /// Why somebody reports a message, for the moderators: 1 to 500 characters.
    Reason by reason, up to MAX_REASON_CHARS,
        TEXT "must be a string of 1 to 500 characters";
    /// An announced file: 1 to 128 characters.
    FileId by id, up to MAX_CHARS,
        ID "must be a file id: a string of 1 to 128 characters without control characters";
    /// An export of what a user wrote: 1 to 128 characters.
    ExportId by id, up to MAX_CHARS,
        ID "must be the `exportId` of the answer that began it";
    /// A reaction to a message: 1 to 64 bytes of UTF-8.
    Emoji by emoji, up to MAX_EMOJI_BYTES,
        TEXT "must be a string of 1 to 64 bytes without control characters";
    /// Which log of a room it is: a room that is made again under an id that was used before has another one.
    Epoch by id, up to MAX_CHARS,
        ID "must be the `epoch` of a room";
    /// The code of an invite into a private room: 1 to 128 characters.
    InviteCode by id, up to MAX_CHARS,
        ID "must be an invite: a string of 1 to 128 characters without control characters";
}

impl UserId {
    /// An anonymous user.
    pub fn anonymous() -> Self {
        let random = Uuid::new_v4().simple().to_string();
        Self(format!("anon-{}", &random[..12]))
    }

    /// Whether a user can be called so: something of the id is visible, and it is none that is reserved for rooms, in
    /// whatever letters, since a message may name either.
    pub fn is_for_a_user(&self) -> bool {
        !looks_reserved(&self.0) && text::has_visible(&text::cleaned(&self.0))
    }

    /// The creator of what the system creates, such as the lobby.
    pub fn system() -> Self {
        Self("switchboard".to_owned())
    }

    /// The name to show for a user who gave none: the id, cleaned as names are. An id with nothing visible is hashed.
    pub fn as_name(&self) -> Name {
        let cleaned: String = text::cleaned(&self.0).chars().take(MAX_CHARS).collect();
        if text::has_visible(&cleaned) { Name(cleaned) } else { Name(format!("user-{}", &hash(&[&self.0])[..8])) }
    }
}

impl Default for Epoch {
    /// That of nearly all rooms: the first under their id.
    fn default() -> Self {
        Self("0".to_owned())
    }
}

impl Epoch {
    /// The epoch of a room that was made again at a moment.
    pub fn of(moment: Timestamp) -> Self {
        Self(moment.as_millis().to_string())
    }
}

impl RoomId {
    const LOBBY: &str = "lobby";
    const DIRECT_PREFIX: &str = "dm-";

    /// The room that everybody is in.
    pub fn lobby() -> Self {
        Self(Self::LOBBY.to_owned())
    }

    /// A new id.
    pub fn fresh() -> Self {
        Self(Uuid::now_v7().to_string())
    }

    /// The direct conversation of two users: the same id for both.
    pub fn direct(one: &UserId, other: &UserId) -> Self {
        let (first, second) = if one <= other { (one, other) } else { (other, one) };
        let half = &hash(&[first.as_str(), second.as_str()])[..32];
        Self(format!("{}{half}", Self::DIRECT_PREFIX))
    }

    /// Whether it is the room that everybody is in.
    pub fn is_lobby(&self) -> bool {
        self.0 == Self::LOBBY
    }

    /// Whether it is a direct conversation.
    pub fn is_direct(&self) -> bool {
        self.0.starts_with(Self::DIRECT_PREFIX)
    }
}

impl FileId {
    /// Separates a file's id and the ticket of a link.
    pub const TICKET_SEPARATOR: &str = "~";

    /// A new id.
    pub fn fresh() -> Self {
        Self(Uuid::now_v7().to_string())
    }
}

impl InviteCode {
    /// A new code that cannot be guessed.
    pub fn fresh() -> Self {
        Self(Uuid::new_v4().simple().to_string())
    }
}

/// The SHA-256 of texts or bytes in hexadecimal. Lengths are hashed too, so ("ab", "c") and ("a", "bc") differ.
pub fn hash<T: AsRef<[u8]>>(parts: &[T]) -> String {
    let mut hash = Sha256::new();
    for part in parts.iter().map(AsRef::as_ref) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A `seq` as text, padded with zeros so that it sorts like the number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageId(pub(super) String);

impl MessageId {
    /// From a row.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: &str) -> UserId {
        UserId::try_from(id.to_owned()).unwrap()
    }

    #[test]
    fn a_direct_conversation_has_the_same_id_for_both_users_only() {
        assert_eq!(RoomId::direct(&user("ana"), &user("ben")), RoomId::direct(&user("ben"), &user("ana")));
        assert_ne!(RoomId::direct(&user("ab"), &user("c")), RoomId::direct(&user("a"), &user("bc")));
        assert!(RoomId::direct(&user("ana"), &user("ben")).is_direct());
    }

    #[test]
    fn ids_are_1_to_128_characters_without_control_characters() {
        let id = |text: &str| UserId::try_from(text.to_owned());
        assert!(id(&"é".repeat(128)).is_ok());
        assert!(id(&"é".repeat(129)).is_err());
        assert!(id("").is_err());
        assert!(id("a\nb").is_err());
        assert!(id("a\u{7f}").is_err());
    }
}

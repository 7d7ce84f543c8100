//! All errors, with the status, code and message that clients get.

use std::borrow::Cow;
use std::error::Error as StdError;

use crate::domain::{Entry, Limited};

/// The cause of an error.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// When a write to a busy room is tried again (milliseconds).
const BUSY_RETRY_MS: u64 = 500;

/// Declares [`Error`]: for each error its message, its status and its code.
macro_rules! errors {
    ($($(#[$meta:meta])+ $name:ident $(($($inner:tt)+))? $({$($field:ident: $type:ty),+})? =>
        ($status:literal, $code:literal),)+) => {
        /// `Display` is the message for the client. Causes are sources: the router logs them, clients never see them.
        #[derive(Debug, thiserror::Error)]
        pub enum Error {
            $($(#[$meta])+ $name $(($($inner)+))? $({$($field: $type),+})?,)+
            /// An error of one message of several; `index` counts from 0.
            #[error("messages[{index}]: {error}")]
            InMessage { index: usize, error: Box<Error> },
        }

        impl Error {
            /// Every pair of status and code. Some errors share one.
            pub const KINDS: &[(u16, &str)] = &[$(($status, $code),)+];

            /// The HTTP status: the same for handshakes, HTTP answers and `error` frames.
            pub fn status(&self) -> u16 {
                match self {
                    $(Self::$name { .. } => $status,)+
                    Self::InMessage { error, .. } => error.status(),
                }
            }

            /// The code by which clients handle the error.
            pub fn code(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => $code,)+
                    Self::InMessage { error, .. } => error.code(),
                }
            }
        }
    };
}

errors! {
    #[error("{0}")]
    BadRequest(&'static str) => (400, "BAD_REQUEST"),
    #[error("`{field}` {problem}")]
    InvalidField { field: &'static str, problem: Cow<'static, str> } => (400, "INVALID_FIELD"),
    #[error("`contentType` is not allowed here; allowed types: {allowed}")]
    TypeNotAllowed { allowed: String } => (400, "INVALID_FIELD"),
    #[error("`fileName` has an extension that does not go with `contentType`; rename the file or correct the type")]
    ExtensionMismatch => (400, "INVALID_FIELD"),
    #[error("unknown action; `actions` lists the known ones")]
    UnknownAction => (400, "UNKNOWN_ACTION"),
    #[error("the frame names more than one target; give a room or a user, not both")]
    AmbiguousTarget => (400, "AMBIGUOUS_TARGET"),
    #[error("`{field}` is given under two names with different values; give it once")]
    AmbiguousField { field: &'static str } => (400, "AMBIGUOUS_FIELD"),
    #[error("give a `roomId` or a `recipientId`, or join a room first")]
    TargetRequired => (400, "TARGET_REQUIRED"),
    #[error("{0}")]
    Unauthorized(&'static str) => (401, "UNAUTHORIZED"),
    #[error("this connection is unknown; connect again")]
    Reconnect => (401, "RECONNECT"),
    #[error("the session has ended with its token; connect again with a new token")]
    SessionExpired => (401, "SESSION_EXPIRED"),
    #[error("{0}")]
    Forbidden(&'static str) => (403, "FORBIDDEN"),
    #[error("you are in the maximum number of rooms; leave one first")]
    TooManyRooms => (403, "FORBIDDEN"),
    #[error("you are not a member of this room; join it first")]
    NotAMember => (403, "NOT_A_MEMBER"),
    #[error("this room is private; ask its owner or an admin for an invite")]
    InviteRequired => (403, "INVITE_REQUIRED"),
    #[error("this message is too old to be edited")]
    EditWindowOver => (403, "EDIT_WINDOW_OVER"),
    #[error("only owners and admins write here now")]
    ReadOnly => (403, "READ_ONLY"),
    #[error("you are banned from this room; only its owner or an admin can change that")]
    Banned => (403, "BANNED"),
    #[error("one of you has blocked the other")]
    Blocked => (403, "BLOCKED"),
    #[error("you are muted in this room; only its owner or an admin can change that")]
    Muted => (403, "MUTED"),
    #[error("there is no such room")]
    RoomNotFound => (404, "ROOM_NOT_FOUND"),
    #[error("there is no such member in this room")]
    UserNotFound => (404, "USER_NOT_FOUND"),
    #[error("there is no such file here")]
    FileNotFound => (404, "FILE_NOT_FOUND"),
    #[error("there is no such message in this room")]
    MessageNotFound => (404, "MESSAGE_NOT_FOUND"),
    #[error("the room is full; try again when a member has left")]
    RoomFull => (409, "ROOM_FULL"),
    #[error("there are too many rooms at this place; close one of yours, or try another place")]
    PlaceFull => (409, "PLACE_FULL"),
    #[error("the user has too many invitations to answer; try again later")]
    TooManyInvitations => (409, "TOO_MANY_INVITATIONS"),
    #[error("this `clientMessageId` was used with different content; use a new one for each message")]
    IdempotencyMismatch => (409, "IDEMPOTENCY_MISMATCH"),
    #[error("this `Idempotency-Key` was used for another request; use a new one for each request")]
    KeyReused => (409, "IDEMPOTENCY_MISMATCH"),
    #[error("the message has changed since version {wanted}; `current` is its state")]
    VersionMismatch { wanted: u64, current: Box<Entry> } => (409, "VERSION_MISMATCH"),
    #[error("this message has 20 kinds of reactions already; use one of them")]
    TooManyReactions => (409, "TOO_MANY_REACTIONS"),
    #[error("50 messages are pinned in this room already; unpin one first")]
    TooManyPins => (409, "TOO_MANY_PINS"),
    #[error("the room is closed; members can still read its history")]
    RoomClosed => (410, "ROOM_CLOSED"),
    #[error("file too large: the limit is {most_bytes} bytes")]
    FileTooLarge { most_bytes: u64 } => (413, "TOO_LARGE"),
    #[error("too long: a message has at most 16 KB of UTF-8, and a frame or a body 32 KB of JSON")]
    TooLarge => (413, "TOO_LARGE"),
    #[error("too many requests: wait for `retryAfterMs`, then try again")]
    RateLimited { scope: &'static str, retry_after_ms: u64 } => (429, "RATE_LIMITED"),
    #[error("members wait between two messages here: wait for `retryAfterMs`, then try again")]
    SlowMode { retry_after_ms: u64 } => (429, "SLOW_MODE"),
    #[error("too many messages in this room within a second: wait for `retryAfterMs`, then try again")]
    RoomRate { retry_after_ms: u64 } => (429, "ROOM_RATE"),
    #[error("the upload differs from what was announced and was deleted; request another upload")]
    UploadMismatch => (422, "UPLOAD_MISMATCH"),
    #[error("{}", denial(reason))]
    MessageDenied { reason: String } => (422, "MESSAGE_DENIED"),
    /// A handler has it reviewed and tries again.
    #[error("texts are reviewed here since just now; retry")]
    Unreviewed => (503, "ROOM_BUSY"),
    #[error("too many concurrent writes to this room; retry")]
    RoomBusy => (503, "ROOM_BUSY"),
    /// A dependency did not answer.
    #[error("a dependency did not answer; retry")]
    Unavailable(#[source] BoxError) => (503, "UNAVAILABLE"),
    /// A bug or a misconfiguration: logged in full, never shown to clients.
    #[error("internal error; the request id identifies it in the log")]
    Internal(#[source] BoxError) => (500, "INTERNAL"),
}

fn denial(reason: &str) -> String {
    let reason = if reason.is_empty() { "" } else { &format!(": {reason}") };
    format!("the review of this chat did not accept it{reason}")
}

impl From<Limited> for Error {
    fn from(limited: Limited) -> Self {
        Self::RateLimited { scope: limited.limit.name(), retry_after_ms: limited.retry_after_ms }
    }
}

impl Error {
    /// `INVALID_FIELD`: `problem` completes the sentence that begins with the field's name.
    pub fn invalid(field: &'static str, problem: impl Into<Cow<'static, str>>) -> Self {
        Self::InvalidField { field, problem: problem.into() }
    }

    /// `INTERNAL`: ours, not the caller's.
    pub fn internal(cause: impl Into<BoxError>) -> Self {
        Self::Internal(cause.into())
    }

    /// The error of the message at `index` of several.
    pub fn in_message(self, index: usize) -> Self {
        Self::InMessage { index, error: Box::new(self) }
    }

    /// The message at fault, of several.
    pub fn index(&self) -> Option<usize> {
        if let Self::InMessage { index, .. } = self { Some(*index) } else { None }
    }

    /// The message as it is now, where a change was refused for it.
    pub fn current(&self) -> Option<&Entry> {
        if let Self::VersionMismatch { current, .. } = self { Some(current) } else { None }
    }

    /// The field at fault, where there is one.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::InvalidField { field, .. } | Self::AmbiguousField { field } => Some(field),
            Self::FileTooLarge { .. } => Some("size"),
            Self::ExtensionMismatch => Some("fileName"),
            Self::TypeNotAllowed { .. } => Some("contentType"),
            Self::InMessage { error, .. } => error.field(),
            _ => None,
        }
    }

    /// The limit that refuses the request, by its name.
    pub fn scope(&self) -> Option<&'static str> {
        if let Self::RateLimited { scope, .. } = self { Some(scope) } else { None }
    }

    /// Why the review did not accept a text, if it says so.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::MessageDenied { reason } => Some(reason.as_str()).filter(|reason| !reason.is_empty()),
            Self::InMessage { error, .. } => error.reason(),
            _ => None,
        }
    }

    /// When the same request can succeed, in milliseconds from now, where that is known.
    pub fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after_ms, .. }
            | Self::SlowMode { retry_after_ms }
            | Self::RoomRate { retry_after_ms } => Some(*retry_after_ms),
            Self::RoomBusy => Some(BUSY_RETRY_MS),
            Self::InMessage { error, .. } => error.retry_after_ms(),
            _ => None,
        }
    }

    /// Whether the list of known actions helps the client.
    pub fn wants_actions(&self) -> bool {
        matches!(self, Self::UnknownAction | Self::BadRequest(_))
    }

    /// The cause and its causes in one line, for the log.
    pub fn cause(&self) -> Option<String> {
        match self {
            Self::InMessage { error, .. } => Self::cause(error),
            error => error.source().map(chain),
        }
    }
}

/// An error and its causes in one line, for the log.
pub fn chain(error: &dyn StdError) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

//! All errors, with the status, code and message that clients get.

use std::borrow::Cow;
use std::error::Error as StdError;

/// The cause of an error.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// `Display` is the message for the client. Causes are sources: the router logs them, clients never see them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    BadRequest(&'static str),
    #[error("`{field}` {problem}")]
    InvalidField { field: &'static str, problem: Cow<'static, str> },
    #[error("`contentType` is not allowed here; allowed types: {allowed}")]
    TypeNotAllowed { allowed: String },
    #[error("unknown action; `actions` lists the known ones")]
    UnknownAction,
    #[error("the frame names more than one target; give a room or a user, not both")]
    AmbiguousTarget,
    #[error("`{field}` is given under two names with different values; give it once")]
    AmbiguousField { field: &'static str },
    #[error("give a `roomId` or a `recipientId`, or join a room first")]
    TargetRequired,

    #[error("{0}")]
    Unauthorized(&'static str),
    #[error("this connection is unknown; connect again")]
    Reconnect,

    #[error("{0}")]
    Forbidden(&'static str),
    #[error("you are not a member of this room; join it first")]
    NotAMember,
    #[error("this room is private; ask its owner or an admin for an invite")]
    InviteRequired,

    #[error("you are banned from this room; only its owner or an admin can change that")]
    Banned,

    #[error("there is no such room")]
    RoomNotFound,
    #[error("there is no such member in this room")]
    UserNotFound,
    #[error("there is no such file here")]
    FileNotFound,
    #[error("there is no such message in this room")]
    MessageNotFound,

    #[error("the room is full; try again when a member has left")]
    RoomFull,
    #[error("this `clientMessageId` was used with different content; use a new one for each message")]
    IdempotencyMismatch,
    #[error("you are in the maximum number of rooms; leave one first")]
    TooManyRooms,
    #[error("the room is closed; members can still read its history")]
    RoomClosed,
    #[error("file too large: the limit is {most_bytes} bytes")]
    FileTooLarge { most_bytes: u64 },
    #[error("too long: a message has at most 16 KB of UTF-8, and a frame or a body 32 KB of JSON")]
    TooLarge,

    #[error("the upload differs from what was announced and was deleted; request another upload")]
    UploadMismatch,

    #[error("too many concurrent writes to this room; retry")]
    RoomBusy,
    /// A dependency did not answer.
    #[error("a dependency did not answer; retry")]
    Unavailable(#[source] BoxError),
    /// A bug or a misconfiguration: logged in full, never shown to clients.
    #[error("internal error; the request id identifies it in the log")]
    Internal(#[source] BoxError),
}

/// Declares the status and the code of each error, and lists them all.
macro_rules! kinds {
    ($($error:pat => ($status:literal, $code:literal),)+) => {
        /// Every pair of status and code. Some errors share one.
        pub const KINDS: &[(u16, &str)] = &[$(($status, $code),)+];

        fn kind(&self) -> (u16, &'static str) {
            match self { $($error => ($status, $code),)+ }
        }
    };
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

    /// The HTTP status: the same for handshakes, HTTP answers and `error` frames.
    pub fn status(&self) -> u16 {
        self.kind().0
    }

    /// The code by which clients handle the error.
    pub fn code(&self) -> &'static str {
        self.kind().1
    }

    kinds! {
        Self::BadRequest(_) => (400, "BAD_REQUEST"),
        Self::InvalidField { .. } => (400, "INVALID_FIELD"),
        Self::TypeNotAllowed { .. } => (400, "INVALID_FIELD"),
        Self::UnknownAction => (400, "UNKNOWN_ACTION"),
        Self::AmbiguousTarget => (400, "AMBIGUOUS_TARGET"),
        Self::AmbiguousField { .. } => (400, "AMBIGUOUS_FIELD"),
        Self::TargetRequired => (400, "TARGET_REQUIRED"),
        Self::Unauthorized(_) => (401, "UNAUTHORIZED"),
        Self::Reconnect => (401, "RECONNECT"),
        Self::Forbidden(_) => (403, "FORBIDDEN"),
        Self::TooManyRooms => (403, "FORBIDDEN"),
        Self::NotAMember => (403, "NOT_A_MEMBER"),
        Self::InviteRequired => (403, "INVITE_REQUIRED"),
        Self::Banned => (403, "BANNED"),
        Self::RoomNotFound => (404, "ROOM_NOT_FOUND"),
        Self::UserNotFound => (404, "USER_NOT_FOUND"),
        Self::FileNotFound => (404, "FILE_NOT_FOUND"),
        Self::MessageNotFound => (404, "MESSAGE_NOT_FOUND"),
        Self::RoomFull => (409, "ROOM_FULL"),
        Self::IdempotencyMismatch => (409, "IDEMPOTENCY_MISMATCH"),
        Self::RoomClosed => (410, "ROOM_CLOSED"),
        Self::FileTooLarge { .. } => (413, "TOO_LARGE"),
        Self::TooLarge => (413, "TOO_LARGE"),
        Self::UploadMismatch => (422, "UPLOAD_MISMATCH"),
        Self::Internal(_) => (500, "INTERNAL"),
        Self::RoomBusy => (503, "ROOM_BUSY"),
        Self::Unavailable(_) => (503, "UNAVAILABLE"),
    }

    /// The field at fault, where there is one.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::InvalidField { field, .. } | Self::AmbiguousField { field } => Some(field),
            Self::FileTooLarge { .. } => Some("size"),
            Self::TypeNotAllowed { .. } => Some("contentType"),
            _ => None,
        }
    }

    /// Whether the list of known actions helps the client.
    pub fn wants_actions(&self) -> bool {
        matches!(self, Self::UnknownAction | Self::BadRequest(_))
    }

    /// The cause and its causes in one line, for the log.
    pub fn cause(&self) -> Option<String> {
        self.source().map(chain)
    }
}

/// An error and its causes in one line, for the log.
pub fn chain(error: &dyn StdError) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

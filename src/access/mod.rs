//! Authorization: who is asking, and what they may do. A row of the catalogue names one of these types; nothing but
//! [`Access::resolve`] makes one, so a handler that has it need not check again.

pub mod audit;
pub mod backend;
mod caller;
mod file;
pub mod limits;
mod revoked;
mod room;
mod sender;
mod ticket;

use crate::context::{Context, Services};
use crate::error::Error;

pub use crate::store::Connection;
pub use backend::Backend;
pub use caller::{Caller, Guest, Identified};
pub use file::FileReader;
pub use revoked::{require_unrevoked, was_revoked_since};
pub use room::{
    Moderator, Owner, Visitor, asking_rank, confirm_member, direct_peer, lost_rooms, membership, moderates,
    require_lobby, require_member, require_voice,
};
pub use sender::{Held, Listener, Sender, Writer, channels_of_both};
pub use ticket::{Bearer, redeem};

/// The caller as a handler needs it, resolved from where the request came (`O`: a connection, or the
/// credentials of an HTTP request) and what it asks for (`R`).
pub trait Access<O, R>: Sized {
    /// # Errors
    /// The caller is unknown or not authorized.
    async fn resolve(ctx: &Context, origin: &O, request: &R) -> Result<Self, Error>;
}

/// Where a request came from.
pub trait Origin {
    /// # Errors
    /// `RECONNECT`; over HTTP `UNAUTHORIZED`, or `INVALID_FIELD` without a `userId` in open mode.
    async fn caller(&self, ctx: &Context) -> Result<Caller, Error>;

    /// Whether the request identifies its caller. If not, the ticket of a file link does.
    fn names_caller(&self, services: &Services) -> bool;
}

/// No authentication.
pub struct Anyone;

impl<O, R> Access<O, R> for Anyone {
    async fn resolve(_: &Context, _: &O, _: &R) -> Result<Self, Error> {
        Ok(Self)
    }
}

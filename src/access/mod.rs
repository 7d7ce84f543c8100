//! Authorization: who is asking, and what they may do. A row of the catalogue names one of these types; nothing but
//! [`Access::resolve`] makes one, so a handler that has it need not check again.

mod caller;
mod file;
mod room;
mod sender;

use crate::context::{Context, Services};
use crate::error::Error;

pub use caller::{Caller, Guest, Identified};
pub use file::FileReader;
pub use room::{Moderator, Owner, Visitor, direct_peer, membership, require_lobby, require_member};
pub use sender::{Listener, Sender, Writer};

/// What a handler needs to know of who is asking, resolved from where the request came (`O`: a connection, or the
/// credentials of an HTTP request) and what it asks for (`R`).
pub trait Access<O, R>: Sized {
    /// # Errors
    /// The caller may not do that, or is not known.
    async fn resolve(ctx: &Context, origin: &O, request: &R) -> Result<Self, Error>;
}

/// Where a request came from.
pub trait Origin {
    /// # Errors
    /// `RECONNECT`; over HTTP what is wrong with the token, or `INVALID_FIELD` where nobody says who asks.
    async fn caller(&self, ctx: &Context) -> Result<Caller, Error>;

    /// Whether the request says by itself who asks, in the way that counts: without that, the ticket of a link does.
    fn names_caller(&self, services: &Services) -> bool;
}

/// Nobody is asked who they are.
pub struct Anyone;

impl<O, R> Access<O, R> for Anyone {
    async fn resolve(_: &Context, _: &O, _: &R) -> Result<Self, Error> {
        Ok(Self)
    }
}

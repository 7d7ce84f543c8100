//! The caller: from a connection, or from the credentials of an HTTP request.

use super::{Access, Origin, limits, require_unrevoked};
use crate::auth::{self, Credentials, Identity};
use crate::context::{Context, Services};
use crate::domain::{ConnectionId, Name, Style, UserId};
use crate::error::Error;
use crate::event::HttpCredentials;
use crate::store::Connection;
use crate::wire::requests::{Introduction, Nothing};

impl Origin for ConnectionId {
    async fn caller(&self, ctx: &Context) -> Result<Caller, Error> {
        known(ctx, self).await.map(Caller::from)
    }

    fn names_caller(&self, _: &Services) -> bool {
        true
    }
}

impl Origin for HttpCredentials {
    async fn caller(&self, ctx: &Context) -> Result<Caller, Error> {
        self.identity(ctx).await.map(Caller::from)
    }

    fn names_caller(&self, services: &Services) -> bool {
        if services.config.auth.is_open() { self.user.is_some() } else { auth::shows_token(&self.headers) }
    }
}

impl HttpCredentials {
    /// Whether the request names no user in open mode.
    fn is_silent(&self, ctx: &Context) -> bool {
        ctx.config.auth.is_open() && self.user.is_none()
    }

    /// Whose request it is.
    ///
    /// # Errors
    /// `INVALID_FIELD` without a `userId` in open mode; else as [`HttpCredentials::authenticated`].
    pub(super) async fn identity(&self, ctx: &Context) -> Result<Identity, Error> {
        if self.is_silent(ctx) { Err(Error::invalid("userId", "is missing")) } else { self.authenticated(ctx).await }
    }

    /// Whose request it is, authenticated as at a handshake: in open mode without a `userId`, an anonymous user.
    async fn authenticated(&self, ctx: &Context) -> Result<Identity, Error> {
        let shown =
            Credentials { headers: &self.headers, query_token: None, user: self.user.clone(), advice: auth::OVER_HTTP };
        let identity = auth::identify(&ctx.config.auth, &ctx.issuers, shown, ctx.now).await?;
        limits::admit(ctx, &identity.user).await?;
        require_unrevoked(ctx, &identity).await?;
        Ok(identity)
    }
}

/// The row of a connection, whose session has not ended.
async fn known(ctx: &Context, id: &ConnectionId) -> Result<Connection, Error> {
    let connection = ctx.store.connection(id, ctx.now).await?.ok_or(Error::Reconnect)?;
    ctx.note_format(connection.format);
    if connection.has_session_ended(ctx.now) {
        ctx.note_user(&connection.user_id);
        return Err(Error::SessionExpired);
    }
    limits::admit(ctx, &connection.user_id).await?;
    Ok(connection)
}

impl<R> Access<ConnectionId, R> for Connection {
    async fn resolve(ctx: &Context, origin: &ConnectionId, _: &R) -> Result<Self, Error> {
        known(ctx, origin).await
    }
}

/// An identified user, on a connection or over HTTP.
pub struct Caller {
    pub user: UserId,
    /// The display name, where one is known.
    pub name: Option<Name>,
    /// Whether the name is from the token: then requests cannot change it.
    pub(super) name_verified: bool,
    pub style: Style,
    /// Whether the token has the role `admin`, which counts in every room.
    pub is_admin: bool,
    /// Absent over HTTP.
    pub connection: Option<Connection>,
}

impl<O: Origin, R> Access<O, R> for Caller {
    async fn resolve(ctx: &Context, origin: &O, _: &R) -> Result<Self, Error> {
        origin.caller(ctx).await
    }
}

impl From<Identity> for Caller {
    fn from(identity: Identity) -> Self {
        Self {
            user: identity.user,
            name_verified: identity.name.is_some(),
            name: identity.name,
            style: Style::default(),
            is_admin: identity.is_admin,
            connection: None,
        }
    }
}

impl From<Connection> for Caller {
    fn from(connection: Connection) -> Self {
        Self {
            user: connection.user_id.clone(),
            name: connection.name.clone(),
            name_verified: connection.name_verified,
            style: connection.style(),
            is_admin: connection.is_admin(),
            connection: Some(connection),
        }
    }
}

impl Caller {
    /// The name to show: the one given, or the user id.
    pub fn display_name(&self) -> Name {
        self.name.clone().unwrap_or_else(|| self.user.as_name())
    }

    /// The name that the user chose, if they chose one.
    pub fn chosen_name(&self) -> Option<&Name> {
        self.name.as_ref().filter(|_| !self.name_verified)
    }

    /// Takes the name and the style of a request.
    pub fn introduce(&mut self, introduction: &Introduction) {
        self.rename(introduction.user_name.as_ref());
        self.style.adopt(introduction.style());
        if let Some(connection) = &mut self.connection {
            connection.user_icon.clone_from(&self.style.icon);
            connection.user_color.clone_from(&self.style.color);
        }
    }

    /// Takes a name, unless the name is from the token.
    pub fn rename(&mut self, name: Option<&Name>) {
        if let Some(name) = name.filter(|_| !self.name_verified) {
            self.name = Some(name.clone());
            if let Some(connection) = &mut self.connection {
                connection.name = Some(name.clone());
            }
        }
    }
}

/// The caller of the HTTP API, authenticated as at a handshake.
pub struct Identified(pub Caller);

impl Access<HttpCredentials, Nothing> for Identified {
    async fn resolve(ctx: &Context, origin: &HttpCredentials, _: &Nothing) -> Result<Self, Error> {
        origin.authenticated(ctx).await.map(|identity| Self(identity.into()))
    }
}

/// The caller of the HTTP API, if the request is authenticated.
pub struct Guest(pub Option<Caller>);

impl<R> Access<HttpCredentials, R> for Guest {
    async fn resolve(ctx: &Context, origin: &HttpCredentials, _: &R) -> Result<Self, Error> {
        if origin.is_silent(ctx) {
            limits::admit_guest(ctx).await?;
            return Ok(Self(None));
        }
        origin.authenticated(ctx).await.map(|identity| Self(Some(identity.into())))
    }
}

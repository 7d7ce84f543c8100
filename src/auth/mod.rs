//! Authentication: a user id from the query, or a signed token.

mod claims;
mod issuers;
mod keys;
mod members;
mod token;

use http::HeaderMap;
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};

use crate::config::{Auth, ClaimNames, Jwt};
use crate::domain::{Name, Timestamp, UserId};
use crate::error::Error;

pub use issuers::Issuers;
use token::{SignedBy, Token};

/// The subprotocols that accompany a token: browsers cannot set headers. The first one also asks for native frames.
const SUBPROTOCOLS: [&str; 2] = [NATIVE_SUBPROTOCOL, "chat"];
/// The subprotocol by which a client asks for native frames.
pub const NATIVE_SUBPROTOCOL: &str = "switchboard.v1";

/// An authenticated user; in open mode, a claimed one.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    pub user: UserId,
    /// The display name in the token.
    pub name: Option<Name>,
    pub is_admin: bool,
    /// When the token was issued: at the beginning of time, if it does not say. Absent in open mode.
    pub issued_at: Option<Timestamp>,
    /// When a connection with this token ends (epoch seconds).
    pub session_ends_at: Option<i64>,
}

/// The credentials of a request.
pub struct Credentials<'a> {
    pub headers: &'a HeaderMap,
    /// The query's `token`.
    pub query_token: Option<&'a str>,
    /// The query's `userId`.
    pub user: Option<UserId>,
    /// What to tell a client without a token.
    pub advice: &'static str,
}

/// How a handshake carries a token.
pub const AT_HANDSHAKE: &str = "a token is needed: as `Authorization: Bearer <token>`, as `Sec-WebSocket-Protocol: \
    chat, <token>`, as `?token=`, or a ticket for it as `?ticket=`";
/// How an HTTP request carries a token.
pub const OVER_HTTP: &str = "a token is needed: as `Authorization: Bearer <token>`";
/// What is wrong with an id that no user can have.
const NOT_FOR_A_USER: &str = "must have a visible character, and is neither `lobby` nor begins with `dm-`: rooms do";

/// Whether a request has a header with a token.
pub fn shows_token(headers: &HeaderMap) -> bool {
    headers.get(AUTHORIZATION).is_some_and(|value| !value.is_empty())
}

/// Authenticates a request.
///
/// # Errors
/// `UNAUTHORIZED` without a valid token; `FORBIDDEN` with a `userId` that is not the token's; `INVALID_FIELD` for one
/// that nobody can have; `UNAVAILABLE` if the keys of the token's issuer cannot be fetched.
pub async fn identify(
    auth: &Auth,
    issuers: &Issuers,
    shown: Credentials<'_>,
    now: Timestamp,
) -> Result<Identity, Error> {
    match auth {
        Auth::Open => {
            let user = shown.user.unwrap_or_else(UserId::anonymous);
            if !user.is_for_a_user() {
                return Err(Error::invalid("userId", NOT_FOR_A_USER));
            }
            Ok(Identity { user, name: None, is_admin: false, issued_at: None, session_ends_at: None })
        }
        Auth::Jwt(rules) => {
            let token = bearer(&shown).ok_or(Error::Unauthorized(shown.advice))?;
            let identity = verify(rules, issuers, token, now).await?;
            if shown.user.is_some_and(|user| user != identity.user) {
                return Err(Error::Forbidden("`userId` is not the user that the token is for"));
            }
            Ok(identity)
        }
    }
}

/// Authenticates by a new token, on a connection that goes on.
///
/// # Errors
/// `UNAUTHORIZED` for an invalid token; `INVALID_FIELD` in open mode, which has none.
pub async fn identify_by(auth: &Auth, issuers: &Issuers, token: &str, now: Timestamp) -> Result<Identity, Error> {
    match auth {
        Auth::Open => Err(Error::invalid("token", "is of no use here: there are no tokens, and sessions do not end")),
        Auth::Jwt(rules) => verify(rules, issuers, token, now).await,
    }
}

/// The user of a valid token. Its `alg` decides between the secrets and the issuers, so a secret is never taken for a
/// public key, nor the other way round.
async fn verify(rules: &Jwt, issuers: &Issuers, token: &str, now: Timestamp) -> Result<Identity, Error> {
    let token = Token::parse(token)?;
    match token.signed_by {
        SignedBy::Secret => claims::identity(rules, &ClaimNames::default(), &keys::verify(rules, &token)?, now),
        SignedBy::Issuer(algorithm) => {
            let (names, members) = issuers.verify(&token, algorithm, now).await?;
            claims::identity(rules, names, &members, now)
        }
    }
}

/// The offered subprotocol that the answer must echo: browsers drop the socket otherwise.
pub fn offered_subprotocol(headers: &HeaderMap) -> Option<&'static str> {
    SUBPROTOCOLS.into_iter().find(|known| subprotocols(headers).any(|offered| offered == *known))
}

fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

fn bearer<'a>(shown: &Credentials<'a>) -> Option<&'a str> {
    let header = shown.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        match value.trim().split_once(' ') {
            Some((scheme, token)) => scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()),
            // Some clients send the bare token.
            None => Some(value.trim()).filter(|token| !token.eq_ignore_ascii_case("bearer")),
        }
    });
    let header = header.filter(|token| !token.is_empty());
    let beside_subprotocol = || {
        offered_subprotocol(shown.headers)?;
        subprotocols(shown.headers).find(|offered| !offered.is_empty() && !SUBPROTOCOLS.contains(offered))
    };
    header.or_else(beside_subprotocol).or(shown.query_token).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subprotocols_are_accepted_on_one_line_or_several() {
        for lines in [&["switchboard.v1, a.b.c"][..], &["switchboard.v1", "a.b.c"], &["a.b.c", "switchboard.v1"]] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(SEC_WEBSOCKET_PROTOCOL, line.parse().unwrap());
            }
            let shown = Credentials { headers: &headers, query_token: None, user: None, advice: AT_HANDSHAKE };
            assert_eq!((offered_subprotocol(&headers), bearer(&shown)), (Some("switchboard.v1"), Some("a.b.c")));
        }
    }

    #[test]
    fn a_token_is_read_from_header_then_subprotocol_then_query() {
        let mut headers = HeaderMap::new();
        let shown = |headers: &HeaderMap| {
            let shown = Credentials { headers, query_token: Some("query"), user: None, advice: AT_HANDSHAKE };
            bearer(&shown).map(str::to_owned)
        };
        assert_eq!(shown(&headers).as_deref(), Some("query"));
        headers.insert(SEC_WEBSOCKET_PROTOCOL, "chat, beside".parse().unwrap());
        assert_eq!(shown(&headers).as_deref(), Some("beside"));
        headers.insert(AUTHORIZATION, "Basic YW5h".parse().unwrap());
        assert_eq!(shown(&headers).as_deref(), Some("beside"));
        headers.insert(AUTHORIZATION, "bearer header".parse().unwrap());
        assert_eq!(shown(&headers).as_deref(), Some("header"));
        headers.insert(AUTHORIZATION, "alone".parse().unwrap());
        assert_eq!(shown(&headers).as_deref(), Some("alone"));
        for empty in ["", "Bearer", "Bearer "] {
            headers.insert(AUTHORIZATION, empty.parse().unwrap());
            assert_eq!(shown(&headers).as_deref(), Some("beside"), "{empty:?}");
        }
    }
}

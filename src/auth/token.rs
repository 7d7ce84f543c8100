//! A token in the compact serialization of a JSON Web Signature (RFC 7515, section 3.1), before it is verified.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;

use super::members::{Members, WrongType};
use crate::config::Algorithm;
use crate::error::Error;

/// Members of a header that are refused: they ask for what is not supported (RFC 7515, section 4.1.11), or bring or
/// locate a key.
const UNSUPPORTED: [&str; 4] = ["crit", "jku", "jwk", "x5u"];
/// The types of tokens that identify a user, in small letters: JWT, and access tokens (RFC 9068).
const TYPES: [&str; 4] = ["jwt", "application/jwt", "at+jwt", "application/at+jwt"];

/// What the answer to an invalid token says.
pub const INVALID: Error =
    Error::Unauthorized("invalid token: signature, issuer or audience does not match; get a new one");
const MALFORMED: Error = Error::Unauthorized("invalid token: it is malformed; get a new one");

impl From<WrongType> for Error {
    fn from(_: WrongType) -> Self {
        Self::Unauthorized("invalid token: a claim has the wrong type; get a new one")
    }
}

/// A token, of which nothing is verified yet.
pub struct Token<'a> {
    /// What is signed: header and claims.
    message: &'a str,
    claims: &'a str,
    signature: &'a str,
    pub signed_by: SignedBy,
    /// The key's id, where it has one.
    pub key_id: Option<String>,
}

/// What the header says about the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// `HS256`: a secret that the signer shares with us.
    Secret,
    /// Another algorithm: an issuer.
    Issuer(Algorithm),
}

impl<'a> Token<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// It is malformed, of another type, or signed in a way that is not supported.
    pub fn parse(token: &'a str) -> Result<Self, Error> {
        let (message, signature) = token.rsplit_once('.').ok_or(MALFORMED)?;
        let (header, claims) = message.split_once('.').filter(|(_, claims)| !claims.contains('.')).ok_or(MALFORMED)?;
        let header = members(header)?;
        if UNSUPPORTED.iter().any(|name| header.has(name)) {
            return Err(Error::Unauthorized("invalid token: its header has an unsupported member; get a new one"));
        }
        let kind = header.text("typ")?.map(str::to_ascii_lowercase);
        if kind.is_some_and(|kind| !TYPES.contains(&kind.as_str())) {
            return Err(Error::Unauthorized("invalid token: it is not for signing in; get another one"));
        }
        let signed_by = match header.text("alg")? {
            Some("HS256") => SignedBy::Secret,
            Some("RS256") => SignedBy::Issuer(Algorithm::Rs256),
            Some("ES256") => SignedBy::Issuer(Algorithm::Es256),
            Some("EdDSA") => SignedBy::Issuer(Algorithm::EdDsa),
            _ => return Err(Error::Unauthorized("invalid token: its algorithm is not supported; get a new one")),
        };
        let key_id = header.text("kid")?.map(str::to_owned);
        Ok(Self { message, claims, signature, signed_by, key_id })
    }

    /// Whether the token is signed with a key.
    pub fn is_signed_with(&self, key: &DecodingKey, algorithm: jsonwebtoken::Algorithm) -> bool {
        jsonwebtoken::crypto::verify(self.signature, self.message.as_bytes(), key, algorithm).unwrap_or(false)
    }

    /// The claims. Before the signature is verified, they are only good for choosing whose signature it should be.
    ///
    /// # Errors
    /// They are malformed.
    pub fn claims(&self) -> Result<Members, Error> {
        members(self.claims)
    }
}

fn members(part: &str) -> Result<Members, Error> {
    let json = BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| MALFORMED)?;
    serde_json::from_slice(&json).map_err(|_| MALFORMED)
}

//! A token in the compact serialization of a JSON Web Signature (RFC 7515, section 3.1), before it is verified.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;

use super::members::{Members, WrongType};
use crate::aws::jwt_crypto;
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
        jwt_crypto::install();
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

fn decoded(part: &str) -> Result<Vec<u8>, Error> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| MALFORMED)
}

fn members(part: &str) -> Result<Members, Error> {
    serde_json::from_slice(&decoded(part)?).map_err(|_| MALFORMED)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::Value;

    use super::super::keys::KeySet;
    use super::*;

    /// Vectors of one key, or of a few.
    #[derive(Deserialize)]
    struct Group {
        name: String,
        #[serde(default)]
        secrets: Vec<String>,
        #[serde(default)]
        keys: Vec<Value>,
        #[serde(default)]
        accepted: BTreeMap<String, String>,
        #[serde(default)]
        refused: BTreeMap<String, String>,
    }

    impl Group {
        /// Whether the signature of a token, whose content is no JSON here, is accepted.
        fn accepts(&self, token: &str) -> bool {
            let Ok(token) = Token::parse(token) else { return false };
            let keys = KeySet::parse(serde_json::json!({ "keys": self.keys }).to_string().as_bytes()).unwrap();
            let mut secrets = self.secrets.iter().map(|secret| BASE64_URL_SAFE_NO_PAD.decode(secret).unwrap());
            let is_signed = match token.signed_by {
                SignedBy::Secret => secrets.any(|secret| {
                    token.is_signed_with(&DecodingKey::from_secret(&secret), jsonwebtoken::Algorithm::HS256)
                }),
                SignedBy::Issuer(algorithm) => {
                    keys.find(token.key_id.as_deref(), algorithm).is_some_and(|key| key.has_signed(&token))
                }
            };
            is_signed && decoded(token.claims).is_ok()
        }
    }

    #[test]
    fn the_vectors_of_wycheproof_are_accepted_or_refused_as_they_say() {
        let mut document: Value =
            serde_json::from_str(include_str!("../../tests/vectors/json_web_signatures.json")).unwrap();
        let groups: Vec<Group> = serde_json::from_value(document["groups"].take()).unwrap();
        assert_eq!(groups.iter().map(|group| group.accepted.len() + group.refused.len()).sum::<usize>(), 327);

        let mut wrong = Vec::new();
        for group in &groups {
            let accepted = group.accepted.iter().filter(|(_, token)| !group.accepts(token));
            let refused = group.refused.iter().filter(|(_, token)| group.accepts(token));
            wrong.extend(accepted.chain(refused).map(|(name, _)| format!("{}: {name}", group.name)));
        }
        assert_eq!(wrong, Vec::<String>::new());
    }
}

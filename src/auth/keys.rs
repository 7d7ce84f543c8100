//! The keys that tokens are signed with: our secrets, and the public keys of issuers.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde_json::Value;

use super::members::Members;
use super::token::{INVALID, Token};
use crate::aws;
use crate::config::{Algorithm, Jwt};
use crate::error::Error;

/// The smallest modulus of RSA (RFC 7518, section 3.3).
const MIN_RSA_BITS: usize = 2_048;
/// The length of a coordinate of P-256, and of a key of Ed25519.
const COORDINATE_BYTES: usize = 32;

/// The claims of a token that is signed with one of our secrets.
///
/// # Errors
/// `UNAUTHORIZED` if its signature, issuer or audience does not match.
pub fn verify(rules: &Jwt, token: &Token<'_>) -> Result<Members, Error> {
    if !rules.secrets.iter().any(|secret| is_signed_with_secret(token, secret.as_bytes())) {
        return Err(INVALID);
    }
    let claims = token.claims()?;
    let is_from = |issuer: &String| claims.text("iss").is_ok_and(|iss| iss == Some(issuer));
    let is_for = |audience: &String| claims.has_one_of("aud", std::slice::from_ref(audience));
    if rules.issuer.as_ref().is_none_or(is_from) && rules.audience.as_ref().is_none_or(is_for) {
        Ok(claims)
    } else {
        Err(INVALID)
    }
}

fn is_signed_with_secret(token: &Token<'_>, secret: &[u8]) -> bool {
    aws::jwt_crypto::install();
    token.is_signed_with(&DecodingKey::from_secret(secret), jsonwebtoken::Algorithm::HS256)
}

/// The public keys of an issuer.
#[derive(Debug, Default)]
pub struct KeySet(Vec<PublicKey>);

/// A public key that verifies signatures of one algorithm.
#[derive(Clone, Debug)]
pub struct PublicKey {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// A JSON Web Key Set (RFC 7517, section 5).
#[derive(Deserialize)]
struct Published {
    keys: Vec<Value>,
}

/// A JSON Web Key (RFC 7517, section 4).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// The private part, or that of a shared secret: then the key is nobody's secret any more.
    d: Option<Value>,
    k: Option<Value>,
}

impl KeySet {
    /// Reads a published set. Keys for other purposes and algorithms are skipped, and unsafe ones.
    ///
    /// # Errors
    /// It is no set of keys.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        let published: Published = serde_json::from_slice(json)?;
        let keys = published.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        Ok(Self(keys.filter_map(PublicKey::new).collect()))
    }

    /// The key of this id and algorithm; without an id, of this algorithm. `None` if several fit: which one is meant,
    /// nobody knows.
    pub fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&PublicKey> {
        let is_asked_for = |key: &&PublicKey| key.algorithm == algorithm && (id.is_none() || key.id.as_deref() == id);
        let mut fitting = self.0.iter().filter(is_asked_for);
        fitting.next().filter(|_| fitting.next().is_none())
    }
}

impl PublicKey {
    fn new(jwk: Jwk) -> Option<Self> {
        let is_for_verification = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && jwk.key_ops.as_ref().is_none_or(|uses| uses.iter().any(|one| one == "verify"));
        let is_public = jwk.d.is_none() && jwk.k.is_none();
        let (name, algorithm, key) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", None) => ("RS256", Algorithm::Rs256, rsa(&bytes(jwk.n)?, &bytes(jwk.e)?)?),
            ("EC", Some("P-256")) => {
                let point = [vec![4], coordinate(jwk.x)?, coordinate(jwk.y)?].concat();
                ("ES256", Algorithm::Es256, DecodingKey::from_ec_der(&point))
            }
            ("OKP", Some("Ed25519")) => ("EdDSA", Algorithm::EdDsa, DecodingKey::from_ed_der(&coordinate(jwk.x)?)),
            _ => return None,
        };
        let fits = jwk.alg.is_none_or(|alg| alg == name) && is_for_verification && is_public;
        fits.then_some(Self { id: jwk.kid, algorithm, key })
    }

    /// Whether a token is signed with this key.
    pub fn has_signed(&self, token: &Token<'_>) -> bool {
        aws::jwt_crypto::install();
        token.is_signed_with(&self.key, self.algorithm.into())
    }
}

impl From<Algorithm> for jsonwebtoken::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rs256 => Self::RS256,
            Algorithm::Es256 => Self::ES256,
            Algorithm::EdDsa => Self::EdDSA,
        }
    }
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<DecodingKey> {
    let [modulus, exponent] = [modulus, exponent].map(|number| {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        &number[zeros..]
    });
    let bits = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
    (bits >= MIN_RSA_BITS).then(|| DecodingKey::from_rsa_raw_components(modulus, exponent))
}

fn bytes(text: Option<String>) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text?).ok()
}

fn coordinate(text: Option<String>) -> Option<Vec<u8>> {
    bytes(text).filter(|bytes| bytes.len() == COORDINATE_BYTES)
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    use super::*;

    const SECRET: &str = "a secret of thirty-two bytes, ok";
    const NOW_SECS: i64 = 1_800_000_000;

    fn rules() -> Jwt {
        Jwt {
            secrets: vec![SECRET.to_owned()],
            issuers: Vec::new(),
            issuer: None,
            audience: None,
            max_age_seconds: 3600,
            session_min_seconds: 900,
        }
    }

    fn signed(claims: &Value, secret: &str) -> String {
        aws::jwt_crypto::install();
        encode(&Header::new(jsonwebtoken::Algorithm::HS256), claims, &EncodingKey::from_secret(secret.as_bytes()))
            .unwrap()
    }

    fn verified(rules: &Jwt, token: &str) -> Result<Members, Error> {
        verify(rules, &Token::parse(token)?)
    }

    fn status(rules: &Jwt, claims: &Value) -> u16 {
        verified(rules, &signed(claims, SECRET)).map_or_else(|error| error.status(), |_| 200)
    }

    #[test]
    fn issuer_and_audience_are_validated_when_configured() {
        let rules = Jwt { issuer: Some("us".to_owned()), audience: Some("chat".to_owned()), ..rules() };
        let end = NOW_SECS + 60;
        assert_eq!(status(&rules, &json!({ "sub": "ana", "exp": end, "iss": "us", "aud": ["chat", "mail"] })), 200);
        assert_eq!(status(&rules, &json!({ "sub": "ana", "exp": end, "iss": "us", "aud": "mail" })), 401);
        assert_eq!(status(&rules, &json!({ "sub": "ana", "exp": end, "iss": "them", "aud": "chat" })), 401);
        assert_eq!(status(&rules, &json!({ "sub": "ana", "exp": end })), 401);
    }

    #[test]
    fn both_secrets_are_accepted_during_a_rotation() {
        let other = "another secret of thirty-two byt";
        let rules = Jwt { secrets: vec![other.to_owned(), SECRET.to_owned()], ..rules() };
        let claims = json!({ "sub": "ana", "exp": NOW_SECS + 60 });
        assert!(verified(&rules, &signed(&claims, SECRET)).is_ok());
        assert!(verified(&rules, &signed(&claims, other)).is_ok());
        assert!(verified(&rules, &signed(&claims, "a third secret of thirty-two byt")).is_err());
    }
}

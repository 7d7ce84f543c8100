//! The keys that tokens are signed with: our secrets, and the public keys of issuers.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde_json::Value;

use super::members::Members;
use super::token::{INVALID, Token};
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
    use crate::aws;

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

    /// The coordinates of the generator of P-256 (FIPS 186-4), and some 2048 bits.
    const X: &str = "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY";
    const Y: &str = "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU";

    fn number(bytes: usize) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(vec![0xff; bytes])
    }

    fn usable(keys: Value) -> Vec<Algorithm> {
        let set = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
        set.0.iter().map(|key| key.algorithm).collect()
    }

    #[test]
    fn keys_for_other_purposes_and_unsafe_keys_are_skipped() {
        let (rsa, p256) = (
            json!({ "kty": "RSA", "n": number(256), "e": "AQAB" }),
            json!({ "kty": "EC", "crv": "P-256", "x": X, "y": Y }),
        );
        let ed25519 = json!({ "kty": "OKP", "crv": "Ed25519", "x": X });
        let all = vec![Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];
        assert_eq!(usable(json!([rsa, p256, ed25519])), all);

        let with = |key: &Value, members: Value| {
            let mut key = key.clone();
            key.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            key
        };
        for (key, name) in [(&rsa, "RS256"), (&p256, "ES256"), (&ed25519, "EdDSA")] {
            assert_eq!(
                usable(json!([with(key, json!({ "alg": name, "use": "sig", "key_ops": ["verify"] }))])).len(),
                1
            );
            for members in [
                json!({ "use": "enc" }),
                json!({ "key_ops": ["sign"] }),
                json!({ "alg": "HS256" }),
                json!({ "alg": "PS256" }),
                json!({ "alg": "none" }),
                json!({ "kty": "oct" }),
                json!({ "crv": "P-384" }),
                json!({ "d": "AQAB" }),
                json!({ "k": "AQAB" }),
                json!({ "kid": 7 }),
            ] {
                assert_eq!(usable(json!([with(key, members.clone()), p256])), [Algorithm::Es256], "{name}: {members}");
            }
        }
        let odd = json!([
            null,
            "key",
            { "kty": "oct", "k": "AAAA" },
            with(&rsa, json!({ "n": number(255) })),
            with(&rsa, json!({ "n": "AAAA" })),
            with(&rsa, json!({ "n": format!("{}=", number(256)) })),
            with(&p256, json!({ "x": number(31) })),
            with(&p256, json!({ "y": number(33) })),
            with(&ed25519, json!({ "x": number(33) })),
            with(&p256, json!({ "crv": "Ed25519" })),
            with(&p256, json!({ "crv": "secp256k1" })),
        ]);
        assert_eq!(usable(odd), []);
        assert!(KeySet::parse(b"{}").is_err() && KeySet::parse(b"[]").is_err() && KeySet::parse(b"").is_err());
    }

    #[test]
    fn a_key_is_found_by_id_and_algorithm_and_only_if_one_fits() {
        let key = |id: Value, crv: &str| {
            let kty = if crv == "P-256" { "EC" } else { "OKP" };
            json!({ "kid": id, "kty": kty, "crv": crv, "x": X, "y": Y })
        };
        let set = |keys: Value| KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
        let two = set(json!([key(json!("a"), "P-256"), key(json!("b"), "P-256"), key(json!("a"), "Ed25519")]));
        assert!(two.find(Some("a"), Algorithm::Es256).is_some() && two.find(Some("a"), Algorithm::EdDsa).is_some());
        assert!(two.find(Some("c"), Algorithm::Es256).is_none() && two.find(Some("a"), Algorithm::Rs256).is_none());
        assert!(two.find(None, Algorithm::Es256).is_none() && two.find(None, Algorithm::EdDsa).is_some());
        let same = set(json!([key(json!("a"), "P-256"), key(json!("a"), "P-256")]));
        assert!(same.find(Some("a"), Algorithm::Es256).is_none());
    }
}

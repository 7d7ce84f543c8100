//! The keys of the local issuer, and the tokens that they sign.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use getrandom::SysRng;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::rand_core::UnwrapErr;
use serde_json::{Value, json};

use crate::error::BoxError;

/// The size of RSA keys (RFC 7518, section 3.3).
const RSA_BITS: usize = 2_048;
/// What keys are made for.
pub const ALGORITHMS: [&str; 3] = ["RS256", "ES256", "EdDSA"];

/// A private key with an id.
pub struct SigningKey {
    id: String,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// A new key for one of [`ALGORITHMS`].
    ///
    /// # Errors
    /// Another algorithm, or no random numbers.
    pub fn generate(algorithm: &str, id: String) -> Result<Self, BoxError> {
        let random = SystemRandom::new();
        let rejected = |error: ring::error::KeyRejected| error.to_string();
        let pair = match algorithm {
            "RS256" => {
                let key = rsa::PrivateKey::new(&mut UnwrapErr(SysRng), RSA_BITS)?;
                Pair::Rsa(RsaKeyPair::from_der(key.to_pkcs1_der()?.as_bytes()).map_err(rejected)?)
            }
            "ES256" => {
                let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| "no key")?;
                Pair::P256(EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).map_err(rejected)?)
            }
            "EdDSA" => {
                let key = Ed25519KeyPair::generate_pkcs8(&random).map_err(|_| "no key")?;
                Pair::Ed25519(Ed25519KeyPair::from_pkcs8(key.as_ref()).map_err(rejected)?)
            }
            other => return Err(format!("no keys for {other}").into()),
        };
        Ok(Self { id, pair })
    }

    /// The name of the key's algorithm.
    pub fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::P256(_) => "ES256",
            Pair::Ed25519(_) => "EdDSA",
        }
    }

    /// The public part, as a JSON Web Key.
    pub fn published(&self) -> Value {
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let mut key = match &self.pair {
            Pair::Rsa(pair) => {
                let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({ "kty": "RSA", "n": text(&n), "e": text(&e) })
            }
            Pair::P256(pair) => {
                // An uncompressed point: 4, x and y.
                let (x, y) = pair.public_key().as_ref().split_at(1).1.split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": text(x), "y": text(y) })
            }
            Pair::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref()) })
            }
        };
        key["kid"] = self.id.as_str().into();
        key["alg"] = self.algorithm().into();
        key["use"] = "sig".into();
        key
    }

    /// A token with these claims.
    ///
    /// # Errors
    /// As [`SigningKey::sign`].
    pub fn token(&self, claims: &Value) -> Result<String, BoxError> {
        self.sign(&json!({ "alg": self.algorithm(), "kid": self.id, "typ": "JWT" }).to_string(), &claims.to_string())
    }

    /// A token of these texts, whatever they say.
    ///
    /// # Errors
    /// No random numbers.
    pub fn sign(&self, header: &str, claims: &str) -> Result<String, BoxError> {
        let [header, claims] = [header, claims].map(|text| BASE64_URL_SAFE_NO_PAD.encode(text));
        let message = format!("{header}.{claims}");
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature);
                signed.map_err(|_| "not signed")?;
                signature
            }
            Pair::P256(pair) => pair.sign(&random, message.as_bytes()).map_err(|_| "not signed")?.as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
        };
        Ok(format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }
}

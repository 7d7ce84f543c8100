//! Tokens for trying out `AUTH_MODE=jwt`.

use jsonwebtoken::{EncodingKey, Header};
use serde::Serialize;

use super::Clock;
use crate::aws::jwt_crypto;
use crate::domain::{Name, UserId};

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    roles: &'a [String],
    iat: i64,
    exp: i64,
}

/// A token for `sub`, valid for `lifetime_seconds` from now.
///
/// # Errors
/// The subject or the name is invalid.
pub fn mint(
    secret: &str,
    sub: &str,
    name: Option<&str>,
    roles: &[String],
    lifetime_seconds: u32,
) -> Result<String, String> {
    UserId::try_from(sub.to_owned()).map_err(|invalid| format!("--sub {invalid}"))?;
    if let Some(name) = name {
        Name::try_from(name.to_owned()).map_err(|invalid| format!("--name {invalid}"))?;
    }
    let iat = Clock::default().now().as_secs();
    let claims = Claims { sub, name, roles, iat, exp: iat + i64::from(lifetime_seconds) };
    let key = EncodingKey::from_secret(secret.as_bytes());
    jwt_crypto::install();
    jsonwebtoken::encode(&Header::default(), &claims, &key).map_err(|error| error.to_string())
}

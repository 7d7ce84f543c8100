//! Tokens for trying out `AUTH_MODE=jwt`.

use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header};
use serde::{Deserialize, Serialize};

use super::Clock;
use crate::aws::jwt_crypto;
use crate::aws::transport::Transport;
use crate::domain::{Name, UserId};
use crate::error::chain;

/// The longest answer of an issuer, and how long it may take. It may be making its keys.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
const ISSUER_TIMEOUT: Duration = Duration::from_secs(10);

/// Whose token it is.
pub struct Request<'a> {
    /// The user id.
    pub sub: &'a str,
    /// The display name.
    pub name: Option<&'a str>,
    pub roles: &'a [String],
    pub lifetime_seconds: u32,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    roles: &'a [String],
    iat: i64,
    exp: i64,
}

impl Request<'_> {
    fn check(&self) -> Result<(), String> {
        UserId::try_from(self.sub.to_owned()).map_err(|invalid| format!("--sub {invalid}"))?;
        if let Some(name) = self.name {
            Name::try_from(name.to_owned()).map_err(|invalid| format!("--name {invalid}"))?;
        }
        Ok(())
    }
}

/// A token that is signed with a secret, valid from now.
///
/// # Errors
/// The subject or the name is invalid.
pub fn mint(secret: &str, request: &Request<'_>) -> Result<String, String> {
    request.check()?;
    let Request { sub, name, roles, lifetime_seconds } = *request;
    let iat = Clock::default().now().as_secs();
    let claims = Claims { sub, name, roles, iat, exp: iat + i64::from(lifetime_seconds) };
    let key = EncodingKey::from_secret(secret.as_bytes());
    jwt_crypto::install();
    jsonwebtoken::encode(&Header::default(), &claims, &key).map_err(|error| error.to_string())
}

/// A token of the issuer of a running stack.
///
/// # Errors
/// The subject or the name is invalid, or there is no such issuer.
pub fn ask(issuer: &str, request: &Request<'_>) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Answer {
        access_token: String,
    }

    request.check()?;
    let lifetime = request.lifetime_seconds.to_string();
    let roles = request.roles.join(",");
    let fields = [("sub", request.sub), ("name", request.name.unwrap_or_default()), ("roles", &roles)];
    let query: String = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .append_pair("lifetime", &lifetime)
        .finish();
    let url = format!("{}/token?{query}", issuer.trim_end_matches('/'));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let transport = Transport::new(&[]).map_err(|error| error.to_string())?;
    let answer = runtime.block_on(transport.get(&url, MAX_ANSWER_BYTES, ISSUER_TIMEOUT));
    let answer = answer.map_err(|error| {
        format!(
            "no token from {issuer}: {}; start a stack with --issuer-port, or name its issuer with --issuer",
            chain(&error)
        )
    })?;
    let answer: Answer = serde_json::from_slice(&answer).map_err(|error| format!("no token from {issuer}: {error}"))?;
    Ok(answer.access_token)
}

//! Backends: API Gateway has verified the signature of their requests (AWS_IAM). No token makes one.

use super::{Access, audit};
use crate::context::Context;
use crate::domain::Timestamp;
use crate::error::Error;
use crate::event::{HttpCredentials, Signed};

/// Characters that an idempotency key has at most.
const MAX_KEY_CHARS: usize = 128;

/// A backend.
pub struct Backend {
    /// When it made the request first, which is when it happens.
    pub at: Timestamp,
    /// The idempotency key of a request that changes something.
    pub key: Option<String>,
}

impl<R> Access<HttpCredentials, R> for Backend {
    async fn resolve(ctx: &Context, origin: &HttpCredentials, _: &R) -> Result<Self, Error> {
        let signed = origin.signed.as_ref().ok_or(UNSIGNED)?;
        Ok(Self { at: signed.made_at.unwrap_or(ctx.now), key: signed.key.clone() })
    }
}

const UNSIGNED: Error = Error::Forbidden("only a backend may do that: sign the request with AWS credentials (SigV4)");

/// Begins a request of a backend, and records it. Returns the answer, if the same request was answered before.
///
/// # Errors
/// `FORBIDDEN` for a request that is not signed, `INVALID_FIELD` without a key where one is needed,
/// `IDEMPOTENCY_MISMATCH`.
pub async fn begin(ctx: &Context, credentials: &mut HttpCredentials) -> Result<Option<String>, Error> {
    let signed = credentials.signed.as_mut().ok_or(UNSIGNED)?;
    let made = match signed.required_key()? {
        Some(key) => Some(ctx.store.begin_request(key, &signed.digest, ctx.now).await?),
        None => None,
    };
    audit::record_call(ctx, signed).await?;
    signed.made_at = made.as_ref().map(|made| made.at);
    Ok(made.and_then(|made| made.answer))
}

/// Keeps the answer to a request of a backend. If that fails, a repeat carries the request out again, which changes
/// nothing further.
pub async fn finish(ctx: &Context, credentials: &HttpCredentials, answer: &str) {
    let key = credentials.signed.as_ref().and_then(|signed| signed.key.as_deref());
    if let Some(key) = key
        && let Err(error) = ctx.store.finish_request(key, answer).await
    {
        tracing::warn!(error = error.cause(), "failed to keep the answer to a backend");
    }
}

impl Signed {
    /// The idempotency key, which every `POST` has.
    fn required_key(&self) -> Result<Option<&str>, Error> {
        const FIELD: &str = "Idempotency-Key";
        if !self.needs_key {
            return Ok(None);
        }
        let key = self.key.as_deref().ok_or(Error::invalid(FIELD, "is missing: a header that names the request"))?;
        let is_valid =
            (1..=MAX_KEY_CHARS).contains(&key.chars().count()) && key.bytes().all(|byte| byte.is_ascii_graphic());
        if is_valid { Ok(Some(key)) } else { Err(Error::invalid(FIELD, "must have 1 to 128 visible characters")) }
    }
}

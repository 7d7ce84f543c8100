//! The claims of a verified token: who its user is, and when the session ends.

use serde::Deserialize;
use serde_json::Value;

use super::Identity;
use crate::config::Jwt;
use crate::domain::{Name, Timestamp, UserId};
use crate::error::Error;

/// The only role of a token that has a meaning.
const ADMIN: &str = "admin";
/// API Gateway ends a connection after two hours.
const MAX_SESSION_SECS: f64 = 7_200.0;
/// Allowed clock skew of an issuer that is ahead of us.
const AHEAD_SECS: f64 = 5.0;

/// The claims that are read: `null` is absent. Times are epoch seconds and may have a fraction.
#[derive(Deserialize)]
pub struct Claims {
    sub: String,
    name: Option<Value>,
    roles: Option<Vec<String>>,
    exp: Option<f64>,
    nbf: Option<f64>,
    iat: Option<f64>,
}

/// The user of a verified token, if it is valid now.
pub fn identity(rules: &Jwt, claims: Claims, now: Timestamp) -> Result<Identity, Error> {
    let now = now.as_millis() as f64 / 1000.0;
    let ends = match (claims.exp, claims.iat) {
        (Some(exp), _) => exp,
        (None, Some(iat)) if iat <= now + AHEAD_SECS => iat + rules.max_age_seconds as f64,
        (None, Some(_)) => {
            return Err(Error::Unauthorized("the token's `iat` is in the future; check the issuer's clock"));
        }
        (None, None) => {
            return Err(Error::Unauthorized("the token has neither `exp` nor `iat`; one of them is required"));
        }
    };
    if now >= ends {
        return Err(Error::Unauthorized("the token has expired; get a new one and connect again"));
    }
    if claims.nbf.is_some_and(|nbf| nbf > now + AHEAD_SECS) {
        return Err(Error::Unauthorized("the token is not valid yet; try again later"));
    }
    let user: UserId = claims
        .sub
        .try_into()
        .map_err(|_| Error::Unauthorized("the token's `sub` must be a user id of 1 to 128 characters"))?;
    let name = claims.name.map(|name| name.as_str().and_then(Name::shortened).unwrap_or_else(|| user.as_name()));
    let is_admin = claims.roles.iter().flatten().any(|role| role == ADMIN);
    let session_ends_at = ends.max(now + rules.session_min_seconds as f64).min(now + MAX_SESSION_SECS);
    Ok(Identity { user, name, is_admin, session_ends_at: Some(session_ends_at as i64) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const NOW_SECS: i64 = 1_800_000_000;

    fn rules() -> Jwt {
        Jwt { secrets: Vec::new(), issuer: None, audience: None, max_age_seconds: 3600, session_min_seconds: 900 }
    }

    fn read(claims: &Value) -> Result<Identity, Error> {
        let claims = Claims::deserialize(claims).map_err(|_| Error::Unauthorized("claims"))?;
        identity(&rules(), claims, NOW)
    }

    fn status(claims: &Value) -> u16 {
        read(claims).map_or_else(|error| error.status(), |_| 200)
    }

    #[test]
    fn a_token_is_valid_until_exp_or_for_max_age_after_iat() {
        let cases = [
            (json!({ "sub": "ana", "exp": NOW_SECS + 1 }), 200),
            (json!({ "sub": "ana", "exp": NOW_SECS }), 401),
            (json!({ "sub": "ana", "iat": NOW_SECS - 3599 }), 200),
            (json!({ "sub": "ana", "iat": NOW_SECS - 3600 }), 401),
            (json!({ "sub": "ana", "iat": NOW_SECS - 7200, "exp": NOW_SECS + 60 }), 200),
            (json!({ "sub": "ana", "iat": NOW_SECS + 3600 }), 401),
            (json!({ "sub": "ana" }), 401),
            (json!({ "sub": "ana", "exp": NOW_SECS + 60, "nbf": NOW_SECS + 60 }), 401),
            (json!({ "sub": "ana", "exp": NOW_SECS + 60, "nbf": NOW_SECS - 60 }), 200),
        ];
        for (claims, expected) in cases {
            assert_eq!(status(&claims), expected, "{claims}");
        }
    }

    #[test]
    fn invalid_claims_are_refused() {
        let end = NOW_SECS + 60;
        for claims in [
            json!({ "exp": end }),
            json!({ "sub": "", "exp": end }),
            json!({ "sub": 7, "exp": end }),
            json!({ "sub": "a\nb", "exp": end }),
            json!({ "sub": "ana", "exp": "tomorrow" }),
            json!({ "sub": "ana", "exp": end, "roles": "admin" }),
        ] {
            assert_eq!(status(&claims), 401, "{claims}");
        }
    }

    #[test]
    fn a_name_claim_decides_the_name_and_a_null_claim_is_absent() {
        let name = |claim: Value| {
            let claims = json!({ "sub": "ana", "exp": NOW_SECS + 60, "name": claim, "roles": null, "nbf": null });
            read(&claims).unwrap().name.map(|name| name.to_string())
        };
        assert_eq!(name(json!(null)), None);
        for (claim, shown) in [
            (json!("Ana"), "Ana"),
            (json!(" A\u{202e}na\n"), "Ana"),
            (json!("\u{200b}"), "ana"),
            (json!(""), "ana"),
            (json!(7), "ana"),
            (json!(["Ben"]), "ana"),
            (json!("x".repeat(200)), &"x".repeat(128)),
        ] {
            assert_eq!(name(claim.clone()).as_deref(), Some(shown), "{claim}");
        }
    }

    #[test]
    fn a_session_ends_with_the_token_but_lasts_a_quarter_of_an_hour_and_at_most_two_hours() {
        let ends = |claims: Value| read(&claims).unwrap().session_ends_at.unwrap();
        assert_eq!(ends(json!({ "sub": "ana", "exp": NOW_SECS + 1_000 })), NOW_SECS + 1_000);
        assert_eq!(ends(json!({ "sub": "ana", "exp": NOW_SECS + 10 })), NOW_SECS + 900);
        assert_eq!(ends(json!({ "sub": "ana", "iat": NOW_SECS - 1_800 })), NOW_SECS + 1_800);
        assert_eq!(ends(json!({ "sub": "ana", "exp": 1e300 })), NOW_SECS + 7_200);
    }
}

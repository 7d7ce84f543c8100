//! The claims of a verified token: who its user is, and when the session ends.

use serde_json::Value;

use super::Identity;
use super::members::{Members, WrongType};
use crate::config::{ClaimNames, Jwt};
use crate::domain::{Name, Timestamp, UserId};
use crate::error::Error;

/// The only role of a token that has a meaning.
const ADMIN: &str = "admin";
/// A claim that is believed only with `email_verified` (OpenID Connect Core 1.0, section 5.7).
const EMAIL: &str = "email";
/// A claim with texts that are separated by spaces (RFC 8693, section 4.2).
const SCOPE: &str = "scope";
/// API Gateway ends a connection after two hours.
const MAX_SESSION_SECS: f64 = 7_200.0;
/// Allowed clock skew of an issuer that is ahead of us.
const AHEAD_SECS: f64 = 5.0;

/// The user of a verified token, if it is valid now. A claim that is `null` is absent. Times are epoch seconds and may
/// have a fraction.
///
/// # Errors
/// `UNAUTHORIZED`.
pub fn identity(rules: &Jwt, names: &ClaimNames, claims: &Members, now: Timestamp) -> Result<Identity, Error> {
    let now = now.as_millis() as f64 / 1000.0;
    let ends = end(rules, claims, now)?;
    let user = user(names, claims)?;
    let name = claims.get(&names.name);
    let name = name.map(|name| name.as_str().and_then(Name::shortened).unwrap_or_else(|| user.as_name()));
    let session_ends_at = ends.max(now + rules.session_min_seconds as f64).min(now + MAX_SESSION_SECS);
    let issued_at = Timestamp::from_millis((claims.number("iat")?.unwrap_or(0.0) * 1000.0) as i64);
    Ok(Identity {
        user,
        name,
        is_admin: is_admin(names, claims)?,
        issued_at: Some(issued_at),
        session_ends_at: Some(session_ends_at as i64),
    })
}

/// When the token ends, if it has begun and has not ended.
fn end(rules: &Jwt, claims: &Members, now: f64) -> Result<f64, Error> {
    let ends = match (claims.number("exp")?, claims.number("iat")?) {
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
    if claims.number("nbf")?.is_some_and(|nbf| nbf > now + AHEAD_SECS) {
        return Err(Error::Unauthorized("the token is not valid yet; try again later"));
    }
    Ok(ends)
}

fn user(names: &ClaimNames, claims: &Members) -> Result<UserId, Error> {
    // Some issuers let users write any address into their profile.
    if names.user == EMAIL && claims.get("email_verified") != Some(&Value::Bool(true)) {
        return Err(Error::Unauthorized("the token's `email` is not verified; verify it and get a new token"));
    }
    let user = claims.text(&names.user)?.unwrap_or_default().to_owned();
    let user = UserId::try_from(user).ok().filter(UserId::is_for_a_user);
    user.ok_or(Error::Unauthorized("the token must name a user id of 1 to 128 characters, and no room"))
}

/// Whether the roles have the one that counts here: a list of texts, or the texts of `scope`.
fn is_admin(names: &ClaimNames, claims: &Members) -> Result<bool, Error> {
    match claims.get(&names.roles) {
        None => Ok(false),
        Some(Value::String(scope)) if names.roles == SCOPE => Ok(scope.split(' ').any(|role| role == ADMIN)),
        Some(Value::Array(roles)) if roles.iter().all(Value::is_string) => Ok(roles.iter().any(|role| role == ADMIN)),
        Some(_) => Err(WrongType.into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const NOW_SECS: i64 = 1_800_000_000;

    fn rules() -> Jwt {
        Jwt {
            secrets: Vec::new(),
            issuers: Vec::new(),
            issuer: None,
            audience: None,
            max_age_seconds: 3600,
            session_min_seconds: 900,
        }
    }

    fn read_as(names: &ClaimNames, claims: &Value) -> Result<Identity, Error> {
        identity(&rules(), names, &serde_json::from_value(claims.clone()).unwrap(), NOW)
    }

    fn read(claims: &Value) -> Result<Identity, Error> {
        read_as(&ClaimNames::default(), claims)
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

    fn names(user: &str, name: &str, roles: &str) -> ClaimNames {
        ClaimNames { user: user.to_owned(), name: name.to_owned(), roles: roles.to_owned() }
    }

    #[test]
    fn an_issuer_has_other_names_for_user_name_and_roles() {
        let cognito = names("sub", "cognito:username", "cognito:groups");
        let claims =
            json!({ "sub": "7-1", "cognito:username": "Ana", "cognito:groups": ["admin"], "exp": NOW_SECS + 60 });
        let ana = read_as(&cognito, &claims).unwrap();
        assert_eq!((ana.user.as_str(), ana.name.unwrap().to_string(), ana.is_admin), ("7-1", "Ana".to_owned(), true));

        let keycloak = names("sub", "name", "/realm_access/roles");
        let roles = |roles: Value| json!({ "sub": "ana", "realm_access": { "roles": roles }, "exp": NOW_SECS + 60 });
        assert!(read_as(&keycloak, &roles(json!(["user", "admin"]))).unwrap().is_admin);
        assert!(!read_as(&keycloak, &roles(json!(["user"]))).unwrap().is_admin);
        assert_eq!(read_as(&keycloak, &roles(json!("admin"))).unwrap_err().status(), 401);

        let scoped = names("sub", "name", "scope");
        let scope = |scope: &str| json!({ "sub": "ana", "scope": scope, "exp": NOW_SECS + 60 });
        assert!(read_as(&scoped, &scope("openid admin")).unwrap().is_admin);
        assert!(!read_as(&scoped, &scope("openid user.admin")).unwrap().is_admin);
    }

    #[test]
    fn an_email_is_a_user_id_only_when_it_is_verified() {
        let email = names("email", "name", "roles");
        for (verified, status) in [(json!(true), 200), (json!(false), 401), (json!("true"), 401), (json!(null), 401)] {
            let claims = json!({ "email": "ana@example.com", "email_verified": verified, "exp": NOW_SECS + 60 });
            let read = read_as(&email, &claims).map_or_else(|error| error.status(), |_| 200);
            assert_eq!(read, status, "{verified}");
        }
    }
}

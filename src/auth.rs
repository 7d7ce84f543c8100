//! Authentication: a user id from the query, or a signed token.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::aws;
use crate::config::{Auth, Jwt};
use crate::domain::{Name, Timestamp, UserId};
use crate::error::Error;

/// The subprotocols that accompany a token: browsers cannot set headers. The first one also asks for native frames.
const SUBPROTOCOLS: [&str; 2] = [NATIVE_SUBPROTOCOL, "chat"];
/// The subprotocol by which a client asks for native frames.
pub const NATIVE_SUBPROTOCOL: &str = "switchboard.v1";
/// The only role of a token that has a meaning.
const ADMIN: &str = "admin";
/// Members of a token's header that are refused.
const UNSUPPORTED: [&str; 4] = ["crit", "jku", "jwk", "x5u"];
/// API Gateway ends a connection after two hours.
const MAX_SESSION_SECS: f64 = 7_200.0;
/// Allowed clock skew of an issuer that is ahead of us.
const AHEAD_SECS: f64 = 5.0;

/// An authenticated user; in open mode, a claimed one.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    pub user: UserId,
    /// The display name in the token.
    pub name: Option<Name>,
    pub is_admin: bool,
    /// When a connection with this token ends (epoch seconds).
    pub session_ends_at: Option<i64>,
}

/// The credentials of a request.
pub struct Credentials<'a> {
    pub headers: &'a HeaderMap,
    /// The query's `token`.
    pub query_token: Option<&'a str>,
    /// The query's `userId`.
    pub user: Option<UserId>,
    /// What to tell a client without a token.
    pub advice: &'static str,
}

/// How a handshake carries a token.
pub const AT_HANDSHAKE: &str =
    "a token is needed: as `Authorization: Bearer <token>`, as `Sec-WebSocket-Protocol: chat, <token>` or as `?token=`";
/// How an HTTP request carries a token.
pub const OVER_HTTP: &str = "a token is needed: as `Authorization: Bearer <token>`";

/// Whether a request has a header with a token.
pub fn shows_token(headers: &HeaderMap) -> bool {
    headers.get(AUTHORIZATION).is_some_and(|value| !value.is_empty())
}

/// Authenticates a request.
///
/// # Errors
/// `UNAUTHORIZED` without a valid token; `FORBIDDEN` with a `userId` that is not the token's.
pub fn identify(auth: &Auth, shown: Credentials<'_>, now: Timestamp) -> Result<Identity, Error> {
    match auth {
        Auth::Open => {
            let user = shown.user.unwrap_or_else(UserId::anonymous);
            Ok(Identity { user, name: None, is_admin: false, session_ends_at: None })
        }
        Auth::Jwt(rules) => {
            let token = token(&shown).ok_or(Error::Unauthorized(shown.advice))?;
            let identity = verify(rules, token, now)?;
            if shown.user.is_some_and(|user| user != identity.user) {
                return Err(Error::Forbidden("`userId` is not the user that the token is for"));
            }
            Ok(identity)
        }
    }
}

/// The offered subprotocol that the answer must echo: browsers drop the socket otherwise.
pub fn offered_subprotocol(headers: &HeaderMap) -> Option<&'static str> {
    SUBPROTOCOLS.into_iter().find(|known| subprotocols(headers).any(|offered| offered == *known))
}

fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

fn token<'a>(shown: &Credentials<'a>) -> Option<&'a str> {
    let header = shown.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        match value.trim().split_once(' ') {
            Some((scheme, token)) => scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()),
            // Some clients send the bare token.
            None => Some(value.trim()).filter(|token| !token.eq_ignore_ascii_case("bearer")),
        }
    });
    let header = header.filter(|token| !token.is_empty());
    let beside_subprotocol = || {
        offered_subprotocol(shown.headers)?;
        subprotocols(shown.headers).find(|offered| !offered.is_empty() && !SUBPROTOCOLS.contains(offered))
    };
    header.or_else(beside_subprotocol).or(shown.query_token).filter(|token| !token.is_empty())
}

/// The claims that are read: `null` is absent. Times are epoch seconds and may have a fraction.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    name: Option<Value>,
    roles: Option<Vec<String>>,
    exp: Option<f64>,
    nbf: Option<f64>,
    iat: Option<f64>,
}

fn verify(rules: &Jwt, token: &str, now: Timestamp) -> Result<Identity, Error> {
    aws::jwt_crypto::install();
    require_plain_header(token)?;
    let claims = rules
        .secrets
        .iter()
        .find_map(|secret| {
            jsonwebtoken::decode::<Claims>(token, &DecodingKey::from_secret(secret.as_bytes()), &signed_by(rules)).ok()
        })
        .ok_or(Error::Unauthorized("invalid token: signature, issuer or audience does not match; get a new one"))?
        .claims;

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

/// Refuses headers that ask for what is not supported (RFC 7515, section 4.1.11), or bring or locate a key.
fn require_plain_header(token: &str) -> Result<(), Error> {
    let header = token.split('.').next().and_then(|header| BASE64_URL_SAFE_NO_PAD.decode(header).ok());
    let header = header.and_then(|json| serde_json::from_slice::<Map<String, Value>>(&json).ok());
    let is_plain = header.is_some_and(|members| UNSUPPORTED.iter().all(|name| !members.contains_key(*name)));
    if is_plain {
        Ok(())
    } else {
        Err(Error::Unauthorized("invalid token: its header has an unsupported member; get a new one"))
    }
}

/// Validates signature, issuer and audience. Times are validated by us: the library would use the machine's clock.
fn signed_by(rules: &Jwt) -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = rules.audience.is_some();
    if let Some(audience) = &rules.audience {
        validation.set_audience(&[audience]);
        validation.required_spec_claims.insert("aud".to_owned());
    }
    if let Some(issuer) = &rules.issuer {
        validation.set_issuer(&[issuer]);
        validation.required_spec_claims.insert("iss".to_owned());
    }
    validation
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use ring::hmac;
    use serde_json::json;

    use super::*;

    const SECRET: &str = "a secret of thirty-two bytes, ok";
    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const NOW_SECS: i64 = 1_800_000_000;

    fn rules() -> Jwt {
        Jwt {
            secrets: vec![SECRET.to_owned()],
            issuer: None,
            audience: None,
            max_age_seconds: 3600,
            session_min_seconds: 900,
        }
    }

    fn signed(claims: &Value, secret: &str) -> String {
        aws::jwt_crypto::install();
        encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    }

    fn status(rules: &Jwt, claims: &Value) -> u16 {
        verify(rules, &signed(claims, SECRET), NOW).map_or_else(|error| error.status(), |_| 200)
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
            assert_eq!(status(&rules(), &claims), expected, "{claims}");
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
            assert_eq!(status(&rules(), &claims), 401, "{claims}");
        }
    }

    #[test]
    fn a_name_claim_decides_the_name_and_a_null_claim_is_absent() {
        let name = |claim: Value| {
            let claims = json!({ "sub": "ana", "exp": NOW_SECS + 60, "name": claim, "roles": null, "nbf": null });
            verify(&rules(), &signed(&claims, SECRET), NOW).unwrap().name.map(|name| name.to_string())
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
        let ends = |claims: Value| verify(&rules(), &signed(&claims, SECRET), NOW).unwrap().session_ends_at.unwrap();
        assert_eq!(ends(json!({ "sub": "ana", "exp": NOW_SECS + 1_000 })), NOW_SECS + 1_000);
        assert_eq!(ends(json!({ "sub": "ana", "exp": NOW_SECS + 10 })), NOW_SECS + 900);
        assert_eq!(ends(json!({ "sub": "ana", "iat": NOW_SECS - 1_800 })), NOW_SECS + 1_800);
        assert_eq!(ends(json!({ "sub": "ana", "exp": 1e300 })), NOW_SECS + 7_200);
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
        assert!(verify(&rules, &signed(&claims, SECRET), NOW).is_ok());
        assert!(verify(&rules, &signed(&claims, other), NOW).is_ok());
        assert!(verify(&rules, &signed(&claims, "a third secret of thirty-two byt"), NOW).is_err());
    }

    #[test]
    fn a_token_with_another_algorithm_is_refused() {
        let claims = json!({ "sub": "ana", "exp": NOW_SECS + 60 });
        let in_base64 = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let message = format!("{}.{}", in_base64(br#"{"alg":"HS384"}"#), in_base64(claims.to_string().as_bytes()));
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA384, SECRET.as_bytes()), message.as_bytes());
        let other = format!("{message}.{}", in_base64(signature.as_ref()));
        assert!(verify(&rules(), &other, NOW).is_err());
        // {"alg":"none"}
        let (_, rest) = signed(&claims, SECRET).split_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let body = rest.split('.').next().unwrap();
        assert!(verify(&rules(), &format!("eyJhbGciOiJub25lIn0.{body}."), NOW).is_err());
    }

    #[test]
    fn subprotocols_are_accepted_on_one_line_or_several() {
        for lines in [&["switchboard.v1, a.b.c"][..], &["switchboard.v1", "a.b.c"], &["a.b.c", "switchboard.v1"]] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(SEC_WEBSOCKET_PROTOCOL, line.parse().unwrap());
            }
            let shown = Credentials { headers: &headers, query_token: None, user: None, advice: AT_HANDSHAKE };
            assert_eq!((offered_subprotocol(&headers), token(&shown)), (Some("switchboard.v1"), Some("a.b.c")));
        }
    }

    #[test]
    fn a_token_is_read_from_header_then_subprotocol_then_query() {
        let mut headers = HeaderMap::new();
        let shown = |headers: &HeaderMap| {
            let shown = Credentials { headers, query_token: Some("query"), user: None, advice: AT_HANDSHAKE };
            token(&shown).map(str::to_owned)
        };
        assert_eq!(shown(&headers).as_deref(), Some("query"));
        headers.insert(SEC_WEBSOCKET_PROTOCOL, "chat, beside".parse().unwrap());
        assert_eq!(shown(&headers).as_deref(), Some("beside"));
        headers.insert(AUTHORIZATION, "Basic YW5h".parse().unwrap());
        assert_eq!(shown(&headers).as_deref(), Some("beside"));
        headers.insert(AUTHORIZATION, "bearer header".parse().unwrap());
        assert_eq!(shown(&headers).as_deref(), Some("header"));
        headers.insert(AUTHORIZATION, "alone".parse().unwrap());
        assert_eq!(shown(&headers).as_deref(), Some("alone"));
        for empty in ["", "Bearer", "Bearer "] {
            headers.insert(AUTHORIZATION, empty.parse().unwrap());
            assert_eq!(shown(&headers).as_deref(), Some("beside"), "{empty:?}");
        }
    }
}

//! Which key a token is signed with.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};

use super::claims::Claims;
use crate::aws;
use crate::config::Jwt;
use crate::error::Error;

/// Members of a token's header that are refused.
const UNSUPPORTED: [&str; 4] = ["crit", "jku", "jwk", "x5u"];

/// The claims of a token, whose times are not validated yet.
///
/// # Errors
/// `UNAUTHORIZED` if its signature, issuer or audience does not match.
pub fn verified(rules: &Jwt, token: &str) -> Result<Claims, Error> {
    aws::jwt_crypto::install();
    require_plain_header(token)?;
    let mut decoded = rules.secrets.iter().filter_map(|secret| {
        jsonwebtoken::decode(token, &DecodingKey::from_secret(secret.as_bytes()), &signed_by(rules)).ok()
    });
    decoded
        .next()
        .map(|token| token.claims)
        .ok_or(Error::Unauthorized("invalid token: signature, issuer or audience does not match; get a new one"))
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

    #[test]
    fn a_token_with_another_algorithm_is_refused() {
        let claims = json!({ "sub": "ana", "exp": NOW_SECS + 60 });
        let in_base64 = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let message = format!("{}.{}", in_base64(br#"{"alg":"HS384"}"#), in_base64(claims.to_string().as_bytes()));
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA384, SECRET.as_bytes()), message.as_bytes());
        let other = format!("{message}.{}", in_base64(signature.as_ref()));
        assert!(verified(&rules(), &other).is_err());
        // {"alg":"none"}
        let (_, rest) = signed(&claims, SECRET).split_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let body = rest.split('.').next().unwrap();
        assert!(verified(&rules(), &format!("eyJhbGciOiJub25lIn0.{body}.")).is_err());
    }
}

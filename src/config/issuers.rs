//! `JWT_ISSUERS`: the identity providers whose tokens are accepted.
//!
//! A JSON list. An entry is an object, or a preset with its settings as a query:
//! `["firebase:my-project", "auth0:example.eu.auth0.com?audience=https://chat.example", {"issuer": "https://..."}]`.

use std::net::IpAddr;

use http::Uri;
use serde::Deserialize;
use serde_json::{Map, Value};

/// An issuer of tokens (OpenID Connect Discovery 1.0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// What `iss` must be, letter for letter.
    pub issuer: String,
    /// Where its keys are. Without it, the issuer's discovery document tells.
    pub jwks_url: Option<String>,
    /// `aud` must contain one of them, unless there are none.
    pub audiences: Vec<String>,
    /// `client_id` must be one of them, unless there are none: access tokens of Cognito have no `aud`.
    pub client_ids: Vec<String>,
    /// `azp` must be one of them, unless there are none.
    pub parties: Vec<String>,
    /// What its tokens may be signed with.
    pub algorithms: Vec<Algorithm>,
    pub claims: ClaimNames,
}

/// The algorithms of issuers: all have a public key. A shared secret can never be one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518, section 3.3).
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA with P-256 and SHA-256 (RFC 7518, section 3.4).
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519 (RFC 8037, section 3.1).
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// The claims that say who a user is. A name that begins with `/` is a JSON Pointer, such as `/realm_access/roles`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// The user id.
    pub user: String,
    /// The display name.
    pub name: String,
    /// The roles: a list of texts, or `scope` (RFC 8693, section 4.2).
    pub roles: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self { user: "sub".to_owned(), name: "name".to_owned(), roles: "roles".to_owned() }
    }
}

/// An entry as it is written.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    preset: Option<String>,
    issuer: Option<String>,
    jwks_url: Option<String>,
    audience: Option<OneOrMany<String>>,
    client_id: Option<OneOrMany<String>>,
    azp: Option<OneOrMany<String>>,
    algorithms: Option<OneOrMany<Algorithm>>,
    user_claim: Option<String>,
    name_claim: Option<String>,
    roles_claim: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts, and of `RS256`, `ES256` and `EdDSA` in `algorithms`")]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

fn all<T>(values: Option<OneOrMany<T>>) -> Vec<T> {
    match values {
        None => Vec::new(),
        Some(OneOrMany::One(value)) => vec![value],
        Some(OneOrMany::Many(values)) => values,
    }
}

/// Reads the list.
///
/// # Errors
/// What is wrong with which entry; entries count from 0.
pub fn parse(list: &str) -> Result<Vec<Issuer>, String> {
    let entries: Vec<Value> = serde_json::from_str(list).map_err(|error| format!("is not a JSON list: {error}"))?;
    let mut issuers: Vec<Issuer> = Vec::new();
    for (at, entry) in entries.into_iter().enumerate() {
        let issuer = entry_of(entry).and_then(issuer_of).map_err(|problem| format!("[{at}]: {problem}"))?;
        if issuers.iter().any(|known| known.issuer == issuer.issuer) {
            return Err(format!("[{at}]: the issuer is listed twice"));
        }
        issuers.push(issuer);
    }
    Ok(issuers)
}

fn entry_of(entry: Value) -> Result<Entry, String> {
    let object = match entry {
        Value::String(preset) => written_as_query(&preset),
        object => object,
    };
    serde_json::from_value(object).map_err(|error| error.to_string())
}

/// `PRESET?name=value&name=value` as an object. A name that is repeated has several values.
fn written_as_query(text: &str) -> Value {
    let (preset, query) = text.split_once('?').unwrap_or((text, ""));
    let mut members = Map::from_iter([("preset".to_owned(), preset.into())]);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match members.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
            Value::Array(values) => values.push(value.into()),
            single => *single = Value::Null,
        }
    }
    let single = |value: Value| match value {
        Value::Array(mut values) if values.len() == 1 => values.remove(0),
        value => value,
    };
    members.into_iter().map(|(name, value)| (name, single(value))).collect()
}

fn issuer_of(entry: Entry) -> Result<Issuer, String> {
    let preset = entry.preset.as_deref().map(preset).transpose()?;
    if preset.is_some() && (entry.issuer.is_some() || entry.jwks_url.is_some()) {
        return Err("a preset already says `issuer` and `jwksUrl`".to_owned());
    }
    let Preset { issuer, jwks_url, audience, roles } = match preset {
        Some(preset) => preset,
        None => Preset {
            issuer: entry.issuer.ok_or("`issuer` or `preset` is missing")?,
            jwks_url: entry.jwks_url,
            audience: None,
            roles: "roles",
        },
    };
    for url in std::iter::once(&issuer).chain(&jwks_url) {
        require_secure_url(url)?;
    }
    if issuer.contains('?') {
        return Err("`issuer` has no query".to_owned());
    }
    let names = ClaimNames::default();
    let found = Issuer {
        issuer,
        jwks_url,
        audiences: entry.audience.map_or_else(|| audience.into_iter().collect(), |audience| all(Some(audience))),
        client_ids: all(entry.client_id),
        parties: all(entry.azp),
        algorithms: entry.algorithms.map_or_else(|| vec![Algorithm::Rs256], |algorithms| all(Some(algorithms))),
        claims: ClaimNames {
            user: entry.user_claim.unwrap_or(names.user),
            name: entry.name_claim.unwrap_or(names.name),
            roles: entry.roles_claim.unwrap_or_else(|| roles.to_owned()),
        },
    };
    require_recipient(&found)?;
    Ok(found)
}

/// A token says for whom it was issued. Without this check every other service that gets tokens of the same issuer
/// could connect as its users.
fn require_recipient(issuer: &Issuer) -> Result<(), String> {
    let Issuer { audiences, client_ids, parties, algorithms, claims: ClaimNames { user, name, roles }, .. } = issuer;
    let lists = [audiences, client_ids, parties];
    let is_empty = |text: &String| text.trim().is_empty();
    if lists.iter().all(|list| list.is_empty()) {
        return Err("one of `audience`, `clientId` and `azp` is needed".to_owned());
    }
    if lists.into_iter().flatten().chain([user, name, roles]).any(is_empty) || algorithms.is_empty() {
        return Err("a value is empty".to_owned());
    }
    Ok(())
}

/// What is known of a provider.
struct Preset {
    issuer: String,
    jwks_url: Option<String>,
    audience: Option<String>,
    roles: &'static str,
}

/// `PROVIDER:NAME`. The addresses are those of the providers' own documents: Cognito's "Verifying JSON web tokens",
/// Auth0's "JSON Web Key Sets", Clerk's "Manual JWT verification", Firebase's "Verify ID tokens".
fn preset(text: &str) -> Result<Preset, String> {
    const FORMS: &str = "a preset is cognito:REGION/POOL, auth0:DOMAIN, clerk:DOMAIN or firebase:PROJECT";

    let (provider, name) = text.split_once(':').ok_or(FORMS)?;
    let is_plain = |name: &str| {
        !name.is_empty() && name.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter))
    };
    let found = |issuer: String, keys: String, roles| Preset { issuer, jwks_url: Some(keys), audience: None, roles };
    match (provider, name.split_once('/')) {
        ("cognito", Some((region, pool))) if is_plain(region) && is_plain(pool) => {
            let issuer = format!("https://cognito-idp.{region}.amazonaws.com/{pool}");
            Ok(found(issuer.clone(), format!("{issuer}/.well-known/jwks.json"), "cognito:groups"))
        }
        // Auth0's issuers end with a slash.
        ("auth0", None) if is_plain(name) => {
            Ok(found(format!("https://{name}/"), format!("https://{name}/.well-known/jwks.json"), "permissions"))
        }
        ("clerk", None) if is_plain(name) => {
            Ok(found(format!("https://{name}"), format!("https://{name}/.well-known/jwks.json"), "roles"))
        }
        ("firebase", None) if is_plain(name) => {
            const KEYS: &str =
                "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com";
            let preset = found(format!("https://securetoken.google.com/{name}"), KEYS.to_owned(), "roles");
            Ok(Preset { audience: Some(name.to_owned()), ..preset })
        }
        _ => Err(FORMS.to_owned()),
    }
}

/// Requires an address that nobody on the way can read or change: `https`, or `http` on a loopback host. Placeholders
/// are refused: each issuer is listed.
///
/// # Errors
/// The address is another one.
pub fn require_secure_url(url: &str) -> Result<(), String> {
    let parsed = url.parse::<Uri>().ok();
    let authority = parsed.as_ref().and_then(Uri::authority).filter(|authority| !authority.host().is_empty());
    let is_secure = authority.is_some_and(|authority| match parsed.as_ref().and_then(Uri::scheme_str) {
        Some("https") => true,
        Some("http") => is_loopback(authority.host()),
        _ => false,
    });
    let in_authority = authority.map_or("", |authority| authority.as_str());
    if is_secure && !in_authority.contains('@') && !url.contains(['{', '}', '*', '#']) {
        Ok(())
    } else {
        Err(format!("\"{}\" must be an https URL without placeholders", url.escape_debug()))
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(list: &str) -> Issuer {
        let mut issuers = parse(list).unwrap();
        assert_eq!(issuers.len(), 1);
        issuers.remove(0)
    }

    #[test]
    fn presets_know_the_addresses_and_claims_of_providers() {
        let cognito = one(r#"["cognito:eu-west-1/eu-west-1_AbC?clientId=web&clientId=phone"]"#);
        assert_eq!(cognito.issuer, "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC");
        assert_eq!(cognito.jwks_url, Some(format!("{}/.well-known/jwks.json", cognito.issuer)));
        assert_eq!(
            (cognito.client_ids, cognito.claims.roles.as_str()),
            (vec!["web".into(), "phone".into()], "cognito:groups")
        );

        let auth0 = one(r#"["auth0:example.eu.auth0.com?audience=https://chat.example"]"#);
        assert_eq!(auth0.issuer, "https://example.eu.auth0.com/");
        assert_eq!(auth0.jwks_url.as_deref(), Some("https://example.eu.auth0.com/.well-known/jwks.json"));
        assert_eq!(auth0.audiences, ["https://chat.example"]);

        let clerk = one(r#"[{"preset": "clerk:clerk.example.com", "azp": "https://app.example.com"}]"#);
        assert_eq!(
            (clerk.issuer.as_str(), clerk.parties),
            ("https://clerk.example.com", vec!["https://app.example.com".into()])
        );

        let firebase = one(r#"["firebase:my-project"]"#);
        assert_eq!(firebase.issuer, "https://securetoken.google.com/my-project");
        assert_eq!((firebase.audiences, firebase.algorithms), (vec!["my-project".into()], vec![Algorithm::Rs256]));
    }

    #[test]
    fn an_issuer_is_written_in_full() {
        let list = r#"[{"issuer": "https://id.example/realms/chat", "jwksUrl": null, "audience": ["chat", "admin"],
            "algorithms": ["ES256", "EdDSA"], "userClaim": "uid", "rolesClaim": "/realm_access/roles"}]"#;
        let names = ClaimNames { user: "uid".into(), name: "name".into(), roles: "/realm_access/roles".into() };
        let expected = Issuer {
            issuer: "https://id.example/realms/chat".into(),
            jwks_url: None,
            audiences: vec!["chat".into(), "admin".into()],
            client_ids: Vec::new(),
            parties: Vec::new(),
            algorithms: vec![Algorithm::Es256, Algorithm::EdDsa],
            claims: names,
        };
        assert_eq!(one(list), expected);
    }

    #[test]
    fn an_issuer_that_is_unsafe_or_unclear_is_refused() {
        for (entry, problem) in [
            (r#"{"issuer": "https://id.example"}"#, "`audience`, `clientId` and `azp`"),
            (r#"{"issuer": "https://id.example", "audience": []}"#, "`audience`, `clientId` and `azp`"),
            (r#"{"issuer": "https://id.example", "audience": ""}"#, "empty"),
            (r#"{"issuer": "https://id.example", "audience": 7}"#, "a text or a list"),
            (r#"{"issuer": "https://id.example", "audience": "a", "algorithms": []}"#, "empty"),
            (r#"{"issuer": "https://id.example", "audience": "a", "algorithms": ["HS256"]}"#, "RS256"),
            (r#"{"issuer": "https://id.example", "audience": "a", "algorithms": ["none"]}"#, "RS256"),
            (r#"{"issuer": "https://id.example", "audiance": "a"}"#, "audiance"),
            (r#"{"issuer": "http://id.example", "audience": "a"}"#, "https"),
            (r#"{"issuer": "https://ana@id.example", "audience": "a"}"#, "https"),
            (r#"{"issuer": "https://id.example#a", "audience": "a"}"#, "https"),
            (r#"{"issuer": "https://id.example?a", "audience": "a"}"#, "query"),
            (r#"{"issuer": "https://login.example/{tenant}/v2.0", "audience": "a"}"#, "placeholders"),
            (r#"{"issuer": "https://*.example", "audience": "a"}"#, "placeholders"),
            (r#"{"issuer": "https://id.example", "jwksUrl": "http://id.example/keys", "audience": "a"}"#, "https"),
            (r#"{"audience": "a"}"#, "missing"),
            (r#"{"preset": "firebase:a", "issuer": "https://id.example"}"#, "preset"),
            (r#""cognito:eu-west-1?clientId=a""#, "cognito:REGION/POOL"),
            (r#""auth0:id.example/path?audience=a""#, "auth0:DOMAIN"),
            (r#""auth0:?audience=a""#, "auth0:DOMAIN"),
            (r#""okta:id.example?audience=a""#, "auth0:DOMAIN"),
            (r#""auth0:id.example""#, "`audience`, `clientId` and `azp`"),
            (r#""firebase:a?preset=firebase:b""#, "missing"),
            ("7", "invalid type"),
        ] {
            let error = parse(&format!("[{entry}]")).unwrap_err();
            assert!(error.starts_with("[0]: ") && error.contains(problem), "{entry}: {error}");
        }
        let twice = parse(r#"["firebase:a", "firebase:a"]"#).unwrap_err();
        assert!(twice.contains("[1]") && twice.contains("twice"), "{twice}");
        assert!(parse("{}").is_err() && parse("firebase:a").is_err());
        for local in ["http://localhost:7075", "http://127.0.0.1:7075", "http://[::1]:7075"] {
            assert!(parse(&format!(r#"[{{"issuer": "{local}", "audience": "a"}}]"#)).is_ok(), "{local}");
        }
    }
}

//! Every environment variable: named once, read once, checked before the first event.

pub mod issuers;
mod limits;
mod reader;

use std::fmt;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tracing::level_filters::LevelFilter;

use crate::domain::{AllowedTypes, FileId};
use crate::tables::TableNames;

pub use issuers::{Algorithm, ClaimNames, Issuer};
pub use limits::Limits;
pub use reader::log_level;
use reader::{Reader, SECRET};

/// The configuration of the function. Created by [`Config::from_env`] only.
#[derive(Debug)]
pub struct Config {
    /// `AWS_REGION`. Without it the SDK would query the instance metadata service and stall for a second.
    pub region: String,
    /// `AWS_LAMBDA_FUNCTION_NAME`: the function invokes itself to continue a fan-out.
    pub function_name: String,
    /// `AWS_LAMBDA_FUNCTION_VERSION`: the version that it invokes, its own. Default: `$LATEST`, the unpublished one.
    pub function_version: String,
    /// Where `@connections` is, as an `http` or `https` URL with the stage: from `WEBSOCKET_ENDPOINT`, unless
    /// `AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI` overrides it.
    pub connections_endpoint: String,
    /// `AWS_ENDPOINT_URL_DYNAMODB`. Default: the endpoint of the region.
    pub dynamodb_endpoint: Option<String>,
    /// `AWS_ENDPOINT_URL_S3`. Default: the endpoint of the region.
    pub s3_endpoint: Option<String>,
    /// `AWS_ENDPOINT_URL_LAMBDA`. Default: the endpoint of the region.
    pub lambda_endpoint: Option<String>,
    /// `AWS_CA_BUNDLE`, a PEM file: the certificate authorities of the endpoints. Default: Mozilla's root store.
    pub authorities: Vec<CertificateDer<'static>>,
    pub auth: Auth,
    /// `TICKET_SECRET`: signs links to files. Without it only clients of other backends get links.
    pub ticket_secret: Option<Secret>,
    /// `ADD_MEMBERS`: whether users are added to rooms, and receive direct messages of strangers, without being asked.
    pub adds_directly: bool,
    /// `ALLOWED_ORIGINS`: the origins of the pages that may open WebSockets. Empty: all.
    pub allowed_origins: Vec<String>,
    /// `LOBBY`: whether the room exists that everybody is in.
    pub lobby: bool,
    /// `MESSAGE_TTL_DAYS`.
    pub message_ttl_days: i64,
    /// `HTTP_ENDPOINT`: the URL of the HTTP API, without a trailing slash. Without it file addresses are relative
    /// paths.
    pub http_endpoint: String,
    pub uploads: Uploads,
    /// `LIMITS`: how much each user may ask for. Absent: as much as they like.
    pub limits: Option<Limits>,
    /// `REVIEW_FUNCTION`: reviews texts in rooms that want it. Without it no room can.
    pub review: Option<Review>,
    /// `ROOM_IDLE_SECONDS`: rooms created over HTTP close after this time without a message.
    pub room_idle_seconds: i64,
    /// `LOG_LEVEL`: what is logged besides the line of each invocation.
    pub log_level: LevelFilter,
    /// `METRICS_NAMESPACE`: the CloudWatch namespace. Deployments that share one are added up.
    pub metrics_namespace: String,
    pub tables: TableNames,
    pub events: Events,
}

/// Events for backends.
#[derive(Debug)]
pub struct Events {
    /// `EVENT_BUS`: the name of the EventBridge bus. Without it there are no events.
    pub bus: Option<String>,
    /// `EVENT_BODIES`: whether events have what users wrote.
    pub has_bodies: bool,
    /// `EVENT_NOTIFICATIONS`: whether there are events of whom to notify of a message.
    pub has_notifications: bool,
    /// `AWS_ENDPOINT_URL_EVENTBRIDGE`. Default: the endpoint of the region.
    pub endpoint: Option<String>,
}

/// File uploads.
#[derive(Debug)]
pub struct Uploads {
    /// `UPLOADS_BUCKET`. Without it uploads are disabled.
    pub bucket: Option<String>,
    /// `MAX_FILE_BYTES`.
    pub max_bytes: u64,
    /// `ALLOWED_CONTENT_TYPES`.
    pub allowed: AllowedTypes,
}

/// The review of texts.
#[derive(Debug)]
pub struct Review {
    /// The name or the ARN of the Lambda function.
    pub function: String,
    /// `REVIEW_TIMEOUT_MS`: how long it is waited for.
    pub timeout: Duration,
    /// `REVIEW_FALLBACK`: whether a text is accepted that the function says nothing of.
    pub lets_through: bool,
}

/// `AUTH_MODE`: how users are authenticated.
pub enum Auth {
    /// Not at all: every `userId` is believed. For trying out.
    Open,
    /// By a signed token.
    Jwt(Jwt),
}

/// A secret, which is never shown.
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// How tokens are verified.
pub struct Jwt {
    /// `JWT_SECRET`, and `JWT_SECRET_PREVIOUS` while a secret is being rotated.
    pub secrets: Vec<String>,
    /// `JWT_ISSUERS`: the identity providers whose tokens are accepted as well, or instead.
    pub issuers: Vec<Issuer>,
    /// `JWT_ISSUER`: what `iss` must be in tokens that are signed with a secret, when set.
    pub issuer: Option<String>,
    /// `JWT_AUDIENCE`: what `aud` must contain in tokens that are signed with a secret, when set.
    pub audience: Option<String>,
    /// `JWT_MAX_AGE_SECONDS`: how long a token without `exp` lives, counted from its `iat`.
    pub max_age_seconds: i64,
    /// `SESSION_MIN_SECONDS`: how long a connection lasts at least, if its token expires sooner.
    pub session_min_seconds: i64,
}

/// The secret for signing tokens.
///
/// # Errors
/// It is missing, too short, or publicly known.
pub fn signing_secret(variable: impl Fn(&str) -> Option<String>) -> Result<String, ConfigError> {
    let mut reader = Reader::new(&variable);
    let secret = reader.secret(SECRET);
    if secret.is_none() {
        reader.wrong(format!("{SECRET} is missing; set it to the secret of the stack that the token is for"));
    }
    reader.finish(secret.unwrap_or_default())
}

/// The names of the tables, for a stack that makes them.
///
/// # Errors
/// A name that DynamoDB does not accept.
pub fn table_names(variable: impl Fn(&str) -> Option<String>) -> Result<TableNames, ConfigError> {
    let mut reader = Reader::new(&variable);
    let names = reader.table_names();
    reader.finish(names)
}

impl Auth {
    /// Whether users are not authenticated.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Jwt(_) => "Jwt",
        })
    }
}

/// Every problem of the environment, in one line.
#[derive(Debug, thiserror::Error)]
#[error("invalid configuration: {0}")]
pub struct ConfigError(String);

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// Names every variable that is missing or wrong, and what it should be.
    pub fn from_env() -> Result<Self, ConfigError> {
        // Invalid UTF-8 is read with replacement characters, so the variable fails its own check.
        Self::read(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// The address of a file for its members.
    pub fn file_url(&self, id: &FileId) -> String {
        format!("{}{id}", self.files_url())
    }

    /// The common prefix of all file addresses.
    pub fn files_url(&self) -> String {
        format!("{}/files/", self.http_endpoint)
    }

    /// Lifetime of messages and what belongs to them.
    pub fn message_ttl_seconds(&self) -> i64 {
        self.message_ttl_days * 86_400
    }

    /// Reads variables through `variable`. An empty one counts as not set.
    ///
    /// # Errors
    /// As [`Config::from_env`].
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(&variable);
        let auth = reader.auth();
        let config = Self {
            adds_directly: reader.adds_directly(&auth),
            connections_endpoint: reader.connections_endpoint(),
            dynamodb_endpoint: reader.text("AWS_ENDPOINT_URL_DYNAMODB"),
            s3_endpoint: reader.text("AWS_ENDPOINT_URL_S3"),
            lambda_endpoint: reader.text("AWS_ENDPOINT_URL_LAMBDA"),
            authorities: reader.authorities(),
            auth,
            ticket_secret: reader.secret("TICKET_SECRET").map(Secret),
            allowed_origins: reader.allowed_origins(),
            lobby: reader.choice("LOBBY", &["on", "off"]) == Some("on"),
            message_ttl_days: reader.number("MESSAGE_TTL_DAYS", 30, 1, 3_650),
            http_endpoint: reader.http_endpoint(),
            uploads: reader.uploads(),
            limits: reader.limits(),
            review: reader.review(),
            room_idle_seconds: reader.number("ROOM_IDLE_SECONDS", 1_800, 1, 365 * 86_400),
            log_level: reader.log_level(),
            metrics_namespace: reader.metrics_namespace(),
            tables: reader.table_names(),
            events: reader.events(),
            region: reader.region(),
            function_name: reader.function_name(),
            function_version: reader.text("AWS_LAMBDA_FUNCTION_VERSION").unwrap_or_else(|| "$LATEST".to_owned()),
        };
        reader.finish(config)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::reader::PUBLISHED_SECRET;
    use super::*;
    use crate::tables;

    const SECRET: &str = "a secret of thirty-two bytes, ok";

    fn read(variables: &[(&str, &str)]) -> Result<Config, String> {
        let mut all = BTreeMap::from([
            ("AWS_REGION", "eu-west-1"),
            ("AWS_LAMBDA_FUNCTION_NAME", "chat"),
            ("WEBSOCKET_ENDPOINT", "abc.execute-api.eu-west-1.amazonaws.com/prod"),
            ("JWT_SECRET", SECRET),
        ]);
        all.extend(variables.iter().copied());
        Config::read(|name| all.get(name).map(|value| (*value).to_owned())).map_err(|error| error.to_string())
    }

    #[test]
    fn an_endpoint_is_accepted_with_and_without_a_scheme() {
        for (given, endpoint) in [
            ("abc.execute-api.eu-west-1.amazonaws.com/prod", "https://abc.execute-api.eu-west-1.amazonaws.com/prod"),
            (
                "wss://abc.execute-api.eu-west-1.amazonaws.com/prod/",
                "https://abc.execute-api.eu-west-1.amazonaws.com/prod",
            ),
            ("https://abc.example/prod", "https://abc.example/prod"),
            ("ws://127.0.0.1:7071/dev", "http://127.0.0.1:7071/dev"),
        ] {
            assert_eq!(read(&[("WEBSOCKET_ENDPOINT", given)]).unwrap().connections_endpoint, endpoint);
        }
    }

    #[test]
    fn every_invalid_variable_is_named_in_one_line() {
        let wrong = [
            ("WEBSOCKET_ENDPOINT", ""),
            ("WEBSOCKET_ENDPOINT", "ftp://abc/prod"),
            ("WEBSOCKET_ENDPOINT", "abc.example"),
            ("WEBSOCKET_ENDPOINT", "not a host/prod"),
            ("AUTH_MODE", "none"),
            ("LOBBY", "yes"),
            ("ADD_MEMBERS", "yes"),
            ("ALLOWED_ORIGINS", "*"),
            ("ALLOWED_ORIGINS", "https://chat.example/"),
            ("ALLOWED_ORIGINS", "https://chat.example,chat.example"),
            ("MESSAGE_TTL_DAYS", "0"),
            ("MESSAGE_TTL_DAYS", "a month"),
            ("ROOM_IDLE_SECONDS", "0"),
            ("JWT_SECRET", "short"),
            ("JWT_SECRET", PUBLISHED_SECRET),
            ("JWT_SECRET", ""),
            ("JWT_SECRET_PREVIOUS", "short"),
            ("JWT_ISSUERS", "auth0:id.example"),
            ("JWT_ISSUERS", r#"["auth0:id.example"]"#),
            ("TICKET_SECRET", "short"),
            ("JWT_MAX_AGE_SECONDS", "-1"),
            ("SESSION_MIN_SECONDS", "7201"),
            ("CHAT_ROOMS_TABLE", "a b"),
            ("HTTP_ENDPOINT", "abc.example"),
            ("UPLOADS_BUCKET", "No Bucket"),
            ("MAX_FILE_BYTES", "25 MB"),
            ("ALLOWED_CONTENT_TYPES", "image"),
            ("ALLOWED_CONTENT_TYPES", "image/png,,audio/*"),
            ("LIMITS", "on"),
            ("LIMITS", "message=fast"),
            ("REVIEW_FUNCTION", "my review"),
            ("REVIEW_TIMEOUT_MS", "0"),
            ("REVIEW_FALLBACK", "maybe"),
            ("LOG_LEVEL", "trace"),
            ("EVENT_BUS", "a bus"),
            ("EVENT_BODIES", "yes"),
            ("EVENT_NOTIFICATIONS", "yes"),
            ("METRICS_NAMESPACE", "AWS/Lambda"),
            ("METRICS_NAMESPACE", ":chat"),
            ("METRICS_NAMESPACE", " "),
            ("METRICS_NAMESPACE", "chat(1)"),
            ("AWS_CA_BUNDLE", "/no/such/file"),
            ("AWS_CA_BUNDLE", "Cargo.toml"),
            ("AWS_REGION", ""),
            ("AWS_LAMBDA_FUNCTION_NAME", ""),
        ];
        for (name, value) in wrong {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.contains(name) && !error.contains('\n'), "{name}={value}: {error}");
        }

        let both = read(&[("LOBBY", "yes"), ("AUTH_MODE", "none")]).unwrap_err();
        assert!(both.contains("LOBBY") && both.contains("AUTH_MODE"), "{both}");
    }

    #[test]
    fn tokens_need_a_secret_or_an_issuer() {
        let error = read(&[("JWT_SECRET", ""), ("JWT_ISSUERS", "[]")]).unwrap_err();
        assert!(error.contains("JWT_SECRET") && error.contains("JWT_ISSUERS"), "{error}");
        let config = read(&[("JWT_SECRET", ""), ("JWT_ISSUERS", r#"["firebase:my-project"]"#)]).unwrap();
        assert!(
            matches!(config.auth, Auth::Jwt(Jwt { secrets, issuers, .. }) if secrets.is_empty() && issuers.len() == 1)
        );
        assert!(read(&[("JWT_ISSUERS", r#"["firebase:my-project"]"#)]).is_ok());
    }

    #[test]
    fn an_invalid_mode_is_not_also_reported_as_a_missing_secret() {
        let error = read(&[("AUTH_MODE", "none"), ("JWT_SECRET", "")]).unwrap_err();
        assert!(error.contains("AUTH_MODE") && !error.contains("JWT_SECRET"), "{error}");
    }

    #[test]
    fn unset_variables_have_defaults() {
        let config = read(&[("HTTP_ENDPOINT", "https://abc.example/")]).unwrap();
        assert_eq!(config.http_endpoint, "https://abc.example");
        assert!(config.lobby && !config.adds_directly && config.allowed_origins.is_empty());
        assert!(read(&[("AUTH_MODE", "open")]).unwrap().adds_directly);
        assert_eq!((config.message_ttl_days, config.room_idle_seconds), (30, 1_800));
        assert_eq!((config.uploads.bucket, config.uploads.max_bytes), (None, 25 * 1024 * 1024));
        assert_eq!(config.tables.of(&tables::ROOMS), "ChatRooms");
        assert!(config.events.bus.is_none() && !config.events.has_bodies && config.events.has_notifications);
        let review =
            read(&[("REVIEW_FUNCTION", "arn:aws:lambda:eu-west-1:123456789012:function:review:live")]).unwrap();
        let review = review.review.unwrap();
        assert_eq!((review.timeout, review.lets_through), (Duration::from_millis(500), false));
        assert!(config.review.is_none());
        assert_eq!((config.log_level, config.metrics_namespace.as_str()), (LevelFilter::INFO, "Switchboard"));
        assert!(matches!(config.auth, Auth::Jwt(Jwt { max_age_seconds: 86_400, .. })));
    }

    #[test]
    fn debug_output_contains_no_secret() {
        let config = read(&[("TICKET_SECRET", "a secret for tickets, which no token has")]).unwrap();
        let shown = format!("{config:?}");
        assert!(!shown.contains(SECRET) && !shown.contains("a secret for tickets"), "{shown}");
    }
}

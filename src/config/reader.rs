//! The environment, variable by variable.

use std::fmt::Display;
use std::time::Duration;

use http::Uri;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tracing::level_filters::LevelFilter;

use super::{Auth, ConfigError, Events, Issuer, Jwt, Limits, Review, Uploads, issuers};
use crate::domain::AllowedTypes;
use crate::tables::TableNames;

/// The variable of the secret that signs tokens.
pub const SECRET: &str = "JWT_SECRET";
/// The variable of the identity providers.
const ISSUERS: &str = "JWT_ISSUERS";
/// Minimum length of a secret for HS256 (RFC 7518, section 3.2).
const MIN_SECRET_BYTES: usize = 32;
/// A secret that is published in the documentation of another chat backend: refused.
pub const PUBLISHED_SECRET: &str = "test-websocket-chat-nodejs-secret-key-20251216201822";

/// The values of `LOG_LEVEL`, the default first.
const LOG_LEVELS: [&str; 4] = ["info", "debug", "warn", "error"];

/// The level of this name; `None` for an invalid `LOG_LEVEL`.
pub fn log_level(name: &str) -> Option<LevelFilter> {
    LOG_LEVELS.contains(&name).then(|| name.parse().ok()).flatten()
}

/// Reads variables and collects their problems.
pub struct Reader<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    /// A reader of the variables that `variable` gives.
    pub fn new(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { variable, problems: Vec::new() }
    }

    /// What was read, unless there were problems.
    pub fn finish<T>(self, read: T) -> Result<T, ConfigError> {
        if self.problems.is_empty() { Ok(read) } else { Err(ConfigError(self.problems.join("; "))) }
    }

    /// An optional text. An empty one counts as not set.
    pub fn text(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    /// Reports a problem.
    pub fn wrong(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    /// Reports that the value of a variable is not what it must be.
    fn invalid(&mut self, name: &str, expected: impl Display, value: &str) {
        self.wrong(format!("{name} must be {expected}, not \"{}\"", value.escape_debug()));
    }

    /// The value of a variable that must be set.
    fn required(&mut self, value: Option<String>, missing: &str) -> String {
        if value.is_none() {
            self.wrong(missing);
        }
        value.unwrap_or_default()
    }

    /// One of `choices`: the first by default, `None` for an invalid value, which is a problem.
    pub fn choice(&mut self, name: &str, choices: &[&'static str]) -> Option<&'static str> {
        let Some(value) = self.text(name) else { return choices.first().copied() };
        let choice = choices.iter().copied().find(|choice| *choice == value);
        if choice.is_none() {
            self.invalid(name, choices.join(" or "), &value);
        }
        choice
    }

    /// A whole number within a range.
    pub fn number(&mut self, name: &str, default: i64, least: i64, most: i64) -> i64 {
        let Some(value) = self.text(name) else { return default };
        value.parse().ok().filter(|number| (least..=most).contains(number)).unwrap_or_else(|| {
            self.invalid(name, format_args!("a whole number from {least} to {most}"), &value);
            default
        })
    }

    /// `EVENT_BUS` and what belongs to it. The default bus of an account is called `default`.
    pub fn events(&mut self) -> Events {
        const NAME: &str = "EVENT_BUS";
        let bus = self.text(NAME);
        let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || b"._-/".contains(&letter);
        if let Some(bus) = bus.as_ref().filter(|bus| bus.len() > 256 || !bus.bytes().all(is_letter)) {
            self.invalid(NAME, "the name of an EventBridge bus (1 to 256 letters, digits, '.', '_', '-' or '/')", bus);
        }
        Events {
            bus,
            has_bodies: self.choice("EVENT_BODIES", &["off", "on"]) == Some("on"),
            has_notifications: self.choice("EVENT_NOTIFICATIONS", &["on", "off"]) == Some("on"),
            endpoint: self.text("AWS_ENDPOINT_URL_EVENTBRIDGE"),
        }
    }

    /// `CHAT_ROOMS_TABLE` and the like.
    pub fn table_names(&mut self) -> TableNames {
        let (names, problems) = TableNames::read(self.variable);
        self.problems.extend(problems);
        names
    }

    /// Accepts Terraform's output, `id.execute-api.region.amazonaws.com/stage`, with or without a scheme.
    pub fn connections_endpoint(&mut self) -> String {
        const NAME: &str = "WEBSOCKET_ENDPOINT";
        const FORM: &str = "abc123.execute-api.us-east-1.amazonaws.com/prod";

        let Some(value) = self.text(NAME) else {
            self.wrong(format!("{NAME} is missing; set it to the WebSocket API's host and stage, such as {FORM}"));
            return String::new();
        };
        let (scheme, rest) = value.split_once("://").unwrap_or(("wss", &value));
        let scheme = match scheme {
            "wss" | "https" => "https",
            "ws" | "http" => "http",
            _ => "",
        };
        let url = format!("{scheme}://{}", rest.trim_end_matches('/'));
        let parsed = url.parse::<Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
        let staged = parsed.is_some_and(|uri| uri.path().len() > 1 && uri.query().is_none());
        if scheme.is_empty() || !staged {
            self.invalid(NAME, format_args!("a WebSocket API's host and stage, such as {FORM}"), &value);
        }
        // The SDK's own variable takes precedence, as for the other services.
        self.text("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI").unwrap_or(url)
    }

    /// `AWS_CA_BUNDLE`.
    pub fn authorities(&mut self) -> Vec<CertificateDer<'static>> {
        const NAME: &str = "AWS_CA_BUNDLE";

        let Some(file) = self.text(NAME) else { return Vec::new() };
        let read = CertificateDer::pem_file_iter(&file).and_then(Iterator::collect);
        let authorities: Vec<_> = read.unwrap_or_default();
        if authorities.is_empty() {
            self.invalid(NAME, "a file with certificates in PEM", &file);
        }
        authorities
    }

    /// `HTTP_ENDPOINT`.
    pub fn http_endpoint(&mut self) -> String {
        const NAME: &str = "HTTP_ENDPOINT";
        const FORM: &str = "https://abc123.execute-api.us-east-1.amazonaws.com";

        let Some(value) = self.text(NAME) else { return String::new() };
        let parsed = value.parse::<Uri>().ok().filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
        if parsed.is_none_or(|uri| uri.host().is_none_or(str::is_empty) || uri.query().is_some()) {
            self.invalid(NAME, format_args!("the URL of the HTTP API, such as {FORM}"), &value);
        }
        value.trim_end_matches('/').to_owned()
    }

    /// The bucket and the limits of uploads.
    pub fn uploads(&mut self) -> Uploads {
        const BUCKET: &str = "UPLOADS_BUCKET";
        const ALLOWED: &str = "ALLOWED_CONTENT_TYPES";

        let letter = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || b".-".contains(&letter);
        let bucket = self.text(BUCKET);
        if let Some(wrong) = bucket.as_ref().filter(|name| !(3..=63).contains(&name.len()) || !name.bytes().all(letter))
        {
            self.invalid(BUCKET, "the name of an S3 bucket (3 to 63 small letters, digits, '-' or '.')", wrong);
        }
        let allowed = self.text(ALLOWED).map_or(Ok(AllowedTypes::default()), |list| AllowedTypes::parse(&list));
        let allowed = allowed.unwrap_or_else(|wrong| {
            self.wrong(format!(
                "{ALLOWED} must be content types with commas between them, such as image/png,audio/*; \"{}\" is none",
                wrong.escape_debug()
            ));
            AllowedTypes::default()
        });
        // The limit of S3 for one request.
        const MOST: i64 = 5 * 1024 * 1024 * 1024;
        let max_bytes = self.number("MAX_FILE_BYTES", 25 * 1024 * 1024, 1, MOST).unsigned_abs();
        Uploads { bucket, max_bytes, allowed }
    }

    /// `ADD_MEMBERS`: by default users are asked where tokens say who they are.
    pub fn adds_directly(&mut self, auth: &Auth) -> bool {
        let choices = if auth.is_open() { ["direct", "invite"] } else { ["invite", "direct"] };
        self.choice("ADD_MEMBERS", &choices) == Some("direct")
    }

    /// `ALLOWED_ORIGINS`: origins as browsers send them, in small letters and without a path.
    pub fn allowed_origins(&mut self) -> Vec<String> {
        const NAME: &str = "ALLOWED_ORIGINS";
        const FORM: &str =
            "origins with commas between them, such as https://chat.example.com (unset: every page may connect)";

        let Some(list) = self.text(NAME) else { return Vec::new() };
        let letter = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || b".-:[]_".contains(&letter);
        let is_origin = |origin: &str| {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            host.is_some_and(|host| !host.is_empty() && host.bytes().all(letter))
        };
        let origins: Vec<_> = list.split(',').map(|origin| origin.trim().to_owned()).collect();
        if let Some(wrong) = origins.iter().find(|origin| !is_origin(origin)) {
            self.invalid(NAME, FORM, wrong);
        }
        origins
    }

    /// `LIMITS`.
    pub fn limits(&mut self) -> Option<Limits> {
        const NAME: &str = "LIMITS";

        match self.text(NAME).as_deref() {
            None => Some(Limits::default()),
            Some("off") => None,
            Some(list) => match Limits::parse(list) {
                Ok(limits) => Some(limits),
                Err(wrong) => {
                    self.invalid(NAME, Limits::EXPECTED, wrong);
                    None
                }
            },
        }
    }

    /// `REVIEW_FUNCTION`, and what goes with it.
    pub fn review(&mut self) -> Option<Review> {
        const NAME: &str = "REVIEW_FUNCTION";

        let timeout = self.number("REVIEW_TIMEOUT_MS", 500, 1, 10_000).unsigned_abs();
        let lets_through = self.choice("REVIEW_FALLBACK", &["deny", "allow"]) == Some("allow");
        let function = self.text(NAME)?;
        if function.len() > 170 || !function.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_:$".contains(&byte))
        {
            self.invalid(NAME, "the name or the ARN of a Lambda function", &function);
        }
        Some(Review { function, timeout: Duration::from_millis(timeout), lets_through })
    }

    /// `LOG_LEVEL`.
    pub fn log_level(&mut self) -> LevelFilter {
        self.choice("LOG_LEVEL", &LOG_LEVELS).and_then(log_level).unwrap_or(LevelFilter::INFO)
    }

    /// `METRICS_NAMESPACE`.
    pub fn metrics_namespace(&mut self) -> String {
        const NAME: &str = "METRICS_NAMESPACE";

        let name = self.text(NAME).unwrap_or_else(|| "Switchboard".to_owned());
        let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_/#: ".contains(&byte));
        let is_taken = name.starts_with("AWS/") || name.starts_with(':') || name.trim().is_empty();
        if !letters || is_taken || name.len() > 255 {
            const EXPECTED: &str = "a namespace of CloudWatch's (1 to 255 letters, digits, spaces, '.', '-', '_', \
                '/', '#' or ':', not beginning with ':' or AWS/)";
            self.invalid(NAME, EXPECTED, &name);
        }
        name
    }

    /// The region of the SDK's clients.
    pub fn region(&mut self) -> String {
        let region = self.text("AWS_REGION").or_else(|| self.text("AWS_DEFAULT_REGION"));
        self.required(region, "AWS_REGION is missing; Lambda sets it, elsewhere name the region of the tables")
    }

    /// `AWS_LAMBDA_FUNCTION_NAME`.
    pub fn function_name(&mut self) -> String {
        const MISSING: &str = "AWS_LAMBDA_FUNCTION_NAME is missing; Lambda sets it, elsewhere name the function";
        self.required(self.text("AWS_LAMBDA_FUNCTION_NAME"), MISSING)
    }

    /// A secret for signing tokens.
    pub fn secret(&mut self, name: &str) -> Option<String> {
        let secret = self.text(name)?;
        if secret.len() < MIN_SECRET_BYTES {
            self.wrong(format!("{name} must be at least {MIN_SECRET_BYTES} bytes long"));
        } else if secret == PUBLISHED_SECRET {
            self.wrong(format!("{name} is publicly known; generate a new secret"));
        }
        Some(secret)
    }

    /// `JWT_ISSUERS`; `None` for an invalid list, which is a problem.
    fn issuers(&mut self) -> Option<Vec<Issuer>> {
        let parsed = self.text(ISSUERS).map_or(Ok(Vec::new()), |list| issuers::parse(&list));
        parsed.map_err(|problem| self.wrong(format!("{ISSUERS} {problem}"))).ok()
    }

    /// How users are authenticated.
    pub fn auth(&mut self) -> Auth {
        let mode = self.choice("AUTH_MODE", &["jwt", "open"]);
        let current = self.secret(SECRET);
        let issuers = self.issuers();
        // A misspelled mode does not mean `jwt`, and a misspelled list is one: one problem is enough.
        if current.is_none() && mode == Some("jwt") && issuers.as_ref().is_some_and(Vec::is_empty) {
            self.wrong(format!(
                "{SECRET} is missing; AUTH_MODE=jwt needs a secret of at least {MIN_SECRET_BYTES} bytes, or {ISSUERS} \
                 (AUTH_MODE=open requires no token: use it for trials only)"
            ));
        }
        let previous = self.secret("JWT_SECRET_PREVIOUS");
        let rules = Jwt {
            secrets: current.into_iter().chain(previous).collect(),
            issuers: issuers.unwrap_or_default(),
            issuer: self.text("JWT_ISSUER"),
            audience: self.text("JWT_AUDIENCE"),
            max_age_seconds: self.number("JWT_MAX_AGE_SECONDS", 86_400, 1, 10 * 365 * 86_400),
            session_min_seconds: self.number("SESSION_MIN_SECONDS", 900, 1, 7_200),
        };
        if mode == Some("open") { Auth::Open } else { Auth::Jwt(rules) }
    }
}

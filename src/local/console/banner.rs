//! The banner at start: lines to copy for people, one line of JSON for programs.

use std::env;
use std::fmt::Write as _;

use serde::Serialize;

use crate::config::{self, ConfigError};
use crate::local::{AccessKey, BUCKET, REGION, Urls};
use crate::tables;

/// What the banner shows.
pub struct Banner<'a> {
    pub urls: &'a Urls,
    pub access_key: &'a AccessKey,
    /// What signs events for webhooks, if there are webhooks.
    pub webhook_secret: Option<&'a str>,
    /// Whether the stack is reachable over the network.
    pub is_open_to_network: bool,
}

/// The JSON line for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StartedLine<'a> {
    #[serde(flatten)]
    urls: &'a Urls,
    region: &'a str,
    access_key_id: &'a str,
    secret_access_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_secret: Option<&'a str>,
}

impl Banner<'_> {
    /// The URLs and the access key as one line of JSON.
    pub fn for_programs(&self) -> String {
        let AccessKey { id, secret } = self.access_key;
        let Self { urls, webhook_secret, .. } = *self;
        let (access_key_id, secret_access_key, region) = (id, secret, REGION);
        let started = StartedLine { urls, region, access_key_id, secret_access_key, webhook_secret };
        serde_json::to_string(&started).map(|line| line + "\n").unwrap_or_default()
    }

    /// # Errors
    /// As [`TableNames::read`].
    pub fn for_people(&self) -> Result<String, ConfigError> {
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let has_tokens = variable("AUTH_MODE").map_or(self.urls.issuer.is_some(), |mode| mode == "jwt");
        let Urls { websocket, http, connections, dynamodb, s3, lambda, issuer, events } = self.urls;
        let mut banner =
            format!("Switchboard is running. Ctrl-C stops it.\n\nOpen the chat page in a browser:\n\n  {http}/\n\n");
        let urls = [
            ("WebSocket API", websocket),
            ("HTTP API", http),
            ("@connections", connections),
            ("DynamoDB", dynamodb),
            ("S3", s3),
            ("Lambda", lambda),
        ];
        let optional = [("Issuer", issuer), ("EventBridge", events)];
        let optional = optional.into_iter().filter_map(|(name, url)| Some((name, url.as_ref()?)));
        for (name, url) in urls.into_iter().chain(optional) {
            let _ = writeln!(banner, "  {name:<13}  {url}");
        }
        if let Some(secret) = self.webhook_secret {
            let _ = writeln!(banner, "\nThe events for the webhooks are signed with this secret:\n\n  {secret}");
        }
        if self.is_open_to_network {
            let who = if has_tokens { "with a token" } else { "as any user (AUTH_MODE=open)" };
            let _ = write!(
                banner,
                "\nWarning: everybody who can reach this machine over the network can chat {who}, through the ports of \
                 the WebSocket API, the HTTP API and S3. Only this machine can reach DynamoDB and Lambda.\n"
            );
        }
        banner.push_str("\nOpen a chat client in each of two terminals:\n\n");
        for user in ["ana", "ben"] {
            let identity = match issuer {
                Some(url) if has_tokens => format!("token=$(scripts/token --rs256 --issuer {url} --sub {user})"),
                None if has_tokens => format!("token=$(scripts/token --sub {user})"),
                _ => format!("userId={user}"),
            };
            let _ = writeln!(banner, "  npx -y wscat@6.1.0 -c \"{websocket}?{identity}&roomId=tea\"");
        }
        banner.push_str("\nSend a message in one; it appears in the other:\n\n");
        banner.push_str("  {\"action\":\"sendMessage\",\"content\":\"hello\"}\n");

        let AccessKey { id, secret } = self.access_key;
        let quoted = |text: &str| shlex::try_quote(text).map_or_else(|_| text.to_owned(), std::borrow::Cow::into_owned);
        let (secret, dynamodb, s3) = (quoted(secret), quoted(dynamodb), quoted(s3));
        let key = format!("AWS_ACCESS_KEY_ID={id} AWS_SECRET_ACCESS_KEY={secret}");
        let names = config::table_names(variable)?;
        let table = names.of(&tables::MESSAGES);
        let bucket = variable("UPLOADS_BUCKET").unwrap_or_else(|| BUCKET.to_owned());
        let _ = write!(
            banner,
            "\nInspect the tables and the bucket with the AWS CLI:\n\n\
             \x20 {key} aws dynamodb scan --region {REGION} --endpoint-url {dynamodb} --table-name {table}\n\
             \x20 {key} aws s3 ls --recursive --region {REGION} --endpoint-url {s3} s3://{bucket}\n\n"
        );
        Ok(banner)
    }
}

//! The environment of the function.

use serde_json::json;

use super::bus::BUS;
use super::keys::AccessKey;
use super::lambda::{FUNCTION_NAME, REVIEW_NAME};
use super::network::Network;
use super::{BUCKET, Options, REGION, Urls, issuer};

/// The function's environment variables, besides those that Lambda sets. They override inherited ones.
pub fn variables(options: &Options, urls: &Urls, network: &Network, key: &AccessKey) -> Vec<(String, String)> {
    let is_set = |name: &str| {
        options.environment.iter().any(|(known, _)| known == name)
            || std::env::var_os(name).is_some_and(|value| !value.is_empty())
    };
    let mut environment = Vec::new();
    // As a deployment has one: links to files work in pages.
    let ticket_secret = AccessKey::random().secret;
    let issuers = urls.issuer.as_ref().map(|url| {
        json!([{ "issuer": url, "audience": issuer::AUDIENCE, "algorithms": issuer::ALGORITHMS }]).to_string()
    });
    // As in a deployment, where one list is for both. The chat page connects too.
    let is_any = options.cors_origins.iter().any(|origin| origin == "*");
    let origins =
        (!is_any).then(|| [options.cors_origins.as_slice(), std::slice::from_ref(&urls.http)].concat().join(","));
    let defaults = [
        ("ALLOWED_ORIGINS", origins.as_deref()),
        ("REVIEW_FUNCTION", options.review.is_some().then_some(REVIEW_NAME)),
        ("AUTH_MODE", Some(if issuers.is_some() { "jwt" } else { "open" })),
        ("UPLOADS_BUCKET", Some(BUCKET)),
        ("JWT_ISSUERS", issuers.as_deref()),
        ("TICKET_SECRET", Some(&ticket_secret)),
        ("EVENT_BUS", urls.events.as_ref().map(|_| BUS)),
    ];
    for (name, value) in defaults {
        if let Some(value) = value.filter(|_| !is_set(name)) {
            environment.push((name.to_owned(), value.to_owned()));
        }
    }
    environment.extend(options.environment.iter().cloned());
    let no_proxy = network.no_proxy();
    let settings = [
        ("WEBSOCKET_ENDPOINT", urls.websocket.as_str()),
        ("HTTP_ENDPOINT", &urls.http),
        ("AWS_ENDPOINT_URL_DYNAMODB", &urls.dynamodb),
        ("AWS_ENDPOINT_URL_S3", &urls.s3),
        ("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI", &urls.connections),
        ("AWS_ENDPOINT_URL_LAMBDA", &urls.lambda),
        ("AWS_LAMBDA_FUNCTION_NAME", FUNCTION_NAME),
        // The local stack has one region.
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", &key.id),
        ("AWS_SECRET_ACCESS_KEY", &key.secret),
        // Local addresses bypass proxies.
        ("NO_PROXY", &no_proxy),
        ("no_proxy", &no_proxy),
    ];
    environment.extend(settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
    environment.extend(urls.events.iter().map(|url| ("AWS_ENDPOINT_URL_EVENTBRIDGE".to_owned(), url.clone())));
    environment
}

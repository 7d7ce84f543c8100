//! The HTTP API as OpenAPI 3.1.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use switchboard::schema::{Operation, http_routes};

use super::schemas;

const IDEMPOTENCY_KEY: &str = "Names the request, for a day: a repeat is answered as the first one was.";

/// The OpenAPI document.
pub fn document() -> Value {
    let mut paths = Map::new();
    for route in http_routes() {
        let (method, path) = route.key.split_once(' ').unwrap();
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[method.to_lowercase()] = operation(&route, method, path);
    }
    let frames = schemas::frames();
    let answers: BTreeSet<_> = http_routes().iter().flat_map(|route| route.answers).copied().chain(["error"]).collect();
    let bodies: Map<_, _> = answers.iter().map(|name| ((*name).to_owned(), schemas::body(&frames[*name]))).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Switchboard",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The HTTP API of a Switchboard deployment.",
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{
            "url": "https://{api}.execute-api.{region}.amazonaws.com",
            "variables": { "api": { "default": "abc123" }, "region": { "default": "us-east-1" } },
        }],
        "paths": paths,
        "components": {
            "schemas": bodies,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
                "sigv4": {
                    "type": "apiKey",
                    "name": "Authorization",
                    "in": "header",
                    "description": "AWS Signature Version 4 of an IAM identity, for the service execute-api.",
                    "x-amazon-apigateway-authtype": "awsSigv4",
                },
            },
        },
    })
}

fn operation(route: &Operation, method: &str, path: &str) -> Value {
    let fields = schemas::fields(route);
    let in_path: Vec<_> = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
    let required = fields["required"].as_array().cloned().unwrap_or_default();
    let properties = fields["properties"].as_object().unwrap();
    let mut parameters: Vec<_> = in_path.iter().map(|name| parameter(name, "path", true, &properties[*name])).collect();
    let is_named = |name: &str| in_path.contains(&name);
    let in_body = ["PATCH", "POST", "PUT"].contains(&method);
    let is_for_backends = route.access == "backend";
    let is_public = ["anyone", "guest"].contains(&route.access);
    if !in_body {
        let in_query = properties.iter().filter(|(name, _)| !is_named(name) && !is_of_frames(name));
        parameters
            .extend(in_query.map(|(name, schema)| parameter(name, "query", required.contains(&json!(name)), schema)));
    }
    if is_for_backends && method == "POST" {
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": 128, "description": IDEMPOTENCY_KEY });
        parameters.push(parameter("Idempotency-Key", "header", true, &schema));
    }
    if route.access != "anyone" && !is_for_backends {
        let schema = json!({ "type": "string", "description": "Who asks, where no token is needed." });
        parameters.push(parameter("userId", "query", false, &schema));
    }
    let security = match route.access {
        "backend" => json!([{ "sigv4": [] }]),
        _ if is_public => json!([{}, { "token": [] }]),
        _ => json!([{ "token": [] }, {}]),
    };
    let status = route.status.unwrap();
    let mut operation = json!({
        "operationId": operation_id(method, path),
        "summary": route.about,
        "description": format!("For: {}. Rate limit: {:?}.", route.access, route.limit),
        "security": security,
        "responses": {
            status.to_string(): success(route, status),
            "4XX": content("The request is refused.", "error"),
            "5XX": content("The request failed; it can be retried.", "error"),
        },
    });
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if in_body {
        let mut body = fields.clone();
        body["properties"].as_object_mut().unwrap().retain(|name, _| !is_named(name));
        body["required"] = required.into_iter().filter(|name| !is_named(name.as_str().unwrap())).collect();
        operation["requestBody"] = json!({ "content": { "application/json": { "schema": body } } });
    }
    operation
}

/// A page of history over HTTP names its room in the path.
fn is_of_frames(name: &str) -> bool {
    ["recipientId", "targetId"].contains(&name)
}

fn parameter(name: &str, place: &str, required: bool, schema: &Value) -> Value {
    json!({ "name": name, "in": place, "required": required, "schema": schema })
}

fn success(route: &Operation, status: u16) -> Value {
    let description = if status == 307 { "Redirects to the file." } else { "Success." };
    let mut response = content(description, route.answers[0]);
    if route.answers.len() > 1 {
        let schemas: Vec<_> = route.answers.iter().map(|answer| reference(answer)).collect();
        response["content"]["application/json"]["schema"] = json!({ "anyOf": schemas });
    }
    if status == 307 {
        response["headers"] = json!({ "Location": { "schema": { "type": "string", "format": "uri" } } });
    }
    response
}

fn content(description: &str, schema: &str) -> Value {
    json!({ "description": description, "content": { "application/json": { "schema": reference(schema) } } })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// The id of an operation, such as `postRoomsJoin`.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(['/', '{', '}']).filter(|word| !word.is_empty());
    let capitalized = words.map(|word| word[..1].to_uppercase() + &word[1..]);
    method.to_lowercase() + &capitalized.collect::<String>()
}

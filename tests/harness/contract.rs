//! Validates everything that tests send and hear against the published schemas (tests/schema), so that a schema that
//! does not match the behaviour fails the suite.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use axum::body::Bytes;
use jsonschema::Validator;
use serde_json::{Value, json};

use super::Answer;
use super::outgoing::{Outgoing, Validity};

struct Route {
    method: String,
    path: Vec<String>,
    request: Option<Request>,
    /// By status, for each of the answers that there can be.
    success: HashMap<u16, Vec<Validator>>,
}

/// A frame or the body of an HTTP request.
struct Request {
    validator: Validator,
    fields: BTreeSet<String>,
}

struct Contract {
    frames: HashMap<String, Validator>,
    events: HashMap<String, Validator>,
    /// By action, and by each alias that is documented.
    requests: HashMap<String, Request>,
    routes: Vec<Route>,
    error: Validator,
}

static CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
    let openapi = read("openapi.json");
    let schemas = &openapi["components"]["schemas"];
    let error = validator(&schemas["error"]);
    Contract { frames: frames(), events: events(), requests: requests(), routes: routes(&openapi), error }
});

fn folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema")
}

/// A generated document: `openapi.json`, `requests/ping.json`.
pub fn read(path: impl AsRef<std::path::Path>) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder().join(path)).unwrap()).unwrap()
}

fn validator(schema: &Value) -> Validator {
    jsonschema::validator_for(schema).unwrap()
}

/// The schemas of a folder, by the names of its files.
fn schemas(kind: &str) -> impl Iterator<Item = (String, Value)> {
    let files = std::fs::read_dir(folder().join(kind)).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), read(&path)))
}

fn frames() -> HashMap<String, Validator> {
    schemas("frames").map(|(name, schema)| (name, validator(&schema))).collect()
}

fn events() -> HashMap<String, Validator> {
    schemas("events").map(|(name, schema)| (name, validator(&schema))).collect()
}

fn requests() -> HashMap<String, Request> {
    let mut requests = HashMap::new();
    for (_, schema) in schemas("requests") {
        for action in schema["properties"]["action"]["enum"].as_array().unwrap() {
            requests.insert(action.as_str().unwrap().to_owned(), request(schema.clone()));
        }
    }
    requests
}

/// The server ignores unknown fields, so the schemas allow them. In a test such a field is a mistake of the test or of
/// the schema.
fn request(mut schema: Value) -> Request {
    schema["additionalProperties"] = false.into();
    let fields = schema["properties"].as_object().unwrap().keys().cloned().collect();
    Request { validator: validator(&schema), fields }
}

/// Without tokens, the body of an HTTP request may contain `userId`.
fn body(mut schema: Value) -> Request {
    schema["properties"]["userId"] = json!({ "type": "string" });
    request(schema)
}

fn routes(openapi: &Value) -> Vec<Route> {
    let schemas = &openapi["components"]["schemas"];
    let mut routes = Vec::new();
    for (path, item) in openapi["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let success = operation["responses"].as_object().unwrap().iter().filter_map(|(status, response)| {
                let schema = &response["content"]["application/json"]["schema"];
                let references = schema["anyOf"].as_array().cloned().unwrap_or(vec![schema.clone()]);
                let validators = references
                    .iter()
                    .filter_map(|schema| Some(validator(&schemas[schema["$ref"].as_str()?.rsplit('/').next()?])));
                Some((status.parse().ok()?, validators.collect()))
            });
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            routes.push(Route {
                method: method.to_uppercase(),
                path: path.split('/').map(str::to_owned).collect(),
                request: schema.is_object().then(|| body(schema.clone())),
                success: success.collect(),
            });
        }
    }
    // `/rooms/join` goes before `/rooms/{roomId}`.
    routes.sort_by_key(|route| route.path.iter().filter(|part| part.starts_with('{')).count());
    routes
}

fn check(validator: &Validator, value: &Value, what: &str) {
    let problems: Vec<_> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(problems.is_empty(), "{what} does not match its schema: {}\n{value}", problems.join("; "));
}

/// Validates a text that a client received. Bare text and errors of API Gateway are not frames, and pass.
pub fn heard_frame(text: &str) {
    let Ok(frame @ Value::Object(_)) = serde_json::from_str::<Value>(text) else { return };
    let Some(kind) = frame["type"].as_str() else { return };
    let schema =
        CONTRACT.frames.get(kind).unwrap_or_else(|| panic!("no frame of the type {kind} is documented: {frame}"));
    check(schema, &frame, &format!("the frame {kind}"));
}

/// Validates an event of the event bus.
pub fn heard_event(event: &Value) {
    let kind = event["type"].as_str().unwrap_or_else(|| panic!("an event without a type: {event}"));
    let schema = CONTRACT.events.get(kind).unwrap_or_else(|| panic!("no event {kind} is documented: {event}"));
    check(schema, event, &format!("the event {kind}"));
}

/// The text of a frame that a client sends. It must be valid unless it is marked.
pub fn sent_frame(frame: impl Into<Outgoing>) -> String {
    let frame = frame.into();
    let text = std::str::from_utf8(&frame.body).unwrap().to_owned();
    if frame.validity == Validity::Unchecked {
        return text;
    }
    let mut sent: Value =
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("sent a frame that is no JSON: {text}"));
    if frame.validity == Validity::WithAliases {
        replace_alias_of_action(&mut sent);
    }
    let action = sent["action"].as_str().unwrap_or_default().to_owned();
    let request = CONTRACT.requests.get(&action).unwrap_or_else(|| panic!("sent an undocumented action: {text}"));
    if frame.validity == Validity::WithAliases {
        replace_aliases_of_fields(&mut sent, &request.fields);
    }
    check(&request.validator, &sent, &format!("the sent frame {action}"));
    text
}

/// Replaces kebab-case: `join-room` becomes `joinRoom`.
fn replace_alias_of_action(frame: &mut Value) {
    let action = frame["action"].as_str().unwrap_or_default().to_owned();
    if CONTRACT.requests.contains_key(&action) {
        return;
    }
    let mut words = action.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    let capitalized = words.filter(|word| !word.is_empty()).map(|word| word[..1].to_uppercase() + &word[1..]);
    frame["action"] = capitalized.fold(first, |action, word| action + &word).into();
}

/// Replaces aliases by the names in the schemas. A name is an alias only if the request has no such field.
fn replace_aliases_of_fields(body: &mut Value, fields: &BTreeSet<String>) {
    let Some(body) = body.as_object_mut() else { return };
    for (alias, name) in [
        ("message", "content"),
        ("text", "content"),
        ("data", "content"),
        ("username", "userName"),
        ("name", "userName"),
        ("chatRoomId", "roomId"),
    ] {
        // `data` is a field of `sendMessage` too, and then an object.
        let is_alias = |value: &Value| !fields.contains(alias) || alias == "data" && value.is_string();
        if body.get(alias).is_some_and(is_alias) {
            let value = body.remove(alias).unwrap();
            body.entry(name).or_insert(value);
        }
    }
}

fn route_of(method: &str, path: &str) -> Option<&'static Route> {
    let segments: Vec<_> = path.split('?').next().unwrap_or_default().split('/').collect();
    let is_path = |pattern: &[String]| {
        pattern.len() == segments.len()
            && pattern.iter().zip(&segments).all(|(pattern, segment)| pattern.starts_with('{') || pattern == segment)
    };
    CONTRACT.routes.iter().find(|route| route.method == method && is_path(&route.path))
}

/// The body of an HTTP request that a client sends. It must be valid unless it is marked.
pub fn sent_body((method, path): (&str, &str), body: impl Into<Outgoing>) -> Bytes {
    let Outgoing { body, validity } = body.into();
    if validity == Validity::Unchecked {
        return body;
    }
    let Some(request) = route_of(method, path).and_then(|route| route.request.as_ref()) else {
        assert!(body.is_empty(), "sent a body to {method} {path}, for which none is documented");
        return body;
    };
    // No body is taken as one without fields.
    let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
    let mut sent: Value = serde_json::from_slice(text)
        .unwrap_or_else(|_| panic!("sent a body to {method} {path} that is no JSON: {body:?}"));
    if validity == Validity::WithAliases {
        replace_aliases_of_fields(&mut sent, &request.fields);
    }
    check(&request.validator, &sent, &format!("the body sent to {method} {path}"));
    body
}

/// Validates an HTTP response.
pub fn heard_answer((method, path): (&str, &str), answer: &Answer) {
    // An error of API Gateway itself.
    if answer.body.get("message").is_some() && answer.body.get("code").is_none() {
        return;
    }
    if answer.status >= 400 {
        return check(&CONTRACT.error, &answer.body, &format!("the error of {method} {path}"));
    }
    let Some(route) = route_of(method, path) else {
        assert!(method == "OPTIONS", "the route {method} {path} is not documented");
        return;
    };
    let schema = route.success.get(&answer.status);
    let schema = schema.unwrap_or_else(|| panic!("the status {} of {method} {path} is not documented", answer.status));
    if !schema.iter().any(|schema| schema.is_valid(&answer.body)) {
        check(&schema[0], &answer.body, &format!("the answer of {method} {path}"));
    }
}

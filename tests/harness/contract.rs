//! Holds whatever tests send and hear to the published schemas (tests/schema): a document that lies fails the suite.

use std::collections::HashMap;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

use super::Answer;

/// Tests of these modules send what is not as documented on purpose: aliases, numbers as text, broken frames.
const LENIENT: &[&str] = &["bad_input", "compatibility", "formats", "http::two_thousand", "leniency"];

struct Route {
    method: String,
    path: Vec<String>,
    request: Option<Validator>,
    success: HashMap<u16, Validator>,
}

struct Contract {
    frames: HashMap<String, Validator>,
    requests: HashMap<String, Validator>,
    routes: Vec<Route>,
    error: Validator,
}

static CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
    let openapi = read("openapi.json");
    let schemas = &openapi["components"]["schemas"];
    Contract {
        frames: validators("frames"),
        requests: validators("requests"),
        routes: routes(&openapi),
        error: validator(&schemas["error"]),
    }
});

fn folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema")
}

fn read(path: impl AsRef<std::path::Path>) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder().join(path)).unwrap()).unwrap()
}

fn validator(schema: &Value) -> Validator {
    jsonschema::validator_for(schema).unwrap()
}

/// The validators of a folder, by the names of its files.
fn validators(kind: &str) -> HashMap<String, Validator> {
    let files = std::fs::read_dir(folder().join(kind)).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), validator(&read(&path)))).collect()
}

fn routes(openapi: &Value) -> Vec<Route> {
    let schemas = &openapi["components"]["schemas"];
    let mut routes = Vec::new();
    for (path, item) in openapi["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let success = operation["responses"].as_object().unwrap().iter().filter_map(|(status, response)| {
                let reference = response["content"]["application/json"]["schema"]["$ref"].as_str()?;
                Some((status.parse().ok()?, validator(&schemas[reference.rsplit('/').next()?])))
            });
            let request = &operation["requestBody"]["content"]["application/json"]["schema"];
            routes.push(Route {
                method: method.to_uppercase(),
                path: path.split('/').map(str::to_owned).collect(),
                request: request.is_object().then(|| validator(request)),
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
    assert!(problems.is_empty(), "{what} is not as its schema says: {}\n{value}", problems.join("; "));
}

/// Whether this test sends what is not as documented on purpose.
fn is_lenient() -> bool {
    std::thread::current().name().is_some_and(|name| LENIENT.iter().any(|module| name.starts_with(module)))
}

/// A text that a client heard: a frame of ours; bare text and what API Gateway itself says are not.
pub fn heard_frame(text: &str) {
    let Ok(frame @ Value::Object(_)) = serde_json::from_str::<Value>(text) else { return };
    let Some(kind) = frame["type"].as_str() else { return };
    let schema =
        CONTRACT.frames.get(kind).unwrap_or_else(|| panic!("no frame of the type {kind} is documented: {frame}"));
    check(schema, &frame, &format!("the frame {kind}"));
}

/// What a client asked and was answered: what the server accepts is as documented.
pub fn answered_frame(frame: &Value, answer: &Value) {
    let is_refused = answer["type"] == "error" || answer.get("type").is_none();
    if is_refused || is_lenient() {
        return;
    }
    let action = frame["action"].as_str().unwrap_or_default();
    // An alias is one only where the action has no field of that name.
    if let Some(schema) = CONTRACT.requests.get(action).filter(|schema| !schema.is_valid(frame)) {
        check(schema, &without_aliases(frame.clone()), &format!("the request {action}"));
    }
}

/// A frame with the names that the schemas use, as the protocol's section on aliases says.
fn without_aliases(mut frame: Value) -> Value {
    let fields = frame.as_object_mut().unwrap();
    for (alias, name) in [
        ("message", "content"),
        ("text", "content"),
        ("data", "content"),
        ("username", "userName"),
        ("name", "userName"),
        ("chatRoomId", "roomId"),
    ] {
        if fields.get(alias).is_some_and(|value| alias != "data" || !value.is_object()) {
            let value = fields.remove(alias).unwrap();
            fields.entry(name).or_insert(value);
        }
    }
    frame
}

/// What a client asked over HTTP and was answered.
pub fn answered_request((method, path): (&str, &str), body: &[u8], answer: &Answer) {
    // What API Gateway itself says.
    if answer.body.get("message").is_some() && answer.body.get("code").is_none() {
        return;
    }
    if answer.status >= 400 {
        return check(&CONTRACT.error, &answer.body, &format!("the error of {method} {path}"));
    }
    let segments: Vec<_> = path.split('?').next().unwrap_or_default().split('/').collect();
    let is_path = |pattern: &[String]| {
        pattern.len() == segments.len()
            && pattern.iter().zip(&segments).all(|(pattern, segment)| pattern.starts_with('{') || pattern == segment)
    };
    let Some(route) = CONTRACT.routes.iter().find(|route| route.method == method && is_path(&route.path)) else {
        return;
    };
    if let Some(schema) = route.success.get(&answer.status) {
        check(schema, &answer.body, &format!("the answer of {method} {path}"));
    } else {
        panic!("the status {} of {method} {path} is not documented", answer.status);
    }
    if let (Some(schema), Ok(body)) = (&route.request, serde_json::from_slice::<Value>(body))
        && !is_lenient()
    {
        check(schema, &body, &format!("the body of {method} {path}"));
    }
}

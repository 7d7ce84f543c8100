//! The request of an action or an HTTP route, generated from the published schemas: each field is filled by its name, a
//! name that is not known here by its schema. So a new action or route needs no line here.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::case::{Case, Who};
use crate::harness::{self, published};

/// Optional fields that are sent: they take a request into the room of the case, and make its repeat recognizable.
const SENT_OPTIONAL: [&str; 7] = ["roomId", "content", "clientMessageId", "isTyping", "members", "seq", "slowSeconds"];

/// The frame of an action.
pub async fn frame(case: &mut Case<'_>, action: &str) -> Value {
    let schema = published(format!("requests/{action}.json"));
    let known = known(case, &names_in(&schema)).await;
    let mut frame = object(&schema, &known);
    frame["action"] = json!(action);
    frame
}

/// The method, path and body of a request to an HTTP route.
pub async fn http(case: &mut Case<'_>, key: &'static str, caller: Who) -> (&'static str, String, Value) {
    let (method, template) = key.split_once(' ').expect("a method");
    let openapi = published("openapi.json");
    let operation = &openapi["paths"][template][method.to_lowercase()];
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
    let names: Vec<_> = in_path.filter_map(|parameter| parameter["name"].as_str()).collect();
    let known = known(case, &names).await;
    let (mut path, mut query) = (template.to_owned(), form_urlencoded::Serializer::new(String::new()));
    for parameter in parameters.iter().filter(|parameter| parameter["in"] != "header") {
        let name = parameter["name"].as_str().unwrap_or_default();
        let value =
            if name == "userId" { json!(case.id_of(caller)) } else { value(name, &parameter["schema"], &known) };
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if parameter["in"] == "path" {
            path = path.replace(&format!("{{{name}}}"), &value);
        } else if parameter["required"] == true || name == "userId" {
            query.append_pair(name, &value);
        }
    }
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    let mut body = object(body, &known);
    if key == "POST /admin/messages" {
        body["rooms"] = json!([case.room]);
    }
    (method, format!("{path}?{}", query.finish()), body)
}

fn names_in(schema: &Value) -> Vec<&str> {
    schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The values of the fields whose name says what they are. What must exist for one of `required` is made.
async fn known(case: &mut Case<'_>, required: &[&str]) -> BTreeMap<&'static str, Value> {
    let id = case.message_id();
    let message = |id: String| json!({ "content": "the message", "clientMessageId": id });
    let mut known = BTreeMap::from([
        ("roomId", json!(case.room)),
        ("rooms", json!({ case.room.as_str(): 0 })),
        ("userId", json!(case.names.ben)),
        ("members", json!([case.names.dora])),
        ("content", json!("the message")),
        ("clientMessageId", json!(id)),
        ("messages", json!([message(id.clone()), message(format!("{id}, the second"))])),
        ("role", json!("admin")),
        ("seq", json!(1)),
        ("fileName", json!("a.png")),
        ("contentType", json!("image/png")),
        ("size", json!(1)),
        ("slowSeconds", json!(30)),
        ("token", json!(harness::token(&json!({ "sub": case.names.ben, "exp": case.now() / 1000 + 7_000 })))),
    ]);
    if required.contains(&"fileId") {
        known.insert("fileId", json!(case.uploads_file().await));
    }
    if required.contains(&"invite") {
        known.insert("invite", json!(case.creates_invite().await));
    }
    known
}

fn object(schema: &Value, known: &BTreeMap<&str, Value>) -> Value {
    let required = names_in(schema);
    let fields = schema["properties"].as_object().into_iter().flatten();
    let sent = fields.filter(|(name, _)| required.contains(&name.as_str()) || SENT_OPTIONAL.contains(&name.as_str()));
    let sent: Map<_, _> = sent.map(|(name, field)| (name.clone(), value(name, field, known))).collect();
    if sent.is_empty() && schema.is_null() { Value::Null } else { sent.into() }
}

fn value(name: &str, schema: &Value, known: &BTreeMap<&str, Value>) -> Value {
    if let Some(value) = known.get(name) {
        return value.clone();
    }
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    if let Some(only) = schema.get("const") {
        return only.clone();
    }
    if let Some(first) = schema["oneOf"].as_array().and_then(|schemas| schemas.first()) {
        return value(name, first, known);
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or_default();
    match kind {
        "string" => json!("x"),
        "integer" | "number" => json!(1),
        "boolean" => json!(true),
        "array" => json!([value("", &schema["items"], known)]),
        _ => object(schema, known),
    }
}

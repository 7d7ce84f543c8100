//! The schemas of requests and frames, as documents and the test harness use them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use switchboard::schema::{self, Operation};
use switchboard::wire::events::VERSION;

/// The schema of `requestId`.
fn request_id() -> Value {
    json!({ "type": "string", "maxLength": 64, "description": "Repeated on the answer to this frame." })
}

/// The frame of each action, by the action's name.
pub fn requests() -> BTreeMap<String, Value> {
    schema::actions().into_iter().map(|action| (action.key.to_owned(), request(&action))).collect()
}

/// The frame of an action.
pub fn request(action: &Operation) -> Value {
    let mut schema = fields(action);
    let names: Vec<_> = [action.key].into_iter().chain(action.aliases.iter().copied()).collect();
    schema["description"] = json!(action.about);
    let properties = schema["properties"].as_object_mut().unwrap();
    properties.insert("action".to_owned(), json!({ "type": "string", "enum": names }));
    properties.insert("requestId".to_owned(), request_id());
    let mut required = vec![json!("action")];
    required.extend(schema["required"].as_array().cloned().unwrap_or_default());
    schema["required"] = required.into();
    schema
}

/// The fields of a request, without the envelope.
pub fn fields(operation: &Operation) -> Value {
    ungrouped(operation.request.as_value().clone())
}

/// The query of a handshake.
pub fn handshake() -> Value {
    ungrouped(schema::handshake().as_value().clone())
}

/// Each frame, by its type.
pub fn frames() -> BTreeMap<String, Value> {
    let all = schema::frames();
    let alternatives = all.as_value()["oneOf"].as_array().unwrap();
    let named = |schema: &Value| {
        let name = schema["properties"]["type"]["const"].as_str().unwrap().to_owned();
        let mut schema = closed(without_null(schema.clone()));
        if !["near", "invite", "health"].contains(&name.as_str()) {
            schema["properties"]["requestId"] = request_id();
        }
        (name, schema)
    };
    alternatives.iter().map(named).collect()
}

/// Each event of the event bus, by its type.
pub fn events() -> BTreeMap<String, Value> {
    let all = schema::events();
    let alternatives = all.as_value()["oneOf"].as_array().unwrap();
    let key = closed(without_null(schema::event_key().as_value().clone()));
    let named = |schema: &Value| {
        let name = schema["properties"]["type"]["const"].as_str().unwrap().to_owned();
        let mut schema = closed(without_null(schema.clone()));
        let about = "The same for each repeat of the event.";
        schema["properties"]["id"] = json!({ "type": "string", "description": about });
        schema["properties"]["version"] = json!({ "const": VERSION, "description": "Of the format." });
        let about = "When it happened: ISO 8601 in UTC.";
        schema["properties"]["timestamp"] = json!({ "type": "string", "format": "date-time", "description": about });
        schema["properties"]["key"] = key.clone();
        schema["required"] = json!(["id", "version", "timestamp", "key", "type", "data"]);
        (name, schema)
    };
    alternatives.iter().map(named).collect()
}

/// A frame as the body of an HTTP answer, which has no `type` and no `requestId`.
pub fn body(frame: &Value) -> Value {
    let mut body = frame.clone();
    let properties = body["properties"].as_object_mut().unwrap();
    properties.remove("type");
    properties.remove("requestId");
    let required = body["required"].as_array().cloned().unwrap_or_default();
    body["required"] = required.into_iter().filter(|name| name != "type").collect();
    body
}

/// Groups of fields (`$target`) are fields of the request itself.
fn ungrouped(mut schema: Value) -> Value {
    let Some(properties) = schema["properties"].as_object().cloned() else {
        schema["properties"] = json!({});
        return schema;
    };
    let mut all = Map::new();
    for (name, property) in properties {
        if name.starts_with('$') {
            all.extend(property["properties"].as_object().cloned().unwrap_or_default());
        } else {
            all.insert(name, property);
        }
    }
    schema["properties"] = all.into();
    if let Some(required) = schema["required"].as_array_mut() {
        required.retain(|name| !name.as_str().unwrap().starts_with('$'));
    }
    schema
}

/// Frames omit absent fields.
fn without_null(schema: Value) -> Value {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Array(alternatives)) = members.get("anyOf")
                && let [schema, Value::Object(null)] = &alternatives[..]
                && null.get("type") == Some(&json!("null"))
            {
                return without_null(schema.clone());
            }
            let member = |(name, value): (String, Value)| match (name.as_str(), &value) {
                ("type", Value::Array(types)) => match &types[..] {
                    [only, null] if *null == "null" => (name, only.clone()),
                    _ => (name, value),
                },
                _ => (name, without_null(value)),
            };
            Value::Object(members.into_iter().map(member).collect())
        }
        Value::Array(items) => items.into_iter().map(without_null).collect(),
        other => other,
    }
}

/// Forbids further fields: a frame with a field that the schema does not have is invalid.
fn closed(schema: Value) -> Value {
    match schema {
        Value::Object(members) => {
            let is_struct = members.get("properties").is_some_and(Value::is_object);
            let mut members: Map<_, _> = members.into_iter().map(|(name, value)| (name, closed(value))).collect();
            if is_struct {
                members.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            Value::Object(members)
        }
        Value::Array(items) => items.into_iter().map(closed).collect(),
        other => other,
    }
}

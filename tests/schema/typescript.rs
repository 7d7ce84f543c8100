//! The wire types for TypeScript.

use std::fmt::Write;

use serde_json::Value;
use switchboard::schema::actions;

use super::schemas;

/// The declaration file.
pub fn declarations() -> String {
    let mut file = "// Generated from the catalogue: UPDATE=1 cargo test --test schema.\n".to_owned();
    let frames = schemas::frames();
    for (name, schema) in &frames {
        declare(&mut file, &frame_name(name), schema);
    }
    let union = |names: Vec<String>| names.join("\n  | ");
    let names = frames.keys().map(|name| frame_name(name)).collect();
    write!(file, "\nexport type Frame =\n  | {};\n", union(names)).unwrap();
    for action in actions() {
        declare(&mut file, &request_name(action.key), &schemas::request(&action));
    }
    let names = actions().iter().map(|action| request_name(action.key)).collect();
    write!(file, "\nexport type Request =\n  | {};\n", union(names)).unwrap();
    file.push_str("\n/** What each action takes, and what it answers. */\nexport interface Actions {\n");
    for action in actions() {
        let answers: Vec<_> = action.answers.iter().map(|name| frame_name(name)).collect();
        let answer = if answers.is_empty() { "void".to_owned() } else { answers.join(" | ") };
        writeln!(file, "  {}: {{ request: {}; answer: {answer} }};", action.key, request_name(action.key)).unwrap();
    }
    file + "}\n"
}

fn declare(file: &mut String, name: &str, schema: &Value) {
    let about = schema["description"].as_str().unwrap_or_default();
    write!(file, "\n/** {about} */\nexport interface {name} {}\n", object(schema, 0)).unwrap();
}

fn frame_name(name: &str) -> String {
    name.split('-').map(capitalized).collect::<String>() + "Frame"
}

fn request_name(action: &str) -> String {
    capitalized(action) + "Request"
}

fn capitalized(word: &str) -> String {
    word[..1].to_uppercase() + &word[1..]
}

fn object(schema: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth + 1);
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let mut text = "{\n".to_owned();
    for (name, property) in schema["properties"].as_object().unwrap() {
        if let Some(about) = property["description"].as_str() {
            writeln!(text, "{indent}/** {about} */").unwrap();
        }
        let optional = if required.iter().any(|required| required == name) { "" } else { "?" };
        writeln!(text, "{indent}{name}{optional}: {};", type_of(property, depth + 1)).unwrap();
    }
    text + &"  ".repeat(depth) + "}"
}

fn type_of(schema: &Value, depth: usize) -> String {
    if let Some(constant) = schema.get("const") {
        return constant.to_string();
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(alternatives) = schema[key].as_array() {
            return alternatives.iter().map(|one| type_of(one, depth)).collect::<Vec<_>>().join(" | ");
        }
    }
    match &schema["type"] {
        Value::Array(types) => {
            let of = |kind: &Value| {
                let mut one = schema.clone();
                one["type"] = kind.clone();
                type_of(&one, depth)
            };
            types.iter().map(of).collect::<Vec<_>>().join(" | ")
        }
        Value::String(kind) => match kind.as_str() {
            "integer" | "number" => "number".to_owned(),
            "array" => format!("Array<{}>", type_of(&schema["items"], depth)),
            "object" if schema["properties"].is_object() => object(schema, depth),
            "object" => match schema.get("additionalProperties").filter(|values| values.is_object()) {
                Some(values) => format!("Record<string, {}>", type_of(values, depth)),
                None => "Record<string, unknown>".to_owned(),
            },
            other => other.to_owned(),
        },
        _ => "unknown".to_owned(),
    }
}

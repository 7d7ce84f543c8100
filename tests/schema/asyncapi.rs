//! The WebSocket API as AsyncAPI 3.0.

use serde_json::{Map, Value, json};
use switchboard::schema::actions;

use super::schemas;

/// Frames that the server sends to clients other than the caller.
const DELIVERED: [&str; 8] = ["message", "typing", "joined", "left", "presence", "read", "room-closed", "room"];

/// The AsyncAPI document.
pub fn document() -> Value {
    let mut messages = Map::new();
    let mut operations = Map::new();
    for (name, payload) in schemas::frames() {
        messages.insert(frame(&name), json!({ "name": name, "summary": payload["description"], "payload": payload }));
    }
    for action in actions() {
        let payload = schemas::request(&action);
        let sent = json!({ "name": action.key, "summary": action.about, "payload": payload });
        messages.insert(action.key.to_owned(), sent);
        let answers = action.answers.iter().copied().chain(["error"]).map(|name| message(&frame(name)));
        operations.insert(
            action.key.to_owned(),
            json!({
                "action": "receive",
                "summary": action.about,
                "description": format!("For: {}. Rate limit: {:?}.", action.access, action.limit),
                "channel": { "$ref": "#/channels/socket" },
                "messages": [message(action.key)],
                "reply": { "channel": { "$ref": "#/channels/socket" }, "messages": answers.collect::<Vec<_>>() },
            }),
        );
    }
    operations.insert(
        "deliver".to_owned(),
        json!({
            "action": "send",
            "summary": "What the connections of others hear.",
            "channel": { "$ref": "#/channels/socket" },
            "messages": DELIVERED.map(|name| message(&frame(name))),
        }),
    );
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Switchboard",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The WebSocket API of a Switchboard deployment.",
            "license": { "name": "MIT" },
        },
        "defaultContentType": "application/json",
        "servers": {
            "deployment": {
                "host": "{api}.execute-api.{region}.amazonaws.com",
                "pathname": "/prod",
                "protocol": "wss",
                "variables": { "api": { "default": "abc123" }, "region": { "default": "us-east-1" } },
            },
        },
        "channels": {
            "socket": {
                "address": "/",
                "messages": messages,
                "bindings": { "ws": { "method": "GET", "query": schemas::handshake() } },
            },
        },
        "operations": operations,
    })
}

/// The name of a frame's message; an action may have the same one.
fn frame(name: &str) -> String {
    format!("frame.{name}")
}

fn message(name: &str) -> Value {
    json!({ "$ref": format!("#/channels/socket/messages/{name}") })
}

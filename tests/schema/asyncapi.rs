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
    let events = events();
    operations.insert(
        "publish".to_owned(),
        json!({
            "action": "send",
            "summary": "What backends receive by the event bus.",
            "channel": { "$ref": "#/channels/events" },
            "messages": schemas::events().keys().map(|name| json!({ "$ref": event_message(name) })).collect::<Vec<_>>(),
        }),
    );
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Switchboard",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The WebSocket API of a Switchboard deployment, and the events that backends receive.",
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
            "events": {
                "host": "events.{region}.amazonaws.com",
                "protocol": "https",
                "description": "Amazon EventBridge: the detail of each event, by its detail type.",
                "variables": { "region": { "default": "us-east-1" } },
            },
        },
        "channels": {
            "events": {
                "address": "switchboard",
                "description": "The event bus, and the body of each webhook.",
                "servers": [{ "$ref": "#/servers/events" }],
                "messages": events,
            },
            "socket": {
                "address": "/",
                "servers": [{ "$ref": "#/servers/deployment" }],
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

/// The messages of the event bus.
fn events() -> Map<String, Value> {
    let message = |(name, payload): (String, Value)| {
        let sent = json!({ "name": name, "summary": payload["description"], "payload": payload });
        (name, sent)
    };
    schemas::events().into_iter().map(message).collect()
}

fn event_message(name: &str) -> String {
    format!("#/channels/events/messages/{name}")
}

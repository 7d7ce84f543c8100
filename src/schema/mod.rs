//! The catalogue with the JSON Schemas of its requests and answers, for the documents and tests that are generated from
//! it. Never in the Lambda.

mod roles;
mod types;

use schemars::generate::{Contract, SchemaSettings};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::access;
use crate::actions::{Action, HttpRoute, Limit, actions, http_routes};
use crate::wire::events::{EventKey, Fact};
use crate::wire::frames::{self, Answer, Frame};
use crate::wire::requests;

use roles::Who;

/// An action of the WebSocket API or a route of the HTTP API.
#[derive(Debug)]
pub struct Operation {
    /// The action, or the method and the path.
    pub key: &'static str,
    /// Further names of an action.
    pub aliases: &'static [&'static str],
    /// What it is for.
    pub about: &'static str,
    /// Who may call it.
    pub access: &'static str,
    /// The class of its rate limit.
    pub limit: Limit,
    /// Over HTTP, the status of an answer that is no error.
    pub status: Option<u16>,
    /// The name of the request's type.
    pub request_name: &'static str,
    pub request: Schema,
    /// The types of the frames that it answers.
    pub answers: &'static [&'static str],
}

/// The actions of the WebSocket API.
pub fn actions() -> Vec<Operation> {
    let mut operations = Vec::new();
    macro_rules! list {
        ($(#[doc = $about:literal] $name:ident = $key:literal [$($alias:literal),*],
            $module:ident::$handler:ident($access:ident, $request:ident) -> $answer:ident, $limit:ident;)+) => {
            $(operations.push(Operation {
                key: Action::$name.key(),
                aliases: Action::$name.aliases(),
                about: $about.trim_ascii_start(),
                access: <access::$access as Who>::WHO,
                limit: Action::$name.limit(),
                status: None,
                request_name: stringify!($request),
                request: schema_of::<requests::$request>(),
                answers: <frames::$answer as Answer>::TYPES,
            });)+
        };
    }
    actions!(list);
    operations
}

/// The routes of the HTTP API.
pub fn http_routes() -> Vec<Operation> {
    let mut operations = Vec::new();
    macro_rules! list {
        ($(#[doc = $about:literal] $name:ident = $key:literal,
            $module:ident::$handler:ident($access:ident, $request:ident) -> $answer:ident, $status:literal,
            $limit:ident;)+) => {
            $(operations.push(Operation {
                key: HttpRoute::$name.key(),
                aliases: &[],
                about: $about.trim_ascii_start(),
                access: <access::$access as Who>::WHO,
                limit: HttpRoute::$name.limit(),
                status: Some(HttpRoute::$name.status()),
                request_name: stringify!($request),
                request: schema_of::<requests::$request>(),
                answers: <frames::$answer as Answer>::TYPES,
            });)+
        };
    }
    http_routes!(list);
    operations
}

/// All frames that clients hear: one alternative for each type.
pub fn frames() -> Schema {
    let mut generator = SchemaGenerator::new(settings().with(|settings| settings.contract = Contract::Serialize));
    Frame::json_schema(&mut generator)
}

/// All events of the event bus: one alternative for each type.
pub fn events() -> Schema {
    let mut generator = SchemaGenerator::new(settings().with(|settings| settings.contract = Contract::Serialize));
    Fact::json_schema(&mut generator)
}

/// What all events have besides.
pub fn event_key() -> Schema {
    let mut generator = SchemaGenerator::new(settings().with(|settings| settings.contract = Contract::Serialize));
    EventKey::json_schema(&mut generator)
}

/// The query of a handshake.
pub fn handshake() -> Schema {
    schema_of::<requests::Handshake>()
}

fn schema_of<T: JsonSchema>() -> Schema {
    T::json_schema(&mut SchemaGenerator::new(settings()))
}

/// Each schema stands for itself.
fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true)
}

//! Text frames of clients: the action, its fields and the client's request id.

use serde_json::Value;

use super::fields::Fields;
use super::json::{self, Parsed};
use super::types::request_id;
use crate::actions::Action;
use crate::error::Error;

/// A parsed text frame.
#[derive(Debug)]
pub struct ClientFrame {
    /// The action and its fields, or what is wrong with the frame.
    pub action: Result<(Action, Fields), Error>,
    /// The client's own id for the frame, which the answer repeats.
    pub request_id: Option<String>,
}

impl ClientFrame {
    /// Parses a text frame.
    pub fn parse(text: &str) -> Self {
        let problem = match json::parse(text) {
            Parsed::Object(members) => return Self::of(Fields::of(members)),
            Parsed::Other => "a frame is a JSON object with an `action`",
            Parsed::Malformed => "the frame is not valid JSON; send an object with an `action`",
        };
        let request_id = json::string_member_in(text, "requestId").filter(|id| request_id::is_valid(id));
        Self { action: Err(Error::BadRequest(problem)), request_id }
    }

    fn of(mut fields: Fields) -> Self {
        let request_id = match fields.take("requestId").map(|id| id.value()) {
            None => None,
            Some(Some(Value::String(id))) if request_id::is_valid(&id) => Some(id),
            Some(_) => {
                let action = Err(Error::invalid("requestId", request_id::EXPECTED));
                return Self { action, request_id: None };
            }
        };
        let action = fields.take("action").and_then(|action| action.value());
        let action = action.as_ref().and_then(Value::as_str).and_then(Action::named);
        Self { action: action.map(|action| (action, fields)).ok_or(Error::UnknownAction), request_id }
    }
}

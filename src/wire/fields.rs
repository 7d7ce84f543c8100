//! The fields of a client's frame or request: each under its one name, whichever alias it came under.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::json::{self, Members, Parsed};
use super::requests::{Asking, Request};
use super::size::LARGEST_FRAME_BYTES;
use super::types::{self, request_id};
use crate::actions::Action;
use crate::domain::UserId;
use crate::error::Error;

/// Fields of several names. The first is the one that requests declare and errors name.
const ALIASES: &[&[&str]] =
    &[&["content", "message", "text", "data"], &["userName", "username", "name"], &["roomId", "chatRoomId"]];
/// An empty text in these is a mistake; in every other field it is as good as absent, since forms send it. Never for
/// an id: a message without a target has another target.
const NEVER_EMPTY: &[&str] = &[
    "clientMessageId",
    "content",
    "contentType",
    "fileId",
    "fileName",
    "members",
    "recipientId",
    "role",
    "roomId",
    "rooms",
    "targetId",
    "userId",
];
/// Set here, never by a client: the frame names no room, but speaks the dialect that knows one room only.
pub(super) const IMPLIES_LOBBY: &str = "impliesLobby";

/// The fields of one frame, or of one HTTP request. `null` is as good as absent.
#[derive(Debug, Default)]
pub struct Fields {
    fields: BTreeMap<String, Given>,
    /// Fields with two different values, and how: reported when a request declares them.
    ambiguous: BTreeMap<String, Ambiguity>,
}

#[derive(Clone, Copy, Debug)]
enum Ambiguity {
    /// Under two names.
    Names,
    /// In two places of an HTTP request.
    Places,
}

/// A field as it was given.
#[derive(Debug)]
pub(super) enum Given {
    Json(Box<RawValue>),
    /// In a query or a path, where everything is text.
    Text(String),
}

impl Given {
    /// `None` for what no value can hold, such as `1e999`.
    pub(super) fn value(&self) -> Option<Value> {
        match self {
            Self::Json(member) => json::value_of(member),
            Self::Text(text) => Some(Value::from(text.as_str())),
        }
    }

    /// The JSON text of the value, as the client wrote it.
    pub(super) fn json(&self) -> String {
        match self {
            Self::Json(member) => member.get().to_owned(),
            Self::Text(text) => Value::from(text.as_str()).to_string(),
        }
    }

    fn is_object(&self) -> bool {
        matches!(self, Self::Json(member) if member.get().starts_with('{'))
    }

    fn is_same_as(&self, other: &Self) -> bool {
        match (self.value(), other.value()) {
            (Some(one), Some(other)) => {
                one == other || types::id_text(&one).is_some_and(|text| Some(text) == types::id_text(&other))
            }
            _ => false,
        }
    }
}

/// What a text frame asks for.
#[derive(Debug)]
pub struct ClientFrame {
    /// The action and its fields, or what is wrong with the frame.
    pub action: Result<(Action, Fields), Error>,
    /// The client's own id for the frame, which the answer repeats.
    pub request_id: Option<String>,
}

impl ClientFrame {
    /// Reads a text frame.
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
        Self { action: action.map(|action| (action, fields.folded())).ok_or(Error::UnknownAction), request_id }
    }
}

impl Fields {
    /// The query of a handshake. Of a parameter that is repeated, the last one counts.
    pub fn of_query(parameters: impl IntoIterator<Item = (String, String)>) -> Self {
        Self::of_parameters(parameters).folded()
    }

    /// An HTTP request: its query, or the JSON object of its body where it has one, whatever its content type says;
    /// what its path names; and from the query in any case who is asking and which room it is about.
    ///
    /// # Errors
    /// `TOO_LARGE`, and `INVALID_FIELD` for a body that is no JSON object.
    pub fn of_http(
        body: Option<&[u8]>,
        query: impl IntoIterator<Item = (String, String)>,
        path: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let mut query = Self::of_parameters(query);
        let has_room_in_query = query.fields.contains_key("roomId");
        let mut fields = match body {
            None => query.folded(),
            Some(body) => {
                let mut fields = Self::of_body(body)?.folded();
                for name in ["userId", "roomId"] {
                    if let Some(given) = query.fields.remove(name) {
                        fields.also(name, given);
                    }
                }
                fields
            }
        };
        for (name, value) in path {
            // An id that no path can hold, such as `a/b`, is given in the query.
            if name != "roomId" || !has_room_in_query {
                fields.also(&name, Given::Text(value));
            }
        }
        Ok(fields)
    }

    fn of_body(body: &[u8]) -> Result<Self, Error> {
        if body.len() > LARGEST_FRAME_BYTES {
            return Err(Error::TooLarge);
        }
        let text = if body.is_empty() { Ok("{}") } else { std::str::from_utf8(body) };
        match text.map(json::parse) {
            Ok(Parsed::Object(members)) => Ok(Self::of(members)),
            _ => Err(Error::invalid("body", "must be a JSON object")),
        }
    }

    fn of(members: Members) -> Self {
        let fields = members.into_iter().filter(|(_, member)| member.get() != "null");
        let fields = fields.map(|(name, member)| (name, Given::Json(member))).collect();
        Self { fields, ..Self::default() }
    }

    /// An empty parameter is as good as absent: forms send such.
    fn of_parameters(parameters: impl IntoIterator<Item = (String, String)>) -> Self {
        let given = parameters.into_iter().filter(|(_, value)| !value.is_empty());
        Self { fields: given.map(|(name, value)| (name, Given::Text(value))).collect(), ..Self::default() }
    }

    /// A field's value from another place, which must be the same.
    fn also(&mut self, field: &str, given: Given) {
        if self.fields.get(field).is_some_and(|known| !known.is_same_as(&given)) {
            self.ambiguous.insert(field.to_owned(), Ambiguity::Places);
        }
        self.fields.insert(field.to_owned(), given);
    }

    /// Brings every field under its first name. `data` is a name of the content, unless it is an object.
    fn folded(mut self) -> Self {
        let is_object = self.fields.get("data").is_some_and(Given::is_object);
        let object = is_object.then(|| self.take("data")).flatten();
        let implies_lobby = self.fields.contains_key("data");
        for names in ALIASES {
            let mut values = names.iter().filter_map(|name| self.fields.remove(*name));
            let Some(value) = values.next() else { continue };
            if values.any(|other| !other.is_same_as(&value)) {
                self.ambiguous.insert(names[0].to_owned(), Ambiguity::Names);
            }
            self.fields.insert(names[0].to_owned(), value);
        }
        self.fields.remove(IMPLIES_LOBBY);
        if implies_lobby {
            self.fields.insert(IMPLIES_LOBBY.to_owned(), Given::Text("true".to_owned()));
        }
        self.fields.extend(object.map(|object| ("data".to_owned(), object)));
        self
    }

    /// Takes out who an HTTP request says is asking.
    ///
    /// # Errors
    /// `INVALID_FIELD`, `AMBIGUOUS_FIELD`.
    pub fn take_user(&mut self) -> Result<Option<UserId>, Error> {
        let field = Self { fields: self.fields.remove_entry("userId").into_iter().collect(), ..Self::default() };
        let ambiguous = self.ambiguous.remove("userId").map(|kind| ("userId".to_owned(), kind)).into_iter().collect();
        Self { ambiguous, ..field }.read::<Asking>().map(|asking| asking.user_id)
    }

    /// The request, as its route declares it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read<R: Request>(self) -> Result<R, Error> {
        let request: R = super::deserialize::request(self)?;
        request.check()?;
        Ok(request)
    }

    /// Takes a field out, if it was given.
    ///
    /// # Errors
    /// It was given with two different values.
    pub(super) fn declared(&mut self, field: &'static str) -> Result<Option<Given>, Error> {
        match self.ambiguous.get(field) {
            Some(Ambiguity::Names) if field == "roomId" => return Err(Error::AmbiguousTarget),
            Some(_) => return Err(Error::AmbiguousField { field }),
            None => {}
        }
        let is_empty = |given: &Given| match given {
            Given::Json(member) => member.get() == "\"\"",
            Given::Text(text) => text.is_empty(),
        };
        Ok(self.take(field).filter(|given| NEVER_EMPTY.contains(&field) || !is_empty(given)))
    }

    fn take(&mut self, field: &str) -> Option<Given> {
        self.fields.remove(field)
    }
}

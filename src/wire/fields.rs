//! The fields of a client's frame or request, each under one name, whichever alias was used.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use serde_json::value::RawValue;

use super::json::{self, Members, Parsed};
use super::requests::{Asking, Request};
use super::size::LARGEST_FRAME_BYTES;
use super::types;
use crate::domain::UserId;
use crate::error::Error;

/// Fields of several names. The first is the one that requests declare and errors name. A request that declares one of
/// the others itself means that one.
const ALIASES: &[&[&str]] =
    &[&["content", "message", "text", "data"], &["userName", "username", "name"], &["roomId", "chatRoomId"]];
/// Fields in which an empty text is an error; in others it counts as absent, since forms send it. Ids must not be
/// dropped: a message without a target has another target.
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
/// Declared by a target: whether the frame has its content in `data`, as clients do that know one room only. Never
/// read from a field of this name.
const IMPLIES_LOBBY: &str = "impliesLobby";

/// The fields of one frame, or of one HTTP request. `null` counts as absent.
#[derive(Debug, Default)]
pub struct Fields {
    fields: BTreeMap<String, Given>,
    /// Fields with different values in two places of an HTTP request: an error if the request declares them.
    ambiguous: BTreeSet<String>,
}

/// The value of a field, unparsed.
#[derive(Debug)]
pub(super) enum Given {
    Json(Box<RawValue>),
    /// From a query or a path.
    Text(String),
}

impl Given {
    /// `None` if it is out of range, such as `1e999`.
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

    /// The members of each object, if it is a list of objects.
    pub(super) fn objects(&self) -> Option<Vec<Members>> {
        match self {
            Self::Json(member) => serde_json::from_str(member.get()).ok(),
            Self::Text(_) => None,
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Json(member) => member.get() == "\"\"",
            Self::Text(text) => text.is_empty(),
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

impl Fields {
    /// An HTTP request: its query, or the JSON object of its body if it has one, whatever its content type is; its path
    /// parameters; and from the query in any case `userId` and `roomId`.
    ///
    /// # Errors
    /// `TOO_LARGE`, and `INVALID_FIELD` for a body that is not a JSON object.
    pub fn of_http(
        body: Option<&[u8]>,
        query: impl IntoIterator<Item = (String, String)>,
        path: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let mut query = Self::of_query(query);
        let in_query = ["roomId", "userId"].map(|name| (name, query.fields.contains_key(name)));
        let mut fields = match body {
            None => query,
            Some(body) => {
                let mut fields = Self::of_body(body)?;
                for name in ["userId", "roomId"] {
                    if let Some(given) = query.fields.remove(name) {
                        fields.also(name, given);
                    }
                }
                fields
            }
        };
        for (name, value) in path {
            // An id that a path cannot contain, such as `a/b`, is given in the query.
            if !in_query.contains(&(&*name, true)) {
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

    pub(super) fn of(members: Members) -> Self {
        let fields = members.into_iter().filter(|(_, member)| member.get() != "null");
        let fields = fields.map(|(name, member)| (name, Given::Json(member))).collect();
        Self { fields, ..Self::default() }
    }

    /// A query. An empty parameter counts as absent: forms send it. The last one of a repeated parameter counts.
    pub fn of_query(parameters: impl IntoIterator<Item = (String, String)>) -> Self {
        let given = parameters.into_iter().filter(|(_, value)| !value.is_empty());
        Self { fields: given.map(|(name, value)| (name, Given::Text(value))).collect(), ..Self::default() }
    }

    /// Adds a value from another place, which must be equal.
    fn also(&mut self, field: &str, given: Given) {
        if self.fields.get(field).is_some_and(|known| !known.is_same_as(&given)) {
            self.ambiguous.insert(field.to_owned());
        }
        self.fields.insert(field.to_owned(), given);
    }

    /// Takes the `userId` of an HTTP request.
    ///
    /// # Errors
    /// `INVALID_FIELD`, `AMBIGUOUS_FIELD`.
    pub fn take_user(&mut self) -> Result<Option<UserId>, Error> {
        let fields = self.fields.remove_entry("userId").into_iter().collect();
        let ambiguous = self.ambiguous.take("userId").into_iter().collect();
        Self { fields, ambiguous }.read::<Asking>().map(|asking| asking.user_id)
    }

    /// Reads the request, as its route declares it.
    ///
    /// # Errors
    /// The first invalid field, or fields that are invalid together.
    pub fn read<R: Request>(self) -> Result<R, Error> {
        let request: R = super::deserialize::request(self)?;
        request.check()?;
        Ok(request)
    }

    /// Takes a declared field, under any of its names.
    ///
    /// # Errors
    /// `AMBIGUOUS_FIELD`, `AMBIGUOUS_TARGET`.
    pub(super) fn declared(&mut self, field: &'static str, declared: &[&str]) -> Result<Option<Given>, Error> {
        if field == IMPLIES_LOBBY {
            let implies = self.fields.get("data").is_some_and(|data| !data.is_object());
            return Ok(implies.then(|| Given::Text("true".to_owned())));
        }
        if self.ambiguous.contains(field) {
            return Err(Error::AmbiguousField { field });
        }
        let aliases = ALIASES.iter().find(|names| names[0] == field).map_or(&[][..], |names| &names[1..]);
        let is_meant = |fields: &Self, name: &str| match name {
            // An object under this name is a field of its own.
            "data" => fields.fields.get(name).is_some_and(|data| !data.is_object()),
            name => !declared.contains(&name),
        };
        let mut given = self.take(field);
        for alias in aliases {
            let Some(other) = is_meant(self, alias).then(|| self.take(alias)).flatten() else { continue };
            match &given {
                Some(known) if !known.is_same_as(&other) && field == "roomId" => return Err(Error::AmbiguousTarget),
                Some(known) if !known.is_same_as(&other) => return Err(Error::AmbiguousField { field }),
                Some(_) => {}
                None => given = Some(other),
            }
        }
        Ok(given.filter(|given| NEVER_EMPTY.contains(&field) || !given.is_empty()))
    }

    pub(super) fn take(&mut self, field: &str) -> Option<Given> {
        self.fields.remove(field)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::Data;
    use crate::wire::ClientFrame;
    use crate::wire::requests::{Addressed, GetMessages, Recipient, SendMessage};

    fn read<R: Request>(frame: &Value) -> Result<R, Error> {
        ClientFrame::parse(&frame.to_string()).action.and_then(|(_, fields)| fields.read())
    }

    #[test]
    fn a_field_is_found_under_each_of_its_names() {
        for name in ["content", "message", "text", "data"] {
            let request: SendMessage = read(&json!({ "action": "sendMessage", name: "hi" })).unwrap();
            assert_eq!(request.content.as_str(), "hi");
        }
    }

    #[test]
    fn two_names_of_a_field_must_agree() {
        assert!(read::<SendMessage>(&json!({ "action": "sendMessage", "text": "a", "content": "a" })).is_ok());
        let differing = json!({ "action": "sendMessage", "text": "a", "content": "b" });
        let error = read::<SendMessage>(&differing).unwrap_err();
        assert_eq!((error.code(), error.field()), ("AMBIGUOUS_FIELD", Some("content")));
    }

    #[test]
    fn null_counts_as_absent() {
        let frame = json!({ "action": "sendMessage", "content": "hi", "roomId": null, "data": null });
        let request: SendMessage = read(&frame).unwrap();
        assert!(matches!(request.recipient(), Ok(Recipient::Unnamed)) && request.data.is_none());
    }

    #[test]
    fn data_is_the_content_as_text_and_a_field_of_its_own_as_an_object() {
        let as_text: SendMessage = read(&json!({ "action": "sendMessage", "data": "hi" })).unwrap();
        assert!(matches!(as_text.recipient(), Ok(Recipient::Room(room)) if room.is_lobby()));
        let frame = json!({ "action": "sendMessage", "content": "hi", "data": { "a": [1, "}"] } });
        let as_object: SendMessage = read(&frame).unwrap();
        assert_eq!(as_object.data.as_ref().map(Data::as_str), Some(r#"{"a":[1,"}"]}"#));
        assert!(matches!(as_object.recipient(), Ok(Recipient::Unnamed)));
    }

    #[test]
    fn errors_do_not_repeat_the_input() {
        let frame = json!({ "action": "getMessages", "limit": "x".repeat(1000) });
        let error = read::<GetMessages>(&frame).unwrap_err();
        assert_eq!(error.to_string(), "`limit` must be a whole number, at least 1");
    }
}

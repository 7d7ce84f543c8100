//! A client's JSON object, and how a field is read from it: by its one name, whatever alias it came under.

use std::collections::BTreeMap;

use aws_lambda_events::query_map::QueryMap;
use http::Method;
use serde_json::Value;
use serde_json::value::RawValue;

use super::frames::LARGEST_FRAME_BYTES;
use super::json::{self, Members, Parsed};
use crate::domain::{
    ClientMessageId, Content, ContentType, FileId, FileName, Format, InviteCode, Metres, Name, Role, RoomId, RoomType,
    Seq, Sha256, UserId,
};
use crate::error::Error;
use crate::file_links::SEPARATOR;
use crate::routes::Route;

/// Fields of several names. The first is the one that errors speak of.
const ALIASES: &[&[&str]] = &[&["content", "message", "text", "data"], &["userName", "username", "name"]];
/// Most characters of a client's `requestId`.
const REQUEST_ID_CHARS: usize = 64;

/// The fields of one frame, or of one HTTP request. `null` is as good as absent.
#[derive(Debug, Default)]
pub struct Fields {
    fields: BTreeMap<String, Given>,
    has_data: bool,
    /// Fields that came under two names with two values. Whoever asks for one is told.
    ambiguous: Vec<&'static str>,
}

/// A field as it was given.
#[derive(Debug)]
enum Given {
    Json(Box<RawValue>),
    /// In a query or a path, where everything is text.
    Text(String),
}

impl Given {
    /// `None` for what no value can hold.
    fn value(&self) -> Option<Value> {
        match self {
            Self::Json(member) => json::value_of(member),
            Self::Text(text) => Some(Value::from(text.as_str())),
        }
    }

    fn is_same_as(&self, other: &Self) -> bool {
        match (self.value(), other.value()) {
            (Some(one), Some(other)) => one == other || text_of(&one).is_some_and(|text| Some(text) == text_of(&other)),
            _ => false,
        }
    }
}

impl Fields {
    /// What a text frame asks for: the route, its fields or what is wrong with them, and the id that its answer is to
    /// carry.
    pub fn of_frame(text: &str) -> (Route, Result<Self, Error>, Option<String>) {
        let refused = |error, id| (Route::Default, Err(error), id);
        let members = match json::parse(text) {
            Parsed::Object(members) => members,
            Parsed::Other => {
                let error = Error::BadRequest("a frame is a JSON object with an `action`");
                return refused(error, request_id_in(text));
            }
            Parsed::Malformed => {
                let error = Error::BadRequest("the frame is not valid JSON; send an object with an `action`");
                return refused(error, request_id_in(text));
            }
        };
        let mut fields = Self::of(members);
        let request_id = match fields.take::<RequestId>("requestId") {
            Ok(id) => id.map(|id| id.0),
            Err(error) => return refused(error, None),
        };
        match fields.fields.remove("action").and_then(|action| action.value()) {
            Some(Value::String(action)) => match Route::of_action(&action) {
                Some(route) => (route, Ok(fields.without_aliases()), request_id),
                None => refused(Error::UnknownAction, request_id),
            },
            _ => refused(Error::UnknownAction, request_id),
        }
    }

    /// The query of a handshake, read by the same rules. Of a parameter that is repeated, the last one counts.
    pub fn of_query(query: &QueryMap) -> Self {
        let parameters = query.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self::of_parameters(parameters).without_aliases()
    }

    /// An HTTP request: its query, or the JSON object of its body where it is one that has a body, whatever its content
    /// type says; what its path names; and from the query in any case who is asking and which room it is about.
    ///
    /// # Errors
    /// `TOO_LARGE`, and `INVALID_FIELD` for a body that is no JSON object.
    pub fn of_http(
        method: &Method,
        body: &[u8],
        query: impl Iterator<Item = (String, String)>,
        path: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let has_fields_in_body = *method == Method::POST || (*method != Method::GET && !body.is_empty());
        let mut query = Self::of_parameters(query);
        let room_in_query = query.fields.get("roomId").and_then(Given::value);
        let mut fields = if has_fields_in_body {
            let mut fields = Self::of_body(body)?.without_aliases();
            for name in ["userId", "roomId"] {
                if let Some(given) = query.fields.remove(name) {
                    fields.also(name, given);
                }
            }
            fields
        } else {
            query.without_aliases()
        };
        for (name, value) in path {
            for known in ["roomId", "invite", "fileId"] {
                // An id that no path can hold, such as `a/b`, is given in the query.
                if name == known && !(known == "roomId" && room_in_query.is_some()) {
                    fields.also(known, Given::Text(value.clone()));
                }
            }
        }
        Ok(fields)
    }

    fn of_body(body: &[u8]) -> Result<Self, Error> {
        if body.len() > LARGEST_FRAME_BYTES {
            return Err(Error::TooLarge);
        }
        // Without a body nothing is said.
        let text = if body.is_empty() { Ok("{}") } else { std::str::from_utf8(body) };
        match text.map(json::parse) {
            Ok(Parsed::Object(members)) => Ok(Self::of(members)),
            _ => Err(Error::InvalidField { field: "body", problem: "must be a JSON object" }),
        }
    }

    /// A field's value from another place, which must be the same.
    fn also(&mut self, field: &'static str, given: Given) {
        if self.fields.get(field).is_some_and(|known| !known.is_same_as(&given)) {
            self.ambiguous.push(field);
        }
        self.fields.insert(field.to_owned(), given);
    }

    fn of(members: Members) -> Self {
        let is_there = |member: &RawValue| member.get() != "null";
        let has_data = members.get("data").is_some_and(|data| is_there(data));
        let fields = members.into_iter().filter(|(_, member)| is_there(member));
        Self { has_data, fields: fields.map(|(name, member)| (name, Given::Json(member))).collect(), ..Self::default() }
    }

    /// An empty parameter is as good as absent: forms send such.
    fn of_parameters(parameters: impl Iterator<Item = (String, String)>) -> Self {
        let given = parameters.filter(|(_, value)| !value.is_empty());
        let fields: BTreeMap<_, _> = given.map(|(name, value)| (name, Given::Text(value))).collect();
        Self { has_data: fields.contains_key("data"), fields, ..Self::default() }
    }

    /// Brings every field under its first name.
    fn without_aliases(mut self) -> Self {
        for names in ALIASES {
            let field = names[0];
            let mut values = names.iter().filter_map(|name| self.fields.remove(*name));
            let Some(value) = values.next() else { continue };
            if values.any(|other| !other.is_same_as(&value)) {
                self.ambiguous.push(field);
            }
            self.fields.insert(field.to_owned(), value);
        }
        self
    }

    /// Whether the frame speaks of `data`, as clients do that know one room only.
    pub fn has_data(&self) -> bool {
        self.has_data
    }

    /// Whether a field was given, whatever it is.
    pub fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// # Errors
    /// The field is there and no `T`, or there twice.
    pub fn take<T: Field>(&mut self, field: &'static str) -> Result<Option<T>, Error> {
        if self.ambiguous.contains(&field) {
            return Err(Error::AmbiguousField { field });
        }
        let Some(given) = self.fields.remove(field) else { return Ok(None) };
        let value = given.value().ok_or(Error::InvalidField { field, problem: T::PROBLEM })?;
        if T::EMPTY_IS_ABSENT && value == "" {
            return Ok(None);
        }
        T::read(field, value).map(Some)
    }

    /// # Errors
    /// The field is missing or no `T`.
    pub fn need<T: Field>(&mut self, field: &'static str) -> Result<T, Error> {
        self.take(field)?.ok_or(Error::InvalidField { field, problem: "is missing" })
    }
}

/// The id that the answer to a frame is to carry which could not be parsed.
fn request_id_in(text: &str) -> Option<String> {
    json::string_member_in(text, "requestId").and_then(|id| RequestId::of_value(id.into())).map(|id| id.0)
}

/// What a field can be.
pub trait Field: Sized {
    /// How an error goes on after the field's name.
    const PROBLEM: &'static str;
    /// Whether an empty text stands for nothing. Never for an id: a message without a target has another target.
    const EMPTY_IS_ABSENT: bool = false;

    fn of_value(value: Value) -> Option<Self>;

    /// # Errors
    /// `INVALID_FIELD`; never with the value in it, which may be long.
    fn read(field: &'static str, value: Value) -> Result<Self, Error> {
        Self::of_value(value).ok_or(Error::InvalidField { field, problem: Self::PROBLEM })
    }
}

fn string(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// The text of an id, also of one that was written as a number: `456`. Only if the number is exact.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        Value::Number(_) => whole(value, 0, Seq::LARGEST).map(|number| number.to_string()),
        _ => None,
    }
}

macro_rules! fields {
    (empty is absent: $empty_is_absent:literal; $($type:ty, $problem:literal, $of_value:expr;)+) => {$(
        impl Field for $type {
            const PROBLEM: &'static str = $problem;
            const EMPTY_IS_ABSENT: bool = $empty_is_absent;

            fn of_value(value: Value) -> Option<Self> {
                let of_value: fn(Value) -> Option<Self> = $of_value;
                of_value(value)
            }
        }
    )+};
}

struct RequestId(String);
/// A file, and the ticket of the link by which it is asked for, if there is one.
pub struct FileReference {
    pub id: FileId,
    pub ticket: Option<String>,
}
/// A reference to an avatar: shown, never fetched by us.
pub struct Icon(pub String);
pub struct Color(pub String);
/// How many messages a page may have, already at most 100.
pub struct Limit(pub usize);
/// A place in a list.
pub struct Cursor(pub String);

impl Cursor {
    /// A cursor that no page gave.
    pub fn invalid() -> Error {
        Error::InvalidField { field: "cursor", problem: Self::PROBLEM }
    }
}

/// Positions in several rooms.
pub struct Cursors(pub BTreeMap<RoomId, Seq>);
/// How many may be in a room.
pub struct Places(pub u64);
/// Degrees north, -90 to 90.
pub struct Latitude(pub f64);
/// Degrees east, -180 to 180.
pub struct Longitude(pub f64);
/// From how far away a room is near.
pub struct RoomRadius(pub Metres);
/// How far a search looks.
pub struct SearchRadius(pub Metres);
/// How often an invite can be used.
pub struct Uses(pub u64);
/// For how long an invite can be used.
pub struct Seconds(pub i64);
/// Bytes of a file; how many it may have at most is configured.
pub struct Bytes(pub u64);
/// Whether the browser is to show it.
pub struct Inline(pub bool);
/// Whether every kind of frame is wanted.
pub struct Events(pub bool);

fields! { empty is absent: true;
    Bytes, "must be a whole number of bytes, at least 1",
        |value| number(&value).filter(|bytes| *bytes >= 1.0 && bytes.fract() == 0.0).map(|bytes| Self(bytes as u64));
    Latitude, "must be a number of degrees from -90 to 90", |value| number_within(&value, -90.0, 90.0).map(Self);
    Longitude, "must be a number of degrees from -180 to 180", |value| number_within(&value, -180.0, 180.0).map(Self);
    RoomRadius, "must be a number of metres from 1 to 10000",
        |value| number_within(&value, 1.0, 10_000.0).map(Metres::new).map(Self);
    SearchRadius, "must be a number of metres from 0 to 50000",
        |value| number_within(&value, 0.0, 50_000.0).map(Metres::new).map(Self);
    Seq, "must be a seq: a whole number from 0 to 9007199254740991",
        |value| Self::new(whole(&value, 0, Self::LARGEST)?).ok();
    Limit, "must be a whole number, at least 1",
        |value| number(&value).filter(|limit| *limit >= 1.0 && limit.fract() == 0.0).map(|limit| Self(limit.min(100.0) as usize));
    Places, "must be a whole number from 1 to 1000000", |value| whole(&value, 1, 1_000_000).map(Self);
    Uses, "must be a whole number from 1 to 1000000", |value| whole(&value, 1, 1_000_000).map(Self);
    Seconds, "must be a whole number from 1 to 31536000",
        |value| whole(&value, 1, 31_536_000).and_then(|seconds| i64::try_from(seconds).ok()).map(Self);
    Sha256, "must be a SHA-256 checksum: 32 bytes in base64", |value| string(value)?.try_into().ok();
    Inline, "must be 1 or 0", |value| flag(&value).map(Self);
    Events, "must be 1 or 0", |value| flag(&value).map(Self);
    Format, "must be \"native\", \"compat\" or \"raw\"", |value| Self::named(value.as_str()?);
    Cursor, "must be the `nextCursor` of the page before",
        |value| string(value).filter(|text| is_line(text, 512)).map(Cursor);
    Name, "must be a string of 1 to 128 characters, at least one of them visible, without control characters",
        |value| string(value)?.try_into().ok();
    Icon, "must be a string of at most 512 characters without control characters",
        |value| string(value).filter(|text| is_line(text, 512)).map(Icon);
    Color, "must be a string of at most 64 characters without control characters",
        |value| string(value).filter(|text| is_line(text, 64)).map(Color);
    InviteCode, "must be an invite: a string of 1 to 128 characters without control characters",
        |value| text_of(&value)?.try_into().ok();
    ContentType, "must be a content type, such as image/png", |value| string(value)?.try_into().ok();
    bool, "must be true or false", |value| value.as_bool();
    RoomType, "must be \"public\" or \"private\"", |value| match value.as_str()? {
        "public" => Some(Self::Public),
        "private" => Some(Self::Private),
        _ => None,
    };
}

fields! { empty is absent: false;
    FileReference, "must be a file id: a string of 1 to 128 characters without control characters",
        |value| {
            let text = text_of(&value)?;
            let (id, ticket) = match text.split_once(SEPARATOR) {
                Some((id, ticket)) => (id.to_owned(), Some(ticket.to_owned())),
                None => (text, None),
            };
            Some(Self { id: id.try_into().ok()?, ticket })
        };
    FileName, "must be a name of 1 to 255 bytes of UTF-8 that leads to no other folder",
        |value| string(value)?.try_into().ok();
    RequestId, "must be a string of at most 64 characters",
        |value| string(value).filter(|id| id.chars().count() <= REQUEST_ID_CHARS).map(RequestId);
    UserId, "must be a user id: a string of 1 to 128 characters without control characters",
        |value| text_of(&value)?.try_into().ok();
    RoomId, "must be a room id: a string of 1 to 128 characters without control characters, `lobby` and `dm-` in small letters",
        |value| text_of(&value)?.try_into().ok();
    ClientMessageId, "must be a string of 1 to 128 characters without control characters",
        |value| text_of(&value)?.try_into().ok();
    Cursors, "must be an object of at most 50 room ids, each with the last seq seen there",
        |value| match value {
            Value::Object(rooms) if rooms.len() <= 50 => {
                let cursor = |(room, seq)| Some((RoomId::try_from(room).ok()?, Seq::of_value(seq)?));
                rooms.into_iter().map(cursor).collect::<Option<_>>().map(Cursors)
            }
            _ => None,
        };
    Role, "must be \"owner\", \"admin\" or \"member\"", |value| match value.as_str()? {
        "owner" => Some(Self::Owner),
        "admin" => Some(Self::Admin),
        "member" => Some(Self::Member),
        _ => None,
    };
    Vec<UserId>, "must be a list of user ids: strings of 1 to 128 characters without control characters",
        |value| match value {
            Value::Array(ids) => ids.into_iter().map(UserId::of_value).collect(),
            _ => None,
        };
}

/// A number, also one that is written as text: `"10"`.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        value => value.as_f64(),
    }
}

/// A whole number, also one that is written as `15.0`. `most` is at most 2^53 - 1: up to there each is exact.
fn whole(value: &Value, least: u64, most: u64) -> Option<u64> {
    let within = least as f64..=most as f64;
    number(value).filter(|number| number.fract() == 0.0 && within.contains(number)).map(|number| number as u64)
}

fn number_within(value: &Value, least: f64, most: f64) -> Option<f64> {
    number(value).filter(|number| (least..=most).contains(number))
}

/// A switch as a query or a form has it.
fn flag(value: &Value) -> Option<bool> {
    match value.to_string().trim_matches('"') {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

fn is_line(text: &str, most_chars: usize) -> bool {
    text.chars().count() <= most_chars && !text.chars().any(char::is_control)
}

impl Field for Content {
    const PROBLEM: &'static str = "must be a string of 1 byte to 16 KB";

    fn of_value(value: Value) -> Option<Self> {
        Self::new(string(value)?)
    }

    /// # Errors
    /// `TOO_LARGE` has a status of its own.
    fn read(field: &'static str, value: Value) -> Result<Self, Error> {
        let content = Self::of_value(value).ok_or(Error::InvalidField { field, problem: Self::PROBLEM })?;
        if content.is_too_large() { Err(Error::TooLarge) } else { Ok(content) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(frame: Value) -> Result<Fields, Error> {
        Fields::of_frame(&frame.to_string()).1
    }

    #[test]
    fn a_field_is_found_under_each_of_its_names() {
        for name in ["content", "message", "text", "data"] {
            let mut fields = fields(json!({ "action": "sendMessage", name: "hi" })).unwrap();
            assert_eq!(fields.need::<Content>("content").unwrap().as_str(), "hi");
        }
    }

    #[test]
    fn two_names_of_a_field_must_agree() {
        assert!(fields(json!({ "action": "sendMessage", "text": "a", "content": "a" })).is_ok());
        let mut differing = fields(json!({ "action": "sendMessage", "text": "a", "content": "b" })).unwrap();
        let error = differing.need::<Content>("content").unwrap_err();
        assert_eq!((error.code(), error.field()), ("AMBIGUOUS_FIELD", Some("content")));
    }

    #[test]
    fn null_is_as_good_as_absent() {
        let mut fields = fields(json!({ "action": "sendMessage", "roomId": null, "data": null })).unwrap();
        assert!(fields.take::<RoomId>("roomId").unwrap().is_none());
        assert!(!fields.has_data());
    }

    #[test]
    fn no_error_repeats_what_was_sent() {
        let mut fields = fields(json!({ "action": "getMessages", "limit": "x".repeat(1000) })).unwrap();
        assert!(fields.take::<Limit>("limit").err().unwrap().to_string().len() < 100);
    }
}

//! The types of fields that only requests have, read leniently: `2.0` is a whole number, `"10"` a number.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::domain::{
    ContentType, Epoch, FileId, Format, Metres, Rev, RoomId, RoomType, Seq, Timestamp, UserId, checked,
};

/// Declares field types over a JSON value: what an error says that they must be, and how they are read.
macro_rules! lenient {
    ($($(#[$meta:meta])+ $name:ident($inner:ty), $expected:literal, $read:expr;)+) => {$(
        $(#[$meta])+
        #[derive(Clone, Debug)]
        pub struct $name(pub $inner);

        impl $name {
            /// What an error says after the field's name.
            pub const EXPECTED: &str = $expected;
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                const READ: fn(Value) -> Option<$inner> = $read;
                let check = |json: String| READ(serde_json::from_str(&json).ok()?).map(Self);
                checked::deserialize(deserializer, checked::JSON, $expected, |_: String| None, check)
            }
        }
    )+};
}

lenient! {
    /// The type of a file that is announced; nothing where the client's system knows none.
    AnnouncedType(Option<ContentType>), "must be a content type, such as image/png", announced_type;
    /// Bytes of a file: at least 1. How many it may have is configured.
    Bytes(u64), "must be a whole number of bytes, at least 1",
        |value| number(&value).filter(|bytes| *bytes >= 1.0 && bytes.fract() == 0.0).map(|bytes| bytes as u64);
    /// How many participants a room can have.
    Capacity(u64), "must be a whole number from 1 to 1000000", |value| whole(&value, 1, 1_000_000);
    /// A color, as clients understand it.
    Color(String), "must be a string of at most 64 characters without control characters", |value| line(value, 64);
    /// A position in a list, as the page before gave it.
    Cursor(String), "must be the `nextCursor` of the page before", |value| line(value, 512);
    /// A flag of a query: `1` or `0`.
    #[derive(Default)]
    Flag(bool), "must be 1 or 0", |value| flag(&value);
    /// A file, and the ticket of the link by which it is asked for.
    FileReference((FileId, Option<String>)),
        "must be a file id: a string of 1 to 128 characters without control characters", file_reference;
    /// The address of an avatar: shown by clients, never fetched by us.
    Icon(String), "must be a string of at most 512 characters without control characters", |value| line(value, 512);
    /// A day, in UTC.
    Day(String), "must be a day, such as 2026-11-26",
        |value| {
            let day = value.as_str()?;
            Timestamp::from_iso(&format!("{day}T00:00:00Z")).map(|_| day.to_owned())
        };
    /// Degrees north: -90 to 90.
    Latitude(f64), "must be a number of degrees from -90 to 90", |value| number_within(&value, -90.0, 90.0);
    /// For how many seconds something is valid: up to a year.
    Lifetime(i64), "must be a whole number from 1 to 31536000",
        |value| whole(&value, 1, 31_536_000).and_then(|seconds| i64::try_from(seconds).ok());
    /// The length of a page: more than 100 is 100.
    Limit(usize), "must be a whole number, at least 1",
        |value| {
            let limit = number(&value).filter(|limit| *limit >= 1.0 && limit.fract() == 0.0);
            limit.map(|limit| limit.min(100.0) as usize)
        };
    /// How many messages a room takes in a second.
    MessageRate(u64), "must be a whole number from 1 to 100", |value| whole(&value, 1, 100);
    /// Degrees east: -180 to 180.
    Longitude(f64), "must be a number of degrees from -180 to 180", |value| number_within(&value, -180.0, 180.0);
    /// A moment in ISO 8601.
    Moment(Timestamp), "must be a time in ISO 8601, such as 2026-11-26T01:52:01Z",
        |value| Timestamp::from_iso(value.as_str()?);
    /// What was seen of each of at most 50 rooms: the last seq, alone or with the epoch.
    Positions(BTreeMap<RoomId, SeenUpTo>),
        "must be an object of at most 50 room ids, each with the last seq seen there, or with {seq, rev, epoch}",
        positions;
    /// The format that a handshake asks for.
    RequestedFormat(Format), "must be \"native\", \"compat\" or \"raw\"", |value| Format::named(value.as_str()?);
    /// The distance up to which searches find a room, in metres.
    RoomRadius(Metres), "must be a number of metres from 1 to 10000",
        |value| number_within(&value, 1.0, 10_000.0).map(Metres::new);
    /// A text that is searched for: 1 to 200 characters.
    SearchText(String), "must be a string of 1 to 200 characters", search_text;
    /// Several rooms.
    #[derive(Default)]
    Rooms(Vec<RoomId>), "must be a list of room ids: strings of 1 to 128 characters without control characters",
        |value| {
            let Value::Array(ids) = value else { return None };
            ids.iter().map(|id| RoomId::try_from(id_text(id)?).ok()).collect()
        };
    /// Several messages.
    Seqs(Vec<Seq>), "must be a list of 1 to 20 seqs", seqs;
    /// The search radius in metres.
    SearchRadius(Metres), "must be a number of metres from 0 to 50000",
        |value| number_within(&value, 0.0, 50_000.0).map(Metres::new);
    /// How long members wait between two messages, in seconds.
    Slowness(u64), "must be a whole number of seconds from 0 to 21600", |value| whole(&value, 0, 21_600);
    /// A token, as it is signed.
    Token(String), "must be a string", |value| value.as_str().map(str::to_owned);
    /// Several users.
    #[derive(Default)]
    Users(Vec<UserId>), "must be a list of user ids: strings of 1 to 128 characters without control characters", users;
    /// Users who are mentioned.
    #[derive(Default)]
    Mentioned(Vec<UserId>), "must be a list of at most 20 user ids",
        |value| users(value).filter(|users| users.len() <= MAX_MENTIONS);
    /// For how long a message can be edited, in seconds: up to a year.
    EditWindow(u64), "must be a whole number of seconds from 0 to 31536000", |value| whole(&value, 0, 31_536_000);
    /// How many times an invite can be used.
    Uses(u64), "must be a whole number from 1 to 1000000", |value| whole(&value, 1, 1_000_000);
    /// How many times a message was edited.
    Version(u64), "must be a whole number", |value| whole(&value, 0, Seq::LARGEST);
    /// Who can join a room.
    #[derive(Default)]
    Visibility(RoomType), "must be \"public\" or \"private\"",
        |value| match value.as_str()? {
            "public" => Some(RoomType::Public),
            "private" => Some(RoomType::Private),
            _ => None,
        };
}

/// Most users that one request mentions.
pub const MAX_MENTIONS: usize = 20;

/// What a client has seen of a room.
#[derive(Clone, Debug)]
pub struct SeenUpTo {
    pub seq: Seq,
    /// The last change that the client has seen; absent: it does not want any.
    pub rev: Option<Rev>,
    /// Of which log; absent: the client does not tell.
    pub epoch: Option<Epoch>,
}

/// The id that a client gives a frame, for its answer.
pub mod request_id {
    /// What an error says after the field's name.
    pub const EXPECTED: &str = "must be a string of at most 64 characters";

    /// Whether an id is short enough.
    pub fn is_valid(id: &str) -> bool {
        id.chars().count() <= 64
    }
}

/// The text of an id, also of one that was written as a number: `456`. Only if the number is exact.
pub fn id_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        Value::Number(_) => whole(value, 0, Seq::LARGEST).map(|number| number.to_string()),
        _ => None,
    }
}

/// A whole number, also one that is written as `15.0`. `most` is at most 2^53 - 1: up to there each is exact.
pub fn whole(value: &Value, least: u64, most: u64) -> Option<u64> {
    let within = least as f64..=most as f64;
    number(value).filter(|number| number.fract() == 0.0 && within.contains(number)).map(|number| number as u64)
}

/// A number, also one that is written as text: `"10"`.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        value => value.as_f64(),
    }
}

fn number_within(value: &Value, least: f64, most: f64) -> Option<f64> {
    number(value).filter(|number| (least..=most).contains(number))
}

/// A flag as a query or a form has it.
fn flag(value: &Value) -> Option<bool> {
    match value.to_string().trim_matches('"') {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

fn line(value: Value, most_chars: usize) -> Option<String> {
    let Value::String(text) = value else { return None };
    (text.chars().count() <= most_chars && !text.chars().any(char::is_control)).then_some(text)
}

fn search_text(value: Value) -> Option<String> {
    let Value::String(text) = value else { return None };
    let text = text.trim();
    (1..=200).contains(&text.chars().count()).then(|| text.to_owned())
}

fn file_reference(value: Value) -> Option<(FileId, Option<String>)> {
    let text = id_text(&value)?;
    let (id, ticket) = match text.split_once(FileId::TICKET_SEPARATOR) {
        Some((id, ticket)) => (id.to_owned(), Some(ticket.to_owned())),
        None => (text, None),
    };
    Some((id.try_into().ok()?, ticket))
}

fn announced_type(value: Value) -> Option<Option<ContentType>> {
    match value {
        Value::String(text) if text.is_empty() => Some(None),
        Value::String(text) => text.try_into().ok().map(Some),
        _ => None,
    }
}

fn positions(value: Value) -> Option<BTreeMap<RoomId, SeenUpTo>> {
    let rooms: Map<String, Value> = serde_json::from_value(value).ok().filter(|rooms: &Map<_, _>| rooms.len() <= 50)?;
    let position = |(room, seen): (String, Value)| Some((RoomId::try_from(room).ok()?, seen_up_to(&seen)?));
    rooms.into_iter().map(position).collect()
}

/// A seq, alone or with its epoch.
fn seen_up_to(value: &Value) -> Option<SeenUpTo> {
    let seq = value.get("seq").unwrap_or(value);
    let epoch = match value.get("epoch").filter(|epoch| !epoch.is_null()) {
        Some(epoch) => Some(Epoch::try_from(id_text(epoch)?).ok()?),
        None => None,
    };
    let rev = match value.get("rev").filter(|rev| !rev.is_null()) {
        Some(rev) => Some(Rev(whole(rev, 0, Seq::LARGEST)?)),
        None => None,
    };
    Some(SeenUpTo { rev, seq: Seq::new(whole(seq, 0, Seq::LARGEST)?).ok()?, epoch })
}

fn seqs(value: Value) -> Option<Vec<Seq>> {
    let Value::Array(seqs) = value else { return None };
    let seqs: Option<Vec<_>> = seqs.iter().map(|seq| Seq::new(whole(seq, 0, Seq::LARGEST)?).ok()).collect();
    seqs.filter(|seqs| (1..=20).contains(&seqs.len()))
}

fn users(value: Value) -> Option<Vec<UserId>> {
    let Value::Array(ids) = value else { return None };
    ids.iter().map(|id| UserId::try_from(id_text(id)?).ok()).collect()
}

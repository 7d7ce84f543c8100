//! The schemas of types that serialize themselves, or that requests read leniently.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::domain::{
    ClientMessageId, ConnectionId, Content, ContentType, Data, Emoji, Epoch, ExportId, FileId, FileName, InviteCode,
    MessageId, Metres, Name, Reason, Rev, RoomId, Seq, Sha256, Timestamp, UserId,
};
use crate::wire::frames::Iso;
use crate::wire::types::{
    AnnouncedType, Bytes, Capacity, Color, Cursor, Day, EditWindow, FileReference, Flag, Icon, Latitude, Lifetime,
    Limit, Longitude, Mentioned, MessageRate, Moment, Positions, RequestedFormat, RoomRadius, Rooms, SearchRadius,
    SearchText, Seqs, Slowness, Token, Users, Uses, Version, Visibility,
};

macro_rules! schemas {
    ($($name:ident = $schema:tt;)+) => {$(
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )+};
}

/// Texts with a rule.
macro_rules! texts {
    ($($name:ident),+) => {
        schemas! { $($name = { "type": "string", "minLength": 1, "maxLength": $name::MAX_LENGTH };)+ }
    };
}

texts! {
    ClientMessageId, ConnectionId, ContentType, Emoji, Epoch, ExportId, FileId, FileName, InviteCode, Name, Reason,
    RoomId, Sha256, UserId
}

schemas! {
    Content = { "type": "string" };
    Data = { "type": "object" };
    Iso = { "type": "string", "format": "date-time" };
    MessageId = { "type": "string", "pattern": "^[0-9]{16}$" };
    Metres = { "type": "number", "minimum": 0 };
    Rev = { "type": "integer", "minimum": 0 };
    Seq = { "type": "integer", "minimum": 0, "maximum": Seq::LARGEST };
    Timestamp = { "type": "integer", "description": "Epoch milliseconds." };

    AnnouncedType = { "type": "string", "maxLength": 128 };
    Bytes = { "type": "integer", "minimum": 1 };
    Capacity = { "type": "integer", "minimum": 1, "maximum": 1_000_000 };
    Color = { "type": "string", "maxLength": 64 };
    Cursor = { "type": "string", "maxLength": 512 };
    Day = { "type": "string", "format": "date" };
    EditWindow = { "type": "integer", "minimum": 0, "maximum": 31_536_000 };
    FileReference = { "type": "string", "minLength": 1 };
    Flag = { "type": "string", "enum": ["1", "0"] };
    Icon = { "type": "string", "maxLength": 512 };
    Latitude = { "type": "number", "minimum": -90, "maximum": 90 };
    Lifetime = { "type": "integer", "minimum": 1, "maximum": 31_536_000 };
    Limit = { "type": "integer", "minimum": 1 };
    Longitude = { "type": "number", "minimum": -180, "maximum": 180 };
    Mentioned = {
        "type": "array", "maxItems": 20, "items": { "type": "string", "minLength": 1, "maxLength": 128 }
    };
    MessageRate = { "type": "integer", "minimum": 1, "maximum": 100 };
    Moment = { "type": "string", "format": "date-time" };
    Positions = {
        "type": "object", "maxProperties": 50,
        "additionalProperties": {
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                {
                    "type": "object", "required": ["seq"],
                    "properties": {
                        "seq": { "type": "integer", "minimum": 0 },
                        "rev": { "type": "integer", "minimum": 0 },
                        "epoch": { "type": "string", "minLength": 1, "maxLength": 128 }
                    }
                }
            ]
        }
    };
    RequestedFormat = { "type": "string", "enum": ["native", "compat", "raw"] };
    RoomRadius = { "type": "number", "minimum": 1, "maximum": 10_000 };
    SearchText = { "type": "string", "minLength": 1, "maxLength": 200 };
    Rooms = { "type": "array", "items": { "type": "string", "minLength": 1, "maxLength": 128 } };
    SearchRadius = { "type": "number", "minimum": 0, "maximum": 50_000 };
    Seqs = { "type": "array", "minItems": 1, "maxItems": 20, "items": { "type": "integer", "minimum": 0 } };
    Slowness = { "type": "integer", "minimum": 0, "maximum": 21_600 };
    Token = { "type": "string" };
    Users = { "type": "array", "items": { "type": "string", "minLength": 1, "maxLength": 128 } };
    Uses = { "type": "integer", "minimum": 1, "maximum": 1_000_000 };
    Version = { "type": "integer", "minimum": 0 };
    Visibility = { "type": "string", "enum": ["public", "private"] };
}

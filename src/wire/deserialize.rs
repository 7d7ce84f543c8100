//! Requests from fields: each declared field is looked up, in the order of declaration, so errors name it; what a
//! request does not declare is never looked at.

use std::borrow::Cow;
use std::fmt::Display;
use std::iter::Enumerate;
use std::{slice, vec};

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use super::fields::{Fields, Given};
use super::json::Members;
use super::types;
use crate::domain::{Seq, checked};
use crate::error::Error;

/// The names of declared fields that stand for a group of fields of the same request begin so.
const GROUP: char = '$';

/// # Errors
/// What is wrong with the first field that is.
pub(super) fn request<R: for<'de> Deserialize<'de>>(mut fields: Fields) -> Result<R, Error> {
    R::deserialize(Request(&mut fields)).map_err(|refusal| match refusal {
        Refusal::Error(error) => error,
        // Every problem is given its field on the way out.
        Refusal::Problem(problem) => Error::internal(problem),
    })
}

/// Why a request is refused: a problem of the field that is being read, or an error that already names its field.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Problem(Cow<'static, str>),
    #[error("{0}")]
    Error(Error),
}

impl Refusal {
    fn of(self, field: &'static str) -> Self {
        match self {
            Self::Problem(problem) => Self::Error(Error::InvalidField { field, problem }),
            error @ Self::Error(_) => error,
        }
    }

    fn not_one_of(variants: &[&str]) -> Self {
        let quoted: Vec<_> = variants.iter().map(|variant| format!("\"{variant}\"")).collect();
        let list = match quoted.split_last() {
            Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
            _ => quoted.concat(),
        };
        Self::Problem(format!("must be {list}").into())
    }
}

/// Never with the value, which may be long or private.
impl serde::de::Error for Refusal {
    fn custom<T: Display>(problem: T) -> Self {
        Self::Problem(problem.to_string().into())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Problem(expected.to_string().into())
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Problem(expected.to_string().into())
    }

    fn unknown_variant(_: &str, variants: &'static [&'static str]) -> Self {
        Self::not_one_of(variants)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Error(Error::InvalidField { field, problem: Cow::Borrowed("is missing") })
    }
}

/// A request, or a group of its fields.
struct Request<'a>(&'a mut Fields);

impl<'de> Deserializer<'de> for Request<'_> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_map(Declared { fields: self.0, all: &[], next: [].iter(), current: None })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        declared: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_map(Declared { fields: self.0, all: declared, next: declared.iter(), current: None })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The declared fields that were given.
struct Declared<'a> {
    fields: &'a mut Fields,
    all: &'static [&'static str],
    next: slice::Iter<'static, &'static str>,
    /// The field whose value is read next; without a value where it is a group.
    current: Option<(&'static str, Option<Given>)>,
}

impl<'de> MapAccess<'de> for Declared<'_> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refusal> {
        for name in self.next.by_ref() {
            let given = self.fields.declared(name, self.all).map_err(Refusal::Error)?;
            if given.is_some() || name.starts_with(GROUP) {
                self.current = Some((name, given));
                return seed.deserialize((*name).into_deserializer()).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refusal> {
        match self.current.take() {
            Some((name, Some(given))) => seed.deserialize(Field(given)).map_err(|refusal| refusal.of(name)),
            Some((_, None)) => seed.deserialize(Request(self.fields)),
            None => Err(Refusal::custom("a value is read before its name")),
        }
    }
}

/// The value of a field: leniently, as JavaScript and forms write it.
struct Field(Given);

impl<'de> Deserializer<'de> for Field {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        Err(Refusal::invalid_type(Unexpected::Other("a value"), &visitor))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_some(self)
    }

    /// Every type that a request can hold says by this which kind of value it takes.
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, kind: &'static str, visitor: V) -> Result<V::Value, Refusal> {
        let text = match (kind, self.0.value()) {
            (checked::ID, Some(value)) => types::id_text(&value),
            (checked::TEXT, Some(Value::String(text))) => Some(text),
            (checked::JSON, Some(_)) => Some(self.0.json()),
            (checked::WHOLE, Some(value)) => match types::whole(&value, 0, Seq::LARGEST) {
                Some(number) => return visitor.visit_u64(number),
                None => None,
            },
            _ => None,
        };
        match text {
            Some(text) => visitor.visit_string(text),
            None => Err(Refusal::invalid_type(Unexpected::Other("a value"), &visitor)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.0.value() {
            Some(Value::Bool(flag)) => visitor.visit_bool(flag),
            _ => Err(Refusal::Problem("must be true or false".into())),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.0.objects() {
            Some(objects) => visitor.visit_seq(Objects(objects.into_iter().enumerate())),
            None => Err(Refusal::Problem("must be a list of objects".into())),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        match self.0.value() {
            Some(Value::String(text)) => visitor.visit_enum(text.into_deserializer()),
            _ => Err(Refusal::not_one_of(variants)),
        }
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// A list of objects, each with fields as a request has them. An error names the place of the object.
struct Objects(Enumerate<vec::IntoIter<Members>>);

impl<'de> SeqAccess<'de> for Objects {
    type Error = Refusal;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refusal> {
        let Some((index, members)) = self.0.next() else { return Ok(None) };
        match seed.deserialize(Request(&mut Fields::of(members))) {
            Err(Refusal::Error(error)) => Err(Refusal::Error(error.in_message(index))),
            item => item.map(Some),
        }
    }
}

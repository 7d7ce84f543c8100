//! Lenient parsing of clients' JSON: lone surrogates are replaced, and unread members may be any JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

/// The members of an object, unparsed until they are read.
pub type Members = BTreeMap<String, Box<RawValue>>;

/// The result of parsing a JSON object.
pub enum Parsed {
    Object(Members),
    /// JSON that is not an object.
    Other,
    /// Not JSON.
    Malformed,
}

/// Parses an object.
pub fn parse(text: &str) -> Parsed {
    // Some tools prepend a byte order mark.
    let text = without_lone_surrogates(text.trim_start_matches('\u{feff}'));
    match serde_json::from_str(&text) {
        Ok(members) => Parsed::Object(members),
        Err(_) if serde_json::from_str::<&RawValue>(&text).is_ok() => Parsed::Other,
        Err(_) => Parsed::Malformed,
    }
}

/// Parses a member; `None` if it is out of range, such as `1e999`.
pub fn value_of(member: &RawValue) -> Option<Value> {
    serde_json::from_str(member.get()).ok()
}

/// The string member `name` of a text that is not valid JSON: the first match.
pub fn string_member_in(text: &str, name: &str) -> Option<String> {
    let quoted = format!("\"{name}\"");
    text.match_indices(&quoted).find_map(|(at, _)| {
        let value = text[at + quoted.len()..].trim_start().strip_prefix(':')?;
        let value = without_lone_surrogates(value);
        serde_json::Deserializer::from_str(&value).into_iter::<Value>().next()?.ok()?.as_str().map(str::to_owned)
    })
}

/// JavaScript strings can contain lone surrogates (`"cut \ud83d"`), UTF-8 cannot: each becomes U+FFFD, as with
/// `String.prototype.toWellFormed`.
fn without_lone_surrogates(text: &str) -> Cow<'_, str> {
    if !text.contains("\\ud") && !text.contains("\\uD") {
        return Cow::Borrowed(text);
    }
    let mut well_formed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        well_formed.push_str(before);
        let (replacement, length) = match (unit_of(escape), escape.get(6..).and_then(unit_of)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (None, 12),
            (Some(0xd800..=0xdfff), _) => (Some("\\ufffd"), 6),
            // An escape of one character, such as `\"` and `\\`; the digits of `\u` need no handling.
            _ => (None, 1 + escape.chars().nth(1).map_or(0, char::len_utf8)),
        };
        let (escape, behind) = escape.split_at(length);
        well_formed.push_str(replacement.unwrap_or(escape));
        rest = behind;
    }
    well_formed.push_str(rest);
    Cow::Owned(well_formed)
}

/// The UTF-16 code unit of the escape at the start of a text: `\ud83d`.
fn unit_of(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    // `from_str_radix` would accept a sign.
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, member: &str) -> Option<Value> {
        match parse(text) {
            Parsed::Object(members) => value_of(members.get(member)?),
            Parsed::Other | Parsed::Malformed => None,
        }
    }

    #[test]
    fn lone_surrogates_become_replacement_characters_and_pairs_stay() {
        for (given, expected) in [
            (r#""cut \ud83d""#, "cut \u{fffd}"),
            (r#""\uDE00 cut""#, "\u{fffd} cut"),
            (r#""\ud83d\ude00""#, "\u{1f600}"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\ud83dx\ude00""#, "\u{fffd}x\u{fffd}"),
            (r#""\\ud83d""#, "\\ud83d"),
            (r#""\\\ud83d""#, "\\\u{fffd}"),
            (r#""\u0041\ud83d\n""#, "A\u{fffd}\n"),
        ] {
            assert_eq!(read(&format!(r#"{{"a":{given}}}"#), "a"), Some(expected.into()), "{given}");
        }
    }

    #[test]
    fn broken_escapes_stay_malformed() {
        let broken =
            [r#"{"a":"\ud83"}"#, r#"{"a":"\ud83é"}"#, r#"{"a":"\ud"}"#, r#"{"a":"\ud800\"#, r#"{"a":"\uD+00"}"#];
        for text in broken {
            assert!(matches!(parse(text), Parsed::Malformed), "{text}");
        }
    }

    #[test]
    fn unread_members_may_be_any_json() {
        let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        for unread in ["1e999", "-1E400", "123456789012345678901234567890", r#""\ud83d""#, &nested] {
            let text = format!(r#"{{"unread":{unread},"a":"x"}}"#);
            assert_eq!(read(&text, "a"), Some("x".into()), "{unread:.40}");
        }
        assert_eq!(read(r#"{"a":1e999}"#, "a"), None);
        assert_eq!(read("\u{feff}{\"a\":\"x\"}", "a"), Some("x".into()));
    }

    #[test]
    fn a_member_is_found_in_malformed_json() {
        let found = |text| string_member_in(text, "requestId");
        assert_eq!(found(r#"{"requestId":"7","content":"x"#).as_deref(), Some("7"));
        assert_eq!(found(r#"{"content":'x', "requestId" : "a\"b" "#).as_deref(), Some("a\"b"));
        assert_eq!(found(r#"{"content":"\"requestId\":\"7\"""#), None);
        assert_eq!(found(r#"{"content":"requestId","requestId":"7","x":}"#).as_deref(), Some("7"));
        for text in [r#"{"requestId":7,"#, r#"{"requestId":"7"#, r#"{"requestId""#, "", "requestId"] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}

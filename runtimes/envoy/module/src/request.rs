//! What a request asks for, read from its body.

use crate::json::{self, Object, Plain, Read, Value};
use serde::de::MapAccess;

const LONGEST_MODEL: usize = 8192;
const ADDED: &str = r#","stream_options":{"include_usage":true}"#;

/// The words of a body that matter here.
#[derive(Default)]
struct Asked<'a> {
    model: Option<Plain<'a>>,
    stream: bool,
    usage: bool,
}

#[derive(Default)]
struct Options {
    usage: bool,
}

impl<'de> Object<'de> for Options {
    fn member<A: MapAccess<'de>>(
        &mut self, name: &str, value: Value<'_, A>,
    ) -> Result<(), A::Error> {
        if name != "include_usage" {
            return value.skip();
        }
        self.usage = is_true(&value.read()?);
        Ok(())
    }
}

impl<'de> Object<'de> for Asked<'de> {
    fn member<A: MapAccess<'de>>(
        &mut self, name: &str, value: Value<'_, A>,
    ) -> Result<(), A::Error> {
        match name {
            "model" => self.model = Some(value.read()?),
            "stream" => self.stream = is_true(&value.read()?),
            "stream_options" => {
                self.usage = value.read::<Read<Options>>()?.0.is_some_and(|o| o.usage);
            }
            _ => value.skip()?,
        }
        Ok(())
    }
}

/// What engines take for true: they are lenient, so a stricter reader could be deceived.
fn is_true(value: &Plain<'_>) -> bool {
    match value {
        Plain::Bool(told) => *told,
        Plain::Number(told) => *told == 1.0,
        Plain::Text(told) => {
            let words = ["true", "t", "yes", "y", "on", "1"];
            words.iter().any(|word| told.eq_ignore_ascii_case(word))
                || told
                    .strip_prefix("1.")
                    .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|digit| digit == b'0'))
        }
        Plain::Null | Plain::Nested => false,
    }
}

/// What is wrong with a body.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Wrong {
    /// It is not JSON, or its model's name has no end.
    Malformed,
    /// It names no model.
    Nameless,
}

/// A request that names a model.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// The name; empty where it is.
    pub model: String,
    /// Whether it wants a stream.
    pub stream: bool,
    /// Whether that is one whose usage it does not want.
    pub silent: bool,
}

/// Reads a body.
pub fn read(body: &[u8]) -> Result<Request, Wrong> {
    if body.is_empty() {
        return Err(Wrong::Nameless);
    }
    let text = std::str::from_utf8(body).map_err(|_| Wrong::Malformed)?;
    let asked: Option<Asked<'_>> = json::whole(text).map_err(|_| Wrong::Malformed)?;
    let asked = asked.ok_or(Wrong::Nameless)?;
    let model = match asked.model {
        Some(Plain::Text(name)) => name.into_owned(),
        Some(Plain::Number(number)) => number.to_string(),
        Some(Plain::Bool(told)) => told.to_string(),
        Some(Plain::Null | Plain::Nested) | None => return Err(Wrong::Nameless),
    };
    if model.len() > LONGEST_MODEL {
        return Err(Wrong::Malformed);
    }
    Ok(Request { model, stream: asked.stream, silent: asked.stream && !asked.usage })
}

/// So much longer is a body that asks for a stream's usage; bytes.
pub const ROOM: usize = ADDED.len();

/// Returns the body of an object with the stream's usage asked for.
pub fn with_usage(body: &[u8]) -> Option<Vec<u8>> {
    let end = memchr::memrchr(b'}', body)?;
    Some([&body[..end], ADDED.as_bytes(), &body[end..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(body: &str) -> Result<String, Wrong> {
        read(body.as_bytes()).map(|request| request.model)
    }

    #[test]
    fn the_last_of_several_models_counts() {
        assert_eq!(named(r#"{"model": "a", "mod\u0065l": "b"}"#), Ok("b".into()));
        assert_eq!(named(r#"{"model": "a", "model": null}"#), Err(Wrong::Nameless));
        assert_eq!(named(r#"{"model": ["a"]}"#), Err(Wrong::Nameless));
        assert_eq!(named(r#"{"x": {"model": "a"}}"#), Err(Wrong::Nameless));
        assert_eq!(named(r#"{"model": 5.0}"#), Ok("5".into()));
        assert_eq!(named("[]"), Err(Wrong::Nameless));
        assert_eq!(named(""), Err(Wrong::Nameless));
        assert_eq!(named(r#"{"model": "a"} {}"#), Err(Wrong::Malformed));
        assert_eq!(
            named(&format!(r#"{{"model": "{}"}}"#, "x".repeat(9000))),
            Err(Wrong::Malformed)
        );
    }

    #[test]
    fn a_stream_is_known_however_it_is_written() {
        for word in ["true", "1", "1.0", r#""Yes""#, r#""1.00""#, r#""T""#] {
            let silent = |options: &str| {
                read(format!(r#"{{"model": "a", "stream": {word}{options}}}"#).as_bytes())
                    .unwrap()
                    .silent
            };
            assert!(silent(""), "{word}");
            assert!(silent(r#", "stream_options": null"#));
            assert!(!silent(&format!(r#", "stream_options": {{"include_usage": {word}}}"#)));
        }
        for word in ["false", "0", r#""no""#, "null", "[true]", r#""1.""#] {
            let body = format!(r#"{{"model": "a", "stream": {word}}}"#);
            assert!(!read(body.as_bytes()).unwrap().silent, "{word}");
        }
    }

    #[test]
    fn usage_is_asked_for_at_the_end() {
        let body = b"{\"stream\": 1 } \n";
        let made = with_usage(body).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&made).unwrap();
        assert_eq!(value["stream_options"]["include_usage"], true);
        assert_eq!(made.len(), body.len() + ROOM);
    }
}

//! How many tokens an answer says that it took.

use crate::json::{self, Object, Plain, Value};
use memchr::memmem;
use serde::de::MapAccess;

/// The tokens of one request.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub struct Usage {
    /// What was read.
    pub input: u64,
    /// What was written; embeddings have none.
    pub output: u64,
}

#[derive(Default)]
struct Told {
    input: [Option<u64>; 2],
    output: [Option<u64>; 2],
}

impl Told {
    fn usage(self) -> Option<Usage> {
        let either = |[first, second]: [Option<u64>; 2]| first.or(second);
        Some(Usage { input: either(self.input)?, output: either(self.output).unwrap_or(0) })
    }
}

impl<'de> Object<'de> for Told {
    fn member<A: MapAccess<'de>>(
        &mut self, name: &str, value: Value<'_, A>,
    ) -> Result<(), A::Error> {
        let place = match name {
            "prompt_tokens" => &mut self.input[0],
            "input_tokens" => &mut self.input[1],
            "completion_tokens" => &mut self.output[0],
            "output_tokens" => &mut self.output[1],
            _ => return value.skip(),
        };
        *place = match value.read()? {
            Plain::Number(number) => Some(whole(number)),
            _ => None,
        };
        Ok(())
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(number: f64) -> u64 {
    number as u64
}

/// Returns what a usage in JSON tells.
pub fn read(text: &[u8]) -> Option<Usage> {
    json::whole::<Told>(std::str::from_utf8(text).ok()?).ok()??.usage()
}

/// Whether a piece of an answer has a usage, whatever that tells.
pub fn has_one(piece: &[u8]) -> bool {
    memmem::find_iter(piece, br#""usage""#)
        .any(|at| member(&piece[at + 7..]).is_some_and(|rest| rest.starts_with(b"{")))
}

/// Whether a piece has a list of choices without any.
pub fn has_no_choice(piece: &[u8]) -> bool {
    memmem::find_iter(piece, br#""choices""#).any(|at| {
        member(&piece[at + br#""choices""#.len()..])
            .and_then(|rest| rest.strip_prefix(b"["))
            .is_some_and(|rest| rest.trim_ascii_start().starts_with(b"]"))
    })
}

/// Returns the value after a name, which begins with a colon.
fn member(rest: &[u8]) -> Option<&[u8]> {
    rest.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names_of_numbers_are_known() {
        let some = |input, output| Some(Usage { input, output });
        let read = |text: &str| read(text.as_bytes());
        assert_eq!(read(r#"{"prompt_tokens": 7, "completion_tokens": 9}"#), some(7, 9));
        assert_eq!(read(r#"{"output_tokens": 9, "input_tokens": 7}"#), some(7, 9));
        assert_eq!(read(r#"{"prompt_tokens": 7.0}"#), some(7, 0));
        assert_eq!(read(r#"{"prompt_tokens": -7}"#), some(0, 0));
        for none in ["", "{}", "[]", "null", r#"{"prompt_tokens": null}"#, r#"{"prompt_tokens": 7"#]
        {
            assert_eq!(read(none), None, "{none}");
        }
    }

    #[test]
    fn no_text_looks_like_usage() {
        assert!(!has_one(br#"{"x": "\"usage\": {"}"#));
        assert!(!has_one(br#"{"usage": null}"#));
        assert!(has_one(br#"{"usage" : {"#));
        assert!(has_no_choice(b"{\"choices\" : [ ]"));
        assert!(!has_no_choice(b"{\"choices\" : [1]"));
    }
}

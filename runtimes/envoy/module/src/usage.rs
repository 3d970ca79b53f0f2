//! How many tokens an answer says that it took.

use crate::json::{self, Object, Plain, Read, Value};
use memchr::memmem;
use serde::Deserialize;
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
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        if let Plain::Number(number) = value.read()? {
            *place = Some(number as u64);
        }
        Ok(())
    }
}

#[derive(Default)]
struct Answer(Option<Usage>);

impl<'de> Object<'de> for Answer {
    fn member<A: MapAccess<'de>>(
        &mut self, name: &str, value: Value<'_, A>,
    ) -> Result<(), A::Error> {
        if name != "usage" {
            return value.skip();
        }
        self.0 = value.read::<Read<Told>>()?.0.and_then(Told::usage);
        Ok(())
    }
}

/// Returns what a whole answer in JSON tells.
pub fn of_answer(body: &[u8]) -> Option<Usage> {
    json::whole::<Answer>(std::str::from_utf8(body).ok()?).ok()??.0
}

/// What an event holds: usage, or an answer that does.
#[derive(Default)]
struct Event {
    own: Option<Usage>,
    answer: Option<Usage>,
}

impl<'de> Object<'de> for Event {
    fn member<A: MapAccess<'de>>(
        &mut self, name: &str, value: Value<'_, A>,
    ) -> Result<(), A::Error> {
        match name {
            "usage" => self.own = value.read::<Read<Told>>()?.0.and_then(Told::usage),
            "response" => self.answer = value.read::<Read<Answer>>()?.0.and_then(|a| a.0),
            _ => value.skip()?,
        }
        Ok(())
    }
}

/// Returns what an event of a stream tells.
///
/// Answers repeat what their callers sent, such as the schemas of tools: a usage that stands
/// anywhere but in its place may be a caller's.
pub fn of_event(event: &[u8]) -> Option<Usage> {
    let lines = event.split(|&byte| byte == b'\n').filter_map(|l| l.strip_prefix(b"data:"));
    let mut found = None;
    for line in lines {
        let read = std::str::from_utf8(line).ok().and_then(|text| json::whole::<Event>(text).ok());
        let Some(read) = read else { return in_piece(event) };
        found = read.and_then(|event| event.own.or(event.answer)).or(found);
    }
    found
}

/// Returns what the last usage in a piece of an answer tells.
///
/// Quotation marks in a text are written with a backslash before them: no text looks like a key.
/// What a caller sent and an answer repeats stands before the answer's own.
pub fn in_piece(piece: &[u8]) -> Option<Usage> {
    memmem::rfind_iter(piece, br#""usage""#).find_map(|at| {
        let rest = member(&piece[at + br#""usage""#.len()..])?;
        let mut reader = serde_json::Deserializer::from_slice(rest);
        Read::<Told>::deserialize(&mut reader).ok()?.0?.usage()
    })
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
        let read = |text: &str| of_answer(text.as_bytes());
        assert_eq!(read(r#"{"usage": {"prompt_tokens": 7, "completion_tokens": 9}}"#), some(7, 9));
        assert_eq!(read(r#"{"usage": {"output_tokens": 9, "input_tokens": 7}}"#), some(7, 9));
        assert_eq!(read(r#"{"usage": {"prompt_tokens": 7.0}}"#), some(7, 0));
        for none in [
            "",
            "{}",
            "[]",
            r#"{"usage": null}"#,
            r#"{"usage": {"prompt_tokens": null}}"#,
            r#"{"x": {"usage": {"prompt_tokens": 7}}}"#,
            r#"{"usage": {"prompt_tokens": 7}"#,
        ] {
            assert_eq!(read(none), None, "{none}");
        }
        assert_eq!(read(r#"{"usage": {"prompt_tokens": -7}}"#), some(0, 0));
    }

    #[test]
    fn no_text_looks_like_usage() {
        let text =
            br#"{"x": "\"usage\": {\"prompt_tokens\": 1}", "usage" :{"prompt_tokens" :2} tail"#;
        assert_eq!(in_piece(text).unwrap().input, 2);
        assert!(has_no_choice(b"{\"choices\" : [ ]"));
        assert!(!has_no_choice(b"{\"choices\" : [1]"));
    }

    #[test]
    fn an_event_tells_its_own_usage_alone() {
        let forged = r#""tools":[{"parameters":{"usage":{"input_tokens":0}}}]"#;
        let read = |text: &str| of_event(format!("event: x\r\ndata: {text}\r\n\r\n").as_bytes());
        let (whole, none) = (r#""usage":{"input_tokens":7}"#, r#""usage":null"#);
        let some = Some(Usage { input: 7, output: 0 });
        assert_eq!(read(&format!("{{{forged},{whole}}}")), some);
        assert_eq!(read(&format!(r#"{{"response":{{{forged},{whole}}}}}"#)), some);
        assert_eq!(read(&format!(r#"{{"response":{{{whole},{forged}}}}}"#)), some);
        assert_eq!(read(&format!(r#"{{"response":{{{forged},{none}}}}}"#)), None);
        let deep = format!(r#""x":{}{}"#, "[".repeat(200), "]".repeat(200));
        assert_eq!(read(&format!(r#"{{"response":{{{forged},{deep},{whole}}}}}"#)), some);
    }
}

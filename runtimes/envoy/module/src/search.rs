//! Finds what an answer tells of its usage while it passes, in pieces of any size and constant
//! memory.
//!
//! An answer repeats what its caller sent, such as schemas of tools. So usage is only what stands
//! in its own place: a member of the outermost object, or of the object `response` in that.

use crate::json;
use crate::usage::{self, Usage};
use memchr::memchr2;

/// Nothing that is sought has a longer name, however it is escaped; bytes.
const LONGEST_NAME: usize = 64;
/// What is larger is no usage; bytes.
const LARGEST_USAGE: usize = 4096;
/// What is kept is seldom more; bytes.
const USUAL: usize = 128;
/// So many bytes of numbers are passed together.
const BLOCK: usize = 32;
/// A text that is longer is passed faster; bytes.
const SHORT: usize = 16;

/// What is being kept.
#[derive(Default, PartialEq, Clone, Copy)]
enum Keeping {
    #[default]
    Nothing,
    Name,
    Usage,
}

/// The member that was named last.
#[derive(Default, PartialEq, Clone, Copy)]
enum Member {
    #[default]
    Other,
    Usage,
    Response,
}

/// A search through one JSON text after the other; what stands around them is no matter.
///
/// A text that is not valid is read as far as it makes sense.
#[derive(Default)]
pub struct Search {
    /// How many lists and objects are open, and how many of those are where usage may be.
    depth: usize,
    places: usize,
    in_text: bool,
    escaped: bool,
    /// Whether the next text is a member's name.
    naming: bool,
    member: Member,
    keeping: Keeping,
    kept: Vec<u8>,
    found: [Option<Usage>; 2],
}

impl Search {
    /// What the outermost object told last.
    pub fn of_answer(&self) -> Option<Usage> {
        self.found[0]
    }

    /// What an event told: itself, or the response in it.
    pub fn of_event(&self) -> Option<Usage> {
        self.found[0].or(self.found[1])
    }

    /// Reads the next piece.
    pub fn take(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            if self.in_text {
                self.keep(&[byte]);
                self.in_a_text(byte);
            } else {
                self.between_texts(byte);
            }
            let (plain, after) = rest.split_at(self.skip(rest));
            self.keep(plain);
            rest = after;
        }
    }

    /// Passes what changes nothing but what is kept; returns how many bytes that is.
    fn skip(&mut self, rest: &[u8]) -> usize {
        if self.in_text {
            return if self.escaped { 0 } else { text(rest) };
        }
        let (mut at, nested) = (0, self.depth > self.places);
        while nested && at < rest.len() {
            match rest[at] {
                b'"' => {
                    let inside = &rest[at + 1..];
                    let length = text(inside);
                    if inside.get(length) != Some(&b'"') {
                        break;
                    }
                    at += length + 1;
                }
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth > self.places + 1 => self.depth -= 1,
                b'}' | b']' => break,
                b'-' | b'0'..=b'9' => at += numbers(&rest[at + 1..]),
                _ => {}
            }
            at += 1;
        }
        at
    }

    fn between_texts(&mut self, byte: u8) {
        match byte {
            b'"' => self.begin_text(),
            b'{' | b'[' => self.open(byte),
            b'}' | b']' => self.close(byte),
            b',' if self.is_at_place() => {
                self.end_value();
                self.naming = true;
            }
            b':' if self.is_at_place() && self.member == Member::Usage => {
                self.begin(Keeping::Usage);
            }
            _ => self.keep(&[byte]),
        }
    }

    /// Whether what is read stands directly in an object where usage may be.
    fn is_at_place(&self) -> bool {
        self.depth > 0 && self.depth == self.places
    }

    fn begin_text(&mut self) {
        self.in_text = true;
        if self.is_at_place() && self.naming {
            self.begin(Keeping::Name);
        }
        self.keep(b"\"");
    }

    fn in_a_text(&mut self, byte: u8) {
        if self.escaped || byte == b'\\' {
            self.escaped = !self.escaped;
        } else if byte == b'"' {
            self.in_text = false;
            if self.keeping == Keeping::Name {
                self.keeping = Keeping::Nothing;
                self.naming = false;
                self.member = named(&self.kept);
            }
        }
    }

    fn open(&mut self, bracket: u8) {
        self.keep(&[bracket]);
        let outermost = self.depth == 0;
        let response = self.depth == 1 && self.is_at_place() && self.member == Member::Response;
        self.depth += 1;
        if bracket == b'{' && (outermost || response) {
            self.places += 1;
            self.naming = true;
            self.member = Member::Other;
        }
    }

    fn close(&mut self, bracket: u8) {
        if self.is_at_place() {
            self.end_value();
            self.places -= 1;
        } else {
            self.keep(&[bracket]);
        }
        self.depth = self.depth.saturating_sub(1);
    }

    /// The end of a member's value: of usage it is the last byte of that.
    fn end_value(&mut self) {
        if self.keeping == Keeping::Usage {
            self.found[self.places - 1] = usage::read(&self.kept);
        }
        self.keeping = Keeping::Nothing;
        self.member = Member::Other;
    }

    fn begin(&mut self, keeping: Keeping) {
        self.keeping = keeping;
        self.kept.clear();
        self.kept.reserve(USUAL);
    }

    /// Keeps bytes, if any are kept now; what becomes too long tells nothing.
    fn keep(&mut self, bytes: &[u8]) {
        let most = match self.keeping {
            Keeping::Nothing => return,
            Keeping::Name => LONGEST_NAME,
            Keeping::Usage => LARGEST_USAGE,
        };
        let room = most - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

fn named(text: &[u8]) -> Member {
    match text {
        br#""usage""# => Member::Usage,
        br#""response""# => Member::Response,
        _ if !text.contains(&b'\\') => Member::Other,
        _ => match std::str::from_utf8(text).ok().and_then(json::string).as_deref() {
            Some("usage") => Member::Usage,
            Some("response") => Member::Response,
            _ => Member::Other,
        },
    }
}

/// Returns how many bytes of a text come before its end or something that is escaped.
fn text(rest: &[u8]) -> usize {
    let is_plain = |byte: &u8| !matches!(byte, b'"' | b'\\');
    let near = &rest[..rest.len().min(SHORT)];
    let end = near.iter().position(|byte| !is_plain(byte));
    end.or_else(|| memchr2(b'"', b'\\', rest)).unwrap_or(rest.len())
}

/// Returns how many bytes are those of numbers in a list, in whole blocks.
fn numbers(rest: &[u8]) -> usize {
    let is_one = |&byte: &u8| matches!(byte, b' '..=b'9') & (byte != b'"');
    let is_all = |block: &&[u8]| block.iter().fold(true, |all, byte| all & is_one(byte));
    rest.chunks_exact(BLOCK).take_while(is_all).count() * BLOCK
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn search(text: &str, sizes: &[usize]) -> Search {
        let (mut found, mut rest) = (Search::default(), text.as_bytes());
        for size in sizes.iter().cycle() {
            let (piece, after) = rest.split_at(rest.len().min(*size));
            found.take(piece);
            assert!(found.kept.len() <= LARGEST_USAGE);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        found
    }

    /// What serde reads of a whole text: the slow and simple way.
    fn read(text: &str) -> [Option<Usage>; 2] {
        let whole: serde_json::Value = serde_json::from_str(text).unwrap();
        let usage = |of: &serde_json::Value| usage::read(of.get("usage")?.to_string().as_bytes());
        [usage(&whole), whole.get("response").and_then(usage)]
    }

    fn space() -> impl Strategy<Value = &'static str> {
        prop::sample::select(&["", "", " ", "\n", "\t \r"][..])
    }

    fn name() -> impl Strategy<Value = String> {
        let known = [
            "usage",
            "response",
            "prompt_tokens",
            "input_tokens",
            "completion_tokens",
            "\\u0075sage",
            "\\\"usage",
            "usage\\\\",
            "usage\\\": {",
            "}",
            "[",
            "ü",
        ];
        prop_oneof![prop::sample::select(known.to_vec()).prop_map(str::to_owned), "[a-z]{0,3}"]
            .prop_map(|name| format!("\"{name}\""))
    }

    fn value() -> impl Strategy<Value = String> {
        let plain = prop_oneof![
            name(),
            (0..100u32).prop_map(|number| number.to_string()),
            prop::sample::select(vec!["null", "true", "-1.5e3", "[]", "{}"])
                .prop_map(str::to_owned)
        ];
        plain.prop_recursive(5, 40, 5, |inner| {
            let spaced =
                (space(), inner, space()).prop_map(|(a, text, b)| [a, &text, b].concat()).boxed();
            let list = prop::collection::vec(spaced.clone(), 0..4);
            let members = prop::collection::vec((space(), name(), space(), spaced), 0..5);
            prop_oneof![
                list.prop_map(|each| format!("[{}]", each.join(","))),
                members.prop_map(|each| {
                    let each =
                        each.iter().map(|(a, name, b, value)| format!("{a}{name}{b}:{value}"));
                    format!("{{{}}}", each.collect::<Vec<_>>().join(","))
                })
            ]
        })
    }

    fn odd() -> impl Strategy<Value = u8> {
        prop_oneof![prop::sample::select(&b"{}[]\"\\:,"[..]), any::<u8>()]
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 2000,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]
        #[test]
        fn it_finds_what_a_reader_of_the_whole_does(
            before in space(), text in value(), sizes in prop::collection::vec(1..40usize, 1..5)
        ) {
            let text = [before, &text].concat();
            prop_assert_eq!(search(&text, &sizes).found, read(&text), "{}", text);
        }

        #[test]
        fn no_bytes_harm_it(bytes in prop::collection::vec(odd(), 0..200)) {
            let mut search = Search::default();
            search.take(&bytes);
            prop_assert!(search.places <= 2 && search.places <= search.depth);
        }
    }

    const USED: &str = r#""usage": {"prompt_tokens": 7, "completion_tokens": 9}"#;
    const SOME: Option<Usage> = Some(Usage { input: 7, output: 9 });

    #[test]
    fn it_stands_anywhere_in_a_large_answer() {
        let large = format!(r#""x": [{}"{}"]"#, "[1.5, {}],".repeat(50_000), "y".repeat(500_000));
        for text in [
            format!("{{{USED}, {large}}}"),
            format!("{{{large}, {USED}, {large}}}"),
            format!("{{{large}, {USED}}}"),
        ] {
            for size in [1, 16_384, 10_000_000] {
                assert_eq!(search(&text, &[size]).of_answer(), SOME);
            }
        }
    }

    #[test]
    fn it_is_known_as_soon_as_it_is_told() {
        assert_eq!(search(&format!("{{{USED}, \"x\": [{{"), &[3]).of_answer(), SOME);
        assert_eq!(search(&format!("{{{USED}"), &[3]).of_answer(), None);
    }

    #[test]
    fn what_is_too_large_is_none() {
        let wide = format!(r#"{{"usage": {{"x": "{}", "prompt_tokens": 7}}}}"#, "x".repeat(5000));
        assert_eq!(search(&wide, &[100]).of_answer(), None);
        let long = format!(r#"{{"{}": 1, {USED}}}"#, "usage".repeat(50));
        assert_eq!(search(&long, &[100]).of_answer(), SOME);
    }

    #[test]
    fn an_event_tells_its_own_usage_alone() {
        let forged = r#""tools":[{"parameters":{"usage":{"input_tokens":0}}}]"#;
        let read =
            |text: &str| search(&format!("event: x\r\ndata: {text}\r\n\r\n"), &[7]).of_event();
        assert_eq!(read(&format!("{{{forged},{USED}}}")), SOME);
        assert_eq!(read(&format!(r#"{{"response":{{{forged},{USED}}}}}"#)), SOME);
        assert_eq!(read(&format!(r#"{{"response":{{{USED},{forged}}}}}"#)), SOME);
        assert_eq!(read(&format!(r#"{{"response":{{{forged},"usage":null}}}}"#)), None);
        assert_eq!(read(&format!(r#"{{"x":{{"response":{{{USED}}}}}}}"#)), None);
        let deep = format!(r#""x":{}{}"#, "[".repeat(200), "]".repeat(200));
        assert_eq!(read(&format!(r#"{{"response":{{{forged},{deep},{USED}}}}}"#)), SOME);
    }
}

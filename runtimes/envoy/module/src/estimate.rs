//! What a stream used that does not tell: its caller left it, or its engine died.
//!
//! Output is the number of its events that hold some, for an engine sends one with each token; one
//! that sends several at once is counted too low. Input is what its prompt takes by its length.

use memchr::memmem;

/// Bytes of a request for each token; English has some more, other languages less.
const BYTES: u64 = 4;
/// Tokens of an image, or of another file that is in a request.
const FILE: u64 = 1000;
const FILE_BEGINS: &[u8] = b";base64,";

/// The member that an event with output has: of chats and responses, or of completions.
pub fn word(path: &str) -> &'static [u8] {
    if path.ends_with("/completions") && !path.ends_with("/chat/completions") {
        br#""text":"#
    } else {
        br#""delta":"#
    }
}

/// Returns how many tokens of output events hold at least; no text looks like the word.
pub fn output(events: &[u8], word: &[u8]) -> u64 {
    memmem::find_iter(events, word).count() as u64
}

/// Returns about how many tokens of input a request has.
pub fn input(body: &[u8]) -> u64 {
    let (mut bytes, mut files, mut rest) = (body.len() as u64, 0, body);
    while let Some(at) = memmem::find(rest, FILE_BEGINS) {
        let data = &rest[at + FILE_BEGINS.len()..];
        let length = data.iter().take_while(|byte| is_base64(**byte)).count();
        (bytes, files, rest) = (bytes - length as u64, files + 1, &data[length..]);
    }
    bytes.div_ceil(BYTES) + files * FILE
}

/// Whether a byte is one of a file in a JSON text, where a slash may have a backslash.
fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'\\' | b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_as_long_as_its_text_and_a_file_as_any_other() {
        assert_eq!(input(b""), 0);
        assert_eq!(input(&[b'x'; 401]), 101);
        let image = |size| format!("\"data:image/png;base64,{}\"", "iVBO/w0+\\/".repeat(size));
        assert_eq!(input(image(1).as_bytes()), input(image(100_000).as_bytes()));
        assert_eq!(input(image(9).repeat(3).as_bytes()), 3 * FILE + 18);
    }

    #[test]
    fn no_text_hides_behind_a_file() {
        let text = format!(";base64,{}", "so long a prompt ".repeat(100));
        assert!(input(text.as_bytes()) > text.len() as u64 / 4);
        assert_eq!(input(FILE_BEGINS.repeat(1000).as_slice()), 2000 + 1000 * FILE);
    }

    #[test]
    fn events_with_output_count() {
        let chat = br#"data: {"choices":[{"delta":{"content":" \"delta\":"}}]}"#;
        assert_eq!(output(chat, word("/v1/chat/completions")), 1);
        let text = br#"data: {"choices":[{"text":"x"}]}"#;
        assert_eq!(output(&text.repeat(3), word("/v1/completions")), 3);
        let types = b"event: x.delta\ndata: {\"delta\":\"x\"}\n\nevent: y\ndata: {\"text\":\"x\"}";
        assert_eq!(output(types, word("/v1/responses")), 1);
    }
}

//! The key by which a request keeps to one replica: its session, or its prompt's beginning.

use crate::json::{each_element, each_member, string};
use std::borrow::Cow;

/// Bytes of a body in which the key is sought.
const LOOKED_AT: usize = 65536;
/// Bytes of the first user message, or of a plain prompt, that belong to it.
const BEGINNING: usize = 1024;

/// Returns the key of a session.
pub fn session(told: &[u8]) -> Vec<u8> {
    [b"session ", told].concat()
}

/// Returns the key of a body, which is JSON; none where nothing tells requests apart.
pub fn of_body(body: &str) -> Option<Vec<u8>> {
    let (mut system, mut prompt, mut key) = (String::new(), String::new(), None);
    let begin = body.as_ptr() as usize;
    each_member(body, |name, value| {
        if value.as_ptr() as usize - begin >= LOOKED_AT {
            return;
        }
        match name {
            "messages" if value.starts_with('[') => prompt = conversation(value),
            "prompt" => prompt = beginning(value),
            "input" => prompt = input(value),
            "instructions" => system = said(value),
            "prompt_cache_key" => key = string(value).map(|told| cut(told.into_owned(), LOOKED_AT)),
            _ => {}
        }
    });
    if let Some(key) = key {
        return Some(format!("key {key}").into_bytes());
    }
    (!system.is_empty() || !prompt.is_empty())
        .then(|| format!("prompt {system}\n{prompt}").into_bytes())
}

/// Returns the text of one part of a message, or of whatever else it is its JSON.
fn part(value: &str) -> Cow<'_, str> {
    if let Some(text) = string(value) {
        return text;
    }
    let mut found = Cow::Borrowed(value);
    if value.starts_with('{') {
        each_member(value, |name, member| {
            if let ("text", Some(text)) = (name, string(member)) {
                found = text;
            }
        });
    }
    found
}

/// Returns what a string, or a list of strings, parts or tokens, says.
fn said(value: &str) -> String {
    if !value.starts_with('[') {
        return cut(part(value).into_owned(), LOOKED_AT);
    }
    let mut parts = Vec::new();
    each_element(value, |element| {
        parts.push(part(element));
        parts.len() < BEGINNING
    });
    cut(parts.join("\n"), LOOKED_AT)
}

fn beginning(value: &str) -> String {
    cut(said(value), BEGINNING)
}

/// Returns a text's beginning, which ends where a character does.
fn cut(mut text: String, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    text.truncate(end.unwrap_or(0));
    text
}

/// Returns all up to the first user message, and the beginning of that one.
fn conversation(list: &str) -> String {
    let (mut parts, mut length) = (Vec::new(), 0);
    each_element(list, |message| {
        let (mut role, mut content) = (None, None);
        each_member(message, |name, value| match name {
            "role" => role = string(value),
            "content" => content = Some(value),
            _ => {}
        });
        let user = role.as_deref() == Some("user");
        let text = content.map(if user { beginning } else { said }).unwrap_or_default();
        length += text.len() + 1; // messages without a text are not free
        parts.push(text);
        !user && length < LOOKED_AT
    });
    parts.join("\n")
}

/// Returns what an `input` says, which is a string, a list of strings or a conversation.
fn input(value: &str) -> String {
    let messages = value.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with('{'));
    if messages { conversation(value) } else { beginning(value) }
}

#[cfg(test)]
mod tests {
    use super::of_body;

    #[test]
    fn what_begins_alike_has_one_key() {
        let one = of_body(r#"{"messages":[{"role":"user","content":"w\u00f6rld"}]}"#);
        let other = of_body(
            r#"{"n": 1, "messages": [ {"content": [{"type": "text", "text": "wörld"}],
            "role": "user"}, {"role": "assistant", "content": "later"} ]}"#,
        );
        assert_eq!(one, other);
        assert_eq!(one.unwrap(), "prompt \nwörld".as_bytes());
    }

    #[test]
    fn whatever_stands_there_does_no_harm() {
        for body in ["{}", r#"{"messages": 7}"#, r#"{"messages": [7, null, {"role": 1}]}"#] {
            let _ = of_body(body);
        }
        let long = "ö".repeat(100_000);
        let key = of_body(&format!(r#"{{"prompt": "x{long}"}}"#)).unwrap();
        assert!(key.len() <= 1024 + 8 && std::str::from_utf8(&key).is_ok());
    }

    #[test]
    fn only_the_beginning_of_a_body_is_looked_at() {
        let late =
            format!(r#"{{"prompt": "a", "x": "{}", "prompt_cache_key": "k"}}"#, "x".repeat(70_000));
        assert_eq!(of_body(&late), of_body(r#"{"prompt": "a"}"#));
    }

    #[test]
    fn no_body_has_a_large_key() {
        let many = "7,".repeat(1_000_000);
        let long = "x".repeat(1_000_000);
        for body in [
            format!(r#"{{"messages": [{many}7]}}"#),
            format!(r#"{{"input": [{{}},{many}7]}}"#),
            format!(r#"{{"prompt_cache_key": "{long}"}}"#),
            format!(r#"{{"messages": [{{"role": "system", "content": "{long}"}}]}}"#),
        ] {
            assert!(of_body(&body).is_none_or(|key| key.len() <= 150_000));
        }
    }
}

//! The `model` of a form (multipart/form-data), which files come with.
//!
//! Whatever two readers could understand differently is malformed.

use crate::request::Wrong;
use memchr::memmem::find;

const MOST_PARTS: usize = 64;
/// Bytes of a part's headers.
const LONGEST_HEAD: usize = 4096;
/// Bytes of a model's name.
const LONGEST_NAME: usize = 255;

/// Returns the model that a form names.
pub fn model(content_type: &str, body: &[u8]) -> Result<String, Wrong> {
    let boundary = boundary(content_type).ok_or(Wrong::Malformed)?;
    let found = named(body, boundary).ok_or(Wrong::Malformed)?.ok_or(Wrong::Nameless)?;
    if found.is_empty() {
        return Err(Wrong::Nameless);
    }
    Ok(String::from_utf8_lossy(found).into_owned())
}

/// Returns the boundary that a content type names, as its only parameter.
fn boundary(content_type: &str) -> Option<&str> {
    let (_, parameter) = content_type.split_once(';')?;
    let (name, value) = parameter.trim().split_once('=')?;
    let value = value.strip_prefix('"').map_or(Some(value), |rest| rest.strip_suffix('"'))?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&byte);
    let fits = !value.is_empty() && value.len() <= 70 && value.bytes().all(plain);
    (fits && name.eq_ignore_ascii_case("boundary")).then_some(value)
}

/// Returns the content of the part `model`, or that there is none; nothing of a malformed body.
fn named<'a>(body: &'a [u8], boundary: &str) -> Option<Option<&'a [u8]>> {
    let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
    let (mut rest, mut model) = (body.strip_prefix(&delimiter[2..])?, None);
    for _ in 0..MOST_PARTS {
        if rest.starts_with(b"--") {
            return Some(model);
        }
        let head = &rest[..rest.len().min(LONGEST_HEAD)];
        let stop = find(head, b"\r\n\r\n")?;
        let name = field(head[..stop].strip_prefix(b"\r\n")?)?;
        let content = &rest[stop + 4..];
        let end = find(content, &delimiter)?;
        if name == "model" {
            if model.is_some() || end > LONGEST_NAME {
                return None;
            }
            model = Some(&content[..end]);
        }
        rest = &content[end + delimiter.len()..];
    }
    None
}

/// Returns the name of the field that a part's headers speak of; nothing where they are not plain.
fn field(head: &[u8]) -> Option<String> {
    let (head, mut found) = (String::from_utf8_lossy(head), None);
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(':')?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if name.is_empty() || !name.bytes().all(plain) || value.contains(['\r', '\n']) {
            return None;
        }
        if name.eq_ignore_ascii_case("content-disposition") && found.replace(value).is_some() {
            return None;
        }
    }
    disposed(found?.trim()).map(str::to_owned)
}

/// Returns the `name` of a disposition; nothing where it is not plain.
fn disposed(disposition: &str) -> Option<&str> {
    let kind = disposition.get(..9).filter(|kind| kind.eq_ignore_ascii_case("form-data"))?;
    let (mut rest, mut found) = (disposition[kind.len()..].trim(), None);
    while !rest.is_empty() {
        let (name, value, after) = parameter(rest)?;
        if name.eq_ignore_ascii_case("name") && found.replace(value).is_some() {
            return None;
        }
        rest = after.trim();
    }
    found
}

/// Returns a parameter's name and value, and what stands behind it.
fn parameter(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.strip_prefix(';')?.trim_start().split_once('=')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'-');
    if name.is_empty() || !name.bytes().all(plain) {
        return None;
    }
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find(|c: char| c.is_whitespace() || c == ';' || c == '"');
        let (value, after) = rest.split_at(end.unwrap_or(rest.len()));
        return (!value.is_empty()).then_some((name, value, after));
    };
    let mut escaped = false;
    let end = quoted.find(|c: char| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    Some((name, &quoted[..end], &quoted[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=xx";

    fn read(head: &str) -> Result<String, Wrong> {
        let body = format!("--xx\r\n{head}\r\n\r\nllama\r\n--xx--\r\n");
        model(TYPE, body.as_bytes())
    }

    #[test]
    fn a_form_names_its_model() {
        for head in [
            "Content-Disposition: form-data; name=\"model\"",
            "content-disposition:form-data ;name=model\r\nContent-Type: text/plain",
            "Content-Disposition: form-data; filename=\"a\\\"; name=\\\"b\"; name=model",
        ] {
            assert_eq!(read(head), Ok("llama".into()), "{head}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_malformed() {
        for head in [
            "Content-Disposition: form-data; name=a; name=model",
            "Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=model",
            "Content-Disposition: form-data;\r\n name=model",
            "Content-Disposition: form-data; name=\"model",
            "Content-Disposition: form-data name=model",
            "Content-Disposition: form-data",
            "name=model",
            "",
        ] {
            assert_eq!(read(head), Err(Wrong::Malformed), "{head}");
        }
        assert_eq!(read("Content-Disposition: form-data; name=a"), Err(Wrong::Nameless));
    }

    #[test]
    fn a_content_type_names_one_boundary() {
        assert_eq!(boundary("multipart/form-data; boundary=\"x:y\""), Some("x:y"));
        assert_eq!(boundary("Multipart/Form-Data;BOUNDARY=xx "), Some("xx"));
        for wrong in [
            "multipart/form-data",
            "a; boundary=",
            "a; boundary=x; b=c",
            "a; b=c",
            "a; boundary=\"x",
        ] {
            assert_eq!(boundary(wrong), None, "{wrong}");
        }
    }
}

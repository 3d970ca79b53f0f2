//! Who sends a request: what the API key says that Envoy has verified before.

use crate::json::{self, Object, Plain, Value};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::MapAccess;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// So many keys are remembered by each thread; then it begins anew.
const MOST_KNOWN: usize = 4096;

/// What matters of a key's claims.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub struct Caller {
    /// The key's id.
    pub key: String,
    /// Whose it is.
    pub tenant: String,
    /// Its requests per minute as a text, if it has a limit.
    pub limit: Option<String>,
}

impl<'de> Object<'de> for Caller {
    fn member<A: MapAccess<'de>>(
        &mut self, name: &str, value: Value<'_, A>,
    ) -> Result<(), A::Error> {
        match (name, value.read::<Plain<'_>>()?) {
            ("jti", Plain::Text(text)) => self.key = text.into_owned(),
            ("sub", Plain::Text(text)) => self.tenant = text.into_owned(),
            ("rpm", Plain::Text(text)) => self.limit = Some(text.into_owned()),
            _ => {}
        }
        Ok(())
    }
}

/// Returns the token of a header, if that holds nothing else: so nobody else reads another one.
pub fn token(header: &[u8]) -> Option<&str> {
    let token = std::str::from_utf8(header).ok()?.strip_prefix("Bearer ")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    token.bytes().all(plain).then_some(token)
}

/// Reads a token whose signature is verified.
fn read(token: &str) -> Option<Caller> {
    let mut parts = token.split('.');
    let (Some(_), Some(payload), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let found: Caller = json::whole(&text).ok()??;
    (!found.key.is_empty()).then_some(found)
}

thread_local! {
    static KNOWN: RefCell<HashMap<Box<str>, Rc<Caller>>> = RefCell::default();
}

/// Returns who a verified token belongs to; each is read once by each thread.
pub fn of_token(token: &str) -> Option<Rc<Caller>> {
    KNOWN.with_borrow_mut(|known| {
        if let Some(found) = known.get(token) {
            return Some(Rc::clone(found));
        }
        let found = Rc::new(read(token)?);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(token.into(), Rc::clone(&found));
        Some(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(payload: &str) -> String {
        format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn a_key_says_whose_it_is() {
        let text =
            made(r#"{"iss": "modelops", "jti": "k", "sub": "acme", "models": ["*"], "rpm": "60"}"#);
        let found = of_token(&text).unwrap();
        let wanted = Caller { key: "k".into(), tenant: "acme".into(), limit: Some("60".into()) };
        assert_eq!((&*found, &*of_token(&text).unwrap()), (&wanted, &wanted));
        for wrong in [
            "",
            "a.b",
            &made("[]"),
            &made("{"),
            &made(r#"{"sub": "k"}"#),
            &format!("{text}.x"),
            "e30.!.c2ln",
            &made(r#"{"jti": 7, "sub": "a"}"#),
        ] {
            assert_eq!(of_token(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_header_with_anything_beside_its_token_has_none() {
        assert_eq!(token(b"Bearer a.b-c.d_e"), Some("a.b-c.d_e"));
        for wrong in
            ["a.b.c", "bearer a", "Bearer a b", "Bearer a,Bearer b", "x Bearer a", "Bearer a;"]
        {
            assert_eq!(token(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn no_number_of_keys_is_too_large() {
        for number in 0..3 * MOST_KNOWN {
            assert!(of_token(&made(&format!(r#"{{"jti": "{number}", "sub": "a"}}"#))).is_some());
        }
        assert!(KNOWN.with_borrow(HashMap::len) <= MOST_KNOWN);
    }
}

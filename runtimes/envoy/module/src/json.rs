//! Reading of JSON whose author is a stranger: what engines would read, and nothing more lenient.

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A value of which only plain ones are kept.
#[derive(Debug, PartialEq, Clone)]
pub enum Plain<'a> {
    /// A string.
    Text(Cow<'a, str>),
    /// A number.
    Number(f64),
    /// True or false.
    Bool(bool),
    /// A null.
    Null,
    /// A list or an object.
    Nested,
}

/// A value that must be valid and is not looked at: serde's own `IgnoredAny` would pass numbers and
/// escapes that no engine takes.
struct Valid;

macro_rules! plain {
    ($($name:ident($kind:ty) => $value:expr;)*) => {
        $(fn $name<E: Error>(self, value: $kind) -> Result<Self::Value, E> { Ok($value(value)) })*
    };
}

struct AnyPlain;

#[allow(clippy::cast_precision_loss)]
impl<'de> Visitor<'de> for AnyPlain {
    type Value = Plain<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    plain! {
        visit_bool(bool) => Plain::Bool;
        visit_i64(i64) => |n| Plain::Number(n as f64);
        visit_u64(u64) => |n| Plain::Number(n as f64);
        visit_f64(f64) => Plain::Number;
        visit_str(&str) => |t: &str| Plain::Text(Cow::Owned(t.to_owned()));
        visit_borrowed_str(&'de str) => |t| Plain::Text(Cow::Borrowed(t));
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Plain::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<Valid>()?.is_some() {}
        Ok(Plain::Nested)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        while object.next_entry::<Valid, Valid>()?.is_some() {}
        Ok(Plain::Nested)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Plain<'a> {
    fn deserialize<D: Deserializer<'de>>(found: D) -> Result<Self, D::Error> {
        found.deserialize_any(AnyPlain)
    }
}

struct AnyValid;

impl<'de> Visitor<'de> for AnyValid {
    type Value = Valid;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    plain! {
        visit_bool(bool) => |_| Valid;
        visit_i64(i64) => |_| Valid;
        visit_u64(u64) => |_| Valid;
        visit_f64(f64) => |_| Valid;
        visit_str(&str) => |_| Valid;
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Valid)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<Valid>()?.is_some() {}
        Ok(Valid)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        while object.next_entry::<Valid, Valid>()?.is_some() {}
        Ok(Valid)
    }
}

impl<'de> Deserialize<'de> for Valid {
    fn deserialize<D: Deserializer<'de>>(found: D) -> Result<Self, D::Error> {
        found.deserialize_any(AnyValid)
    }
}

/// The value of one member, yet to be read: it must be, once.
pub struct Value<'m, A>(&'m mut A);

impl<'de, A: MapAccess<'de>> Value<'_, A> {
    /// Reads it as a kind.
    pub fn read<T: Deserialize<'de>>(self) -> Result<T, A::Error> {
        self.0.next_value()
    }

    /// Finds it valid and forgets it.
    pub fn skip(self) -> Result<(), A::Error> {
        self.0.next_value::<Valid>().map(|_| ())
    }
}

/// What reads an object member by member.
pub trait Object<'de>: Default {
    /// Takes note of a member, or skips its value.
    fn member<A: MapAccess<'de>>(
        &mut self, name: &str, value: Value<'_, A>,
    ) -> Result<(), A::Error>;
}

struct AnyObject<T>(std::marker::PhantomData<T>);

impl<'de, T: Object<'de>> Visitor<'de> for AnyObject<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    plain! {
        visit_bool(bool) => |_| None;
        visit_i64(i64) => |_| None;
        visit_u64(u64) => |_| None;
        visit_f64(f64) => |_| None;
        visit_str(&str) => |_| None;
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<Valid>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut found = T::default();
        while let Some(name) = object.next_key::<Name<'de>>()? {
            found.member(&name.0, Value(&mut object))?;
        }
        Ok(Some(found))
    }
}

/// A member's name, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(found: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Cow<'de, str>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        found.deserialize_str(Text).map(Name)
    }
}

/// An object that is read member by member, or nothing where something else stands.
pub struct Read<T>(pub Option<T>);

impl<'de, T: Object<'de>> Deserialize<'de> for Read<T> {
    fn deserialize<D: Deserializer<'de>>(found: D) -> Result<Self, D::Error> {
        found.deserialize_any(AnyObject(std::marker::PhantomData)).map(Read)
    }
}

/// Reads a whole text as one value; nothing may stand behind it.
pub fn whole<'a, T: Object<'a>>(text: &'a str) -> Result<Option<T>, serde_json::Error> {
    serde_json::from_str::<Read<T>>(text).map(|read| read.0)
}

/// Visits the members of the object that a text is, as they are written; nothing of another text.
pub fn each_member<'a>(text: &'a str, visit: impl FnMut(&str, &'a str)) {
    struct Each<F>(F);
    impl<'de, F: FnMut(&str, &'de str)> Visitor<'de> for Each<F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
            while let Some((name, value)) = object.next_entry::<Name<'de>, &'de RawValue>()? {
                (self.0)(&name.0, value.get());
            }
            Ok(())
        }
    }
    let _ = de::Deserializer::deserialize_map(
        &mut serde_json::Deserializer::from_str(text),
        Each(visit),
    );
}

/// Visits the elements of the list that a text is, until a visit returns false.
pub fn each_element<'a>(text: &'a str, visit: impl FnMut(&'a str) -> bool) {
    struct Each<F>(F);
    impl<'de, F: FnMut(&'de str) -> bool> Visitor<'de> for Each<F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }
        fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
            while let Some(value) = list.next_element::<&'de RawValue>()? {
                if !(self.0)(value.get()) {
                    break;
                }
            }
            Ok(())
        }
    }
    let _ = de::Deserializer::deserialize_seq(
        &mut serde_json::Deserializer::from_str(text),
        Each(visit),
    );
}

/// The string that a text is, with its escapes resolved.
pub fn string(text: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Name<'_>>(text).ok().map(|name| name.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Nothing;
    impl<'de> Object<'de> for Nothing {
        fn member<A: MapAccess<'de>>(
            &mut self, _: &str, value: Value<'_, A>,
        ) -> Result<(), A::Error> {
            value.skip()
        }
    }

    #[test]
    fn only_what_every_engine_reads_is_valid() {
        for good in ["{}", r#"{"a": [1, -2.5e3, "\ud83d\ude00", null, true]}"#, "[]", "7"] {
            assert!(whole::<Nothing>(good).is_ok(), "{good}");
        }
        let deep = "[".repeat(400) + &"]".repeat(400);
        for bad in [
            "",
            "{",
            "{} x",
            r#"{"a": NaN}"#,
            r#"{"a": 1e999}"#,
            r#"{"a": "\ud800"}"#,
            "{,}",
            "{\"a\": \"\x00\"}",
            &deep,
            &"9".repeat(500),
        ] {
            assert!(whole::<Nothing>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn members_and_elements_are_visited_as_they_are_written() {
        let mut seen = Vec::new();
        each_member(r#"{"a": [1, {"b":2}], "\u0063": "d"}"#, |n, v| seen.push((n.to_owned(), v)));
        assert_eq!(seen, [("a".into(), r#"[1, {"b":2}]"#), ("c".into(), r#""d""#)]);
        let mut seen = Vec::new();
        each_element(seen_list(), |v| {
            seen.push(v);
            seen.len() < 2
        });
        assert_eq!(seen, ["1", r#"{"b":2}"#]);
    }

    fn seen_list() -> &'static str {
        r#"[1, {"b":2}, 3]"#
    }
}

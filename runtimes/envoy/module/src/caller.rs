//! Who sends a request: what the token says that it carries.

use crate::token::{Claims, Foreign, LEEWAY, Verifier};
use foldhash::HashMap;
use serde_json::Value;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

/// So many tokens are remembered by each thread; then it begins anew.
const MOST_KNOWN: usize = 4096;
/// Larger ones are verified each time; bytes.
const LARGEST_KNOWN: usize = 4096;
/// Bytes of a tenant or a subject.
const LONGEST_NAME: usize = 255;
/// What a key says that matters to whoever judges contended requests.
const TOLD: [&str; 4] = ["rpm", "tpm", "parallel", "priority"];

/// What matters of a token's claims.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub struct Caller {
    /// The key's id.
    pub key: String,
    /// Whose it is.
    pub tenant: String,
    /// The id of a token that is no key of ours, `ISSUER::JTI`; empty without one.
    pub token: String,
    /// Its requests per minute as a text, if it has a limit.
    pub limit: Option<String>,
    /// Names of models, or beginnings that end with a star.
    pub models: Vec<String>,
    /// Whether somebody is asked about each of its requests.
    pub ask: bool,
    /// What is told then.
    pub told: Vec<(&'static str, String)>,
    ends: u64,
}

/// Who sends a request that has no token, or none that is taken.
pub static NOBODY: Caller = Caller {
    key: String::new(),
    tenant: String::new(),
    token: String::new(),
    limit: None,
    models: Vec::new(),
    ask: false,
    told: Vec::new(),
    ends: 0,
};

impl Caller {
    fn of(claims: &Claims, foreign: Option<&Foreign>) -> Option<Self> {
        let ends = claims.get("exp")?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let ends = ends.as_u64().or(ends.as_f64().map(|seconds| seconds as u64))?;
        let found = foreign.map_or_else(|| Self::ours(claims), |issuer| issuer.caller(claims))?;
        Some(Self { ends: ends.saturating_add(LEEWAY), ..found })
    }

    fn ours(claims: &Claims) -> Option<Self> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let told = TOLD.iter().filter_map(|name| Some((*name, text(name)?.to_owned())));
        Some(Self {
            key: text("jti").filter(|id| !id.is_empty())?.to_owned(),
            tenant: text("sub").unwrap_or_default().to_owned(),
            token: String::new(),
            limit: text("rpm").map(str::to_owned),
            models: listed(claims.get("models")),
            ask: text("ask").is_some(),
            told: told.collect(),
            ends: 0,
        })
    }

    /// Whether it opens a model.
    pub fn may_use(&self, model: &str) -> bool {
        self.models.iter().any(|grant| match grant.strip_suffix('*') {
            Some(beginning) => model.starts_with(beginning),
            None => model == grant,
        })
    }
}

impl Foreign {
    /// Reads claims as if they were ours; limits and the like are not taken over.
    fn caller(&self, claims: &Claims) -> Option<Caller> {
        let tenant = claim(claims, &self.tenant_claim).and_then(name)?;
        let subject = claims.get("sub").and_then(name)?;
        let id = claims.get("jti").and_then(name);
        Some(Caller {
            key: format!("{}:{subject}", self.name),
            tenant: format!("{}{tenant}", self.prefix),
            token: id.map(|id| format!("{}::{id}", self.name)).unwrap_or_default(),
            models: self.grants(claims),
            ..Caller::default()
        })
    }

    fn grants(&self, claims: &Claims) -> Vec<String> {
        let Some(name) = &self.models_claim else { return self.models.clone() };
        match claim(claims, name) {
            Some(Value::String(words)) => words.split_whitespace().map(str::to_owned).collect(),
            said => listed(said),
        }
    }
}

fn listed(said: Option<&Value>) -> Vec<String> {
    let words = said.and_then(Value::as_array).into_iter().flatten();
    words.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Returns a claim, or what stands at a path within one.
fn claim<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    if let Some(found) = claims.get(name).filter(|found| !found.is_null()) {
        return Some(found);
    }
    let mut parts = name.split('/').filter(|part| !part.is_empty());
    let first = claims.get(parts.next()?)?;
    parts.try_fold(first, |found, part| found.as_object()?.get(part))
}

fn name(value: &Value) -> Option<&str> {
    let plain = |text: &&str| {
        !text.is_empty()
            && text.len() <= LONGEST_NAME
            && !text.contains(|c: char| c.is_ascii_control())
    };
    value.as_str().filter(plain)
}

/// Returns the token of a header, if that holds nothing else: so nobody else reads another one.
fn token(header: &[u8]) -> Option<&str> {
    let token = std::str::from_utf8(header).ok()?.strip_prefix("Bearer ")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    token.bytes().all(plain).then_some(token)
}

/// The callers of tokens that were verified.
#[derive(Default)]
struct Known {
    by: u64,
    /// By the headers that brought them.
    callers: HashMap<Box<[u8]>, Rc<Caller>>,
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// Returns whose token a header has, if it is taken now; each is verified once by each thread.
pub fn of_header(header: &[u8], verifier: &Verifier) -> Option<Rc<Caller>> {
    KNOWN.with_borrow_mut(|known| {
        if known.by != verifier.id || known.callers.len() >= MOST_KNOWN {
            *known = Known { by: verifier.id, callers: HashMap::default() };
        }
        if let Some(found) = known.callers.get(header) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
            return (now <= found.ends).then(|| Rc::clone(found));
        }
        let (claims, foreign) = verifier.claims(token(header)?)?;
        let found = Rc::new(Caller::of(&claims, foreign)?);
        if header.len() <= LARGEST_KNOWN {
            known.callers.insert(header.into(), Rc::clone(&found));
        }
        Some(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(claims: Value, foreign: Option<&Foreign>) -> Option<Caller> {
        Caller::of(claims.as_object().unwrap(), foreign)
    }

    #[test]
    fn a_key_says_whose_it_is() {
        let found = read(
            json!({"exp": 9, "jti": "k", "sub": "acme", "models": ["a*", 7], "rpm": "60", "tpm": 1}),
            None,
        );
        let wanted = Caller {
            key: "k".into(),
            tenant: "acme".into(),
            token: String::new(),
            limit: Some("60".into()),
            models: vec!["a*".into()],
            ask: false,
            told: vec![("rpm", "60".into())],
            ends: 9 + LEEWAY,
        };
        assert_eq!(found, Some(wanted));
        for wrong in [json!({}), json!({"jti": "k"}), json!({"exp": 9, "jti": ""})] {
            assert_eq!(read(wrong, None), None);
        }
    }

    #[test]
    fn a_grant_is_a_name_or_a_beginning() {
        let models = ["a*", "b"].map(str::to_owned).to_vec();
        let caller = Caller { models, ..Caller::default() };
        assert!(["a", "ab", "b"].iter().all(|name| caller.may_use(name)));
        assert!(!["", "ba", "bb", "*"].iter().any(|name| caller.may_use(name)));
    }

    #[test]
    fn another_issuer_speaks_for_itself_only() {
        let mut issuer = Foreign {
            name: "corp".into(),
            prefix: "corp:".into(),
            tenant_claim: "org/team".into(),
            models_claim: Some("may".into()),
            models: vec!["*".into()],
        };
        let claims = json!({"exp": 9, "sub": "ann", "org": {"team": "red"}, "may": "a  b*",
            "rpm": "1", "ask": "key"});
        let found = read(claims.clone(), Some(&issuer)).unwrap();
        assert_eq!((&*found.key, &*found.tenant), ("corp:ann", "corp:red"));
        assert_eq!(
            (found.models, found.limit, found.ask),
            (vec!["a".into(), "b*".into()], None, false)
        );
        assert_eq!(found.token, "");
        issuer.models_claim = None;
        assert_eq!(read(claims, Some(&issuer)).unwrap().models, ["*"]);
        let named = json!({"exp": 9, "sub": "ann", "org": {"team": "red"}, "jti": "t7"});
        assert_eq!(read(named, Some(&issuer)).unwrap().token, "corp::t7");
        for org in [json!(null), json!("red"), json!({"team": 7}), json!({"team": "a\nb"})] {
            assert_eq!(read(json!({"exp": 9, "sub": "ann", "org": org}), Some(&issuer)), None);
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
}

//! Whether a token is one that is taken: who signed it, for whom, and until when.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Clocks may differ by so much; seconds.
pub const LEEWAY: u64 = 5;

/// What a token claims.
pub type Claims = Map<String, Value>;

/// Whose tokens are taken, as it is configured.
#[derive(Deserialize, Hash)]
struct Issuer {
    issuer: String,
    audiences: Vec<String>,
    /// JWKs; those that verify nothing are passed over.
    keys: Vec<BTreeMap<String, String>>,
    foreign: Option<Foreign>,
}

/// How another issuer's claims are read as if it were ours.
#[derive(Deserialize, Hash, Clone)]
pub struct Foreign {
    /// Its name among us, which stands before the ids of its subjects.
    pub name: String,
    /// What stands before its tenants.
    pub prefix: String,
    /// The claim that names the tenant, or the path to it with slashes.
    pub tenant_claim: String,
    /// The same for grants; without it each token has `models`.
    pub models_claim: Option<String>,
    /// What each token opens that claims nothing.
    pub models: Vec<String>,
}

struct Key {
    id: Option<String>,
    key: DecodingKey,
    algorithms: Vec<Algorithm>,
}

struct Trusted {
    keys: Vec<Key>,
    validation: Validation,
    foreign: Option<Foreign>,
}

/// All whose tokens are taken.
#[derive(Deserialize)]
#[serde(from = "Vec<Issuer>")]
pub struct Verifier {
    issuers: Vec<Trusted>,
    /// Equal for equal configurations.
    pub id: u64,
}

impl From<Vec<Issuer>> for Verifier {
    fn from(issuers: Vec<Issuer>) -> Self {
        let mut hasher = DefaultHasher::new();
        issuers.hash(&mut hasher);
        Self { id: hasher.finish(), issuers: issuers.into_iter().map(trusted).collect() }
    }
}

fn trusted(told: Issuer) -> Trusted {
    let mut validation = Validation::default();
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    validation.set_issuer(&[told.issuer]);
    validation.set_audience(&told.audiences);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    Trusted {
        keys: told.keys.into_iter().filter_map(key).collect(),
        validation,
        foreign: told.foreign,
    }
}

fn key(told: BTreeMap<String, String>) -> Option<Key> {
    let named = told.get("alg").cloned();
    let value = Value::Object(told.into_iter().map(|(k, v)| (k, Value::String(v))).collect());
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let fits = |known: &Algorithm| named.as_ref().is_none_or(|told| told.parse() == Ok(*known));
    let algorithms = algorithms(&jwk.algorithm).iter().copied().filter(fits).collect();
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    Some(Key { id: jwk.common.key_id, key, algorithms })
}

/// Returns by what a public key verifies: never by anything that is symmetric.
fn algorithms(of: &AlgorithmParameters) -> &'static [Algorithm] {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match of {
        AlgorithmParameters::RSA(_) => &[RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmParameters::EllipticCurve(of) => match of.curve {
            EllipticCurve::P256 => &[ES256],
            EllipticCurve::P384 => &[ES384],
            _ => &[],
        },
        AlgorithmParameters::OctetKeyPair(_) => &[EdDSA],
        AlgorithmParameters::OctetKey(_) => &[],
    }
}

impl Verifier {
    /// Returns what a token claims that is taken now; also how it is read, if it is not ours.
    pub fn claims(&self, token: &str) -> Option<(Claims, Option<&Foreign>)> {
        let header = decode_header(token).ok()?;
        self.issuers.iter().find_map(|issuer| {
            let mut rules = issuer.validation.clone();
            rules.algorithms = vec![header.alg];
            let keys = issuer.keys(header.kid.as_deref(), header.alg);
            let read = |key| decode::<Claims>(token, key, &rules).ok();
            Some((keys.into_iter().find_map(read)?.claims, issuer.foreign.as_ref()))
        })
    }
}

impl Trusted {
    /// Returns the keys that a token's id names, or the only one where an id is missing.
    fn keys(&self, id: Option<&str>, algorithm: Algorithm) -> Vec<&DecodingKey> {
        let fitting = |fits: &dyn Fn(&Key) -> bool| -> Vec<_> {
            let keys = self.keys.iter().filter(|key| key.algorithms.contains(&algorithm));
            keys.filter(|key| fits(key)).map(|key| &key.key).collect()
        };
        let named = fitting(&|key| id.is_some() && key.id.as_deref() == id);
        if !named.is_empty() {
            return named;
        }
        let rest = fitting(&|key| id.is_none() || key.id.is_none());
        if rest.len() == 1 { rest } else { Vec::new() }
    }
}

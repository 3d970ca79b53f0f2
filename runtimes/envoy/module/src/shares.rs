//! How much of each limit this process passes without asking anybody.

use dashmap::DashMap;
use foldhash::HashMap;
use foldhash::fast::RandomState;
use serde::Deserialize;
use std::time::Instant;

const SECONDS: u64 = 60;
/// So many callers are counted at a time; of others each request is one above its share.
const MOST_CALLERS: usize = 100_000;

/// Requests a minute that pass, by what limits them.
#[derive(Deserialize, Default)]
pub struct Shares {
    /// By the limit that a key carries, as text.
    keys: HashMap<String, u32>,
    /// By the tenant's name.
    tenants: HashMap<String, u32>,
    /// Of each tenant that is not named; zero: no limit.
    others: u32,
}

struct Minute {
    begun: u64,
    used: u32,
}

/// What was used in each caller's minute.
pub struct Used {
    begun: Instant,
    minutes: DashMap<Box<str>, Minute, RandomState>,
}

impl Default for Used {
    fn default() -> Self {
        Self { begun: Instant::now(), minutes: DashMap::default() }
    }
}

impl Used {
    /// Counts a request of a key and its tenant; returns whether it is above either's share.
    pub fn above(&self, shares: &Shares, key: &str, limit: Option<&str>, tenant: &str) -> bool {
        let now = self.begun.elapsed().as_secs();
        let of_key = limit.and_then(|limit| shares.keys.get(limit));
        let of_tenant = shares.tenants.get(tenant).or(Some(&shares.others)).filter(|s| **s > 0);
        // Both are counted, whatever the first one says.
        [(of_key, "key ", key), (of_tenant, "tenant ", tenant)]
            .into_iter()
            .filter_map(|(share, kind, name)| Some((*share?, [kind, name].concat())))
            .fold(false, |above, (share, name)| self.is_above(share, &name, now) || above)
    }

    fn is_above(&self, share: u32, name: &str, now: u64) -> bool {
        if let Some(mut minute) = self.minutes.get_mut(name) {
            if now - minute.begun.min(now) >= SECONDS {
                *minute = Minute { begun: now, used: 0 };
            }
            minute.used = minute.used.saturating_add(1);
            return minute.used > share;
        }
        if self.minutes.len() >= MOST_CALLERS {
            self.minutes.retain(|_, minute| now - minute.begun.min(now) < SECONDS);
            if self.minutes.len() >= MOST_CALLERS {
                return true;
            }
        }
        self.minutes.insert(name.into(), Minute { begun: now, used: 1 });
        share < 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares() -> Shares {
        let of = |name: &str, share| HashMap::from_iter([(name.to_owned(), share)]);
        Shares { keys: of("1000", 3), tenants: of("small", 1), others: 5 }
    }

    #[test]
    fn each_caller_has_shares_of_its_own() {
        let (used, shares) = (Used::default(), shares());
        let ask = |key: &str, limit, tenant: &str| used.above(&shares, key, limit, tenant);
        assert_eq!([0; 4].map(|_| ask("a", Some("1000"), "x")), [false, false, false, true]);
        assert_eq!([0; 2].map(|_| ask("b", Some("7"), "x")), [false, true]);
        assert_eq!([0; 2].map(|_| ask("c", None, "small")), [false, true]);
        assert_eq!([0; 2].map(|_| ask("d", None, "y")), [false, false]);
    }

    #[test]
    fn a_minute_later_it_begins_anew() {
        let used = Used::default();
        assert_eq!(
            [1, 1, 60, 61, 61, 62].map(|now| used.is_above(1, "a", now)),
            [false, true, true, false, true, true]
        );
    }

    #[test]
    fn nobody_without_a_limit_is_counted() {
        let used = Used::default();
        assert!(!used.above(&Shares::default(), "a", Some("5"), "x"));
        assert!(used.minutes.is_empty());
    }
}

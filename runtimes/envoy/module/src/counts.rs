//! What requests used and how long they took, added up until it is read; in Prometheus' format.
//!
//! A series that has rested is forgotten and begins at zero when it comes back; so callers that go
//! leave nothing behind.

use crate::usage::Usage;
use dashmap::DashMap;
use foldhash::fast::RandomState;
use memchr::memchr3;
use serde::Deserialize;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// What is told when Envoy starts.
#[derive(Deserialize)]
pub struct Settings {
    forgotten_seconds: u64,
    most_counters: usize,
    most_histograms: usize,
    /// The upper bounds of each histogram's buckets, rising.
    buckets: HashMap<String, Vec<u64>>,
}

const COUNTERS: [&str; 10] = [
    "requests",
    "input_tokens",
    "output_tokens",
    "uncounted_requests",
    "uncounted_bytes_received",
    "uncounted_bytes_sent",
    "failed_requests",
    "estimated_requests",
    "estimated_input_tokens",
    "estimated_output_tokens",
];
const HISTOGRAMS: [&str; 3] =
    ["request_milliseconds", "first_token_microseconds", "per_token_microseconds"];

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// Its answer told what it used.
    Counted(Usage),
    /// It did not, and this is about what it was.
    Estimated(Usage),
    /// It did not; how many bytes came and went.
    Uncounted(u64, u64),
    /// There was an error instead.
    Failed,
}

/// Times of a request: kinds as in `HISTOGRAMS`.
#[derive(Clone, Copy)]
pub enum Time {
    /// From its first byte to its last, in milliseconds.
    Whole = 0,
    /// To the first byte of a stream, in microseconds.
    First = 1,
    /// For each token after the first, in microseconds.
    Each = 2,
}

#[derive(Default)]
struct Counters {
    values: [AtomicU64; 10],
    touched: AtomicU64,
}

impl Counters {
    fn add(&self, end: &End, now: u64) {
        let add = |place: usize, number: u64| self.values[place].fetch_add(number, Relaxed);
        self.touched.store(now, Relaxed);
        match *end {
            End::Counted(Usage { input, output }) => [(0, 1), (1, input), (2, output)].into_iter(),
            End::Uncounted(received, sent) => [(3, 1), (4, received), (5, sent)].into_iter(),
            End::Failed => [(6, 1), (6, 0), (6, 0)].into_iter(),
            End::Estimated(Usage { input, output }) => {
                [(7, 1), (8, input), (9, output)].into_iter()
            }
        }
        .for_each(|(place, number)| {
            add(place, number);
        });
    }
}

struct Histogram {
    /// How many values each bucket has alone; the last one has those above all bounds.
    buckets: Vec<AtomicU64>,
    sum: AtomicU64,
    touched: AtomicU64,
}

impl Histogram {
    fn new(bounds: &[u64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { buckets, sum: AtomicU64::new(0), touched: AtomicU64::new(0) }
    }

    fn add(&self, bounds: &[u64], value: u64, now: u64) {
        self.buckets[bounds.partition_point(|&bound| bound < value)].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
        self.touched.store(now, Relaxed);
    }
}

/// By labels, which are of tenants, keys and models that exist: nobody chooses many.
type Series<T> = DashMap<Box<str>, T, RandomState>;

/// All series, each by its labels as Prometheus writes them.
pub struct Counts {
    settings: Settings,
    bounds: [Vec<u64>; 3],
    counters: Series<Counters>,
    histograms: [Series<Histogram>; 3],
    begun: Instant,
    swept: AtomicU64,
}

/// Returns labels as Prometheus writes them, without braces.
pub fn labels(pairs: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(128);
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
        text.push_str("=\"");
        escape(&mut text, value);
        text.push('"');
    }
    text
}

fn escape(text: &mut String, value: &str) {
    let (mut rest, special) = (value, |text: &str| memchr3(b'"', b'\\', b'\n', text.as_bytes()));
    while let Some(at) = special(rest) {
        text.push_str(&rest[..at]);
        text.push('\\');
        text.push_str(if rest[at..].starts_with('\n') { "n" } else { &rest[at..=at] });
        rest = &rest[at + 1..];
    }
    text.push_str(rest);
}

impl Counts {
    /// No series yet.
    pub fn new(mut settings: Settings) -> Self {
        Self {
            bounds: HISTOGRAMS.map(|name| settings.buckets.remove(name).unwrap_or_default()),
            settings,
            counters: Series::default(),
            histograms: Default::default(),
            begun: Instant::now(),
            swept: AtomicU64::new(0),
        }
    }

    fn now(&self) -> u64 {
        self.begun.elapsed().as_secs()
    }

    /// Counts a request of the caller whose labels these are.
    pub fn count(&self, caller: &str, end: &End) {
        let now = self.now();
        if let Some(found) = self.counters.get(caller) {
            return found.add(end, now);
        }
        if self.counters.len() < self.settings.most_counters || self.sweep(now) {
            self.counters.entry(caller.into()).or_default().add(end, now);
        }
    }

    /// Takes note of a time of a request; labels say of which.
    pub fn time(&self, kind: Time, labels: &str, value: u64) {
        let (now, place) = (self.now(), kind as usize);
        let (bounds, known) = (&self.bounds[place], &self.histograms[place]);
        if let Some(found) = known.get(labels) {
            return found.add(bounds, value, now);
        }
        if known.len() < self.settings.most_histograms || self.sweep(now) {
            let new = || Histogram::new(bounds);
            known.entry(labels.into()).or_insert_with(new).add(bounds, value, now);
        }
    }

    /// Forgets what has rested; returns whether there is room now. It looks once a second.
    fn sweep(&self, now: u64) -> bool {
        if self.swept.swap(now, Relaxed) == now {
            return false;
        }
        self.forget_counters(now);
        self.forget_histograms(now);
        self.counters.len() < self.settings.most_counters
            && self.histograms.iter().all(|each| each.len() < self.settings.most_histograms)
    }

    fn recent(&self, touched: &AtomicU64, now: u64) -> bool {
        now.saturating_sub(touched.load(Relaxed)) < self.settings.forgotten_seconds
    }

    fn forget_counters(&self, now: u64) {
        self.counters.retain(|_, found| self.recent(&found.touched, now));
    }

    fn forget_histograms(&self, now: u64) {
        for each in &self.histograms {
            each.retain(|_, found| self.recent(&found.touched, now));
        }
    }

    /// Returns all counters that are not zero; who reads them sees when one is forgotten.
    pub fn counters(&self) -> String {
        self.forget_counters(self.now());
        let mut texts = COUNTERS.map(|name| format!("# TYPE envoy_modelops_{name} counter\n"));
        for series in &self.counters {
            for ((name, text), value) in COUNTERS.iter().zip(&mut texts).zip(&series.values) {
                let value = value.load(Relaxed);
                if value > 0 {
                    let _ = writeln!(text, "envoy_modelops_{name}{{{}}} {value}", series.key());
                }
            }
        }
        texts.concat()
    }

    /// Returns all histograms.
    pub fn times(&self) -> String {
        self.forget_histograms(self.now());
        let mut text = String::new();
        for ((name, known), bounds) in HISTOGRAMS.iter().zip(&self.histograms).zip(&self.bounds) {
            let name = format!("envoy_modelops_times_{name}");
            let _ = writeln!(text, "# TYPE {name} histogram");
            for series in known {
                write_histogram(&mut text, &name, series.key(), bounds, &series);
            }
        }
        text
    }
}

fn write_histogram(text: &mut String, name: &str, labels: &str, bounds: &[u64], of: &Histogram) {
    let bounds = bounds.iter().map(u64::to_string).chain(["+Inf".to_owned()]);
    let mut below = 0;
    for (bound, bucket) in bounds.zip(&of.buckets) {
        below += bucket.load(Relaxed);
        let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {below}");
    }
    let _ = writeln!(text, "{name}_sum{{{labels}}} {}", of.sum.load(Relaxed));
    let _ = writeln!(text, "{name}_count{{{labels}}} {below}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(most: usize, forgotten_seconds: u64) -> Counts {
        let buckets = HashMap::from([(HISTOGRAMS[0].to_owned(), vec![10, 20])]);
        let most_histograms = most;
        Counts::new(Settings { forgotten_seconds, most_counters: most, most_histograms, buckets })
    }

    #[test]
    fn what_is_counted_is_told() {
        let counts = counts(9, 600);
        let caller = labels(&[("tenant", "a\"b\\c\nd"), ("model", "ä")]);
        assert_eq!(caller, r#"tenant="a\"b\\c\nd",model="ä""#);
        counts.count(&caller, &End::Counted(Usage { input: 7, output: 0 }));
        counts.count(&caller, &End::Counted(Usage { input: 1, output: 0 }));
        counts.count(&caller, &End::Uncounted(3, 4));
        counts.count(&caller, &End::Failed);
        counts.count(&caller, &End::Estimated(Usage { input: 5, output: 6 }));
        let told = counts.counters();
        for line in [
            "requests",
            "input_tokens",
            "uncounted_requests",
            "uncounted_bytes_received",
            "uncounted_bytes_sent",
            "failed_requests",
            "estimated_requests",
            "estimated_input_tokens",
            "estimated_output_tokens",
        ]
        .iter()
        .zip([2, 8, 1, 3, 4, 1, 1, 5, 6])
        .map(|(name, value)| format!("\nenvoy_modelops_{name}{{{caller}}} {value}\n"))
        {
            assert!(told.contains(&line), "{line} is not in {told}");
        }
        assert!(!told.contains("\nenvoy_modelops_output_tokens{"));
    }

    #[test]
    fn buckets_hold_all_that_is_not_above_their_bound() {
        let counts = counts(9, 600);
        for value in [0, 10, 11, 20, 21, u64::from(u32::MAX)] {
            counts.time(Time::Whole, "m=\"\"", value);
        }
        let told = counts.times();
        for (bound, value) in [("10", 2), ("20", 4), ("+Inf", 6)] {
            let line = format!("_milliseconds_bucket{{m=\"\",le=\"{bound}\"}} {value}\n");
            assert!(told.contains(&line), "{told}");
        }
        assert!(told.contains("_count{m=\"\"} 6\n"));
    }

    #[test]
    fn there_are_never_too_many_series() {
        let full = counts(5, 600);
        for number in 0..100 {
            full.count(&number.to_string(), &End::Failed);
            full.time(Time::Each, &number.to_string(), 1);
        }
        assert_eq!((full.counters.len(), full.histograms[2].len()), (5, 5));
        full.count("0", &End::Failed);
        assert!(full.counters().contains("{0} 2"));
        assert_eq!(counts(5, 0).counters().lines().count(), 10);
    }
}

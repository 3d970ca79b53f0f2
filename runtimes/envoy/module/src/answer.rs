//! Reading an answer while it passes, and taking out of a stream what the caller did not ask for.

use crate::estimate;
use crate::search::Search;
use crate::usage::{self, Usage};
use memchr::{memchr_iter, memmem, memrchr};
use std::time::Instant;

/// An event that is larger is passed on before it is complete; usage is smaller; bytes.
const MOST_HELD: usize = 64 * 1024;
/// So much of an event that was passed on is kept, in which its end may begin; bytes.
const END: usize = 3;
/// How the event begins that ends a stream, `data: [DONE]`; no other is a list.
const LAST_WORD: &[u8] = b"data: [";

/// A stream of events: each passes when it is complete, but for the usage that is hidden.
#[derive(Default)]
pub struct Events {
    hide: bool,
    /// What an event has that holds output.
    word: &'static [u8],
    /// How many came that do.
    pub told: u64,
    /// Whether the word came after which nothing does.
    done: bool,
    /// The event that is not complete, and how much of it was passed on.
    held: Vec<u8>,
    sent: usize,
    /// What is read of an event that is too large to be held.
    large: Option<Search>,
    /// When the first event came; comments, as somebody gets who waits for a model, are none.
    pub began: Option<Instant>,
    /// What was used, and when that was told.
    pub usage: Option<(Usage, Instant)>,
}

impl Events {
    /// A stream whose usage is hidden or not; its output is known by a word.
    pub fn new(hide: bool, word: &'static [u8]) -> Self {
        Self { hide, word, ..Self::default() }
    }

    /// Takes the next piece and returns what is passed on instead; none: the piece itself.
    pub fn take(&mut self, piece: &[u8], last: bool) -> Option<Vec<u8>> {
        if !piece.starts_with(b":") {
            self.began.get_or_insert_with(Instant::now);
        }
        let plain = self.held.is_empty()
            && (piece.is_empty() || ends_event(piece))
            && memmem::find(piece, br#""usage""#).is_none();
        if plain {
            self.note(piece);
            return None;
        }
        let mut passed = self.sift(piece);
        if last || self.held.len() > MOST_HELD || self.held.starts_with(LAST_WORD) {
            passed.extend_from_slice(self.rest());
        }
        if self.held.len() > MOST_HELD {
            self.shorten();
        }
        Some(passed)
    }

    /// Reads what is held and was passed on, and forgets it.
    fn shorten(&mut self) {
        let begin = self.held.len() - END;
        self.large.get_or_insert_default().take(&self.held[..begin]);
        self.held.drain(..begin);
        self.sent = END;
    }

    /// Returns what is still to be passed on of an event that nothing will complete.
    pub fn rest(&mut self) -> &[u8] {
        &self.held[std::mem::replace(&mut self.sent, self.held.len())..]
    }

    /// Forgets the event that is not complete, since its stream breaks off.
    ///
    /// Returns whether another one may follow: not if the caller has a part of it, or has it all.
    pub fn forget(&mut self) -> bool {
        self.held.clear();
        !self.done && std::mem::take(&mut self.sent) == 0
    }

    /// Returns what is passed on of the events that are complete now.
    fn sift(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut held = std::mem::take(&mut self.held);
        let mut from = held.len().saturating_sub(2);
        held.extend_from_slice(piece);
        let (mut passed, mut begin) = (Vec::new(), 0);
        while let Some(end) = event_end(&held, from) {
            let event = &held[begin..end];
            self.note(event);
            if !self.hides(event) {
                passed.extend_from_slice(&event[self.sent..]);
            }
            (begin, from, self.sent) = (end, end, 0);
        }
        held.drain(..begin);
        self.held = held;
        passed
    }

    fn note(&mut self, events: &[u8]) {
        self.told += estimate::output(events, self.word);
        self.done |= is_last_word(events);
    }

    /// Takes note of an event's usage; returns whether the caller does not see it.
    fn hides(&mut self, event: &[u8]) -> bool {
        let large = self.large.take();
        if large.is_none() && !usage::has_one(event) {
            return false;
        }
        let mut search = large.unwrap_or_default();
        search.take(event);
        if let Some(found) = search.of_event() {
            self.usage = Some((found, Instant::now()));
        }
        self.hide && self.sent == 0 && usage::has_no_choice(event)
    }
}

/// Whether events end with the one that says so.
fn is_last_word(events: &[u8]) -> bool {
    let text = events.trim_ascii_end();
    let line = memrchr(b'\n', text).map_or(0, |end| end + 1);
    text[line..].starts_with(LAST_WORD)
}

fn ends_event(piece: &[u8]) -> bool {
    piece.ends_with(b"\n\n") || piece.ends_with(b"\n\r\n")
}

/// Returns where the event ends whose empty line begins at or after a place.
fn event_end(text: &[u8], from: usize) -> Option<usize> {
    memchr_iter(b'\n', &text[from..]).find_map(|at| {
        let rest = &text[from + at + 1..];
        match rest {
            [b'\n', ..] => Some(from + at + 2),
            [b'\r', b'\n', ..] => Some(from + at + 3),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORD: &[u8] = br#""x":"#;
    const USED: &[u8] =
        b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":9}}";

    fn stream(end: &str) -> (Vec<u8>, Vec<u8>) {
        let before = format!("data: {{\"choices\":[1]}}{end}: ping{end}");
        let after = format!("data: [DONE]{end}");
        let used = [USED, end.as_bytes()].concat();
        let all = [before.as_bytes(), &used, after.as_bytes()].concat();
        (all, [before, after].concat().into_bytes())
    }

    #[test]
    fn a_comment_begins_no_stream() {
        let mut events = Events::new(true, WORD);
        assert_eq!(events.take(b": waiting\n\n", false), None);
        assert!(events.began.is_none());
        events.take(b"data: {}\n\n", false);
        assert!(events.began.is_some());
    }

    #[test]
    fn cut_at_every_two_bytes_a_stream_loses_its_usage_alone() {
        for end in ["\n\n", "\r\n\r\n"] {
            let (all, seen) = stream(end);
            for one in 0..=all.len() {
                for other in one..=all.len() {
                    let mut events = Events::new(true, WORD);
                    let mut passed = Vec::new();
                    let pieces = [&all[..one], &all[one..other], &all[other..]];
                    for (number, piece) in pieces.into_iter().enumerate() {
                        match events.take(piece, number == 2) {
                            Some(instead) => passed.extend(instead),
                            None => passed.extend_from_slice(piece),
                        }
                    }
                    assert_eq!(passed, seen);
                    assert_eq!(events.usage.unwrap().0, Usage { input: 7, output: 9 });
                }
            }
        }
    }

    #[test]
    fn byte_by_byte_nothing_of_an_open_stream_is_changed() {
        let (all, _) = stream("\n\n");
        let (mut events, mut passed) = (Events::new(false, WORD), Vec::new());
        for byte in all.chunks(1) {
            passed.extend(events.take(byte, false).unwrap());
        }
        assert_eq!(passed, all);
        assert_eq!(events.usage.unwrap().0.output, 9);
    }

    #[test]
    fn wherever_a_stream_breaks_off_its_caller_has_whole_events() {
        let all = b"data: {\"x\":1}\n\n: ping\n\nevent: y\ndata: {}\n\ndata: [DONE]\n\n";
        for hide in [true, false] {
            for (end, size) in (0..=all.len()).flat_map(|end| (1..9).map(move |size| (end, size))) {
                let (mut events, mut passed) = (Events::new(hide, WORD), Vec::new());
                for piece in all[..end].chunks(size) {
                    passed.extend(events.take(piece, false).unwrap_or(piece.to_vec()));
                }
                let over = end >= all.len() - "DONE]\n\n".len();
                assert_eq!(events.forget(), !over, "{end}");
                assert!(over || passed.is_empty() || passed.ends_with(b"\n\n"), "{end}");
                assert!(all.starts_with(&passed));
                assert_eq!(events.told, u64::from(passed.len() > 8));
            }
        }
    }

    #[test]
    fn nothing_follows_a_part_of_an_event() {
        let mut events = Events::new(false, WORD);
        assert_eq!(events.take(&[b'x'; MOST_HELD + 1], false).unwrap().len(), MOST_HELD + 1);
        assert!(!events.forget());
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut events = Events::new(true, WORD);
        let mut passed = 0;
        for _ in 0..100 {
            passed += events.take(&[b'x'; 100_000], false).map_or(100_000, |p| p.len());
            assert!(events.held.len() <= MOST_HELD);
        }
        assert_eq!(passed, 10_000_000);
    }

    #[test]
    fn usage_in_an_event_of_any_size_is_known() {
        let large = format!("data: {{\"response\":{{\"x\":\"{}\",", "x".repeat(1_500_000));
        let used = "\"usage\":{\"input_tokens\":7,\"output_tokens\":9}";
        let all = [large.as_bytes(), used.as_bytes(), b"}}\n\ndata: {}\n\n"].concat();
        for size in [1, 1000, 65_537, 2_000_000] {
            let (mut events, mut passed) = (Events::new(true, WORD), Vec::new());
            for piece in all.chunks(size) {
                passed.extend(events.take(piece, false).unwrap_or(piece.to_vec()));
                assert!(events.held.len() <= MOST_HELD);
            }
            assert_eq!(events.usage.unwrap().0, Usage { input: 7, output: 9 });
            assert!(passed == all && events.large.is_none());
        }
    }
}

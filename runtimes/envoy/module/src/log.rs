//! The access log: one JSON object a request, on standard output.
//!
//! Workers only add lines; a thread of its own writes them, so that nobody waits for a slow reader.

use humantime::format_rfc3339_millis;
use serde::Serialize;
use std::io::{Write, stdout};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// So much is written at once; less of it once a second.
const ENOUGH: usize = 64 * 1024;
const PAUSE: Duration = Duration::from_secs(1);
/// So much waits for a slow reader; what comes beyond is lost. Bytes.
const MOST: usize = 16 * 1024 * 1024;

/// What is said of a request; nothing where that is not known.
pub struct Line<'a> {
    /// When its head had come.
    pub time: SystemTime,
    /// Its id.
    pub request: Option<&'a str>,
    /// Whose it is.
    pub tenant: Option<&'a str>,
    /// The id of the key.
    pub key: Option<&'a str>,
    /// What it asked for.
    pub model: Option<&'a str>,
    /// Its method.
    pub method: Option<&'a str>,
    /// Its path without the query.
    pub path: Option<&'a str>,
    /// The answer's status; zero where there was none.
    pub status: u64,
    /// Why Envoy answered so.
    pub why: Option<&'a str>,
    /// How long all took.
    pub milliseconds: u64,
    /// How long until the answer's head came.
    pub first_byte_milliseconds: Option<u64>,
    /// Of the request's body.
    pub bytes_received: u64,
    /// Of the answer's body.
    pub bytes_sent: u64,
    /// Tokens that were read and written, if that is known.
    pub input_tokens: Option<u64>,
    /// The second of them.
    pub output_tokens: Option<u64>,
    /// Whether they are an estimate.
    pub estimated: Option<bool>,
    /// Who answered.
    pub replica: Option<&'a str>,
}

impl Line<'_> {
    /// Writes it as one object, whose members' names are here as they are written.
    fn write(&self, text: &mut Vec<u8>) -> serde_json::Result<()> {
        let _ = write!(text, r#"{{"time":"{}""#, format_rfc3339_millis(self.time));
        member(text, r#","request":"#, self.request)?;
        member(text, r#","tenant":"#, self.tenant)?;
        member(text, r#","key":"#, self.key)?;
        member(text, r#","model":"#, self.model)?;
        member(text, r#","method":"#, self.method)?;
        member(text, r#","path":"#, self.path)?;
        member(text, r#","status":"#, self.status)?;
        member(text, r#","why":"#, self.why)?;
        member(text, r#","milliseconds":"#, self.milliseconds)?;
        member(text, r#","first_byte_milliseconds":"#, self.first_byte_milliseconds)?;
        member(text, r#","bytes_received":"#, self.bytes_received)?;
        member(text, r#","bytes_sent":"#, self.bytes_sent)?;
        member(text, r#","input_tokens":"#, self.input_tokens)?;
        member(text, r#","output_tokens":"#, self.output_tokens)?;
        member(text, r#","estimated":"#, self.estimated)?;
        member(text, r#","replica":"#, self.replica)?;
        text.extend_from_slice(b"}\n");
        Ok(())
    }
}

fn member(text: &mut Vec<u8>, name: &str, value: impl Serialize) -> serde_json::Result<()> {
    text.extend_from_slice(name.as_bytes());
    serde_json::to_writer(text, &value)
}

/// The lines that are not written yet.
#[derive(Default)]
pub struct Log {
    lines: Mutex<Vec<u8>>,
    full: Condvar,
}

impl Log {
    /// Adds a line.
    pub fn add(&self, line: &Line<'_>) {
        let mut text = Vec::with_capacity(512);
        if line.write(&mut text).is_err() {
            return;
        }
        let mut lines = self.lines();
        if lines.len() + text.len() > MOST {
            return;
        }
        let before = lines.len();
        lines.extend_from_slice(&text);
        if before < ENOUGH && lines.len() >= ENOUGH {
            self.full.notify_one();
        }
    }

    /// Writes lines as they come, for ever.
    pub fn run(&self) {
        loop {
            let few = |lines: &mut Vec<u8>| lines.len() < ENOUGH;
            drop(self.full.wait_timeout_while(self.lines(), PAUSE, few));
            self.write();
        }
    }

    /// Writes what has come until now.
    pub fn write(&self) {
        let mut out = stdout().lock();
        let lines = std::mem::take(&mut *self.lines());
        // Nobody can be told where the log itself cannot be written.
        let _ = out.write_all(&lines).and_then(|()| out.flush());
    }

    fn lines(&self) -> MutexGuard<'_, Vec<u8>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(path: &str) -> Line<'_> {
        Line {
            time: SystemTime::UNIX_EPOCH,
            request: Some("r"),
            tenant: None,
            key: None,
            model: Some("a\"\n"),
            method: Some("GET"),
            path: Some(path),
            status: 200,
            why: None,
            milliseconds: 7,
            first_byte_milliseconds: None,
            bytes_received: 1,
            bytes_sent: 2,
            input_tokens: Some(3),
            output_tokens: Some(4),
            estimated: Some(false),
            replica: None,
        }
    }

    #[test]
    fn a_line_is_one_object_whatever_callers_send() {
        let log = Log::default();
        log.add(&line("/\"\\\u{7f}é"));
        let text = String::from_utf8(log.lines().clone()).unwrap();
        assert_eq!(text.matches('\n').count(), 1);
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["path"], "/\"\\\u{7f}é");
        assert_eq!(read["model"], "a\"\n");
        assert_eq!(read["time"], "1970-01-01T00:00:00.000Z");
        assert!(read["tenant"].is_null());
    }

    #[test]
    fn a_reader_that_hangs_costs_a_bounded_memory() {
        let (log, long) = (Log::default(), "x".repeat(1024 * 1024));
        for _ in 0..20 {
            log.add(&line(&long));
        }
        assert!(log.lines().len() <= MOST);
    }
}

//! The filter: one for each stream, from its head to its end.

use crate::abi::{Attribute, Body, BodyStatus, Headers, HeadersStatus};
use crate::affinity;
use crate::answer::Events;
use crate::caller::{self, Caller};
use crate::counts::{Counts, End, Time, labels};
use crate::envoy::Stream;
use crate::estimate;
use crate::log::{Line, Log};
use crate::request::{self, Wrong};
use crate::search::Search;
use crate::shares::{Shares, Used};
use crate::usage::Usage;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Words that routes, logs and other filters look for.
const WORDS: &str = "modelops";
const WRONG: &str = "body";
const TOKENS: &str = "modelops.tokens";
const MODEL: &str = "modelops.model";
const KEY: &str = "modelops.key";
const TENANT: &str = "modelops.tenant";
/// The status that Envoy gives an answer which does not go on.
const TIMEOUT: u32 = 504;
/// The kind of an object that is hashed to choose a replica, and its name here.
const HASHED: &str = "envoy.hashable_string";

/// What is the same for all streams.
#[derive(Deserialize)]
pub struct Settings {
    largest_body: usize,
    /// Paths whose body is a JSON object with a model.
    json_paths: Vec<String>,
    /// Those whose body is a form.
    form_paths: Vec<String>,
    /// Those of which a stream tells its usage only if that is asked for.
    usage_paths: Vec<String>,
    /// What is said in a stream that breaks off.
    broken: Event,
    /// What is said in one whose engine falls silent.
    silent: Event,
    /// Whether numbers of tokens are told to others, too.
    told: bool,
    /// The header that says that a share is used up.
    mark: String,
    /// Whether others than we sign tokens; then filters before have said whose each is.
    other_issuers: bool,
    /// Whether routes depend on the tenant.
    by_tenant: bool,
    /// Ids of keys that are not taken any more.
    revoked: HashSet<String>,
    contended: Contended,
    shares: Shares,
    log: Logged,
}

/// Which requests have a line in the access log.
#[derive(Deserialize, PartialEq, Eq)]
enum Logged {
    All,
    /// Those that were refused, failed or broke off.
    Errors,
    Off,
}

/// An event that ends a stream, as the kinds of streams write it.
#[derive(Deserialize)]
struct Event {
    plain: String,
    typed: String,
}

/// About whose requests somebody is asked.
#[derive(Deserialize)]
struct Contended {
    everyone: bool,
    keys: HashSet<String>,
    tenants: HashSet<String>,
}

impl Contended {
    fn has(&self, caller: &Caller) -> bool {
        self.everyone || self.keys.contains(&caller.key) || self.tenants.contains(&caller.tenant)
    }
}

/// What a route says.
#[derive(Deserialize)]
pub struct Route {
    session_header: String,
    /// Whether the key also decides among models.
    #[serde(default)]
    several: bool,
}

enum Reading {
    Nothing,
    Whole(Search),
    Events(Events),
}

/// One stream.
pub struct Filter {
    settings: Arc<Settings>,
    caller: Rc<Caller>,
    started: Instant,
    model: String,
    answered: Option<Duration>,
    json: bool,
    hide: bool,
    /// About how many tokens it asks with.
    input: u64,
    reading: Reading,
    usage: Option<Usage>,
}

fn one_of(paths: &[String], path: &str) -> bool {
    paths.iter().any(|known| known == path)
}

/// Whether a content type is that kind, with parameters or without.
fn is_kind(told: &[u8], kind: &str) -> bool {
    let name = told.split(|&byte| byte == b';').next().unwrap_or_default();
    name.trim_ascii().eq_ignore_ascii_case(kind.as_bytes())
}

impl Filter {
    /// A stream that begins now.
    pub fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            caller: Rc::default(),
            started: Instant::now(),
            model: String::new(),
            answered: None,
            json: false,
            hide: false,
            input: 0,
            reading: Reading::Nothing,
            usage: None,
        }
    }

    /// A request's head: it waits for the body, if its caller is welcome.
    pub fn request_headers(&mut self, stream: Stream, last: bool, used: &Used) -> HeadersStatus {
        if let Err(why) = self.admit(stream, used) {
            stream.answer(401, "", why);
            return HeadersStatus::StopIteration;
        }
        let path = stream.text(Attribute::RequestUrlPath);
        let kind = stream.header(Headers::Request, "content-type").unwrap_or_default();
        self.json = one_of(&self.settings.json_paths, path) && is_kind(kind, "application/json");
        if last {
            self.read(stream, &[]);
            return HeadersStatus::Continue;
        }
        stream.keep_at_most(self.settings.largest_body as u64);
        HeadersStatus::StopIteration
    }

    /// Finds out who sends a request, and takes note of what that means to others.
    fn admit(&mut self, stream: Stream, used: &Used) -> Result<(), &'static str> {
        self.caller = self.who(stream).ok_or("modelops_no_key")?;
        stream.drop_header(Headers::Request, "authorization");
        let (settings, caller) = (&*self.settings, &*self.caller);
        if settings.revoked.contains(&caller.key) {
            return Err("modelops_revoked");
        }
        if settings.by_tenant && !settings.other_issuers && !caller.tenant.is_empty() {
            stream.remember(TENANT, &caller.tenant);
        }
        if settings.contended.has(caller) {
            stream.tell(WORDS, "contended", "contended");
        }
        if used.above(&settings.shares, &caller.key, caller.limit.as_deref(), &caller.tenant) {
            stream.set_header(Headers::Request, &settings.mark, "1");
        }
        Ok(())
    }

    fn who(&self, stream: Stream) -> Option<Rc<Caller>> {
        let header = stream.header(Headers::Request, "authorization")?;
        let found = caller::of_token(caller::token(header)?);
        if !self.settings.other_issuers {
            return found;
        }
        let [key, tenant] = [KEY, TENANT].map(|name| stream.remembered(name).to_owned());
        let limit = found.and_then(|caller| caller.limit.clone());
        Some(Rc::new(Caller { key, tenant, limit }))
    }

    /// A piece of its body.
    pub fn request_body(&mut self, stream: Stream, last: bool) -> BodyStatus {
        if !last {
            return BodyStatus::StopIterationAndBuffer;
        }
        let mut pieces = Vec::new();
        if !stream.received_what_was_kept() {
            pieces = stream.pieces(Body::BufferedRequest);
        }
        pieces.extend(stream.pieces(Body::ReceivedRequest));
        let whole = joined(&pieces);
        if let Some(instead) = self.read(stream, &whole) {
            stream.clear(Body::BufferedRequest);
            stream.clear(Body::ReceivedRequest);
            stream.append(Body::ReceivedRequest, &instead);
            stream.set_header(Headers::Request, "content-length", &instead.len().to_string());
        } else if stream.header(Headers::Request, "content-length").is_none() {
            stream.set_header(Headers::Request, "content-length", &whole.len().to_string());
        }
        BodyStatus::Continue
    }

    /// The end of a request that has trailers.
    pub fn request_trailers(&mut self, stream: Stream) {
        let whole = joined(&stream.pieces(Body::BufferedRequest));
        if let Some(instead) = self.read(stream, &whole) {
            stream.clear(Body::BufferedRequest);
            stream.append(Body::BufferedRequest, &instead);
            stream.set_header(Headers::Request, "content-length", &instead.len().to_string());
        }
    }

    /// Reads a body and has the request routed by it; returns another body to be sent, if so.
    fn read(&mut self, stream: Stream, body: &[u8]) -> Option<Vec<u8>> {
        if !self.json {
            // Routes also depend on the caller, who was not known when one was chosen first.
            stream.reroute();
            return None;
        }
        let found = request::read(body);
        match &found {
            Ok(request) if request.model.is_empty() => {}
            Ok(request) => stream.remember(MODEL, &request.model),
            Err(Wrong::Malformed) => stream.tell(WORDS, WRONG, "malformed"),
            Err(Wrong::Nameless) => stream.tell(WORDS, WRONG, "nameless"),
        }
        stream.reroute();
        let request = found.ok()?;
        self.model = request.model;
        self.input = estimate::input(body);
        self.stick(stream, body);
        let path = stream.text(Attribute::RequestUrlPath);
        if !request.silent || !one_of(&self.settings.usage_paths, path) {
            return None;
        }
        let made = request::with_usage(body, self.settings.largest_body);
        self.hide = made.is_some();
        made
    }

    /// Finds the key that keeps the request to one replica, where its route asks for that.
    fn stick(&self, stream: Stream, body: &[u8]) {
        let Some(route) = stream.route::<Route>() else { return };
        let session =
            stream.header(Headers::Request, &route.session_header).filter(|told| !told.is_empty());
        let key = session
            .map(affinity::session)
            .or_else(|| std::str::from_utf8(body).ok().and_then(affinity::of_body));
        if let Some(key) = key {
            stream.remember_as(HASHED, &key);
            // One model was chosen before the key was known.
            if route.several {
                stream.reroute();
            }
        }
    }

    /// An answer's head.
    pub fn response_headers(&mut self, stream: Stream) {
        self.answered = Some(self.started.elapsed());
        let kind = stream.header(Headers::Response, "content-type").unwrap_or_default();
        self.reading = if is_kind(kind, "text/event-stream") {
            // It may become shorter, or longer.
            stream.drop_header(Headers::Response, "content-length");
            let word = estimate::word(stream.text(Attribute::RequestUrlPath));
            Reading::Events(Events::new(self.hide, word))
        } else if is_kind(kind, "application/json") {
            Reading::Whole(Search::default())
        } else {
            Reading::Nothing
        };
    }

    /// A piece of its body.
    pub fn response_body(&mut self, stream: Stream, last: bool) {
        if matches!(self.reading, Reading::Nothing) {
            return;
        }
        let pieces = stream.pieces(Body::ReceivedResponse);
        match &mut self.reading {
            Reading::Nothing => {}
            Reading::Whole(search) => {
                pieces.iter().for_each(|piece| search.take(piece));
                self.usage = search.of_answer();
            }
            Reading::Events(events) => {
                if let Some(instead) = events.take(&joined(&pieces), last) {
                    stream.clear(Body::ReceivedResponse);
                    stream.append(Body::ReceivedResponse, &instead);
                }
                self.usage = events.usage.map(|(usage, _)| usage);
            }
        }
        if let (true, Some(usage)) = (self.settings.told, self.usage) {
            stream.tell_number(TOKENS, "input", usage.input);
            stream.tell_number(TOKENS, "output", usage.output);
        }
    }

    /// The end of an answer that has trailers.
    pub fn response_trailers(&mut self, stream: Stream) {
        if let Reading::Events(events) = &mut self.reading {
            stream.append(Body::BufferedResponse, events.rest());
        }
    }

    /// Envoy gives an answer up, or an engine: returns what is still said to who reads a stream.
    pub fn broken(&mut self, stream: Stream, status: u32) -> Option<String> {
        let Reading::Events(events) = &mut self.reading else { return None };
        if !events.forget() {
            return None;
        }
        let Settings { broken, silent, usage_paths, .. } = &*self.settings;
        let event = if status == TIMEOUT { silent } else { broken };
        let plain = one_of(usage_paths, stream.text(Attribute::RequestUrlPath));
        Some(if plain { &event.plain } else { &event.typed }.clone())
    }

    /// The end of the stream, however it came.
    pub fn complete(&self, stream: Stream, counts: &Counts, log: &Log) {
        self.count(stream, counts);
        if self.is_logged(stream) {
            self.log(stream, log);
        }
    }

    fn is_logged(&self, stream: Stream) -> bool {
        let failed = || {
            stream.number(Attribute::ResponseCode) >= 400
                || stream.number(Attribute::ResponseFlags) != 0
        };
        match self.settings.log {
            Logged::All => true,
            Logged::Errors => failed(),
            Logged::Off => false,
        }
    }

    fn log(&self, stream: Stream, log: &Log) {
        let some = |text| Some(text).filter(|text: &&str| !text.is_empty());
        let header = |name| stream.header(Headers::Request, name);
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let took = self.started.elapsed();
        let model = if self.json { &self.model } else { stream.remembered(MODEL) };
        let replica = some(stream.text(Attribute::UpstreamAddress));
        let used = self.usage.or(self.estimated());
        log.add(&Line {
            time: SystemTime::now() - took,
            request: header("x-request-id").and_then(|id| std::str::from_utf8(id).ok()),
            tenant: some(&self.caller.tenant),
            key: some(&self.caller.key),
            model: some(model),
            method: some(stream.text(Attribute::RequestMethod)),
            path: some(stream.text(Attribute::RequestUrlPath)),
            status: stream.number(Attribute::ResponseCode),
            why: some(stream.text(Attribute::ResponseCodeDetails)),
            milliseconds: millis(took),
            first_byte_milliseconds: replica.and(self.answered).map(millis),
            bytes_received: stream.number(Attribute::RequestSize),
            bytes_sent: stream.number(Attribute::ResponseSize),
            input_tokens: used.map(|usage| usage.input),
            output_tokens: used.map(|usage| usage.output),
            estimated: used.map(|_| self.usage.is_none()),
            replica,
        });
    }

    fn count(&self, stream: Stream, counts: &Counts) {
        let path = stream.text(Attribute::RequestUrlPath);
        let known =
            one_of(&self.settings.json_paths, path) || one_of(&self.settings.form_paths, path);
        if !known {
            return;
        }
        let status = stream.number(Attribute::ResponseCode);
        let model = stream.text(Attribute::XdsRouteName);
        if let Some(end) = self.end(stream, status) {
            let Caller { key, tenant, .. } = &*self.caller;
            let caller =
                labels(&[("tenant", tenant), ("key", key), ("model", model), ("path", path)]);
            counts.count(&caller, &end);
        }
        self.time(counts, status, model, path);
    }

    fn end(&self, stream: Stream, status: u64) -> Option<End> {
        match (self.usage, self.estimated(), status) {
            (_, _, 400..) => Some(End::Failed),
            (Some(usage), _, _) => Some(End::Counted(usage)),
            (None, Some(usage), _) => Some(End::Estimated(usage)),
            (None, None, 0..=200) => Some(End::Uncounted(
                stream.number(Attribute::RequestSize),
                stream.number(Attribute::ResponseSize),
            )),
            (None, None, _) => None,
        }
    }

    /// About what a stream used that told of no usage; nothing if no event of it came.
    fn estimated(&self) -> Option<Usage> {
        let Reading::Events(Events { usage: None, began: Some(_), told, .. }) = &self.reading
        else {
            return None;
        };
        Some(Usage { input: self.input, output: *told })
    }

    fn time(&self, counts: &Counts, status: u64, model: &str, path: &str) {
        let took = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if status >= 400 {
            let status = status.to_string();
            let failed = labels(&[("model", model), ("path", path), ("error", &status)]);
            return counts.time(Time::Whole, &failed, took);
        }
        let operation = labels(&[("model", model), ("path", path)]);
        counts.time(Time::Whole, &operation, took);
        let Reading::Events(events) = &self.reading else { return };
        let (Some(began), Some((usage, ended))) = (events.began, events.usage) else { return };
        let micros = |from: Instant, to: Instant| {
            u64::try_from(to.duration_since(from).as_micros()).unwrap_or(u64::MAX)
        };
        counts.time(Time::First, &operation, micros(self.started, began));
        if usage.output > 1 {
            counts.time(Time::Each, &operation, micros(began, ended) / (usage.output - 1));
        }
    }
}

fn joined<'a>(pieces: &[&'a [u8]]) -> Cow<'a, [u8]> {
    match pieces {
        [] => Cow::Borrowed(&[]),
        [one] => Cow::Borrowed(one),
        many => Cow::Owned(many.concat()),
    }
}

//! The filter: one for each stream, from its head to its end.

use crate::abi::{Attribute, Body, BodyStatus, Headers, HeadersStatus};
use crate::affinity;
use crate::answer::Events;
use crate::caller::{self, Caller, NOBODY};
use crate::counts::{Counts, End, Time, labels};
use crate::envoy::{Head, Pieces, Stream};
use crate::estimate;
use crate::form;
use crate::log::{Line, Log};
use crate::request::{self, Wrong};
use crate::search::Search;
use crate::shares::{Shares, Used};
use crate::token::Verifier;
use crate::usage::Usage;
use foldhash::HashSet;
use serde::Deserialize;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Where others look for what is told them.
const ASKED: &str = "modelops.ask";
const CONTENDED: &str = "modelops.contended";
const CALLER: &str = "modelops.caller";
const TOKENS: &str = "modelops.tokens";
const MODEL: &str = "modelops.model";
const TENANT: &str = "modelops.tenant";
/// The status that Envoy gives an answer which does not go on.
const TIMEOUT: u32 = 504;
/// The kind of an object that is hashed to choose a replica, and its name here.
const HASHED: &str = "envoy.hashable_string";

/// Callers seldom send more headers that they may not.
const USUAL_MARKS: usize = 4;

/// What is the same for all streams.
#[derive(Deserialize)]
pub struct Settings {
    largest_body: usize,
    /// Paths whose body is a JSON object with a model.
    json_paths: Vec<String>,
    /// Those whose body is a form.
    form_paths: Vec<String>,
    /// The one that tells which models there are, and those below it that tell of one.
    listing: String,
    /// The one whose answer is the interface's description.
    document: String,
    /// Those of which a stream tells its usage only if that is asked for.
    usage_paths: Vec<String>,
    /// What is said in a stream that breaks off.
    broken: Event,
    /// What is said in one whose engine falls silent.
    silent: Event,
    /// Whether callers and tokens are told to spans, too.
    told: bool,
    /// Headers that engines get from no caller.
    marks: Vec<String>,
    jobs: Jobs,
    /// Whose tokens are taken.
    issuers: Verifier,
    /// Whether routes depend on the tenant.
    by_tenant: bool,
    /// Ids of keys and tokens that are not taken any more.
    revoked: HashSet<String>,
    contended: Contended,
    shares: Shares,
    log: Logged,
}

/// Which requests are for the job API, and the headers that tell it who asks for what.
#[derive(Deserialize)]
struct Jobs {
    /// Where jobs are looked after, which is below this path.
    place: String,
    /// Where they are asked for.
    paths: Vec<String>,
    tenant: String,
    key: String,
    model: String,
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
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Route {
    /// The header that keeps requests to one replica; empty: nothing does.
    session_header: String,
    /// Whether the key also decides among models.
    several: bool,
    /// Whether a model behind it is saturated.
    gated: bool,
    /// Whether what it leads to does jobs.
    jobs: bool,
    /// The models that there are.
    models: Vec<Listed>,
}

/// A model on the list.
#[derive(Deserialize)]
struct Listed {
    id: String,
    json: String,
    /// Who alone may use it; nothing: everybody.
    tenants: Option<HashSet<String>>,
}

/// What a request is for, as its head tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Form,
    Listing,
    Document,
    Jobs,
}

/// Why a request is not passed on. Envoy words the answers, by these names.
#[derive(Clone, Copy)]
struct Refused(u32, &'static str);

const NO_KEY: Refused = Refused(401, "modelops_no_key");
const REVOKED: Refused = Refused(401, "modelops_revoked");
const UNKNOWN_URL: Refused = Refused(404, "modelops_unknown_url");
const POST_ONLY: Refused = Refused(405, "modelops_post_only");
const GET_ONLY: Refused = Refused(405, "modelops_get_only");
const TOO_LARGE: Refused = Refused(413, "modelops_too_large");
const NOT_JSON: Refused = Refused(415, "modelops_not_json");
const NOT_FORM: Refused = Refused(415, "modelops_not_form");
const MALFORMED_JSON: Refused = Refused(400, "modelops_malformed_json");
const MALFORMED_FORM: Refused = Refused(400, "modelops_malformed_form");
const NAMELESS: Refused = Refused(400, "modelops_nameless");
const NOT_GRANTED: Refused = Refused(404, "modelops_not_granted");
const NOT_LISTED: Refused = Refused(404, "modelops_not_listed");

enum Reading {
    Nothing,
    Whole(Search),
    Events(Events),
}

/// One stream.
pub struct Filter {
    settings: Arc<Settings>,
    caller: Option<Rc<Caller>>,
    started: Instant,
    /// Its path without the query, once its head has come.
    path: String,
    /// Whether its head tells how long its body is.
    sized: bool,
    model: String,
    answered: Option<Duration>,
    kind: Result<Kind, Refused>,
    /// Whether somebody is asked about the request, whatever it is for.
    ask: bool,
    hide: bool,
    /// About how many tokens it asks with.
    input: u64,
    reading: Reading,
    usage: Option<Usage>,
}

fn one_of(paths: &[String], path: &str) -> bool {
    paths.iter().any(|known| known == path)
}

/// The path of a request without its query.
fn path<'a>(head: &Head<'a>) -> &'a str {
    let whole = head.value(":path").unwrap_or_default();
    let path = whole.split(|&byte| byte == b'?').next().unwrap_or_default();
    std::str::from_utf8(path).unwrap_or_default()
}

/// Whether a path is this one, or one below it.
fn is_at(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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
            caller: None,
            started: Instant::now(),
            path: String::new(),
            sized: false,
            model: String::new(),
            answered: None,
            kind: Err(NO_KEY),
            ask: false,
            hide: false,
            input: 0,
            reading: Reading::Nothing,
            usage: None,
        }
    }

    /// A request's head: it waits for the body, if its caller is welcome.
    pub fn request_headers(&mut self, stream: Stream, last: bool, used: &Used) -> HeadersStatus {
        let head = stream.head(Headers::Request);
        self.path = path(&head).to_owned();
        self.sized = head.has("content-length");
        let kind = self.judge(&head);
        if let Err(why) = self.admit(stream, &head, used) {
            return refuse(stream, why);
        }
        self.kind = kind;
        if last {
            return self
                .read(stream, &[])
                .map_or_else(|why| refuse(stream, why), |_| passed(self.kind));
        }
        stream.keep_at_most((self.settings.largest_body + request::ROOM) as u64);
        HeadersStatus::StopIteration
    }

    /// Finds out who sends a request, and what that means to others; then not all of its head is
    /// there any more.
    fn admit(&mut self, stream: Stream, head: &Head<'_>, used: &Used) -> Result<(), Refused> {
        let settings = &*self.settings;
        let header = head.value("authorization").ok_or(NO_KEY)?;
        let caller = caller::of_header(header, &settings.issuers).ok_or(NO_KEY)?;
        let caller = &**self.caller.insert(caller);
        // All are looked for first: of a header that is dropped nothing may be read any more.
        let there = settings.marks.iter().map(String::as_str).filter(|mark| head.has(mark));
        let marks: SmallVec<[&str; USUAL_MARKS]> = there.chain(["authorization"]).collect();
        for mark in marks {
            stream.drop_header(Headers::Request, mark);
        }
        if settings.revoked.contains(&caller.key) || settings.revoked.contains(&caller.token) {
            return Err(REVOKED);
        }
        if settings.by_tenant && !caller.tenant.is_empty() {
            stream.remember(TENANT, &caller.tenant);
        }
        if settings.told {
            stream.tell(CALLER, "tenant", &caller.tenant);
            stream.tell(CALLER, "key", &caller.key);
        }
        let limit = caller.limit.as_deref();
        let above = used.above(&settings.shares, &caller.key, limit, &caller.tenant);
        self.ask = above || caller.ask || settings.contended.has(caller);
        Ok(())
    }

    fn caller(&self) -> &Caller {
        self.caller.as_deref().unwrap_or(&NOBODY)
    }

    /// The path, also of a stream whose head never came here.
    fn path<'a>(&'a self, stream: &'a Stream) -> &'a str {
        if self.path.is_empty() { stream.text(Attribute::RequestUrlPath) } else { &self.path }
    }

    /// Finds out what a request is for.
    fn judge(&self, head: &Head<'_>) -> Result<Kind, Refused> {
        let (settings, path) = (&*self.settings, &*self.path);
        let method = head.value(":method").unwrap_or_default();
        let kind = head.value("content-type").unwrap_or_default();
        let is_json = one_of(&settings.json_paths, path);
        if is_json || one_of(&settings.form_paths, path) {
            return match (method, is_json) {
                (b"POST", true) if is_kind(kind, "application/json") => Ok(Kind::Json),
                (b"POST", true) => Err(NOT_JSON),
                (b"POST", false)
                    if is_kind(kind, "multipart/form-data") && kind.contains(&b';') =>
                {
                    Ok(Kind::Form)
                }
                (b"POST", false) => Err(NOT_FORM),
                _ => Err(POST_ONLY),
            };
        }
        if is_at(path, &settings.jobs.place) {
            return Ok(Kind::Jobs);
        }
        match (method, is_at(path, &settings.listing), path == settings.document) {
            (b"GET", true, _) => Ok(Kind::Listing),
            (b"GET", _, true) => Ok(Kind::Document),
            (_, false, false) => Err(UNKNOWN_URL),
            _ => Err(GET_ONLY),
        }
    }

    /// A piece of its body.
    pub fn request_body(&mut self, stream: Stream, last: bool) -> BodyStatus {
        match (last, self.kind) {
            (false, Ok(_)) => return BodyStatus::StopIterationAndBuffer,
            (false, Err(_)) => return BodyStatus::StopIterationNoBuffer,
            (true, _) => {}
        }
        let mut pieces = Pieces::new();
        if !stream.received_what_was_kept() {
            pieces = stream.pieces(Body::BufferedRequest);
        }
        pieces.extend(stream.pieces(Body::ReceivedRequest));
        let whole = joined(&pieces);
        match self.read(stream, &whole) {
            Ok(None) if !self.sized => {
                stream.set_header(Headers::Request, "content-length", &whole.len().to_string());
            }
            Ok(None) => {}
            Ok(Some(instead)) => {
                stream.clear(Body::BufferedRequest);
                stream.clear(Body::ReceivedRequest);
                replace(stream, Body::ReceivedRequest, &instead);
            }
            Err(why) => {
                refuse(stream, why);
                return BodyStatus::StopIterationNoBuffer;
            }
        }
        if passed(self.kind) == HeadersStatus::Continue {
            BodyStatus::Continue
        } else {
            BodyStatus::StopIterationNoBuffer
        }
    }

    /// The end of a request that has trailers.
    pub fn request_trailers(&mut self, stream: Stream) -> HeadersStatus {
        let whole = joined(&stream.pieces(Body::BufferedRequest));
        match self.read(stream, &whole) {
            Ok(None) => {}
            Ok(Some(instead)) => {
                stream.clear(Body::BufferedRequest);
                replace(stream, Body::BufferedRequest, &instead);
            }
            Err(why) => return refuse(stream, why),
        }
        passed(self.kind)
    }

    /// Reads a body and has the request routed by it; returns another body to be sent, if so.
    fn read(&mut self, stream: Stream, body: &[u8]) -> Result<Option<Vec<u8>>, Refused> {
        let kind = self.kind?;
        if body.len() > self.settings.largest_body {
            return Err(TOO_LARGE);
        }
        let silent = match kind {
            Kind::Document => return Ok(None),
            Kind::Jobs => {
                self.introduce(stream);
                return Ok(None);
            }
            Kind::Listing => return self.list(stream).map(|()| None),
            Kind::Json => {
                let found = request::read(body).map_err(|why| refusal(why, MALFORMED_JSON))?;
                self.model = found.model;
                self.input = if found.stream { estimate::input(body) } else { 0 };
                found.silent
            }
            Kind::Form => {
                let kind = stream.header(Headers::Request, "content-type").unwrap_or_default();
                let kind = std::str::from_utf8(kind).unwrap_or_default();
                self.model = form::model(kind, body).map_err(|why| refusal(why, MALFORMED_FORM))?;
                false
            }
        };
        stream.remember(MODEL, &self.model);
        if !self.caller().may_use(&self.model) {
            return Err(NOT_GRANTED);
        }
        stream.reroute();
        let route = stream.route::<Route>();
        let jobs = one_of(&self.settings.jobs.paths, &self.path);
        let tells = one_of(&self.settings.usage_paths, &self.path);
        if jobs != route.is_some_and(|route| route.jobs) {
            return Err(NOT_GRANTED);
        }
        if jobs {
            self.introduce(stream);
        }
        if self.ask || route.is_some_and(|route| route.gated) {
            self.tell(stream);
        }
        if let (Some(route), Ok(Kind::Json)) = (route, self.kind) {
            stick(route, stream, body);
        }
        if !silent || !tells {
            return Ok(None);
        }
        let made = request::with_usage(body);
        self.hide = made.is_some();
        Ok(made)
    }

    /// Tells the job API who asks, and for which model if the request names one.
    fn introduce(&self, stream: Stream) {
        let (jobs, caller) = (&self.settings.jobs, self.caller());
        stream.set_header(Headers::Request, &jobs.tenant, &caller.tenant);
        stream.set_header(Headers::Request, &jobs.key, &caller.key);
        if self.model.is_empty() {
            stream.drop_header(Headers::Request, &jobs.model);
        } else {
            stream.set_header(Headers::Request, &jobs.model, &self.model);
        }
    }

    /// Has somebody be asked about the request.
    fn tell(&self, stream: Stream) {
        stream.remember(CONTENDED, "1");
        let caller = self.caller();
        let named = [("jti", &caller.key), ("sub", &caller.tenant)];
        let more = caller.told.iter().map(|(name, value)| (*name, value));
        for (name, value) in named.into_iter().chain(more) {
            stream.tell(ASKED, name, value);
        }
    }

    /// Answers with the models that the caller may use, or with the one of them that it names.
    fn list(&self, stream: Stream) -> Result<(), Refused> {
        // The route also depends on the tenant, which was not known when one was chosen first.
        stream.reroute();
        let route = stream.route::<Route>().ok_or(NOT_LISTED)?;
        let usable = |model: &&Listed| {
            let open = |who: &HashSet<String>| who.contains(&self.caller().tenant);
            model.tenants.as_ref().is_none_or(open) && self.caller().may_use(&model.id)
        };
        let mut listed = route.models.iter().filter(usable);
        let below =
            self.path.strip_prefix(&self.settings.listing).and_then(|rest| rest.strip_prefix('/'));
        let text = if let Some(name) = below.filter(|name| !name.is_empty()) {
            listed.find(|model| model.id == name).ok_or(NOT_LISTED)?.json.clone()
        } else {
            let each: Vec<_> = listed.map(|model| &*model.json).collect();
            format!(r#"{{"object": "list", "data": [{}]}}"#, each.join(", "))
        };
        stream.answer(200, &text, "modelops_models");
        Ok(())
    }

    /// An answer's head.
    pub fn response_headers(&mut self, stream: Stream) {
        self.answered = Some(self.started.elapsed());
        let head = stream.head(Headers::Response);
        let kind = head.value("content-type").unwrap_or_default();
        self.reading = if head.has("content-encoding") {
            Reading::Nothing
        } else if is_kind(kind, "text/event-stream") {
            // It may become shorter, or longer.
            stream.drop_header(Headers::Response, "content-length");
            let word = estimate::word(self.path(&stream));
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
        let plain = one_of(usage_paths, self.path(&stream));
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
        let replica = some(stream.text(Attribute::UpstreamAddress));
        let used = self.usage.or(self.estimated());
        log.add(&Line {
            time: SystemTime::now() - took,
            request: header("x-request-id").and_then(|id| std::str::from_utf8(id).ok()),
            tenant: some(&self.caller().tenant),
            key: some(&self.caller().key),
            model: some(&self.model),
            method: some(stream.text(Attribute::RequestMethod)),
            path: some(self.path(&stream)),
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
        let path = self.path(&stream);
        let known =
            one_of(&self.settings.json_paths, path) || one_of(&self.settings.form_paths, path);
        if !known {
            return;
        }
        let status = stream.number(Attribute::ResponseCode);
        let model = stream.text(Attribute::XdsRouteName);
        let Caller { key, tenant, .. } = self.caller();
        let caller = labels(&[("tenant", tenant), ("key", key)]);
        let operation = labels(&[("model", model), ("path", path)]);
        if let Some(end) = self.end(stream, status) {
            counts.count(&[&caller, ",", &operation].concat(), &end);
        }
        self.time(counts, status, &operation);
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

    fn time(&self, counts: &Counts, status: u64, operation: &str) {
        let took = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if status >= 400 {
            let failed = format!("{operation},{}", labels(&[("error", &status.to_string())]));
            return counts.time(Time::Whole, &failed, took);
        }
        counts.time(Time::Whole, operation, took);
        let Reading::Events(events) = &self.reading else { return };
        let (Some(began), Some((usage, ended))) = (events.began, events.usage) else { return };
        let micros = |from: Instant, to: Instant| {
            u64::try_from(to.duration_since(from).as_micros()).unwrap_or(u64::MAX)
        };
        counts.time(Time::First, operation, micros(self.started, began));
        if usage.output > 1 {
            counts.time(Time::Each, operation, micros(began, ended) / (usage.output - 1));
        }
    }
}

/// Finds the key that keeps a request to one replica, where its route asks for that.
fn stick(route: &Route, stream: Stream, body: &[u8]) {
    if route.session_header.is_empty() {
        return;
    }
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

fn refuse(stream: Stream, Refused(status, why): Refused) -> HeadersStatus {
    stream.answer(status, "", why);
    HeadersStatus::StopIteration
}

fn refusal(why: Wrong, malformed: Refused) -> Refused {
    match why {
        Wrong::Malformed => malformed,
        Wrong::Nameless => NAMELESS,
    }
}

/// Says whether others go on with a request; one for the list is answered.
fn passed(kind: Result<Kind, Refused>) -> HeadersStatus {
    match kind {
        Ok(Kind::Listing) | Err(_) => HeadersStatus::StopIteration,
        Ok(_) => HeadersStatus::Continue,
    }
}

/// Sends another body than the one that was taken away.
fn replace(stream: Stream, body: Body, instead: &[u8]) {
    stream.append(body, instead);
    stream.set_header(Headers::Request, "content-length", &instead.len().to_string());
}

fn joined<'a>(pieces: &[&'a [u8]]) -> Cow<'a, [u8]> {
    match pieces {
        [] => Cow::Borrowed(&[]),
        [one] => Cow::Borrowed(one),
        many => Cow::Owned(many.concat()),
    }
}

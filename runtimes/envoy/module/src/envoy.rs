//! What a hook may ask of Envoy about its stream, as safe calls.

use crate::abi::{self, Attribute, Body, Buffer, EnvoyFilter, Header, Headers};
use smallvec::{SmallVec, smallvec};
use std::marker::PhantomData;

/// Requests and answers seldom have more headers.
const USUAL_HEADERS: usize = 32;
/// What comes at once seldom lies in more pieces.
const USUAL_PIECES: usize = 4;

/// The pieces of a body.
pub type Pieces<'a> = SmallVec<[&'a [u8]; USUAL_PIECES]>;

/// All headers of a request or an answer: one question of Envoy, however many are looked at.
pub struct Head<'a>(SmallVec<[Header; USUAL_HEADERS]>, PhantomData<&'a [u8]>);

impl<'a> Head<'a> {
    fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let named = move |header: &&Header| unsafe { header.key.bytes() } == name.as_bytes();
        self.0.iter().filter(named).map(|header| unsafe { header.value.bytes() })
    }

    /// The only value of a header whose name is in small letters; none where it has several.
    pub fn value(&self, name: &str) -> Option<&'a [u8]> {
        let mut found = self.values(name);
        found.next().filter(|_| found.next().is_none())
    }

    /// Whether there is such a header.
    pub fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }
}

/// One stream, for as long as a hook runs; what it returns of Envoy's lives until a setter is
/// called.
#[derive(Clone, Copy)]
pub struct Stream(EnvoyFilter);

impl Stream {
    /// # Safety
    /// The pointer must be what Envoy gave the hook that is running.
    pub unsafe fn new(filter: EnvoyFilter) -> Self {
        Self(filter)
    }

    /// The only value of a header; none where it has several.
    pub fn header(&self, kind: Headers, name: &str) -> Option<&[u8]> {
        let (mut found, mut number) = (Buffer::EMPTY, 0);
        let key = Buffer::of(name.as_bytes());
        let told = unsafe { abi::get_header(self.0, kind, key, &mut found, 0, &mut number) };
        (told && number == 1).then(|| unsafe { found.bytes() })
    }

    /// All headers.
    pub fn head(&self, kind: Headers) -> Head<'_> {
        let number = unsafe { abi::get_headers_size(self.0, kind) };
        let mut found = smallvec![Header { key: Buffer::EMPTY, value: Buffer::EMPTY }; number];
        if number == 0 || !unsafe { abi::get_headers(self.0, kind, found.as_mut_ptr()) } {
            found.clear();
        }
        Head(found, PhantomData)
    }

    /// Gives a header one value, whatever it had.
    pub fn set_header(&self, kind: Headers, name: &str, value: &str) {
        let (key, value) = (Buffer::of(name.as_bytes()), Buffer::of(value.as_bytes()));
        unsafe { abi::set_header(self.0, kind, key, value) };
    }

    /// Takes a header away.
    pub fn drop_header(&self, kind: Headers, name: &str) {
        unsafe { abi::set_header(self.0, kind, Buffer::of(name.as_bytes()), Buffer::EMPTY) };
    }

    /// An attribute's text, such as the request's path without its query.
    pub fn text(&self, attribute: Attribute) -> &str {
        let mut found = Buffer::EMPTY;
        let told = unsafe { abi::get_attribute_string(self.0, attribute, &mut found) };
        let bytes: &[u8] = if told { unsafe { found.bytes() } } else { &[] };
        std::str::from_utf8(bytes).unwrap_or("")
    }

    /// An attribute's number; zero where there is none.
    pub fn number(&self, attribute: Attribute) -> u64 {
        let mut found = 0;
        let told = unsafe { abi::get_attribute_int(self.0, attribute, &mut found) };
        if told { found } else { 0 }
    }

    /// The pieces of a body, in order.
    pub fn pieces(&self, body: Body) -> Pieces<'_> {
        let number = unsafe { abi::get_body_chunks_size(self.0, body) };
        let mut found: SmallVec<[_; USUAL_PIECES]> = smallvec![Buffer::EMPTY; number];
        if number == 0 || !unsafe { abi::get_body_chunks(self.0, body, found.as_mut_ptr()) } {
            return Pieces::new();
        }
        found.into_iter().map(|piece| unsafe { piece.bytes() }).collect()
    }

    /// How long a body is until now, in bytes.
    pub fn length(&self, body: Body) -> usize {
        unsafe { abi::get_body_size(self.0, body) }
    }

    /// Whether what was just received is what was kept before.
    pub fn received_what_was_kept(&self) -> bool {
        unsafe { abi::received_buffered_request_body(self.0) }
    }

    /// Takes a body away, all of it.
    pub fn clear(&self, body: Body) {
        unsafe { abi::drain_body(self.0, body, self.length(body)) };
    }

    /// Adds to a body.
    pub fn append(&self, body: Body, data: &[u8]) {
        if !data.is_empty() {
            unsafe { abi::append_body(self.0, body, Buffer::of(data)) };
        }
    }

    /// Says how much of a body may be kept; more is refused by Envoy.
    pub fn keep_at_most(&self, bytes: u64) {
        unsafe { abi::set_buffer_limit(self.0, bytes) };
    }

    /// Tells later filters, routes and logs a text.
    pub fn tell(&self, namespace: &str, key: &str, value: &str) {
        let [namespace, key, value] = [namespace, key, value].map(|t| Buffer::of(t.as_bytes()));
        unsafe { abi::set_metadata_string(self.0, namespace, key, value) };
    }

    /// Tells them a number.
    #[allow(clippy::cast_precision_loss)]
    pub fn tell_number(&self, namespace: &str, key: &str, value: u64) {
        let [namespace, key] = [namespace, key].map(|t| Buffer::of(t.as_bytes()));
        unsafe { abi::set_metadata_number(self.0, namespace, key, value as f64) };
    }

    /// Keeps a text where matchers look values up.
    pub fn remember(&self, key: &str, value: &str) {
        let [key, value] = [key, value].map(|t| Buffer::of(t.as_bytes()));
        unsafe { abi::set_filter_state_bytes(self.0, key, value) };
    }

    /// Keeps bytes as an object of Envoy's own kind, which has the key's name.
    pub fn remember_as(&self, kind: &str, value: &[u8]) {
        unsafe {
            abi::set_filter_state_typed(self.0, Buffer::of(kind.as_bytes()), Buffer::of(value))
        };
    }

    /// Has the route be chosen anew.
    pub fn reroute(&self) {
        unsafe { abi::clear_route_cache(self.0) };
    }

    /// What the chosen route says to this filter.
    pub fn route<T>(&self) -> Option<&T> {
        let found = unsafe { abi::get_most_specific_route_config(self.0) };
        unsafe { found.cast::<T>().as_ref() }
    }

    /// Answers instead of an engine.
    pub fn answer(&self, status: u32, body: &str, why: &str) {
        let header =
            Header { key: Buffer::of(b"content-type"), value: Buffer::of(b"application/json") };
        let [body, why] = [body, why].map(|t| Buffer::of(t.as_bytes()));
        unsafe { abi::send_response(self.0, status, &header, 1, body, why) };
    }

    /// Sends more of an answer whose head is sent; Envoy calls no hook of this filter for it.
    pub fn send(&self, data: &[u8]) {
        unsafe { abi::send_response_data(self.0, Buffer::of(data), false) };
    }
}

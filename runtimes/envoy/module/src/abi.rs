//! The part of Envoy's ABI for dynamic modules that is used here, as C declares it.
//!
//! Envoy tells the version that it speaks when it loads a module; one that speaks 0.2 also takes
//! what was made for 0.1.

#![allow(missing_docs)]

use std::ffi::{c_char, c_void};

/// The version of the ABI that these declarations follow.
pub const VERSION: &std::ffi::CStr = c"v0.2.0";

pub type EnvoyFilter = *mut c_void;

/// Bytes that Envoy or the module owns, for as long as a hook or a call lasts.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Buffer {
    pub at: *const c_char,
    pub length: usize,
}

impl Buffer {
    pub const EMPTY: Self = Self { at: std::ptr::null(), length: 0 };

    pub fn of(bytes: &[u8]) -> Self {
        Self { at: bytes.as_ptr().cast(), length: bytes.len() }
    }

    /// # Safety
    /// The buffer must be one of Envoy's, and still be valid for all of `'a`.
    pub unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.at.is_null() || self.length == 0 {
            return &[];
        }
        unsafe { std::slice::from_raw_parts(self.at.cast(), self.length) }
    }
}

/// A header, of Envoy's or one that the module hands over.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Header {
    pub key: Buffer,
    pub value: Buffer,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub enum Headers {
    Request = 0,
    Response = 2,
}

#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Body {
    ReceivedRequest = 0,
    BufferedRequest = 1,
    ReceivedResponse = 2,
    BufferedResponse = 3,
}

/// Attributes by their place in the header's enumeration.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum Attribute {
    RequestUrlPath = 1,
    RequestMethod = 4,
    RequestSize = 13,
    ResponseCode = 15,
    ResponseCodeDetails = 16,
    ResponseFlags = 17,
    ResponseSize = 21,
    UpstreamAddress = 41,
    XdsRouteName = 61,
}

#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeadersStatus {
    Continue = 0,
    StopIteration = 1,
}

#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyStatus {
    Continue = 0,
    StopIterationAndBuffer = 1,
    StopIterationNoBuffer = 3,
}

unsafe extern "C" {
    #[link_name = "envoy_dynamic_module_callback_http_get_header"]
    pub fn get_header(
        filter: EnvoyFilter, kind: Headers, key: Buffer, found: *mut Buffer, index: usize,
        number: *mut usize,
    ) -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_get_headers_size"]
    pub fn get_headers_size(filter: EnvoyFilter, kind: Headers) -> usize;
    #[link_name = "envoy_dynamic_module_callback_http_get_headers"]
    pub fn get_headers(filter: EnvoyFilter, kind: Headers, found: *mut Header) -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_set_header"]
    pub fn set_header(filter: EnvoyFilter, kind: Headers, key: Buffer, value: Buffer) -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_send_response"]
    pub fn send_response(
        filter: EnvoyFilter, status: u32, headers: *const Header, number: usize, body: Buffer,
        details: Buffer,
    );
    #[link_name = "envoy_dynamic_module_callback_http_send_response_data"]
    pub fn send_response_data(filter: EnvoyFilter, data: Buffer, last: bool);
    #[link_name = "envoy_dynamic_module_callback_http_get_body_size"]
    pub fn get_body_size(filter: EnvoyFilter, body: Body) -> usize;
    #[link_name = "envoy_dynamic_module_callback_http_get_body_chunks_size"]
    pub fn get_body_chunks_size(filter: EnvoyFilter, body: Body) -> usize;
    #[link_name = "envoy_dynamic_module_callback_http_get_body_chunks"]
    pub fn get_body_chunks(filter: EnvoyFilter, body: Body, found: *mut Buffer) -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_append_body"]
    pub fn append_body(filter: EnvoyFilter, body: Body, data: Buffer) -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_drain_body"]
    pub fn drain_body(filter: EnvoyFilter, body: Body, bytes: usize) -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_received_buffered_request_body"]
    pub fn received_buffered_request_body(filter: EnvoyFilter) -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_set_buffer_limit"]
    pub fn set_buffer_limit(filter: EnvoyFilter, bytes: u64);
    #[link_name = "envoy_dynamic_module_callback_http_set_dynamic_metadata_string"]
    pub fn set_metadata_string(filter: EnvoyFilter, namespace: Buffer, key: Buffer, value: Buffer);
    #[link_name = "envoy_dynamic_module_callback_http_set_dynamic_metadata_number"]
    pub fn set_metadata_number(filter: EnvoyFilter, namespace: Buffer, key: Buffer, value: f64);
    #[link_name = "envoy_dynamic_module_callback_http_set_filter_state_bytes"]
    pub fn set_filter_state_bytes(filter: EnvoyFilter, key: Buffer, value: Buffer) -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_set_filter_state_typed"]
    pub fn set_filter_state_typed(filter: EnvoyFilter, key: Buffer, value: Buffer) -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_clear_route_cache"]
    pub fn clear_route_cache(filter: EnvoyFilter);
    #[link_name = "envoy_dynamic_module_callback_http_filter_get_attribute_string"]
    pub fn get_attribute_string(
        filter: EnvoyFilter, attribute: Attribute, found: *mut Buffer,
    ) -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_filter_get_attribute_int"]
    pub fn get_attribute_int(filter: EnvoyFilter, attribute: Attribute, found: *mut u64) -> bool;
    #[link_name = "envoy_dynamic_module_callback_get_most_specific_route_config"]
    pub fn get_most_specific_route_config(filter: EnvoyFilter) -> *const c_void;
    #[link_name = "envoy_dynamic_module_callback_log"]
    pub fn log(level: u32, message: Buffer);
    #[link_name = "envoy_dynamic_module_callback_bootstrap_extension_admin_set_response"]
    pub fn admin_set_response(extension: *mut c_void, body: Buffer);
    #[link_name = "envoy_dynamic_module_callback_bootstrap_extension_register_admin_handler"]
    pub fn register_admin_handler(
        extension: *mut c_void, prefix: Buffer, help: Buffer, removable: bool, mutates: bool,
    ) -> bool;
    #[link_name = "envoy_dynamic_module_callback_bootstrap_extension_config_signal_init_complete"]
    pub fn signal_init_complete(extension: *mut c_void);
}

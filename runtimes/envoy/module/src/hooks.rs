//! What Envoy calls. Nothing unwinds into it: a stream in which something panics is answered 500.

use crate::abi::{self, BodyStatus, Buffer, EnvoyFilter, HeadersStatus};
use crate::counts::Counts;
use crate::envoy::Stream;
use crate::filter::{Filter, Route, Settings};
use crate::log::Log;
use crate::shares::Used;
use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::{Arc, LazyLock, OnceLock};

/// Envoy's process has one set of counts, whichever configuration a stream came by.
static COUNTS: OnceLock<Counts> = OnceLock::new();
/// So it is with what was used of limits.
static USED: LazyLock<Used> = LazyLock::new(Used::default);
/// And with standard output.
static LOG: LazyLock<Log> = LazyLock::new(|| {
    std::thread::spawn(|| LOG.run());
    Log::default()
});
const BROKEN: &str = concat!(
    r#"{"error": {"message": "The gateway failed at this request.", "type": "server_error", "#,
    r#""param": null, "code": "gateway_failed"}}"#
);
const ERROR: u32 = 4;
/// How the reasons of this module's answers begin.
const OURS: &[u8] = b"modelops_";

fn guarded<T>(instead: T, run: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(instead)
}

fn say(message: &str) {
    unsafe { abi::log(ERROR, Buffer::of(message.as_bytes())) };
}

/// Reads JSON into a box that Envoy keeps; null, which Envoy takes for a refusal, if it is wrong.
fn kept<T, U>(config: Buffer, made: impl FnOnce(T) -> U) -> *const c_void
where
    T: for<'a> serde::Deserialize<'a>,
{
    guarded(ptr::null(), || match serde_json::from_slice(unsafe { config.bytes() }) {
        Ok(read) => Box::into_raw(Box::new(made(read))).cast_const().cast(),
        Err(error) => {
            say(&format!("the module's configuration is wrong: {error}"));
            ptr::null()
        }
    })
}

/// # Safety
/// The pointer must come from `kept` or `envoy_dynamic_module_on_http_filter_new` and be of `T`.
unsafe fn dropped<T>(pointer: *const c_void) {
    if !pointer.is_null() {
        drop(unsafe { Box::from_raw(pointer.cast_mut().cast::<T>()) });
    }
}

/// Runs what concerns a stream; if it panics, the stream ends.
///
/// # Safety
/// The pointers must be those that Envoy gave the hook.
unsafe fn with<T>(
    envoy: EnvoyFilter, filter: *const c_void, instead: T,
    run: impl FnOnce(&mut Filter, Stream) -> T,
) -> T {
    let (stream, filter) =
        unsafe { (Stream::new(envoy), &mut *filter.cast_mut().cast::<Filter>()) };
    catch_unwind(AssertUnwindSafe(|| run(filter, stream))).unwrap_or_else(|_| {
        say("a request made the module panic; it is answered 500");
        stream.answer(500, BROKEN, "modelops_panic");
        instead
    })
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    abi::VERSION.as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    _: *mut c_void, _: Buffer, config: Buffer,
) -> *const c_void {
    kept(config, Arc::<Settings>::new)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(config: *const c_void) {
    unsafe { dropped::<Arc<Settings>>(config) };
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_new(
    _: Buffer, config: Buffer,
) -> *const c_void {
    kept(config, |route: Route| route)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_destroy(
    config: *const c_void,
) {
    unsafe { dropped::<Route>(config) };
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_new(
    config: *const c_void, _: EnvoyFilter,
) -> *const c_void {
    let settings = unsafe { &*config.cast::<Arc<Settings>>() };
    Box::into_raw(Box::new(Filter::new(Arc::clone(settings)))).cast_const().cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_destroy(filter: *const c_void) {
    unsafe { dropped::<Filter>(filter) };
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    envoy: EnvoyFilter, filter: *const c_void, last: bool,
) -> HeadersStatus {
    let stopped = HeadersStatus::StopIteration;
    unsafe {
        with(envoy, filter, stopped, |filter, stream| filter.request_headers(stream, last, &USED))
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_body(
    envoy: EnvoyFilter, filter: *const c_void, last: bool,
) -> BodyStatus {
    let stopped = BodyStatus::StopIterationNoBuffer;
    unsafe { with(envoy, filter, stopped, |filter, stream| filter.request_body(stream, last)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_trailers(
    envoy: EnvoyFilter, filter: *const c_void,
) -> HeadersStatus {
    unsafe {
        with(envoy, filter, HeadersStatus::StopIteration, |filter, stream| {
            filter.request_trailers(stream)
        })
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_headers(
    envoy: EnvoyFilter, filter: *const c_void, _: bool,
) -> HeadersStatus {
    unsafe {
        with(envoy, filter, HeadersStatus::StopIteration, |filter, stream| {
            filter.response_headers(stream);
            HeadersStatus::Continue
        })
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_body(
    envoy: EnvoyFilter, filter: *const c_void, last: bool,
) -> BodyStatus {
    unsafe {
        with(envoy, filter, BodyStatus::StopIterationNoBuffer, |filter, stream| {
            filter.response_body(stream, last);
            BodyStatus::Continue
        })
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_trailers(
    envoy: EnvoyFilter, filter: *const c_void,
) -> HeadersStatus {
    unsafe {
        with(envoy, filter, HeadersStatus::StopIteration, |filter, stream| {
            filter.response_trailers(stream);
            HeadersStatus::Continue
        })
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_stream_complete(
    envoy: EnvoyFilter, filter: *const c_void,
) {
    let (stream, filter) = unsafe { (Stream::new(envoy), &*filter.cast::<Filter>()) };
    if let Some(counts) = COUNTS.get() {
        guarded((), || filter.complete(stream, counts, &LOG));
    }
}

/// The hooks that Envoy wants to find and that nothing here needs.
macro_rules! unused {
    ($($name:ident($($kind:ty),*);)*) => {
        $(#[unsafe(no_mangle)] extern "C" fn $name($(_: $kind),*) {})*
    };
}

type Any = *const c_void;

unused! {
    envoy_dynamic_module_on_http_filter_http_callout_done(Any, Any, u64, u32, Any, usize, Any, usize);
    envoy_dynamic_module_on_http_filter_http_stream_headers(Any, Any, u64, Any, usize, bool);
    envoy_dynamic_module_on_http_filter_http_stream_data(Any, Any, u64, Any, usize, bool);
    envoy_dynamic_module_on_http_filter_http_stream_trailers(Any, Any, u64, Any, usize);
    envoy_dynamic_module_on_http_filter_http_stream_complete(Any, Any, u64);
    envoy_dynamic_module_on_http_filter_http_stream_reset(Any, Any, u64, u32);
    envoy_dynamic_module_on_http_filter_scheduled(Any, Any, u64);
    envoy_dynamic_module_on_http_filter_config_scheduled(Any, Any, u64);
    envoy_dynamic_module_on_http_filter_config_http_callout_done(
        Any, Any, u64, u32, Any, usize, Any, usize
    );
    envoy_dynamic_module_on_http_filter_config_http_stream_headers(Any, Any, u64, Any, usize, bool);
    envoy_dynamic_module_on_http_filter_config_http_stream_data(Any, Any, u64, Any, usize, bool);
    envoy_dynamic_module_on_http_filter_config_http_stream_trailers(Any, Any, u64, Any, usize);
    envoy_dynamic_module_on_http_filter_config_http_stream_complete(Any, Any, u64);
    envoy_dynamic_module_on_http_filter_config_http_stream_reset(Any, Any, u64, u32);
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(Any, Any);
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(Any, Any);
    envoy_dynamic_module_on_bootstrap_extension_destroy(Any);
    envoy_dynamic_module_on_bootstrap_extension_config_destroy(Any);
    envoy_dynamic_module_on_bootstrap_extension_worker_thread_initialized(Any, Any);
    envoy_dynamic_module_on_bootstrap_extension_server_initialized(Any, Any);
    envoy_dynamic_module_on_bootstrap_extension_drain_started(Any, Any);
    envoy_dynamic_module_on_bootstrap_extension_config_scheduled(Any, Any, u64);
    envoy_dynamic_module_on_bootstrap_extension_http_callout_done(
        Any, Any, u64, u32, Any, usize, Any, usize
    );
    envoy_dynamic_module_on_bootstrap_extension_timer_fired(Any, Any, Any);
    envoy_dynamic_module_on_bootstrap_extension_file_changed(Any, Any, Buffer, u32);
    envoy_dynamic_module_on_bootstrap_extension_cluster_add_or_update(Any, Any, Buffer);
    envoy_dynamic_module_on_bootstrap_extension_cluster_removal(Any, Any, Buffer);
    envoy_dynamic_module_on_bootstrap_extension_listener_add_or_update(Any, Any, Buffer);
    envoy_dynamic_module_on_bootstrap_extension_listener_removal(Any, Any, Buffer);
}

/// Something that is not null, for an extension that keeps nothing of its own.
const NOTHING: *const c_void = ptr::without_provenance(1);

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_bootstrap_extension_config_new(
    extension: *mut c_void, _: Buffer, config: Buffer,
) -> *const c_void {
    let made = guarded(false, || match serde_json::from_slice(unsafe { config.bytes() }) {
        Ok(settings) => {
            COUNTS.get_or_init(|| Counts::new(settings));
            true
        }
        Err(error) => {
            say(&format!("the module's configuration is wrong: {error}"));
            false
        }
    });
    for (path, help) in [(COUNTERS, "what requests used"), (TIMES, "how long they took")] {
        let [path, help] = [path, help].map(|text| Buffer::of(text.as_bytes()));
        unsafe { abi::register_admin_handler(extension, path, help, true, false) };
    }
    unsafe { abi::signal_init_complete(extension) };
    if made { NOTHING } else { ptr::null() }
}

const COUNTERS: &str = "/modelops/counters";
const TIMES: &str = "/modelops/times";

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_bootstrap_extension_new(
    _: *const c_void, _: *mut c_void,
) -> *const c_void {
    NOTHING
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_bootstrap_extension_shutdown(
    _: *mut c_void, _: *const c_void, done: Option<unsafe extern "C" fn(*mut c_void)>,
    context: *mut c_void,
) {
    guarded((), || LOG.write());
    if let Some(done) = done {
        unsafe { done(context) };
    }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_bootstrap_extension_admin_request(
    extension: *mut c_void, _: *const c_void, _: Buffer, path: Buffer, _: Buffer,
) -> u32 {
    guarded(500, || {
        let Some(counts) = COUNTS.get() else { return 503 };
        let of_times = unsafe { path.bytes() }.starts_with(TIMES.as_bytes());
        let text = if of_times { counts.times() } else { counts.counters() };
        unsafe { abi::admin_set_response(extension, Buffer::of(text.as_bytes())) };
        200
    })
}

/// Envoy answers instead of an engine; where the head of its answer is sent, it resets the stream
/// after this, which a last event can still precede. Answers of this module come in the middle of
/// a hook that has the filter.
#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_local_reply(
    envoy: EnvoyFilter, filter: *const c_void, status: u32, why: Buffer, _: bool,
) -> u32 {
    if unsafe { why.bytes() }.starts_with(OURS) {
        return 0;
    }
    let (stream, filter) =
        unsafe { (Stream::new(envoy), &mut *filter.cast_mut().cast::<Filter>()) };
    // What is sent is nothing of the filter's: Envoy may do what it likes with that meanwhile.
    if let Some(event) = guarded(None, || filter.broken(stream, status)) {
        stream.send(event.as_bytes());
    }
    0
}

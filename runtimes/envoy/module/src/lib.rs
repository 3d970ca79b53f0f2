//! The gateway's own filter inside Envoy.
//!
//! It reads what a request asks for and what its answer used, has Envoy route by that, counts, and writes
//! the access log.
//! `hooks` is what Envoy calls, `abi` and `envoy` what it is asked; all else is without Envoy.

#[cfg(not(test))]
mod abi;
pub mod affinity;
pub mod answer;
pub mod caller;
pub mod counts;
#[cfg(not(test))]
mod envoy;
pub mod estimate;
#[cfg(not(test))]
mod filter;
pub mod form;
#[cfg(not(test))]
mod hooks;
pub mod json;
pub mod log;
pub mod request;
pub mod search;
pub mod shares;
pub mod token;
pub mod usage;

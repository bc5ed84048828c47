//! Sonde's plugins: WebAssembly components of the contract in `wit/`, loaded, linked with what a run grants, limited,
//! and called. The runner is the only caller; it brings its own [`Services`] and knows nothing of wasmtime.
//!
//! # Life cycle
//!
//! [`Runtime::new`] starts one engine for the whole process. [`Runtime::load`] compiles a file once and asks it to
//! describe itself; a [`Plugin`] is then a cheap handle on compiled code. Each [`Plugin::run`], [`Plugin::summarize`],
//! [`Plugin::assess`] and [`Plugin::diagnose`] makes a store and an instance of its own, runs it on its own fiber, and throws both away.
//!
//! # What follows for callers
//!
//! - Nothing survives a call: a plugin has no memory of earlier samples, and a trap, a limit or a panic in one call
//!   cannot reach another. Every error of a call concerns that call only.
//! - Calls may run at the same time, as many as [`RuntimeOptions::instances`]; more wait for a place. A call that waits
//!   for its host holds its place. Judges have places of their own and cannot ask judges, so waiting never locks up.
//! - What the host keeps for a call (captures) is released through [`Services::release_capture`] when the plugin drops
//!   it, or at the latest when the call ends or its future is dropped.
//! - A call must run inside a tokio runtime. It gives its thread back while it waits for the host, and at least every
//!   ten milliseconds while the guest computes. Dropping its future ends it at its next suspension.
//! - A plugin has no clock, no entropy and no WASI: given the same arguments and the same answers of [`Services`] it
//!   gives the same result. Only limits on time and stack depend on the machine, and they end in errors, never in
//!   another answer.
//! - What comes out is checked: counted, bounded, finite, and without terminal escapes in names, labels, notes, errors
//!   and log lines. Whatever else is shown to people goes through [`printable`].

mod bindings;
mod clock;
mod convert;
mod engine;
mod error;
mod grants;
mod host;
mod invocation;
mod limits;
mod load;
mod plugin;
mod printable;
mod services;

pub use engine::{Runtime, RuntimeOptions};
pub use error::{PluginError, PluginName};
pub use grants::Grants;
pub use limits::{LimitReached, Limits};
pub use plugin::{Invocation, Plugin, World};
pub use printable::printable;
pub use services::{Kept, LogLevel, ModelRef, Services};

//! The runtime against real components: a hostile benchmark and a hostile diagnostic (`tests/hostile-*`, built by
//! `make plugins`), and a judge written in WebAssembly text.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail loudly")]

mod answers;
mod evils;
mod guests;
mod inside;
mod life;
mod loading;
mod sums;
mod texts;

//! The built program, driven as its users drive it: `target/release/sonde`, real models, real plugins, real kills.
//!
//! `make build` builds what these tests drive; they fail, and say so, when it is missing. Tests that need the shared
//! collections beside the repository print a line and pass where those are absent.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

mod comparing;
mod config;
mod exporting;
mod failing;
mod forms;
mod goldens;
mod guarding;
mod inspecting;
mod interrupt;
mod judge_quality;
mod judges;
mod kill;
mod memory;
mod own_run;
mod rejudge;
mod reuse;
mod support;
mod treating;
mod verify;

//! One module per command.

pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod generate;
pub(crate) mod guard;
pub(crate) mod guard_evaluation;
pub(crate) mod judge_quality;
pub(crate) mod model;
pub(crate) mod plugin;
pub(crate) mod rejudge;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod score;
pub(crate) mod show;
pub(crate) mod treatment;
pub(crate) mod verify;

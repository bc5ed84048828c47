//! The config of a run: one YAML file says which models answer, who judges and what is measured.
//!
//! [`Config::load`] reads it, [`LoadedConfig::set`] applies `--set`, [`LoadedConfig::validate`] checks what the shape
//! cannot say. Everything that can be wrong with a config is a [`ConfigError`] that names file, line and key, and the
//! known name nearest to a mistyped one. The planner reads [`Config`] from here on; nothing in it is defaulted later.
//!
//! The types' doc comments are the reference: [`reference_markdown`] prints them into `docs/config.md`.

mod described;
mod load;
mod located;
pub mod nearest;
mod problem;
mod reference;
mod set;
mod suite;
#[cfg(test)]
mod tests;
mod types;
mod validate;

pub use load::LoadedConfig;
pub use problem::{ConfigError, Origin, Problem};
pub use reference::reference_markdown;
pub use types::{
    Config, DatasetConfig, Engine, Format, GuardConfig, GuardLevel, JudgeConfig, ModelConfig, Precision,
    SamplingConfig, SuiteConfig, TaskConfig, TreatConfig,
};

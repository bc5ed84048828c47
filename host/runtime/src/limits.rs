//! Everything a plugin can use too much of, with defaults, and what it is told when it does.

use serde::{Deserialize, Serialize};

use crate::World;

/// How much a plugin may use. The field names are the keys of `limits:` in the config; read from JSON, a key that is
/// missing has a benchmark's default ([`Limits::overlaid`] knows the other worlds').
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Memory of one instance, in MiB; at most 4096.
    pub memory_mib: u32,
    /// Elements of the instance's function and reference tables together; at most 100,000.
    pub table_elements: u32,
    /// Seconds that one call of an export may compute. Waiting for the host does not count. Wall-clock time, so a
    /// machine busy with other work reaches it sooner.
    pub compute_seconds: f64,
    /// What the host hands to the plugin in one call, in MiB: an answer, or the arguments of an export.
    pub host_data_mib: u32,
    /// What the plugin hands to the host in one call, in MiB.
    pub plugin_data_mib: u32,
    /// Length of one text in either direction, in MiB.
    pub string_mib: u32,
    /// Host calls per sample.
    pub host_calls: u32,
    /// Prompts, requests or exchanges in one host call.
    pub batch: u32,
    /// Models held open at once, changed ones included.
    pub open_models: u32,
    /// Captures held at once.
    pub captures: u32,
    /// What the host holds for the plugin at once, in MiB: captured rows and token ids, the vectors of changed models,
    /// and trained adapters. A call that could go past this is refused before anything is computed.
    pub captured_mib: u32,
    /// Text logged per sample, in KiB.
    pub log_kib: u32,
    /// Fields of one outcome or finding, and again an outcome's groups, and the categories of a verdict.
    pub fields: u32,
    /// Metrics of one summary.
    pub metrics: u32,
    /// Values of all means of one summary together.
    pub mean_values: u32,
    /// Figures of one summary.
    pub figures: u32,
    /// Points and cells of one figure.
    pub figure_points: u32,
    /// Remarks of one summary.
    pub notes: u32,
    /// Findings of one diagnosis.
    pub findings: u32,
    /// Edits of matrices, or interventions, of one treatment or changed model; an expert's matrix counts for itself.
    pub edits: u32,
    /// Documents of one treatment.
    pub documents: u32,
}

impl Default for Limits {
    /// Those of a benchmark.
    fn default() -> Self {
        Self {
            memory_mib: 256,
            table_elements: 100_000,
            compute_seconds: 10.0,
            host_data_mib: 64,
            plugin_data_mib: 128,
            string_mib: 4,
            host_calls: 10_000,
            batch: 4096,
            open_models: 100,
            captures: 100_000,
            captured_mib: 1024,
            log_kib: 1024,
            fields: 1000,
            metrics: 10_000,
            mean_values: 10_000_000,
            figures: 100,
            figure_points: 1_000_000,
            notes: 1000,
            findings: 1_000_000,
            edits: 100_000,
            documents: 100,
        }
    }
}

const MIB: u64 = 1 << 20;

impl Limits {
    /// What a plugin of this world may use unless the config says otherwise. A diagnostic and a treatment compute on
    /// vectors of whole datasets in one call, and draw a figure or two per layer.
    #[must_use]
    pub fn of(world: World) -> Self {
        match world {
            World::Benchmark | World::Judge => Self::default(),
            World::Diagnostic | World::Treatment => Self {
                memory_mib: 1024,
                compute_seconds: 600.0,
                host_data_mib: 256,
                host_calls: 1_000_000,
                figures: 1000,
                ..Self::default()
            },
        }
    }

    /// The world's defaults with what a config states laid over them.
    ///
    /// # Errors
    /// A key that does not exist, or a value of another type. Whether values make sense says [`Limits::check`].
    pub fn overlaid(
        world: World,
        stated: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Self, serde_json::Error> {
        let mut limits = serde_json::to_value(Self::of(world))?;
        if let Some(limits) = limits.as_object_mut() {
            limits.extend(stated.clone());
        }
        serde_json::from_value(limits)
    }

    /// Says which value makes no sense, if any does.
    ///
    /// # Errors
    /// A sentence that names the key and the values it can have.
    pub fn check(&self) -> Result<(), String> {
        let seconds = self.compute_seconds;
        if !(seconds.is_finite() && seconds > 0.0 && seconds <= 1e9) {
            return Err(format!("`limits.compute_seconds` is {seconds}; it must be above 0 and at most 1e9"));
        }
        for (key, value, most) in [
            ("memory_mib", self.memory_mib, 4096),
            ("table_elements", self.table_elements, 100_000),
            ("string_mib", self.string_mib, 4096),
            ("host_data_mib", self.host_data_mib, 4096),
            ("plugin_data_mib", self.plugin_data_mib, 4096),
            ("captured_mib", self.captured_mib, 1 << 20),
        ] {
            if !(1..=most).contains(&value) {
                return Err(format!("`limits.{key}` is {value}; it must be between 1 and {most}"));
            }
        }
        Ok(())
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        bytes(self.memory_mib)
    }

    pub(crate) fn host_data_bytes(&self) -> usize {
        bytes(self.host_data_mib)
    }

    pub(crate) fn plugin_data_bytes(&self) -> usize {
        bytes(self.plugin_data_mib)
    }

    pub(crate) fn captured_bytes(&self) -> usize {
        bytes(self.captured_mib)
    }

    /// Handles that a guest may come to hold. The host counts models and captures itself, with errors that say more than
    /// wasmtime's; what is over is for handles that are only lent.
    pub(crate) fn handles(&self) -> usize {
        const LENT: usize = 1000;
        LENT.saturating_add(self.open_models as usize).saturating_add(self.captures as usize)
    }

    pub(crate) fn string_bytes(&self) -> usize {
        bytes(self.string_mib)
    }

    pub(crate) fn log_bytes(&self) -> usize {
        usize::try_from(u64::from(self.log_kib) << 10).unwrap_or(usize::MAX)
    }
}

fn bytes(mib: u32) -> usize {
    usize::try_from(u64::from(mib) * MIB).unwrap_or(usize::MAX)
}

/// A limit that a plugin reached. Its text continues a sentence whose subject is the plugin, says the limit's value
/// and the key that raises it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what each field is")]
pub enum LimitReached {
    #[error("it asked for more than {mib} MiB of memory; `limits.memory_mib` raises this")]
    Memory { mib: u32 },
    #[error("it asked for more than {elements} table elements; `limits.table_elements` raises this")]
    Table { elements: u32 },
    #[error("it computed for more than {seconds} s; `limits.compute_seconds` raises this")]
    Compute { seconds: f64 },
    #[error("its calls are nested too deeply for a stack of {} KiB; this limit is fixed", crate::engine::WASM_STACK >> 10)]
    Stack,
    #[error("{what} is larger than {mib} MiB; `limits.host_data_mib` raises this")]
    HostData { what: String, mib: u32 },
    #[error("it handed over more than {mib} MiB in one call; `limits.plugin_data_mib` raises this")]
    PluginData { mib: u32 },
    #[error("{what} is {length} bytes long, more than {mib} MiB; `limits.string_mib` raises this")]
    Text { what: String, length: usize, mib: u32 },
    #[error("it called the host more than {calls} times; `limits.host_calls` raises this")]
    HostCalls { calls: u32 },
    #[error("it asked {asked} things in one call, more than {batch}; `limits.batch` raises this")]
    Batch { asked: usize, batch: u32 },
    #[error("it holds more than {models} open models; `limits.open_models` raises this")]
    OpenModels { models: u32 },
    #[error("it holds more than {captures} captures; `limits.captures` raises this")]
    Captures { captures: u32 },
    #[error(
        "what the host holds for it would be more than {mib} MiB; drop captures, or `limits.captured_mib` raises this"
    )]
    Captured { mib: u32 },
    #[error("it logged more than {kib} KiB; `limits.log_kib` raises this")]
    Log { kib: u32 },
    #[error("{what} are {count}, more than {most}; `limits.{key}` raises this")]
    Count { what: &'static str, count: usize, most: u32, key: &'static str },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let limits = Limits::default();
        assert_eq!(limits.memory_bytes(), 268_435_456);
        assert_eq!(limits.string_bytes(), 4_194_304);
        assert_eq!(limits.log_bytes(), 1_048_576);
        assert_eq!(limits.check(), Ok(()));
        assert_eq!(Limits::of(World::Diagnostic).check(), Ok(()));
    }

    #[test]
    fn what_a_config_states_is_laid_over_the_defaults_of_the_world() {
        let stated = |json: &str| serde_json::from_str::<serde_json::Map<_, _>>(json).unwrap();
        let limits = Limits::overlaid(World::Diagnostic, &stated(r#"{"memory_mib": 5}"#)).unwrap();
        assert_eq!(limits, Limits { memory_mib: 5, ..Limits::of(World::Diagnostic) });
        assert_eq!((limits.compute_seconds, limits.host_calls), (600.0, 1_000_000));
        let refusal = Limits::overlaid(World::Diagnostic, &stated(r#"{"memory": 5}"#)).unwrap_err();
        assert!(refusal.to_string().contains("unknown field `memory`"), "{refusal}");
        assert!(Limits::overlaid(World::Judge, &stated(r#"{"memory_mib": -5}"#)).is_err());
    }

    #[test]
    fn a_key_that_does_not_exist_is_refused() {
        let refusal = serde_json::from_str::<Limits>(r#"{"memory": 5}"#).unwrap_err().to_string();
        assert!(refusal.contains("unknown field `memory`"), "{refusal}");
        let limits: Limits = serde_json::from_str(r#"{"memory_mib": 5}"#).unwrap();
        assert_eq!((limits.memory_mib, limits.batch), (5, 4096));
    }

    #[test]
    fn values_without_sense_are_named() {
        let limits = Limits { compute_seconds: f64::NAN, ..Limits::default() };
        assert!(limits.check().unwrap_err().contains("limits.compute_seconds"));
        let limits = Limits { memory_mib: 5000, ..Limits::default() };
        assert_eq!(limits.check().unwrap_err(), "`limits.memory_mib` is 5000; it must be between 1 and 4096");
    }
}

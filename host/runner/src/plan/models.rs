//! Which file or folder is opened by which engine.

use std::io;
use std::path::Path;

use sonde_contract::{Digest, DigestWriter};
use sonde_engine::OpenOptions;
use sonde_runtime::Plugin;

use super::{PlannedModel, PlannedTask, Planner};
use crate::RunError;
use crate::config::{Engine, ModelConfig, Precision};
use crate::engines::ModelEngine;
use crate::paths::tidied;

impl Planner<'_> {
    /// Plans a model for the tasks that use it.
    pub(super) fn model(
        &self,
        name: &str,
        model: &ModelConfig,
        tasks: &[PlannedTask],
    ) -> Result<PlannedModel, RunError> {
        let key = |key: &str| format!("models.{name}.{key}");
        let path = tidied(&self.loaded.resolve(&model.path));
        let digest = self.digest_of(&path, &key("path"))?;
        let engine = engine_for(model.engine, &path).map_err(|what| self.at(&key("engine"), what))?;
        engine.check(&path).map_err(|error| self.at(&key("path"), error.to_string()))?;
        self.check_pin(model.digest, digest, &path, &key("digest"))?;
        let bytes = bytes(&path).map_err(|reason| RunError::Unreadable { path: path.clone(), reason })?;

        let wants_gradients: Vec<String> = tasks
            .iter()
            .filter(|task| needs_gradients(task.plugin()))
            .filter(|task| task.identity.models.values().any(|used| used == name))
            .map(|task| task.identity.name.clone())
            .collect();
        let lacking = !wants_gradients.is_empty() && !engine.has_gradients();
        let second = (lacking && model.engine == Engine::Auto).then_some(ModelEngine::Candle);
        if let Some(second) = second {
            second.check(&path).map_err(|error| {
                let tasks = wants_gradients.join(", ");
                self.at(
                    &key("path"),
                    format!("{tasks} needs gradients, for which {name} is opened with candle too: {error}"),
                )
            })?;
        }
        let options = OpenOptions {
            context: model.context,
            slots: model.slots,
            threads: model.threads,
            gpu_layers: model.gpu_layers,
            precision: match model.precision {
                Precision::Fast => sonde_engine::Precision::Fast,
                Precision::Exact => sonde_engine::Precision::Exact,
            },
            reproducible: self.loaded.config.reproducible,
        };
        Ok(PlannedModel {
            name: name.to_owned(),
            path,
            digest,
            bytes,
            engine,
            second,
            without_gradients: if lacking && second.is_none() { wants_gradients } else { Vec::new() },
            options,
            recorded: None,
        })
    }
}

/// Whether a plugin asks for what only an engine with gradients can do.
fn needs_gradients(plugin: &Plugin) -> bool {
    plugin.imports().iter().any(|import| matches!(import.as_str(), "gradients" | "training"))
}

/// The engine that a config means.
fn engine_for(stated: Engine, path: &Path) -> Result<ModelEngine, String> {
    match (stated, path.is_dir()) {
        (Engine::Llama, true) => Err(format!(
            "llama reads GGUF files, and {} is a folder; say `engine: candle`, or leave `engine` out",
            path.display()
        )),
        (Engine::Auto | Engine::Llama, false) => Ok(ModelEngine::Llama),
        (Engine::Auto, true) | (Engine::Candle, _) => Ok(ModelEngine::Candle),
    }
}

/// SHA-256 of a file; of a folder, over the names and digests of its files in the order of their names. Hidden files
/// and folders in it are passed over.
pub(super) fn digest(path: &Path) -> io::Result<Digest> {
    if !path.is_dir() {
        return Digest::of_file(path);
    }
    let mut writer = DigestWriter::default();
    for (name, file) in files(path)? {
        writer.field(name);
        writer.field(Digest::of_file(&file)?.as_bytes());
    }
    Ok(writer.finish())
}

/// Size of a file, or of a folder's files together.
fn bytes(path: &Path) -> io::Result<u64> {
    if !path.is_dir() {
        return Ok(path.metadata()?.len());
    }
    files(path)?.iter().map(|(_, file)| Ok(file.metadata()?.len())).sum()
}

fn files(folder: &Path) -> io::Result<Vec<(String, std::path::PathBuf)>> {
    let mut files = Vec::new();
    for entry in folder.read_dir()? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && entry.path().is_file() {
            files.push((name, entry.path()));
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_takes_llama_for_a_file_and_candle_for_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.gguf");
        std::fs::write(&file, "GGUF").unwrap();
        assert_eq!(engine_for(Engine::Auto, &file), Ok(ModelEngine::Llama));
        assert_eq!(engine_for(Engine::Auto, folder.path()), Ok(ModelEngine::Candle));
        assert_eq!(engine_for(Engine::Candle, &file), Ok(ModelEngine::Candle));
        let refusal = engine_for(Engine::Llama, folder.path()).unwrap_err();
        assert!(refusal.ends_with("is a folder; say `engine: candle`, or leave `engine` out"), "{refusal}");
    }

    #[test]
    fn a_folder_s_digest_is_that_of_its_files_in_order_and_of_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("b.safetensors"), "abc").unwrap();
        std::fs::write(folder.path().join("a.json"), "").unwrap();
        std::fs::write(folder.path().join(".hidden"), "x").unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        // Python: h = sha256(); for name, content in [("a.json", b""), ("b.safetensors", b"abc")]:
        //   for field in (name.encode(), sha256(content).digest()): h.update(len(field).to_bytes(8, "little") + field)
        assert_eq!(digest(folder.path()).unwrap().to_string(), EXPECTED);
        assert_eq!(bytes(folder.path()).unwrap(), 3);
        std::fs::write(folder.path().join("b.safetensors"), "abd").unwrap();
        assert_ne!(digest(folder.path()).unwrap().to_string(), EXPECTED);
    }

    const EXPECTED: &str = "abd029e78718dd2f371493cc7ee381efddbd429aa68670723a768d67d99ae97c";
}

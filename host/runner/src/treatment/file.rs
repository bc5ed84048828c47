//! Treatment files, `*.sonde-treatment`: what changes in a model, for which model it was made, and by what.
//!
//! JSON; long lists of numbers of matrices are base64 of their bytes. A run writes them, tasks with `treatment: FILE` and
//! `sonde treatment` read them. A file read back is the file written, or an error says what is wrong with it; whether it
//! fits a model is [`TreatmentFile::check_for`]'s to say.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sonde_contract::{Change, Changes, Digest, Estimate, Group, ModelInfo, Purpose, Summary, Treatment};
use sonde_engine::{Draft, WriteError};

const FORMAT: &str = "sonde-treatment";
const VERSION: u32 = 1;

/// A treatment file that cannot be read, written or used.
#[derive(Debug, thiserror::Error)]
pub enum TreatmentError {
    /// The operating system refuses to read it.
    #[error("cannot read the treatment {path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        reason: std::io::Error,
    },
    /// Something else.
    #[error(
        "{path} is not a treatment file ({reason}); `sonde treat` writes treatments, under names that end in \
         .sonde-treatment"
    )]
    NotATreatment {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// It ends too early.
    #[error("the treatment {path} is cut short; copy it again, or derive it again")]
    CutShort {
        /// The file.
        path: PathBuf,
    },
    /// Written by a later Sonde.
    #[error(
        "the treatment {path} has version {found} of the format, and this Sonde reads version {VERSION}; use a newer Sonde"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// Its changes are not those that were written.
    #[error(
        "the changes in the treatment {path} are not those it was written with (their digest differs); copy it again, or \
         derive it again"
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A treatment that is never kept.
    #[error(
        "a treatment with the purpose \"robustness-audit\" is for measuring in memory and is never written to a file; derive \
         one with the purpose \"safety\" to keep it"
    )]
    NeverKept,
    /// Numbers that JSON does not have.
    #[error("the treatment of {model} holds numbers that are not finite ({place}) and is not written")]
    NotFinite {
        /// The model it was made for.
        model: String,
        /// Where.
        place: String,
    },
    /// Made for another model.
    #[error(
        "this treatment was made for {made_for}, not for {given}; give it that model, or another quantisation of it, or \
         derive a treatment for this one"
    )]
    OtherModel {
        /// The model it was made for.
        made_for: String,
        /// The model it was given.
        given: String,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Unwritable(#[from] WriteError),
    /// Parameters that have no JSON form.
    #[error("cannot write the treatment as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The model that a treatment was made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreatedModel {
    /// `general.name`, or the file's.
    pub name: String,
    /// For example `qwen3`.
    pub architecture: String,
    /// Number of blocks.
    pub layers: u32,
    /// Width of the residual stream.
    pub width: u32,
    /// Tokens it knows.
    pub vocabulary: u32,
    /// For example `Q8_0`.
    pub quantisation: String,
    /// SHA-256 of its file.
    pub digest: Digest,
}

impl TreatedModel {
    /// A model whose file has this digest.
    pub fn of(info: &ModelInfo, digest: Digest) -> Self {
        Self {
            name: info.name.clone(),
            architecture: info.architecture.clone(),
            layers: info.layers,
            width: info.width,
            vocabulary: info.vocabulary,
            quantisation: info.quantisation.clone(),
            digest,
        }
    }

    /// Whether the other is the same model in another file.
    fn is_kin(&self, other: &Self) -> bool {
        self.name == other.name
            && self.architecture == other.architecture
            && (self.layers, self.width, self.vocabulary) == (other.layers, other.width, other.vocabulary)
    }

    /// "wren (llama, 6 blocks, 192 wide, 4096 tokens; Q8_0, 1f0c…)"
    fn in_words(&self) -> String {
        format!(
            "{} ({}, {} blocks, {} wide, {} tokens; {}, SHA-256 {}…)",
            self.name,
            self.architecture,
            self.layers,
            self.width,
            self.vocabulary,
            self.quantisation,
            self.digest.short()
        )
    }
}

/// The plugin that made a treatment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maker {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its component.
    pub digest: Digest,
}

/// A figure from the derivation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The metric's name.
    pub name: String,
    /// The group it speaks of; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// A share, a mean, or a number computed by the plugin.
    pub value: f64,
}

/// A treatment and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TreatmentFile {
    format: String,
    version: u32,
    /// What it was made for.
    pub model: TreatedModel,
    /// What made it.
    pub plugin: Maker,
    /// The plugin's parameters.
    pub parameters: serde_json::Value,
    /// The derivation's seed.
    pub seed: u64,
    /// What it is for.
    pub purpose: Purpose,
    /// What the plugin measured on the way; numbers that are not finite are left out.
    pub metrics: Vec<Measurement>,
    /// What changes.
    pub changes: Changes,
    /// Of the changes' JSON.
    digest: Digest,
}

/// What every version has; the rest may have other names in a later one.
#[derive(Deserialize)]
struct Head {
    format: Option<String>,
    version: Option<u64>,
}

impl TreatmentFile {
    /// What a plugin derived for a model.
    ///
    /// # Errors
    /// A purpose of robustness audit; numbers that are not finite.
    pub fn new(
        model: TreatedModel,
        plugin: Maker,
        parameters: serde_json::Value,
        seed: u64,
        treatment: &Treatment,
    ) -> Result<Self, TreatmentError> {
        let (Some(changes), Purpose::Safety) = (&treatment.changes, treatment.purpose) else {
            return Err(TreatmentError::NeverKept);
        };
        check_finite(changes, &model.name)?;
        Ok(Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            model,
            plugin,
            parameters,
            seed,
            purpose: treatment.purpose,
            metrics: measurements(&treatment.summary),
            changes: changes.clone(),
            digest: treatment.digest,
        })
    }

    /// Reads a file and makes sure that its changes are those that were written.
    ///
    /// # Errors
    /// A file that cannot be read, is no treatment, ends too early, was changed or is of a later version.
    pub fn read(path: &Path) -> Result<Self, TreatmentError> {
        let path = path.to_owned();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(reason) => return Err(TreatmentError::Unreadable { path, reason }),
        };
        let not = |reason: String| TreatmentError::NotATreatment { path: path.clone(), reason };
        if !bytes.starts_with(b"{") {
            return Err(not("it does not begin with \"{\"".to_owned()));
        }
        let unreadable = |error: serde_json::Error| match error.is_eof() {
            true if begins_as_a_treatment(&bytes) => TreatmentError::CutShort { path: path.clone() },
            _ => not(error.to_string()),
        };
        let head: Head = serde_json::from_slice(&bytes).map_err(unreadable)?;
        match head {
            Head { format: Some(format), .. } if format != FORMAT => {
                return Err(not(format!("its format is {format:?}")));
            }
            Head { format: None, .. } | Head { version: None, .. } => {
                return Err(not("it says no format and version".to_owned()));
            }
            Head { version: Some(found), .. } if found > u64::from(VERSION) => {
                return Err(TreatmentError::Newer { path, found });
            }
            Head { .. } => {}
        }
        let file: Self = serde_json::from_slice(&bytes).map_err(unreadable)?;
        if Digest::of_json(&file.changes)? != file.digest {
            return Err(TreatmentError::Changed { path });
        }
        Ok(file)
    }

    /// Writes it, as a whole or not at all.
    ///
    /// # Errors
    /// A purpose of robustness audit; a path that cannot be written, a full disk. What was there before stays.
    pub fn write(&self, path: &Path) -> Result<(), TreatmentError> {
        if self.purpose == Purpose::RobustnessAudit {
            return Err(TreatmentError::NeverKept);
        }
        let mut json = serde_json::to_vec(self)?;
        json.push(b'\n');
        Draft::write(path, |file| file.write_all(&json))?.put_in_place()?;
        Ok(())
    }

    /// Of its changes' JSON: two treatments with the same digest do the same.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether it may be used on a model: the one it was made for, or, with the notice returned, the same model in another
    /// file.
    ///
    /// # Errors
    /// Another model.
    pub fn check_for(&self, info: &ModelInfo, digest: Digest) -> Result<Option<String>, TreatmentError> {
        let given = TreatedModel::of(info, digest);
        if given.digest == self.model.digest {
            return Ok(None);
        }
        if !self.model.is_kin(&given) {
            let made_for = self.model.in_words();
            return Err(TreatmentError::OtherModel { made_for, given: given.in_words() });
        }
        Ok(Some(format!(
            "the treatment was made for another file of {} ({}, this one is {}); what it was measured to do may differ",
            given.name, self.model.quantisation, given.quantisation
        )))
    }
}

/// Whether what there is of a file that ends too early looks like a treatment.
fn begins_as_a_treatment(bytes: &[u8]) -> bool {
    let start = bytes.get(..64).unwrap_or(bytes);
    String::from_utf8_lossy(start).contains(&format!("\"format\":\"{FORMAT}\""))
}

fn check_finite(changes: &Changes, model: &str) -> Result<(), TreatmentError> {
    let wrong = |place: String| Err(TreatmentError::NotFinite { model: model.to_owned(), place });
    for edit in &changes.edits {
        if ![&edit.a, &edit.b].into_iter().flatten().chain([&edit.scale]).all(|number| number.is_finite()) {
            return wrong(format!("in the change of {}", edit.matrix));
        }
    }
    for intervention in &changes.interventions {
        let (Change::Add { vector, coefficient } | Change::ProjectOut { direction: vector, coefficient }) =
            &intervention.change;
        if !vector.iter().chain([coefficient]).all(|number| number.is_finite()) {
            let site = intervention.site.as_str();
            return wrong(format!("in a change at the site {site}, layers {:?}", intervention.layers));
        }
    }
    Ok(())
}

fn measurements(summary: &Summary) -> Vec<Measurement> {
    let measured = summary.metrics.iter().filter_map(|metric| {
        let value = match &metric.estimate {
            Estimate::Proportion { hits, n } => *hits as f64 / *n as f64,
            Estimate::Mean(values) => values.iter().sum::<f64>() / values.len() as f64,
            Estimate::Given { value, .. } => *value,
        };
        let measurement = Measurement { name: metric.name.clone(), group: metric.group.clone(), value };
        value.is_finite().then_some(measurement)
    });
    measured.collect()
}

//! Treatments as files that other programs load.
//!
//! [`Exporter::export`] writes one of four [`Form`]s: a LoRA adapter or a control vector for llama.cpp, a LoRA adapter for
//! PEFT, or the model's file with the changes in its weights. Each is written as a [`Draft`], read back as its user would
//! read it, and compared with the live treatment; only if both say the same does it take its name. The command line is
//! the caller; the llama.cpp engine writes the adapters it loads with [`write_lora`].

mod agreement;
mod control_vector;
mod draft;
mod error;
mod factors;
mod form;
mod gguf;
mod lora;
mod merged;
mod peft;

use std::path::{Path, PathBuf};

use sonde_contract::{Changes, ModelInfo};

pub use agreement::Agreement;
pub use draft::{Draft, WriteError};
pub use error::ExportError;
pub(crate) use factors::Factors;
pub use form::Form;
pub(crate) use lora::write as write_lora;

use self::agreement::{Allowed, TEXTS};
use crate::adapter::check_edits;
use crate::llama::Probe;
use crate::{OpenError, at_strength};

/// A GGUF model whose treatments are to be exported.
pub struct Exporter(Probe);

/// What was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Matrices changed, or layers steered.
    pub changed: usize,
    /// How what was read back compares with the live treatment.
    pub agreement: Agreement,
}

impl Exporter {
    /// Opens the model that the treatment was made for, or another quantisation of it.
    ///
    /// # Errors
    /// As [`crate::open`].
    pub fn open(model: &Path) -> Result<Self, OpenError> {
        Probe::open(model).map(Self)
    }

    /// What the model is.
    pub fn info(&self) -> &ModelInfo {
        self.0.info()
    }

    /// Writes a treatment at a strength, reads it back and compares it with the live one. `name` says for people what it
    /// is. `to` is a file, for [`Form::Peft`] a folder. Computes in the calling thread.
    ///
    /// # Errors
    /// A treatment that the form cannot express or that does not fit the model, a file that cannot be written, a result
    /// that does not do what the treatment does. What was at `to` before is then whole.
    pub fn export(
        &self,
        treatment: &Changes,
        strength: f32,
        form: Form,
        to: &Path,
        name: &str,
    ) -> Result<Exported, ExportError> {
        form.check(treatment)?;
        if strength == 0.0 {
            return Err(ExportError::Nothing("at strength 0 a treatment changes nothing".to_owned()));
        }
        if to.canonicalize().is_ok_and(|to| self.0.path().canonicalize().is_ok_and(|model| model == to)) {
            return Err(ExportError::Unsupported(format!(
                "{} is the model itself; write the export to another path",
                to.display()
            )));
        }
        let changes = at_strength(treatment, strength)?;
        let tensors = self.0.tensors()?;
        check_edits(&changes.edits, &tensors)?;
        let factors = Factors::of(&changes.edits, &tensors)?;
        let live = self.0.with_changes(&changes, TEXTS)?;
        // Dropped after the drafts in it.
        let _folder = if form == Form::Peft { Some(peft::Folder::make(to)?) } else { None };
        let (drafts, found, allowed): (Vec<Draft>, _, _) = match form {
            Form::GgufLora => {
                let architecture = &self.info().architecture;
                let draft = Draft::write(to, |file| write_lora(file, architecture, name, &factors))?;
                let changed = factors.iter().map(|of| of.tensor.as_str());
                let found = self.0.with_adapter(draft.path(), changed, TEXTS)?;
                (vec![draft], found, Allowed::in_f32())
            }
            Form::ControlVector => {
                let draft = control_vector::write(&self.0, &changes.interventions, to)?;
                let rows = control_vector::read(draft.path(), self.info())?;
                (vec![draft], self.0.with_control_vector(&rows, TEXTS)?, Allowed::in_f32())
            }
            Form::Peft => {
                let drafts = peft::write(&self.0, &factors, to)?;
                let edits = peft::read(&drafts, &self.0)?;
                let found = self.0.with_changes(&Changes { edits, interventions: Vec::new() }, TEXTS)?;
                (drafts.into(), found, Allowed::in_f32())
            }
            Form::Gguf => {
                let (draft, losses) = merged::write(&self.0, &factors, to)?;
                let read = Probe::open(draft.path()).map_err(ExportError::Unreadable)?;
                (vec![draft], read.as_it_is(TEXTS)?, Allowed::after(&losses))
            }
        };
        let (plain, vocabulary) = (self.0.as_it_is(TEXTS)?, self.info().vocabulary as usize);
        let agreement = Agreement::of(&live, &found, &plain, vocabulary, allowed);
        if !agreement.holds() {
            return Err(ExportError::Disagrees(agreement));
        }
        let files = drafts.iter().map(|draft| draft.destination().to_owned()).collect();
        drafts.into_iter().try_for_each(Draft::put_in_place)?;
        let changed = if form == Form::ControlVector {
            let layers = changes.interventions.iter().flat_map(|intervention| &intervention.layers);
            layers.collect::<std::collections::BTreeSet<_>>().len()
        } else {
            factors.len()
        };
        Ok(Exported { files, changed, agreement })
    }
}

//! A model's logits for some texts, as it is and with changes in force, without the workers that serve a run.
//!
//! The exports compare what they wrote with the live treatment through it. It computes in the calling thread.

use std::path::Path;
use std::sync::Arc;

use sonde_contract::{Changes, HostError, Intervention, LowRank, ModelInfo, Site, TensorInfo};

use super::adaptation::{Adaptation, check_attached};
use super::changes::Changes as Steps;
use super::ffi::{Batch, Context, ContextOptions};
use super::ffi_adapter::Adapter;
use super::ffi_file::FileTensor;
use super::loaded::Loaded;
use super::opening;
use super::pass::Watched;
use crate::inside::check_interventions;
use crate::tokenize::Tokenize as _;
use crate::{OpenError, OpenOptions, Precision};

/// Tokens of a text that are computed, at most; each gives a row of logits.
const MOST_TOKENS: usize = 48;

/// See the module's header.
pub(crate) struct Probe(Loaded);

impl Probe {
    /// Loads a file in the exact numeric mode.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let options = OpenOptions { slots: Some(1), precision: Precision::Exact, ..OpenOptions::default() };
        opening::load(path, &options).map(Self)
    }

    pub(crate) fn info(&self) -> &ModelInfo {
        &self.0.info
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    pub(crate) fn tensors(&self) -> Result<Vec<TensorInfo>, HostError> {
        Ok(self.0.weights()?.list())
    }

    /// Which file a tensor lies in, and where.
    pub(crate) fn tensor(&self, name: &str) -> Result<Option<(&Path, &FileTensor)>, HostError> {
        Ok(self.0.weights()?.find(name))
    }

    /// With nothing in force.
    pub(crate) fn as_it_is(&self, texts: &[&str]) -> Result<Vec<f32>, HostError> {
        self.logits(texts, None, &[])
    }

    /// With changes in force, as a handle of the engine has them.
    pub(crate) fn with_changes(&self, changes: &Changes, texts: &[&str]) -> Result<Vec<f32>, HostError> {
        check_interventions(&changes.interventions, &self.0.info)?;
        Steps::new(&changes.interventions).check()?;
        let adapter = self.adapter(&changes.edits)?;
        self.logits(texts, adapter, &changes.interventions)
    }

    fn adapter(&self, edits: &[LowRank]) -> Result<Option<Arc<Adapter>>, HostError> {
        if edits.is_empty() {
            return Ok(None);
        }
        Adaptation::new(&self.0, None, edits)?.adapter(&self.0).map(Some)
    }

    /// With a GGUF adapter, loaded by llama.cpp's own loader.
    pub(crate) fn with_adapter<'a>(
        &self,
        path: &Path,
        tensors: impl Iterator<Item = &'a str>,
        texts: &[&str],
    ) -> Result<Vec<f32>, HostError> {
        let adapter = Adapter::load(&self.0.model, path).map_err(HostError::Engine)?;
        let adapter = Arc::new(adapter);
        check_attached(&self.0, &adapter, tensors)?;
        self.logits(texts, Some(adapter), &[])
    }

    /// With a control vector, a row for each block from block 1 on, added by llama.cpp itself.
    pub(crate) fn with_control_vector(&self, rows: &[f32], texts: &[&str]) -> Result<Vec<f32>, HostError> {
        self.each(texts, None, |context, batch| {
            let (width, layers) = (self.0.info.width as usize, self.0.info.layers);
            if !context.set_control_vector(rows, width, 1, layers.saturating_sub(1)) {
                return Err(HostError::Engine("llama.cpp refuses the control vector".to_owned()));
            }
            context.decode(batch).map_err(|error| error.explain())
        })
    }

    /// The rows of a control vector that does the same as these changes of states, or a place at which none can.
    pub(crate) fn control_vector(&self, interventions: &[Intervention]) -> Result<Vec<f32>, (Site, u32)> {
        let mut steps = Steps::new(interventions);
        let info = &self.0.info;
        let vector = steps.take_control_vector(info.layers, info.width as usize);
        match (steps.places().next(), vector) {
            (Some(place), _) => Err(place),
            (None, vector) => Ok(vector.map_or_else(Vec::new, |vector| vector.rows)),
        }
    }

    fn logits(
        &self,
        texts: &[&str],
        adapter: Option<Arc<Adapter>>,
        interventions: &[Intervention],
    ) -> Result<Vec<f32>, HostError> {
        if interventions.is_empty() {
            return self.each(texts, adapter, |context, batch| {
                context.decode(batch).map_err(|error| error.explain())
            });
        }
        let (mut context, watched) =
            Watched::new(&self.0.model, self.options(), adapter, interventions, &self.0.info)?;
        self.rows(texts, &mut context, |context, batch| {
            watched.decode(context, batch, Vec::new(), true).map(drop).map_err(|error| error.explain())
        })
    }

    fn each(
        &self,
        texts: &[&str],
        adapter: Option<Arc<Adapter>>,
        decode: impl FnMut(&mut Context, &mut Batch) -> Result<(), HostError>,
    ) -> Result<Vec<f32>, HostError> {
        let mut context = self.0.context(self.options(), adapter)?;
        self.rows(texts, &mut context, decode)
    }

    fn options(&self) -> ContextOptions {
        let tokens = u32::try_from(MOST_TOKENS).unwrap_or(u32::MAX);
        ContextOptions {
            cells: 2 * tokens,
            batch: tokens,
            outputs: tokens,
            sequences: 1,
            threads: self.0.options.threads.unwrap_or(1),
            precision: self.0.options.precision,
            watched: false,
        }
    }

    fn rows(
        &self,
        texts: &[&str],
        context: &mut Context,
        mut decode: impl FnMut(&mut Context, &mut Batch) -> Result<(), HostError>,
    ) -> Result<Vec<f32>, HostError> {
        let mut all = Vec::new();
        for text in texts {
            let mut batch = Batch::default();
            let tokens = self.0.vocabulary.tokenize(text, true, false)?;
            let most = MOST_TOKENS.min(self.0.info.context as usize);
            for (position, token) in tokens.into_iter().take(most).enumerate() {
                batch.push(token, position, 0, true);
            }
            context.clear();
            decode(context, &mut batch)?;
            for row in 0..batch.len() {
                let logits = context.logits(row);
                all.extend(logits.ok_or_else(|| HostError::Engine("llama.cpp gave no logits".to_owned()))?);
            }
        }
        Ok(all)
    }
}

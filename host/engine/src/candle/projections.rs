//! What Hugging Face calls the projections of a GGUF file, and where it keeps their rows: for exports to PEFT.

use std::path::Path;

use super::description::{Description, KNOWN};
use super::names::{Module, Names};
use super::{gguf, tensors::RowOrder};

/// The projections of a GGUF file of a family that this engine knows.
pub(crate) struct Projections {
    about: Description,
    there: Names,
}

/// A projection by both names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Projection {
    /// The block, from 0; `None` for the output matrix.
    pub block: Option<usize>,
    /// `model.layers.3.self_attn.q_proj` for example.
    pub module: String,
    /// Its last part.
    pub kind: &'static str,
    order: RowOrder,
}

impl Projections {
    /// Reads a file's header.
    ///
    /// # Errors
    /// A sentence: a family whose names are not known.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let file = gguf::open(path).map_err(|error| {
            format!("Hugging Face's names are known here for {KNOWN}, without experts: {error}")
        })?;
        let there = Names::HuggingFace { prefix: "model.".to_owned(), post_norms: false };
        Ok(Self { about: file.description, there })
    }

    pub(crate) fn blocks(&self) -> usize {
        self.about.blocks
    }

    /// Of a tensor of the file; `None` where it is no projection.
    pub(crate) fn of_tensor(&self, tensor: &str) -> Option<Projection> {
        if Names::Gguf.head().iter().any(|head| head == tensor) {
            let module = "lm_head".to_owned();
            return Some(Projection { block: None, module, kind: "lm_head", order: RowOrder::AsStored });
        }
        let (block, module) = Names::Gguf.place(tensor)?;
        Some(Projection { block: Some(block), ..self.projection(block, module) })
    }

    /// The tensor that has this module's matrix, with the projection.
    pub(crate) fn of_module(&self, name: &str) -> Option<(String, Projection)> {
        let tensor = match name {
            "lm_head" => Names::Gguf.head().into_iter().next()?,
            _ => {
                let (block, module) = self.there.place(&format!("{name}.weight"))?;
                Names::Gguf.module(block, module, "weight")
            }
        };
        let projection = self.of_tensor(&tensor)?;
        Some((tensor, projection))
    }

    fn projection(&self, block: usize, module: Module) -> Projection {
        let name = self.there.module(block, module, "weight");
        Projection {
            block: Some(block),
            module: name.strip_suffix(".weight").unwrap_or(&name).to_owned(),
            kind: module.projection(),
            order: Names::Gguf.row_order(&self.about, module),
        }
    }
}

impl Projection {
    /// For each of Hugging Face's rows, which row of the file it is.
    ///
    /// # Errors
    /// Rows that do not make the model's heads.
    pub(crate) fn rows(&self, count: usize) -> Result<Vec<usize>, String> {
        self.order.sources(count).map_err(|error| error.to_string())
    }
}

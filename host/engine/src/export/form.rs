//! The forms in which treatments leave Sonde, and what each can express.

use std::str::FromStr;

use sonde_contract::{Change, Changes, Site};

use super::ExportError;

/// A form of export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A GGUF LoRA adapter: `llama-cli --lora FILE`. Changes of matrices.
    GgufLora,
    /// A GGUF control vector: `llama-cli --control-vector FILE`. Vectors added to the residual stream.
    ControlVector,
    /// A LoRA adapter in a folder, as Hugging Face's PEFT saves it. Changes of matrices.
    Peft,
    /// The model's file with the changes in its weights. Changes of matrices.
    Gguf,
}

/// What goes where, for messages.
const TABLE: &str = "changes of matrices and trained adapters go to gguf-lora, peft and gguf; vectors added to the residual \
                     stream from layer 2 on go to control-vector; projections and other changes of states stay in Sonde's \
                     own treatment files";

impl Form {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::GgufLora, Self::ControlVector, Self::Peft, Self::Gguf];

    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GgufLora => "gguf-lora",
            Self::ControlVector => "control-vector",
            Self::Peft => "peft",
            Self::Gguf => "gguf",
        }
    }

    /// Refuses a treatment of which something would be left out.
    pub(super) fn check(self, changes: &Changes) -> Result<(), ExportError> {
        if changes.edits.is_empty() && changes.interventions.is_empty() {
            return Err(ExportError::Nothing("the treatment changes nothing".to_owned()));
        }
        let what = match (self, &*changes.edits, &*changes.interventions) {
            (Self::ControlVector, [], interventions) => interventions.iter().find_map(|intervention| {
                let (site, layers) = (intervention.site.as_str(), &intervention.layers);
                match &intervention.change {
                    Change::ProjectOut { .. } => {
                        Some(format!("takes a direction out (site {site}, layers {layers:?})"))
                    }
                    Change::Add { .. } if intervention.site != Site::Residual => {
                        Some(format!("adds a vector at the site {site}"))
                    }
                    Change::Add { .. } => layers
                        .iter()
                        .find(|layer| **layer < 2)
                        .map(|layer| format!("adds a vector at layer {layer} of the residual stream")),
                }
            }),
            (Self::ControlVector, [first, ..], _) => Some(format!("changes the matrix {}", first.matrix)),
            (_, _, []) => None,
            (_, _, [first, ..]) => {
                Some(format!("changes states (site {}, layers {:?})", first.site.as_str(), first.layers))
            }
        };
        what.map_or(Ok(()), |what| {
            Err(ExportError::NotInThisForm { form: self.as_str(), what, table: TABLE })
        })
    }
}

impl FromStr for Form {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::as_str).join(", ");
        Self::ALL
            .into_iter()
            .find(|form| form.as_str() == name)
            .ok_or_else(|| format!("there is no form {name:?}; the forms are {}", names()))
    }
}

#[cfg(test)]
mod tests {
    use sonde_contract::{Intervention, LowRank};

    use super::*;

    fn edit() -> LowRank {
        let (a, b) = (vec![1.0], vec![1.0]);
        LowRank { matrix: "blk.0.attn_q.weight".to_owned(), expert: None, rank: 1, a, b, scale: 1.0 }
    }

    fn add(site: Site, layers: &[u32]) -> Intervention {
        let change = Change::Add { vector: vec![1.0], coefficient: 1.0 };
        Intervention { layers: layers.to_vec(), site, change }
    }

    fn refused(form: Form, edits: &[LowRank], interventions: &[Intervention]) -> String {
        let changes = Changes { edits: edits.to_vec(), interventions: interventions.to_vec() };
        form.check(&changes).unwrap_err().to_string()
    }

    #[test]
    fn a_form_refuses_what_it_cannot_express_and_says_what_can() {
        let fits = |edits: &[LowRank], interventions: &[Intervention]| {
            let changes = Changes { edits: edits.to_vec(), interventions: interventions.to_vec() };
            Form::ALL.map(|form| form.check(&changes).is_ok())
        };
        assert_eq!(fits(&[edit()], &[]), [true, false, true, true]);
        assert_eq!(fits(&[], &[add(Site::Residual, &[2, 6])]), [false, true, false, false]);
        let projection = Change::ProjectOut { direction: vec![1.0], coefficient: 1.0 };
        let projection = Intervention { layers: vec![3], site: Site::Residual, change: projection };
        assert_eq!(fits(&[], std::slice::from_ref(&projection)), [false; 4]);
        assert_eq!(fits(&[edit()], std::slice::from_ref(&projection)), [false; 4]);

        let text = refused(Form::ControlVector, &[], &[add(Site::Residual, &[1, 2])]);
        let expected = "this treatment adds a vector at layer 1 of the residual stream, which the form control-vector cannot \
                        express: changes of matrices and trained adapters go to gguf-lora, peft and gguf; ";
        assert!(text.starts_with(expected), "{text}");
        let text = refused(Form::ControlVector, &[], &[add(Site::Mlp, &[3])]);
        assert!(text.starts_with("this treatment adds a vector at the site mlp,"), "{text}");
        let text = refused(Form::Gguf, &[edit()], &[projection]);
        assert!(text.starts_with("this treatment changes states (site residual, layers [3])"), "{text}");
        let text = refused(Form::Peft, &[], &[]);
        assert_eq!(text, "the treatment changes nothing, so there is nothing to export");
    }
}

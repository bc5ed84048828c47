//! Low-rank changes of matrices, checked before an engine takes them.
//!
//! Both engines call [`check_edits`] with what their file holds; what else an engine cannot change, it says itself.

use std::collections::HashMap;

use sonde_contract::{HostError, LowRank, TensorInfo};

/// Refuses changes that do not fit the tensors: a name that is not there, a rank of 0, numbers that make no B and A of the
/// matrix's rows and columns, an expert that is not there or is not said, a number that is not finite.
///
/// # Errors
/// [`HostError::InvalidArgument`], with what was wrong in which change.
pub(crate) fn check_edits(edits: &[LowRank], tensors: &[TensorInfo]) -> Result<(), HostError> {
    let known: HashMap<&str, &TensorInfo> =
        tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    edits.iter().try_for_each(|edit| match known.get(edit.matrix.as_str()) {
        None => Err(HostError::InvalidArgument(unknown(&edit.matrix, tensors))),
        Some(tensor) => check(edit, tensor).map_err(HostError::InvalidArgument),
    })
}

/// That there is no such tensor, and which name is nearest.
fn unknown(name: &str, tensors: &[TensorInfo]) -> String {
    let names = tensors.iter().map(|tensor| tensor.name.as_str());
    match names.min_by_key(|near| strsim::damerau_levenshtein(near, name)) {
        None => format!("the change of {name:?} cannot be made: the model has no tensors"),
        Some(nearest) => format!(
            "the model has no tensor {name:?} to change; did you mean {nearest:?}? A change made for another model does \
             not fit this one"
        ),
    }
}

fn check(edit: &LowRank, tensor: &TensorInfo) -> Result<(), String> {
    let (name, rank) = (&edit.matrix, edit.rank);
    if rank == 0 {
        return Err(format!("the change of {name:?} has rank 0; it must be at least 1"));
    }
    let (experts, rows, columns) = match *tensor.shape.as_slice() {
        [rows, columns] => (None, rows, columns),
        [experts, rows, columns] => (Some(experts), rows, columns),
        _ => {
            return Err(format!(
                "{name:?} has the shape {:?}; only matrices can be changed, and tensors that hold one per expert",
                tensor.shape
            ));
        }
    };
    match (experts, edit.expert) {
        (None, None) => {}
        (None, Some(expert)) => {
            return Err(format!(
                "the change of {name:?} names expert {expert}, and the tensor holds one matrix only; leave `expert` out"
            ));
        }
        (Some(experts), None) => {
            return Err(format!(
                "{name:?} holds the matrices of {experts} experts; say in `expert` which the change is for, from 0"
            ));
        }
        (Some(experts), Some(expert)) if u64::from(expert) >= experts => {
            return Err(format!(
                "the change of {name:?} names expert {expert}, and the tensor has {experts}, counted from 0"
            ));
        }
        (Some(_), Some(_)) => {}
    }
    let wanted = |side: u64| side.saturating_mul(u64::from(rank));
    if edit.b.len() as u64 != wanted(rows) || edit.a.len() as u64 != wanted(columns) {
        return Err(format!(
            "the change of {name:?} does not fit: the matrix has {rows} rows and {columns} columns, so at rank {rank} B has \
             {} numbers and A {}, but B has {} and A has {}",
            wanted(rows),
            wanted(columns),
            edit.b.len(),
            edit.a.len()
        ));
    }
    if !edit.scale.is_finite() || edit.a.iter().chain(&edit.b).any(|number| !number.is_finite()) {
        return Err(format!("the change of {name:?} has a number that is not finite"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors() -> Vec<TensorInfo> {
        let tensor = |name: &str, shape: &[u64]| TensorInfo {
            name: name.to_owned(),
            shape: shape.to_vec(),
            quantisation: "F32".to_owned(),
        };
        vec![
            tensor("blk.0.attn_output.weight", &[3, 2]),
            tensor("blk.0.attn_norm.weight", &[3]),
            tensor("blk.0.ffn_down_exps.weight", &[4, 3, 2]),
        ]
    }

    /// Rank 2, so that a transposed B or A has another meaning but the right count only where rows equal columns.
    fn edit(matrix: &str, expert: Option<u32>) -> LowRank {
        LowRank { matrix: matrix.to_owned(), expert, rank: 2, a: vec![0.5; 4], b: vec![0.25; 6], scale: 1.0 }
    }

    fn refused(edit: LowRank) -> String {
        let Err(HostError::InvalidArgument(why)) = check_edits(&[edit], &tensors()) else {
            panic!("not refused")
        };
        why
    }

    #[test]
    fn changes_that_fit_are_let_pass() {
        let fitting = [edit("blk.0.attn_output.weight", None), edit("blk.0.ffn_down_exps.weight", Some(3))];
        assert_eq!(check_edits(&fitting, &tensors()), Ok(()));
        assert_eq!(check_edits(&[], &tensors()), Ok(()));
    }

    #[test]
    fn an_unknown_matrix_is_refused_with_the_nearest_name() {
        let why = refused(edit("blk.0.attn_ouput.weight", None));
        assert!(why.contains("did you mean \"blk.0.attn_output.weight\"?"), "{why}");
    }

    #[test]
    fn another_shape_is_refused_with_both_sizes() {
        let mut wrong = edit("blk.0.attn_output.weight", None);
        wrong.a.push(0.0);
        let why = refused(wrong);
        assert!(
            why.contains("3 rows and 2 columns") && why.contains("A 4, but B has 6 and A has 5"),
            "{why}"
        );
        assert!(refused(edit("blk.0.attn_norm.weight", None)).contains("has the shape [3]"));
    }

    #[test]
    fn an_expert_is_named_where_there_are_some_and_only_there() {
        let experts = "blk.0.ffn_down_exps.weight";
        assert!(refused(edit(experts, None)).contains("the matrices of 4 experts"));
        assert!(refused(edit(experts, Some(4))).contains("names expert 4, and the tensor has 4"));
        assert!(refused(edit("blk.0.attn_output.weight", Some(0))).contains("leave `expert` out"));
    }

    #[test]
    fn rank_0_and_numbers_that_are_not_finite_are_refused() {
        let name = "blk.0.attn_output.weight";
        assert!(refused(LowRank { rank: 0, ..edit(name, None) }).contains("rank 0"));
        assert!(refused(LowRank { scale: f32::NAN, ..edit(name, None) }).contains("not finite"));
        let mut infinite = edit(name, None);
        infinite.b[5] = f32::INFINITY;
        assert!(refused(infinite).contains("not finite"));
    }
}

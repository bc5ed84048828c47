//! Changes of matrices as formats with one adapter per tensor hold them.

use std::collections::HashMap;

use sonde_contract::{HostError, LowRank, TensorInfo};

/// All changes of one tensor as one product B · A: their ranks one after another, their scales multiplied into B.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Factors {
    /// The tensor's name.
    pub tensor: String,
    /// How many matrices it holds, where it holds one for each expert.
    pub experts: Option<usize>,
    /// Rows of A, columns of B; of the expert with the most, the others' are filled up with zeros.
    pub rank: usize,
    /// The matrix's rows.
    pub rows: usize,
    /// The matrix's columns.
    pub columns: usize,
    /// A row by row, expert after expert: `experts · rank · columns` numbers.
    pub a: Vec<f32>,
    /// B row by row, expert after expert: `experts · rows · rank` numbers.
    pub b: Vec<f32>,
}

impl Factors {
    /// Of changes that fit these tensors (see [`crate::adapter::check_edits`]), in the tensors' order.
    ///
    /// # Errors
    /// A scale that makes B too large for f32.
    pub(crate) fn of(edits: &[LowRank], tensors: &[TensorInfo]) -> Result<Vec<Self>, HostError> {
        let mut by_tensor: HashMap<&str, Vec<&LowRank>> = HashMap::new();
        for edit in edits {
            by_tensor.entry(&edit.matrix).or_default().push(edit);
        }
        let changed = tensors.iter().filter_map(|tensor| Some((tensor, by_tensor.remove(&*tensor.name)?)));
        changed.map(|(tensor, edits)| Self::of_one(tensor, &edits)).collect()
    }

    fn of_one(tensor: &TensorInfo, edits: &[&LowRank]) -> Result<Self, HostError> {
        let length = |side: u64| usize::try_from(side).unwrap_or(usize::MAX);
        let (experts, rows, columns) = match *tensor.shape.as_slice() {
            [experts, rows, columns] => (Some(length(experts)), length(rows), length(columns)),
            [rows, columns] => (None, length(rows), length(columns)),
            _ => (None, 0, 0),
        };
        let of_expert = |expert: usize| {
            edits.iter().filter(move |edit| edit.expert.is_none_or(|chosen| chosen as usize == expert))
        };
        let matrices = experts.unwrap_or(1);
        let rank_of = |expert| of_expert(expert).map(|edit| edit.rank as usize).sum::<usize>();
        let rank = (0..matrices).map(rank_of).max().unwrap_or(0);
        let mut a = vec![0.0; matrices * rank * columns];
        let mut b = vec![0.0; matrices * rows * rank];
        let sides = a.chunks_mut((rank * columns).max(1)).zip(b.chunks_mut((rows * rank).max(1)));
        for (expert, (a, b)) in sides.enumerate() {
            let mut before = 0;
            for edit in of_expert(expert) {
                let own = edit.rank as usize;
                if let Some(room) = a.get_mut(before * columns..(before + own) * columns)
                    && room.len() == edit.a.len()
                {
                    room.copy_from_slice(&edit.a);
                }
                for (row, own_row) in b.chunks_mut(rank.max(1)).zip(edit.b.chunks(own.max(1))) {
                    let room = row.iter_mut().skip(before);
                    room.zip(own_row).for_each(|(number, factor)| *number = edit.scale * factor);
                }
                before += own;
            }
        }
        if b.iter().any(|number| !number.is_finite()) {
            return Err(HostError::InvalidArgument(format!(
                "the change of {:?} is too large for f32 once B is multiplied by its scale; make one of them smaller",
                tensor.name
            )));
        }
        Ok(Self { tensor: tensor.name.clone(), experts, rank, rows, columns, a, b })
    }

    /// Row `row` of B · A of a matrix's expert, computed in f64.
    pub(crate) fn row(&self, expert: usize, row: usize) -> Vec<f64> {
        let mut sum = vec![0.0; self.columns];
        let a = self.a.chunks(self.columns.max(1)).skip(expert * self.rank);
        let b = self.b.iter().skip((expert * self.rows + row) * self.rank).take(self.rank);
        for (factor, a) in b.zip(a) {
            let factor = f64::from(*factor);
            sum.iter_mut().zip(a).for_each(|(sum, number)| *sum += factor * f64::from(*number));
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, shape: &[u64]) -> TensorInfo {
        TensorInfo { name: name.to_owned(), shape: shape.to_vec(), quantisation: "F32".to_owned() }
    }

    fn edit(expert: Option<u32>, rank: u32, a: &[f32], b: &[f32], scale: f32) -> LowRank {
        LowRank { matrix: "w".to_owned(), expert, rank, a: a.to_vec(), b: b.to_vec(), scale }
    }

    #[test]
    fn changes_of_one_matrix_stand_one_after_another_in_rank() {
        let first = edit(None, 1, &[1.0, 2.0], &[3.0, 4.0, 5.0], 2.0);
        let second = edit(None, 2, &[0.0, 1.0, 1.0, 0.0], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], -1.0);
        let tensors = [tensor("v", &[3, 2]), tensor("w", &[3, 2])];
        let factors = Factors::of(&[first, second], &tensors).unwrap();
        let [factors] = factors.try_into().unwrap();
        assert_eq!((factors.rank, factors.rows, factors.columns), (3, 3, 2));
        assert_eq!(factors.a, [1.0, 2.0, 0.0, 1.0, 1.0, 0.0]);
        assert_eq!(factors.b, [6.0, -1.0, -2.0, 8.0, -3.0, -4.0, 10.0, -5.0, -6.0]);
        // 2·(4)·(1, 2) − (3·(0, 1) + 4·(1, 0)), by hand
        assert_eq!(factors.row(0, 1), [4.0, 13.0]);
    }

    #[test]
    fn experts_have_their_own_changes_and_zeros_where_they_have_fewer() {
        let tensors = [tensor("w", &[3, 1, 2])];
        let edits = [
            edit(Some(2), 1, &[1.0, 2.0], &[3.0], 1.0),
            edit(Some(0), 1, &[4.0, 5.0], &[1.0], 1.0),
            edit(Some(2), 1, &[6.0, 7.0], &[0.5], 2.0),
        ];
        let [factors] = Factors::of(&edits, &tensors).unwrap().try_into().unwrap();
        assert_eq!((factors.experts, factors.rank), (Some(3), 2));
        assert_eq!(factors.a, [4.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 6.0, 7.0]);
        assert_eq!(factors.b, [1.0, 0.0, 0.0, 0.0, 3.0, 1.0]);
        assert_eq!(factors.row(2, 0), [9.0, 13.0]);
        assert_eq!(factors.row(1, 0), [0.0, 0.0]);
    }

    #[test]
    fn a_scale_that_overflows_is_refused() {
        let edits = [edit(None, 1, &[1.0, 1.0], &[1e30], 1e30)];
        let text = Factors::of(&edits, &[tensor("w", &[1, 2])]).unwrap_err().to_string();
        assert!(text.starts_with("the change of \"w\" is too large for f32"), "{text}");
    }
}

//! Interventions, made ready to be applied: factors multiplied in, directions at unit length, by place.

use std::collections::BTreeMap;

use sonde_contract::{Change, HostError, Intervention, Site};

/// One change of a state.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// h + v
    Add(Vec<f32>),
    /// h − c (h·d) d, d of unit length
    ProjectOut { direction: Vec<f32>, coefficient: f32 },
}

/// What happens at each place of a model, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Changes(BTreeMap<(Site, u32), Vec<Step>>);

/// A vector for the output of every block from the second on, as llama.cpp adds them.
pub(crate) struct ControlVector {
    /// A row per block from block 1 on.
    pub rows: Vec<f32>,
    /// First and last block that get one.
    pub blocks: (u32, u32),
}

impl Changes {
    /// Of interventions that have been checked.
    pub(crate) fn new(interventions: &[Intervention]) -> Self {
        let mut places: BTreeMap<_, Vec<Step>> = BTreeMap::new();
        for Intervention { layers, site, change } in interventions {
            let step = match change {
                Change::Add { vector, coefficient } => {
                    Step::Add(vector.iter().map(|number| coefficient * number).collect())
                }
                Change::ProjectOut { direction, coefficient } => {
                    let length =
                        direction.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
                    let direction =
                        direction.iter().map(|number| (f64::from(*number) / length) as f32).collect();
                    Step::ProjectOut { direction, coefficient: *coefficient }
                }
            };
            for layer in layers {
                places.entry((*site, *layer)).or_default().push(step.clone());
            }
        }
        Self(places)
    }

    /// Refuses a vector that its coefficient makes too large for f32.
    pub(crate) fn check(&self) -> Result<(), HostError> {
        let finite = |step: &Step| match step {
            Step::Add(vector) => vector.iter().all(|number| number.is_finite()),
            Step::ProjectOut { .. } => true,
        };
        if self.0.values().flatten().all(finite) {
            return Ok(());
        }
        let text = "a vector to add is too large for f32 once it is multiplied by its coefficient; make one of them smaller";
        Err(HostError::InvalidArgument(text.to_owned()))
    }

    /// Where something changes.
    pub(crate) fn places(&self) -> impl Iterator<Item = (Site, u32)> {
        self.0.keys().copied()
    }

    /// Whether something changes there.
    pub(crate) fn has(&self, place: (Site, u32)) -> bool {
        self.0.contains_key(&place)
    }

    /// Changes rows of a state.
    pub(crate) fn apply(&self, place: (Site, u32), rows: &mut [f32], width: usize) {
        for step in self.0.get(&place).into_iter().flatten() {
            for row in rows.chunks_exact_mut(width.max(1)) {
                step.apply(row);
            }
        }
    }

    /// Takes out what llama.cpp can do by itself: layers of the residual stream, from the output of the second block
    /// on, at which there is nothing but vectors to add. One is computed with the graph, so nothing is cut.
    pub(crate) fn take_control_vector(&mut self, blocks: u32, width: usize) -> Option<ControlVector> {
        let mut rows = vec![0.0; width * blocks.saturating_sub(1) as usize];
        let mut steered: Vec<u32> = Vec::new();
        for layer in 2..=blocks {
            let Some(steps) = self.0.get(&(Site::Residual, layer)) else { continue };
            if steps.iter().any(|step| matches!(step, Step::ProjectOut { .. })) {
                continue;
            }
            let first = (layer as usize - 2) * width;
            let Some(row) = rows.get_mut(first..first + width) else { continue };
            steps.iter().for_each(|step| step.apply(row));
            // Two vectors that are finite may not have a finite sum.
            if row.iter().all(|number| number.is_finite()) {
                self.0.remove(&(Site::Residual, layer));
                steered.push(layer - 1);
            } else {
                row.fill(0.0);
            }
        }
        let blocks = (*steered.first()?, *steered.last()?);
        Some(ControlVector { rows, blocks })
    }
}

impl Step {
    fn apply(&self, row: &mut [f32]) {
        match self {
            Self::Add(vector) => row.iter_mut().zip(vector).for_each(|(number, added)| *number += added),
            Self::ProjectOut { direction, coefficient } => {
                let dot: f64 = row.iter().zip(direction).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                let share = f64::from(*coefficient) * dot;
                for (number, part) in row.iter_mut().zip(direction) {
                    *number = (f64::from(*number) - share * f64::from(*part)) as f32;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(layers: &[u32], vector: &[f32], coefficient: f32) -> Intervention {
        let change = Change::Add { vector: vector.to_vec(), coefficient };
        Intervention { layers: layers.to_vec(), site: Site::Residual, change }
    }

    fn project_out(layers: &[u32], direction: &[f32], coefficient: f32) -> Intervention {
        let change = Change::ProjectOut { direction: direction.to_vec(), coefficient };
        Intervention { layers: layers.to_vec(), site: Site::Residual, change }
    }

    fn changed(interventions: &[Intervention], row: [f32; 2]) -> [f32; 2] {
        let mut row = row;
        Changes::new(interventions).apply((Site::Residual, 3), &mut row, 2);
        row
    }

    #[test]
    fn changes_at_one_place_apply_in_their_order() {
        // (1, 7) + 2·(1, 0) = (3, 7); without its part along (3, 4)/5, which is 37/5: (3 − 4.44, 7 − 5.92)
        let both = [add(&[3], &[1.0, 0.0], 2.0), project_out(&[3], &[3.0, 4.0], 1.0)];
        let found = changed(&both, [1.0, 7.0]);
        assert!((found[0] + 1.44).abs() < 1e-6 && (found[1] - 1.08).abs() < 1e-6, "{found:?}");
        assert_eq!(changed(&[project_out(&[3], &[3.0, 4.0], 0.0)], [1.0, 7.0]), [1.0, 7.0]);
        assert_eq!(changed(&[add(&[2], &[1.0, 0.0], 2.0)], [1.0, 7.0]), [1.0, 7.0]);
    }

    #[test]
    fn only_additions_to_the_second_blocks_output_and_later_become_a_control_vector() {
        let mut changes = Changes::new(&[
            add(&[0, 1, 2, 4], &[1.0, 2.0], 1.0),
            add(&[4], &[1.0, 0.0], -3.0),
            project_out(&[2], &[1.0, 0.0], 1.0),
        ]);
        let vector = changes.take_control_vector(4, 2).unwrap();
        assert_eq!(vector.rows, [0.0, 0.0, 0.0, 0.0, -2.0, 2.0]);
        assert_eq!(vector.blocks, (3, 3));
        let left: Vec<_> = changes.places().map(|(_, layer)| layer).collect();
        assert_eq!(left, [0, 1, 2]);
        assert!(changes.take_control_vector(4, 2).is_none());
    }

    #[test]
    fn a_vector_too_large_for_f32_is_refused() {
        assert!(Changes::new(&[add(&[1], &[1e30, 0.0], 1e30)]).check().is_err());
        assert!(Changes::new(&[add(&[1], &[1e30, 0.0], 1e-30)]).check().is_ok());
    }
}

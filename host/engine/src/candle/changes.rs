//! Interventions, ready to be applied.

use candle_core::{Device, Result, Tensor};
use sonde_contract::{Change, HostError, Intervention, Site};

/// A change with its vector as a tensor.
#[derive(Clone)]
enum Ready {
    /// `[width]`, multiplied by its coefficient.
    Add(Tensor),
    /// The direction at unit length, `[width, 1]`, and the coefficient.
    ProjectOut(Tensor, f64),
}

#[derive(Clone)]
struct Placed {
    layers: Vec<u32>,
    site: Site,
    ready: Ready,
}

/// The changes in force in a handle, in their order.
#[derive(Clone, Default)]
pub(crate) struct Changes(Vec<Placed>);

impl Changes {
    /// These changes, which have been checked, after the ones that are.
    pub(crate) fn and(&self, more: Vec<Intervention>) -> std::result::Result<Self, HostError> {
        let mut all = self.clone();
        for Intervention { layers, site, change } in more {
            let ready = ready(change).map_err(|error| HostError::Engine(error.to_string()))?;
            all.0.push(Placed { layers, site, ready });
        }
        Ok(all)
    }

    /// A state `[tokens, width]` as the changes at its place leave it.
    pub(crate) fn apply(&self, site: Site, layer: usize, state: Tensor) -> Result<Tensor> {
        let here = |placed: &&Placed| {
            placed.site == site && placed.layers.iter().any(|changed| *changed as usize == layer)
        };
        self.0.iter().filter(here).try_fold(state, |state, placed| match &placed.ready {
            Ready::Add(vector) => state.broadcast_add(vector),
            Ready::ProjectOut(direction, coefficient) => {
                let along = state.matmul(direction)?.matmul(&direction.t()?)?;
                state - (along * *coefficient)?
            }
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "computed wider than it is kept")]
fn ready(change: Change) -> Result<Ready> {
    Ok(match change {
        Change::Add { vector, coefficient } => {
            let vector: Vec<f32> = vector.into_iter().map(|number| number * coefficient).collect();
            Ready::Add(Tensor::new(vector, &Device::Cpu)?)
        }
        Change::ProjectOut { direction, coefficient } => {
            let squares = direction.iter().map(|number| f64::from(*number).powi(2));
            let length = squares.sum::<f64>().sqrt();
            let unit: Vec<f32> =
                direction.iter().map(|number| (f64::from(*number) / length) as f32).collect();
            Ready::ProjectOut(Tensor::new(unit, &Device::Cpu)?.unsqueeze(1)?, f64::from(coefficient))
        }
    })
}

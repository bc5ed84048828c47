//! What is said of each conversation.

use sonde_diagnostics::x_boundary::Class;
use sonde_sdk::Finding;

use crate::metrics::Measured;

/// Each row's class, and its place between the centroids at each layer: 0 at the safe one, 1 at the harmful one.
pub fn findings(kept: &[usize], classes: &[Class], measured: &[Measured]) -> Vec<Finding> {
    let of_row = |(at, (row, class)): (usize, (&usize, &Class))| {
        let start = Finding::new("items", *row).field("class", class.name());
        measured.iter().fold(start, |finding, one| match one.places.get(at) {
            Some(place) => finding.field(&format!("place layer={}", one.layer), *place),
            None => finding,
        })
    };
    kept.iter().zip(classes).enumerate().map(of_row).collect()
}

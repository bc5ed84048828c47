//! t-SNE (van der Maaten 2014, Barnes-Hut).

use bhtsne::{Neighbor, tSNE};

use super::pca;
use crate::{Error, Gram, Vectors};

/// Parameters; the defaults are scikit-learn's, which DeepScan uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TsneOptions {
    /// Effective number of neighbours, 30.
    pub perplexity: f64,
    /// Barnes-Hut angle θ, 0.5; larger is faster and coarser.
    pub angle: f64,
    /// Gradient steps, 1000.
    pub iterations: usize,
}

impl Default for TsneOptions {
    fn default() -> Self {
        Self { perplexity: 30.0, angle: 0.5, iterations: 1000 }
    }
}

/// A map.
#[derive(Clone, Debug, PartialEq)]
pub struct Tsne {
    /// One point per sample; the unit means nothing.
    pub points: Vec<[f64; 2]>,
    /// The perplexity used: a third of the other samples' number, if less than asked.
    pub perplexity: f64,
}

/// Embeds the vectors in the plane by Euclidean distances. Starts from the first two principal components scaled to
/// a standard deviation of 1e-4, so that there is no randomness and the same vectors give the same map.
///
/// As scikit-learn: early exaggeration 12 for 250 steps, momentum 0.5 and then 0.8, learning rate max(m/48, 50).
/// Otherwise: computed in `f64`; always all steps (scikit-learn ends when the gradient is small); 3·perplexity
/// neighbours and not one more; the perplexity is lowered where there are too few samples; two components are exact and
/// not by randomised SVD. Maps therefore agree in their clusters, not point by point. Costs m²·d for the distances and
/// about m ln m a step.
///
/// # Errors
/// [`Error::Constant`]; [`Error::ClassTooSmall`] for fewer than 4 samples; [`Error::Parameter`] for a perplexity below 1
/// or an angle that is not positive.
pub fn tsne(vectors: &Vectors, options: TsneOptions) -> Result<Tsne, Error> {
    let count = vectors.count();
    if count < 4 {
        return Err(Error::ClassTooSmall { class: "all".to_owned(), found: count, needed: 4 });
    }
    for (name, value, least) in [("perplexity", options.perplexity, 1.0), ("angle", options.angle, 1e-6)] {
        if !(value >= least && value.is_finite()) {
            let allowed = "a perplexity is at least 1 (30 is usual), an angle above 0 (0.5 is usual)";
            return Err(Error::Parameter { name, value: value.to_string(), allowed });
        }
    }
    let start = pca(vectors)?.points;
    let perplexity = options.perplexity.min((count - 1) as f64 / 3.0);
    let neighbours = nearest(vectors, (3.0 * perplexity) as usize);
    let spread = (start.iter().map(|[x, _]| x * x).sum::<f64>() / count as f64).sqrt();
    let start: Vec<f64> = start.iter().flatten().map(|coordinate| coordinate / spread * 1e-4).collect();

    let embed = || {
        // The library sees only the neighbours, so it needs no data of its own.
        let samples = vec![(); count];
        let mut fit: tSNE<f64, (), 2> = tSNE::new(&samples);
        fit.perplexity(perplexity).epochs(options.iterations).initial_embedding(start);
        fit.barnes_hut_with_neighbors(options.angle, &neighbours);
        fit.embedding()
    };
    // With several threads the library sums in the order in which they finish. In a plugin there is only one, and none
    // can be started.
    let embedding = match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
        Ok(one_thread) => one_thread.install(embed),
        Err(_) => embed(),
    };
    let points = embedding.chunks_exact(2).filter_map(|point| <[f64; 2]>::try_from(point).ok()).collect();
    Ok(Tsne { points, perplexity })
}

/// Each sample's `count` nearest others, nearest first.
fn nearest(vectors: &Vectors, count: usize) -> Vec<Vec<Neighbor<f64>>> {
    let distances = Gram::new(vectors).distances();
    let of = |sample: usize| {
        let others = distances.column(sample);
        let mut row: Vec<Neighbor<f64>> = others
            .iter()
            .enumerate()
            .filter(|&(index, _)| index != sample)
            .map(|(index, &distance)| Neighbor { index, distance })
            .collect();
        row.sort_by(|one, other| one.distance.total_cmp(&other.distance));
        row.truncate(count.max(1));
        row
    };
    let mut rows: Vec<Vec<Neighbor<f64>>> = (0..vectors.count()).map(of).collect();
    // The map does not depend on the unit, but the search for each sample's bandwidth starts at 1 and ends after 200
    // halvings.
    let (sum, many) =
        rows.iter().flatten().fold((0.0, 0.0), |(sum, many), one| (sum + one.distance, many + 1.0));
    if sum > 0.0 {
        rows.iter_mut().flatten().for_each(|one| one.distance *= many / sum);
    }
    rows
}

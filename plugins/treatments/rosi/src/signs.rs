//! The sign of w̄·x. An edit adds alpha (w̄·x) ŝ, so it pushes along ŝ only where alpha and w̄·x have the same sign; and w̄·x
//! is the mean of the numbers of W x, which is what the block adds to the residual stream there.

use sonde_sdk::{Error, Host, Place, Prompt, Rows, Site, States, WhiteBox};

/// w̄·x at one site of one block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sign {
    pub site: Site,
    pub block: u32,
    /// At how many prompts it was positive.
    pub positive: u64,
    pub prompts: u64,
    /// Over the prompts.
    pub sum: f64,
}

/// Counts signs at the last prompt token, in every block: of harmful prompts and of harmless ones, read together.
///
/// # Errors
/// What the host cannot do.
pub fn count<H: Host<Model: WhiteBox>>(
    host: &H,
    model: &H::Model,
    blocks: u32,
    [harmful, harmless]: [&[Prompt]; 2],
) -> Result<[Vec<Sign>; 2], Error> {
    let place = |site| (0..blocks).map(move |layer| Place { site, layer });
    let places: Vec<Place> = place(Site::Attention).chain(place(Site::Mlp)).collect();
    let states = States::read(host, model, &[harmful, harmless].concat(), &places, &Rows::Last)?;
    let read = states.kept.iter().filter(|place| **place < harmful.len()).count();
    let sign = |place: &Place, rows: &[Vec<f32>]| {
        let mean = |row: &Vec<f32>| {
            row.iter().map(|number| f64::from(*number)).sum::<f64>() / row.len().max(1) as f64
        };
        let means: Vec<f64> = rows.iter().map(mean).collect();
        Sign {
            site: place.site,
            block: place.layer,
            positive: means.iter().filter(|mean| **mean > 0.0).count() as u64,
            prompts: rows.len() as u64,
            sum: means.iter().sum(),
        }
    };
    let mut signs = [Vec::new(), Vec::new()];
    for (place, rows) in places.iter().zip(&states.layers) {
        let (first, second) = rows.split_at(read.min(rows.len()));
        let [of_harmful, of_harmless] = &mut signs;
        of_harmful.push(sign(place, first));
        of_harmless.push(sign(place, second));
    }
    Ok(signs)
}

/// Of all blocks together: how often positive, of how many, and the mean.
pub fn total(signs: &[Sign], site: Site) -> (u64, u64, f64) {
    let of_site = || signs.iter().filter(move |sign| sign.site == site);
    let (positive, prompts) = of_site().fold((0, 0), |(p, n), sign| (p + sign.positive, n + sign.prompts));
    (positive, prompts, of_site().map(|sign| sign.sum).sum::<f64>() / prompts.max(1) as f64)
}

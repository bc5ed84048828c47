//! How far two models of the same shape lie apart inside: a quantised file and the file it was made from, one engine and
//! another, before and after a treatment. `sonde model compare` prints it.
//!
//! Per layer, states of the same tokens are compared; at the end, whole next-token distributions.

use serde::Serialize;
use sonde_contract::{CaptureRequest, CaptureSpec, Captured, HostError, Prompt, Rows, Sampling, Site};

use crate::{GenerateRequest, Model};

/// Positions of each text at which next-token distributions are compared, at most.
const POSITIONS: usize = 16;

/// What two models make of the same texts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Texts read.
    pub texts: usize,
    /// Their tokens.
    pub tokens: usize,
    /// The residual stream from the embedding on, then the state after the final norm.
    pub layers: Vec<LayerDrift>,
    /// What the states come to.
    pub next_token: NextTokenDrift,
}

/// How the second model's states differ from the first one's at one layer, over all tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LayerDrift {
    /// `residual` or `final-norm`.
    pub site: Site,
    /// As [`Site`] counts them.
    pub layer: u32,
    /// Mean cosine similarity, −1 to 1.
    pub cosine: f64,
    /// The lowest.
    pub lowest_cosine: f64,
    /// Mean of ‖b‖ / ‖a‖.
    pub relative_norm: f64,
    /// Mean of ‖b − a‖ / ‖a‖.
    pub relative_error: f64,
}

/// How next-token distributions differ, at some positions of each text.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NextTokenDrift {
    /// Positions compared; those where either model would end the text are left out.
    pub positions: usize,
    /// Mean Kullback–Leibler divergence of the second from the first, Σ p_a (ln p_a − ln p_b), in nats.
    pub mean_kl: f64,
    /// The largest.
    pub largest_kl: f64,
    /// Share of positions at which both have the same likeliest token.
    pub same_top_token: f64,
    /// Mean |p_b − p_a| of the first model's likeliest token.
    pub top_probability_shift: f64,
}

/// Compares two models on texts, which both must cut into the same tokens.
///
/// # Errors
/// Models of another width, depth or tokenizer; a text that does not fit; no text.
pub async fn compare(a: &dyn Model, b: &dyn Model, texts: &[String]) -> Result<Comparison, HostError> {
    check_alike(a, b)?;
    let blocks = a.info().layers;
    let mut layers: Vec<Drift> = (0..=blocks + 1).map(|_| Drift::default()).collect();
    let mut next = NextToken::default();
    let mut tokens = 0;
    for text in texts {
        let residual = CaptureSpec { layers: (0..=blocks).collect(), site: Site::Residual, rows: Rows::All };
        let normed = CaptureSpec { layers: vec![blocks], site: Site::FinalNorm, rows: Rows::All };
        let capture = async |model: &dyn Model, spec: &CaptureSpec| {
            let prompt = Prompt::Text(text.clone());
            model.capture(CaptureRequest { prompt, spec: spec.clone() }).await
        };
        let (ours, theirs) = (capture(a, &residual).await?, capture(b, &residual).await?);
        check_tokens(text, &ours, &theirs)?;
        let (our_normed, their_normed) = (capture(a, &normed).await?, capture(b, &normed).await?);
        let width = ours.width as usize;
        let pairs = ours
            .layers
            .iter()
            .chain(&our_normed.layers)
            .zip(theirs.layers.iter().chain(&their_normed.layers));
        for (drift, (one, other)) in layers.iter_mut().zip(pairs) {
            one.chunks(width).zip(other.chunks(width)).for_each(|(one, other)| drift.add(one, other));
        }
        tokens += ours.tokens.len();
        for end in positions(ours.tokens.len()) {
            let prefix = ours.tokens.get(..end).unwrap_or_default().to_vec();
            if let (Some(one), Some(other)) =
                tokio::try_join!(distribution(a, prefix.clone()), distribution(b, prefix))?
            {
                next.add(&one, &other);
            }
        }
    }
    if tokens == 0 {
        return Err(HostError::InvalidArgument("there is no text to compare the models on".to_owned()));
    }
    let layers = layers.iter().zip(0..).map(|(drift, layer)| {
        let (site, layer) = if layer > blocks { (Site::FinalNorm, blocks) } else { (Site::Residual, layer) };
        drift.at(site, layer)
    });
    Ok(Comparison { texts: texts.len(), tokens, layers: layers.collect(), next_token: next.drift() })
}

fn check_alike(a: &dyn Model, b: &dyn Model) -> Result<(), HostError> {
    let (one, other) = (a.info(), b.info());
    for (what, ours, theirs) in [
        ("wide", one.width, other.width),
        ("blocks deep", one.layers, other.layers),
        ("tokens rich", one.vocabulary, other.vocabulary),
    ] {
        if ours != theirs {
            return Err(HostError::InvalidArgument(format!(
                "{} is {ours} {what} and {} is {theirs}; only models of the same shape can be compared layer by layer",
                one.name, other.name
            )));
        }
    }
    Ok(())
}

fn check_tokens(text: &str, ours: &Captured, theirs: &Captured) -> Result<(), HostError> {
    if ours.tokens == theirs.tokens {
        return Ok(());
    }
    let start: String = text.chars().take(40).collect();
    Err(HostError::InvalidArgument(format!(
        "the two models cut \"{start}\" into different tokens, so their states cannot be compared token by token"
    )))
}

/// Prefix lengths spread over a text, its whole length among them.
fn positions(tokens: usize) -> impl Iterator<Item = usize> {
    let count = tokens.min(POSITIONS);
    (1..=count).map(move |step| step * tokens / count)
}

/// Natural-log probability of every token after a prefix; `None` where the model would end the text.
async fn distribution(model: &dyn Model, prefix: Vec<u32>) -> Result<Option<Vec<f64>>, HostError> {
    let vocabulary = model.info().vocabulary;
    let sampling = Sampling { max_tokens: 1, logprobs: Some(vocabulary), ..Sampling::default() };
    let request = GenerateRequest { prompt: Prompt::Tokens(prefix), sampling, stream: None };
    let completion = model.generate(request).await?;
    let Some(first) = completion.logprobs.first() else { return Ok(None) };
    let mut all = vec![f64::NEG_INFINITY; vocabulary as usize];
    for entry in &first.top {
        if let Some(place) = all.get_mut(entry.token as usize) {
            *place = f64::from(entry.logprob);
        }
    }
    Ok(Some(all))
}

/// Sums over tokens at one layer.
#[derive(Default)]
struct Drift {
    tokens: f64,
    cosines: f64,
    lowest: Option<f64>,
    norms: f64,
    errors: f64,
}

impl Drift {
    fn add(&mut self, one: &[f32], other: &[f32]) {
        let (mut dot, mut ours, mut theirs, mut apart) = (0.0, 0.0, 0.0, 0.0);
        for (x, y) in one.iter().zip(other).map(|(x, y)| (f64::from(*x), f64::from(*y))) {
            dot += x * y;
            ours += x * x;
            theirs += y * y;
            apart += (y - x) * (y - x);
        }
        // A state that is zero in both is the same state; one against nothing has no direction to share.
        let (cosine, norm, error) = match (ours > 0.0, theirs > 0.0) {
            (true, true) => (dot / (ours * theirs).sqrt(), (theirs / ours).sqrt(), (apart / ours).sqrt()),
            (false, false) => (1.0, 1.0, 0.0),
            (true, false) => (0.0, 0.0, 1.0),
            (false, true) => (0.0, 1.0, 1.0),
        };
        self.tokens += 1.0;
        self.cosines += cosine;
        self.lowest = Some(self.lowest.map_or(cosine, |lowest| lowest.min(cosine)));
        self.norms += norm;
        self.errors += error;
    }

    fn at(&self, site: Site, layer: u32) -> LayerDrift {
        let count = self.tokens.max(1.0);
        LayerDrift {
            site,
            layer,
            cosine: self.cosines / count,
            lowest_cosine: self.lowest.unwrap_or(1.0),
            relative_norm: self.norms / count,
            relative_error: self.errors / count,
        }
    }
}

/// Sums over positions.
#[derive(Default)]
struct NextToken {
    positions: usize,
    divergences: f64,
    largest: f64,
    agreed: usize,
    shifts: f64,
}

impl NextToken {
    fn add(&mut self, one: &[f64], other: &[f64]) {
        let divergence: f64 = one
            .iter()
            .zip(other)
            .filter(|(p, _)| p.is_finite())
            .map(|(p, q)| p.exp() * (p - q.max(f64::from(f32::MIN))))
            .sum();
        // Rounding may leave a divergence of equal distributions a hair below zero.
        let divergence = divergence.max(0.0);
        let likeliest = |all: &[f64]| {
            all.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(token, p)| (token, *p))
        };
        let top = likeliest(one);
        self.positions += 1;
        self.divergences += divergence;
        self.largest = self.largest.max(divergence);
        self.agreed += usize::from(top.map(|(token, _)| token) == likeliest(other).map(|(token, _)| token));
        if let Some((token, p)) = top {
            self.shifts += (other.get(token).map_or(0.0, |q| q.exp()) - p.exp()).abs();
        }
    }

    fn drift(&self) -> NextTokenDrift {
        let count = self.positions.max(1) as f64;
        NextTokenDrift {
            positions: self.positions,
            mean_kl: self.divergences / count,
            largest_kl: self.largest,
            same_top_token: self.agreed as f64 / count,
            top_probability_shift: self.shifts / count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_end_with_the_whole_text() {
        assert_eq!(positions(3).collect::<Vec<_>>(), [1, 2, 3]);
        let spread: Vec<_> = positions(100).collect();
        assert_eq!((spread.len(), spread.first(), spread.last()), (POSITIONS, Some(&6), Some(&100)));
        assert_eq!(positions(0).count(), 0);
    }

    #[test]
    fn drift_is_that_of_the_vectors() {
        let mut drift = Drift::default();
        drift.add(&[3.0, 4.0], &[4.0, 3.0]);
        drift.add(&[1.0, 0.0], &[2.0, 0.0]);
        let found = drift.at(Site::Residual, 2);
        // By hand: cosines 24/25 and 1, norm ratios 1 and 2, errors √2/5 and 1.
        assert!((found.cosine - 0.98).abs() < 1e-12 && (found.lowest_cosine - 0.96).abs() < 1e-12);
        assert!((found.relative_norm - 1.5).abs() < 1e-12);
        assert!((found.relative_error - (2_f64.sqrt() / 5.0 + 1.0) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn divergence_is_that_of_the_distributions() {
        let mut next = NextToken::default();
        next.add(&[0.5_f64.ln(), 0.5_f64.ln()], &[0.25_f64.ln(), 0.75_f64.ln()]);
        // Σ p ln(p/q) = 0.5 ln 2 + 0.5 ln(2/3)
        let expected = 0.5 * 2_f64.ln() + 0.5 * (2.0_f64 / 3.0).ln();
        assert!((next.drift().mean_kl - expected).abs() < 1e-12);
        next.add(&[0.9_f64.ln(), 0.1_f64.ln()], &[0.8_f64.ln(), 0.2_f64.ln()]);
        let drift = next.drift();
        assert_eq!((drift.positions, drift.same_top_token), (2, 1.0));
    }
}

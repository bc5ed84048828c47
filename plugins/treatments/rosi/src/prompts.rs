//! The prompts: which the direction is taken from, which are held out, and how the model is given them.

use serde::Deserialize;
use sonde_sdk::{Datasets, Error, ModelInfo, Prompt};

use crate::parameters::Parameters;

#[derive(Deserialize)]
struct Row {
    prompt: String,
}

/// Harmful and harmless requests.
#[derive(Debug, Default, PartialEq)]
pub struct Requests {
    pub harmful: Vec<String>,
    pub harmless: Vec<String>,
}

impl Requests {
    /// How many, of both kinds.
    pub fn count(&self) -> usize {
        self.harmful.len() + self.harmless.len()
    }

    /// The first `count` of each kind.
    pub fn first(&self, count: usize) -> Self {
        let first = |requests: &[String]| requests.iter().take(count).cloned().collect();
        Self { harmful: first(&self.harmful), harmless: first(&self.harmless) }
    }
}

/// Reads the requests: those for the extraction, and those held out.
///
/// # Errors
/// A dataset that is not bound, a row that does not fit, a kind without requests.
pub fn read(datasets: &Datasets, parameters: &Parameters) -> Result<(Requests, Requests), Error> {
    let (harmful, held_harmful) = read_kind(datasets, parameters, "harmful")?;
    let (harmless, held_harmless) = read_kind(datasets, parameters, "harmless")?;
    Ok((Requests { harmful, harmless }, Requests { harmful: held_harmful, harmless: held_harmless }))
}

fn read_kind(
    datasets: &Datasets,
    parameters: &Parameters,
    kind: &str,
) -> Result<(Vec<String>, Vec<String>), Error> {
    let rows = |name: &str| {
        let rows: Vec<Row> = datasets.rows(name)?;
        Ok::<_, Error>(rows.into_iter().map(|row| row.prompt).collect::<Vec<_>>())
    };
    let mut requests = rows(kind)?;
    let own = format!("calibration-{kind}");
    let held_out = match (parameters.needs_held_out(), datasets.has(&own)) {
        (false, _) => Vec::new(),
        (true, true) => rows(&own)?,
        (true, false) => {
            let count = (requests.len() as f64 * parameters.calibration_share).round() as usize;
            requests.split_off(requests.len() - count.clamp(1.min(requests.len()), requests.len()))
        }
    };
    if requests.is_empty() || (parameters.needs_held_out() && held_out.is_empty()) {
        return Err(Error::new(format!(
            "there are {} prompts in `{kind}` to take the direction from and {} held out; give more rows, or bind \
             `{own}`",
            requests.len(),
            held_out.len()
        )));
    }
    Ok((requests, held_out))
}

/// How requests become prompts.
pub struct Wording<'a> {
    info: &'a ModelInfo,
    thinking: Option<bool>,
    system: &'a str,
}

impl<'a> Wording<'a> {
    /// The request alone.
    pub fn new(info: &'a ModelInfo) -> Self {
        Self { info, thinking: None, system: "" }
    }

    /// With a wish to think or not; without one, the run's settings hold.
    pub fn thinking(self, wish: bool) -> Self {
        Self { thinking: Some(wish), ..self }
    }

    /// With instructions above them.
    pub fn under(self, system: &'a str) -> Self {
        Self { system, ..self }
    }

    /// One prompt for each request.
    pub fn prompts(&self, requests: &[String]) -> Vec<Prompt> {
        let prompt = |request: &String| {
            let prompt = Prompt::user(request.as_str()).with_system(self.system);
            let prompt = match self.thinking {
                Some(wish) => prompt.thinking(wish),
                None => prompt,
            };
            prompt.fitted(self.info)
        };
        requests.iter().map(prompt).collect()
    }
}

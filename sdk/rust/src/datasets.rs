//! The datasets that a run binds to a diagnostic or a treatment.

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::Error;
use crate::bindings::benchmark::sonde::plugin::results::Dataset;

/// Datasets by the names of the description.
#[derive(Clone, Debug, Default)]
pub struct Datasets(Vec<(String, Vec<String>)>);

impl Datasets {
    /// None at all; for tests, with [`Datasets::with`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds rows to a name, each a JSON object.
    #[must_use]
    pub fn with(mut self, name: &str, rows: impl IntoIterator<Item = Json>) -> Self {
        self.0.push((name.to_owned(), rows.into_iter().map(|row| row.to_string()).collect()));
        self
    }

    /// Whether the run binds a dataset to this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(bound, _)| bound == name)
    }

    /// The rows of a dataset, in its order: row i is row i of a [`Finding`](crate::Finding).
    ///
    /// # Errors
    /// A name to which nothing is bound, and the first row that does not fit, with its number.
    pub fn rows<R: DeserializeOwned>(&self, name: &str) -> Result<Vec<R>, Error> {
        let bound = self.0.iter().find(|(bound, _)| bound == name);
        let (_, rows) = bound.ok_or_else(|| format!("no dataset is bound to `{name}`"))?;
        let read = |(at, row): (usize, &String)| {
            serde_json::from_str(row)
                .map_err(|error| Error::new(format!("row {at} of dataset `{name}` does not fit: {error}")))
        };
        rows.iter().enumerate().map(read).collect()
    }
}

impl From<Vec<Dataset>> for Datasets {
    fn from(datasets: Vec<Dataset>) -> Self {
        Self(datasets.into_iter().map(|dataset| (dataset.name, dataset.rows)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Row {
        label: u32,
    }

    #[test]
    fn rows_are_typed_and_one_that_does_not_fit_is_named() {
        let datasets = Datasets::new()
            .with("items", [json!({"label": 2, "note": "x"}), json!({"label": 0})])
            .with("broken", [json!({"label": 1}), json!({"label": "many"})]);
        assert_eq!(datasets.rows::<Row>("items").unwrap(), [Row { label: 2 }, Row { label: 0 }]);
        let error = datasets.rows::<Row>("broken").unwrap_err().to_string();
        assert!(error.starts_with("row 1 of dataset `broken` does not fit: invalid type"), "{error}");
        let error = datasets.rows::<Row>("others").unwrap_err().to_string();
        assert_eq!(error, "no dataset is bound to `others`");
        assert!(datasets.has("items") && !datasets.has("others"));
    }
}

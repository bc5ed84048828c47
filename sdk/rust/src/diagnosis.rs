//! Building diagnoses.

use crate::{Diagnosis, Field, Finding, Summary, Value};

impl Finding {
    /// What is said of one row of a dataset, counted from 0 as it was handed over.
    pub fn new(dataset: &str, row: usize) -> Self {
        // The host refuses a row that is not there, so a number that does not fit is refused too.
        let row = u32::try_from(row).unwrap_or(u32::MAX);
        Self { dataset: dataset.to_owned(), row, fields: Vec::new() }
    }

    /// Adds a value.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.push(Field { name: name.to_owned(), value: value.into() });
        self
    }
}

impl Diagnosis {
    /// A diagnosis that says nothing of single rows yet.
    pub fn new(summary: Summary) -> Self {
        Self { summary, findings: Vec::new() }
    }

    /// Adds what it says of one row.
    #[must_use]
    pub fn finding(mut self, finding: Finding) -> Self {
        self.findings.push(finding);
        self
    }

    /// Adds what it says of rows.
    #[must_use]
    pub fn findings(mut self, findings: impl IntoIterator<Item = Finding>) -> Self {
        self.findings.extend(findings);
        self
    }
}

impl From<Summary> for Diagnosis {
    fn from(summary: Summary) -> Self {
        Self::new(summary)
    }
}

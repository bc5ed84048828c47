//! Building a plugin's description, with the JSON Schema of its parameters.

use serde_json::{Map, Value as Json, json};

use crate::{About, Column, Slot};

/// A parameter as the description lists it.
#[derive(Clone, Debug)]
pub struct Parameter {
    name: &'static str,
    schema: Json,
}

impl Parameter {
    /// One of a few words.
    pub fn one_of(name: &'static str, words: &[&str], default: &str, about: &str) -> Self {
        Self { name, schema: json!({"enum": words, "default": default, "description": about}) }
    }

    /// Any text.
    pub fn text(name: &'static str, default: &str, about: &str) -> Self {
        Self { name, schema: json!({"type": "string", "default": default, "description": about}) }
    }

    /// Yes or no.
    pub fn flag(name: &'static str, default: bool, about: &str) -> Self {
        Self { name, schema: json!({"type": "boolean", "default": default, "description": about}) }
    }

    /// A number.
    pub fn number(name: &'static str, default: f64, about: &str) -> Self {
        Self { name, schema: json!({"type": "number", "default": default, "description": about}) }
    }

    /// A number; without it the plugin chooses.
    pub fn real(name: &'static str, about: &str) -> Self {
        Self { name, schema: json!({"type": "number", "description": about}) }
    }

    /// A list of words; without it, these.
    pub fn words(name: &'static str, default: &[&str], about: &str) -> Self {
        let items = json!({"type": "string"});
        Self {
            name,
            schema: json!({"type": "array", "items": items, "default": default, "description": about}),
        }
    }

    /// A list of mappings, empty unless it is given.
    pub fn mappings(name: &'static str, about: &str) -> Self {
        let items = json!({"type": "object"});
        let schema = json!({"type": "array", "items": items, "default": [], "description": about});
        Self { name, schema }
    }

    /// A list of whole numbers, not negative; without it the plugin chooses.
    pub fn counts(name: &'static str, about: &str) -> Self {
        let items = json!({"type": "integer", "minimum": 0});
        Self { name, schema: json!({"type": "array", "items": items, "description": about}) }
    }

    /// A list of numbers.
    pub fn numbers(name: &'static str, default: &[f64], about: &str) -> Self {
        let items = json!({"type": "number"});
        Self {
            name,
            schema: json!({"type": "array", "items": items, "default": default, "description": about}),
        }
    }

    /// A whole number; without it the plugin chooses.
    pub fn whole(name: &'static str, about: &str) -> Self {
        Self { name, schema: json!({"type": "integer", "description": about}) }
    }

    /// A whole number, not negative.
    pub fn count(name: &'static str, default: u64, about: &str) -> Self {
        Self {
            name,
            schema: json!({"type": "integer", "minimum": 0, "default": default, "description": about}),
        }
    }
}

/// A description of the crate at hand: name, version and licence from its `Cargo.toml`.
#[macro_export]
macro_rules! about {
    ($title:expr) => {
        $crate::About::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), $title)
            .licence(env!("CARGO_PKG_LICENSE"))
    };
}

impl About {
    /// A description without parameters, models or columns; the licence is that of Sonde itself.
    pub fn new(name: &str, version: &str, title: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            title: title.to_owned(),
            summary: String::new(),
            citation: String::new(),
            licence: "Apache-2.0 OR MIT".to_owned(),
            models: Vec::new(),
            judges: Vec::new(),
            datasets: Vec::new(),
            columns: Vec::new(),
            parameters_schema: String::new(),
        }
        .parameters([])
    }

    /// What it measures and what it does not.
    #[must_use]
    pub fn summary(mut self, summary: &str) -> Self {
        self.summary = summary.to_owned();
        self
    }

    /// The publication it follows.
    #[must_use]
    pub fn citation(mut self, citation: &str) -> Self {
        self.citation = citation.to_owned();
        self
    }

    /// SPDX expression of the plugin's own licence.
    #[must_use]
    pub fn licence(mut self, licence: &str) -> Self {
        self.licence = licence.to_owned();
        self
    }

    /// A model role that must be bound.
    #[must_use]
    pub fn model(mut self, role: &str, about: &str) -> Self {
        self.models.push(slot(role, about, true));
        self
    }

    /// A judge that must be bound.
    #[must_use]
    pub fn judge(mut self, name: &str, about: &str) -> Self {
        self.judges.push(slot(name, about, true));
        self
    }

    /// A judge that may be left out.
    #[must_use]
    pub fn optional_judge(mut self, name: &str, about: &str) -> Self {
        self.judges.push(slot(name, about, false));
        self
    }

    /// A dataset of a diagnostic or treatment that must be bound.
    #[must_use]
    pub fn dataset(mut self, name: &str, about: &str) -> Self {
        self.datasets.push(slot(name, about, true));
        self
    }

    /// A dataset of a diagnostic or treatment that may be left out.
    #[must_use]
    pub fn optional_dataset(mut self, name: &str, about: &str) -> Self {
        self.datasets.push(slot(name, about, false));
        self
    }

    /// A column that every row must have.
    #[must_use]
    pub fn column(self, name: &str, about: &str) -> Self {
        self.column_known_as(name, &[], about)
    }

    /// A column that every row must have, with other names that publishers' files use for it.
    #[must_use]
    pub fn column_known_as(mut self, name: &str, aliases: &[&str], about: &str) -> Self {
        self.columns.push(column(name, aliases, about, true));
        self
    }

    /// A column that rows may lack, with other names for it.
    #[must_use]
    pub fn optional_column(mut self, name: &str, aliases: &[&str], about: &str) -> Self {
        self.columns.push(column(name, aliases, about, false));
        self
    }

    /// The parameters, all of them; others are refused.
    #[must_use]
    pub fn parameters(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        let properties: Map<String, Json> =
            parameters.into_iter().map(|parameter| (parameter.name.to_owned(), parameter.schema)).collect();
        self.parameters_schema =
            json!({"type": "object", "properties": properties, "additionalProperties": false}).to_string();
        self
    }
}

fn slot(name: &str, about: &str, required: bool) -> Slot {
    Slot { name: name.to_owned(), about: about.to_owned(), required }
}

fn column(name: &str, aliases: &[&str], about: &str, required: bool) -> Column {
    let aliases = aliases.iter().map(|&alias| alias.to_owned()).collect();
    Column { name: name.to_owned(), aliases, about: about.to_owned(), required }
}

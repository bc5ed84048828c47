//! The report as one HTML page: no scripts, nothing from the network, everything a stranger wrote escaped.
//!
//! Rust decides what is shown and how numbers read (`page`, `figures`, `beside`, `interval`); the template decides where it
//! stands. Every text reaches the page through the template's escaping, pictures too.

mod beside;
mod figures;
mod interval;
mod page;
mod provenance;
mod samples;
mod treated;

use crate::templates::environment;
use crate::view::RunView;

pub(crate) const STYLE: &str = include_str!("../templates/report.css");

/// The page.
///
/// # Errors
/// When the template does not render, which no view should make it do.
pub fn html(run: &RunView) -> Result<String, minijinja::Error> {
    let style = minijinja::Value::from_safe_string(STYLE.to_owned());
    let page = page::page(run);
    environment()?
        .get_template("report.html")?
        .render(minijinja::context! { style, page => minijinja::value::Serde(page) })
}

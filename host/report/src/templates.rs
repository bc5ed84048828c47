//! The templates and how they are set up. Everything that a stranger wrote reaches a page or a picture through their
//! escaping.

use minijinja::Environment;
use minijinja::syntax::SyntaxConfig;

use crate::printable::cut;

/// The page, the picture, and the macros that both use.
///
/// # Errors
/// When a template has a syntax error.
pub(crate) fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_filter("cut", |text: String, most: usize| cut(&text, most));
    // Templates named *.html and *.xml are escaped; the name is what switches it on.
    environment.add_template("drawing.html", include_str!("../templates/drawing.html"))?;
    environment.add_template("report.html", include_str!("../templates/report.html"))?;
    environment.add_template("beside.html", include_str!("../templates/beside.html"))?;
    environment.add_template("compared.html", include_str!("../templates/compared.html"))?;
    environment.add_template("treated.html", include_str!("../templates/treated.html"))?;
    environment.add_template("compare.html", include_str!("../templates/compare.html"))?;
    environment.add_template("figure.xml", include_str!("../templates/figure.xml"))?;
    Ok(environment)
}

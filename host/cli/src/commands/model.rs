//! `sonde model info FILE` and `sonde model compare A B`

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use comfy_table::CellAlignment;
use sonde_contract::Digest;
use sonde_engine::{Comparison, Model, OpenError, OpenOptions, Precision};
use sonde_runtime::printable;

use crate::arguments::{CompareArguments, InfoArguments};
use crate::{End, words};

/// What both models read unless the user names texts: prose, code, another language, requests and refusals.
const TEXTS: &str = include_str!("compared-texts.txt");

pub(crate) fn info(arguments: &InfoArguments) -> anyhow::Result<End> {
    let model =
        sonde_engine::open(&arguments.model, &OpenOptions { slots: Some(1), ..OpenOptions::default() })?;
    let info = model.info();
    let bytes = std::fs::metadata(&arguments.model)?.len();
    out!("name           {}", printable(&info.name))?;
    out!("architecture   {}", printable(&info.architecture))?;
    out!("quantisation   {}", printable(&info.quantisation))?;
    out!("blocks         {}", info.layers)?;
    out!("width          {}", info.width)?;
    out!("vocabulary     {}", info.vocabulary)?;
    out!("context        {} (what a run takes unless `context` says otherwise)", info.context)?;
    out!("chat template  {}", if info.has_chat_template { "yes" } else { "no: only plain text prompts" })?;
    out!("size           {}", words::size(bytes))?;
    out!("SHA-256        {}", Digest::of_file(&arguments.model)?)?;
    Ok(End::Success)
}

pub(crate) async fn compare(arguments: &CompareArguments) -> anyhow::Result<End> {
    let texts = match &arguments.texts {
        Some(path) => std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the texts {}", path.display()))?,
        None => TEXTS.to_owned(),
    };
    let texts: Vec<String> =
        texts.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    let precision = if arguments.precision == "fast" { Precision::Fast } else { Precision::Exact };
    let options = OpenOptions { slots: Some(1), precision, ..OpenOptions::default() };
    let a = open(&arguments.a, &arguments.engine_a, &options)?;
    let b = open(&arguments.b, &arguments.engine_b, &options)?;
    let comparison = sonde_engine::compare(a.as_ref(), b.as_ref(), &texts).await?;
    if arguments.json {
        out!("{}", serde_json::to_string_pretty(&comparison)?)?;
        return Ok(End::Success);
    }
    out!(
        "a  {} ({})\nb  {} ({})",
        arguments.a.display(),
        printable(&a.info().quantisation),
        arguments.b.display(),
        printable(&b.info().quantisation)
    )?;
    out!("states of {} tokens in {} texts, b against a\n", comparison.tokens, comparison.texts)?;
    out!("{}", layers(&comparison).trim_fmt())?;
    let next = &comparison.next_token;
    out!("\nnext token, at {} positions", next.positions)?;
    out!("  same likeliest token                 {:.1} %", 100.0 * next.same_top_token)?;
    out!("  shift of the likeliest one's p       {:.4} on average", next.top_probability_shift)?;
    out!(
        "  Kullback-Leibler divergence, nats    {:.2e} on average, {:.2e} at most",
        next.mean_kl,
        next.largest_kl
    )?;
    Ok(End::Success)
}

fn open(path: &Path, engine: &str, options: &OpenOptions) -> Result<Arc<dyn Model>, OpenError> {
    if engine == "candle" || (engine == "auto" && path.is_dir()) {
        sonde_engine::open_candle(path, options)
    } else {
        sonde_engine::open(path, options)
    }
}

fn layers(comparison: &Comparison) -> comfy_table::Table {
    let mut table = words::table(["layer", "cosine", "lowest", "norm b/a", "error |b-a|/|a|"]);
    for drift in &comparison.layers {
        let layer = match drift.site {
            sonde_contract::Site::FinalNorm => "final norm".to_owned(),
            _ => drift.layer.to_string(),
        };
        table.add_row([
            layer,
            format!("{:.6}", drift.cosine),
            format!("{:.6}", drift.lowest_cosine),
            format!("{:.4}", drift.relative_norm),
            format!("{:.1e}", drift.relative_error),
        ]);
    }
    for column in 1..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

//! `sonde treatment show FILE` and `sonde treatment export FILE`

use std::collections::BTreeMap;

use serde_json::json;
use sonde_contract::{Change, Changes, Digest, Purpose};
use sonde_engine::{Exported, Exporter};
use sonde_runner::{TreatmentError, TreatmentFile};
use sonde_runtime::printable;

use crate::arguments::{ExportArguments, ShowTreatmentArguments};
use crate::{End, words};

pub(crate) fn show(arguments: &ShowTreatmentArguments) -> anyhow::Result<End> {
    let file = TreatmentFile::read(&arguments.file)?;
    let TreatmentFile { model, plugin, changes, .. } = &file;
    if arguments.json {
        let lines = json!({
            "plugin": plugin,
            "parameters": file.parameters,
            "seed": file.seed,
            "purpose": file.purpose,
            "model": model,
            "metrics": file.metrics,
            "edits": changes.edits.len(),
            "interventions": changes.interventions.len(),
            "digest": file.digest(),
        });
        out!("{}", words::json_lines(&lines)?)?;
        return Ok(End::Success);
    }
    out!("made by        {} {}", printable(&plugin.name), printable(&plugin.version))?;
    out!("parameters     {}", words::json(&file.parameters))?;
    out!("seed           {}", file.seed)?;
    out!("purpose        {}", file.purpose.as_str())?;
    out!(
        "made for       {} ({}, {} blocks, {} wide; {})",
        printable(&model.name),
        printable(&model.architecture),
        model.layers,
        model.width,
        printable(&model.quantisation)
    )?;
    out!("its SHA-256    {}", model.digest)?;
    for line in in_words(changes) {
        out!("changes        {}", printable(&line))?;
    }
    for metric in &file.metrics {
        let group = metric.group.as_ref().map(|group| format!(" ({} {})", group.kind, group.name));
        let group = group.unwrap_or_default();
        out!("measured       {}{}: {}", printable(&metric.name), printable(&group), metric.value)?;
    }
    out!("digest         {}", file.digest())?;
    Ok(End::Success)
}

/// One line for each kind of matrix, and one for each change of states.
fn in_words(changes: &Changes) -> Vec<String> {
    let mut kinds: BTreeMap<(String, u32), u64> = BTreeMap::new();
    for edit in &changes.edits {
        // "blk.3.attn_output.weight" and "model.layers.3.self_attn.o_proj.weight" without their numbers.
        let parts = edit.matrix.split('.').filter(|part| part.parse::<u32>().is_err());
        let kind = parts.filter(|part| !["blk", "model", "layers", "weight"].contains(part));
        *kinds.entry((kind.collect::<Vec<_>>().join("."), edit.rank)).or_default() += 1;
    }
    let matrices = kinds.into_iter().map(|((kind, rank), count)| {
        let noun = if count == 1 { "matrix" } else { "matrices" };
        format!("{count} {noun} {kind}, by rank {rank}")
    });
    let states = changes.interventions.iter().map(|intervention| {
        let what = match &intervention.change {
            Change::Add { coefficient, .. } => format!("a vector added, times {coefficient}"),
            Change::ProjectOut { coefficient, .. } => format!("a direction taken out, times {coefficient}"),
        };
        format!("{what}, at the site {}, layers {:?}", intervention.site.as_str(), intervention.layers)
    });
    matrices.chain(states).collect()
}

pub(crate) fn export(arguments: &ExportArguments) -> anyhow::Result<End> {
    let file = TreatmentFile::read(&arguments.file)?;
    if file.purpose == Purpose::RobustnessAudit {
        return Err(TreatmentError::NeverKept.into());
    }
    if arguments.strength < 0.0 {
        anyhow::bail!(
            "the strength is {}; it must be 0 or more, for turned round a treatment takes away what it was derived to give",
            arguments.strength
        );
    }
    let exporter = Exporter::open(&arguments.model)?;
    if let Some(notice) = file.check_for(exporter.info(), Digest::of_file(&arguments.model)?)? {
        remark!("note: {}", printable(&notice));
    }
    let name = format!("{} for {}", file.plugin.name, file.model.name);
    let exported =
        exporter.export(&file.changes, arguments.strength, arguments.to, &arguments.output, &name)?;
    let Exported { files, changed, agreement } = &exported;
    if arguments.json {
        let lines = json!({
            "files": files,
            "changed": changed,
            "positions": agreement.positions,
            "relative": agreement.relative,
            "allowed": agreement.allowed,
            "moved": agreement.moved,
            "largest": agreement.largest,
            "same_top_token": agreement.same_top_token,
        });
        out!("{}", words::json_lines(&lines)?)?;
    } else {
        for file in files {
            let bytes = std::fs::metadata(file).map_or(0, |data| data.len());
            out!("wrote    {} ({})", printable(&file.display().to_string()), words::size(bytes))?;
        }
        out!("changed  {changed} {}", if changed == &1 { "place" } else { "places" })?;
        out!("checked  {agreement}")?;
    }
    if agreement.drowns() {
        remark!(
            "note: storing this file's few bits rounds away more than half of what the treatment does; a higher strength, a \
             model of more bits or gguf-lora keeps it"
        );
    }
    Ok(End::Success)
}

//! Treatment files shown and exported, and refused where they do not fit, are damaged or are never kept.

use std::path::PathBuf;

use serde_json::{Value, json};
use sonde_contract::{Change, Changes, Digest, Intervention, LowRank, Site};

use crate::support::{Folder, model};

fn rank_one(matrix: &str, rows: usize, columns: usize) -> LowRank {
    let wave = |place: usize| ((place * 37) % 61) as f32 / 30.0 - 1.0;
    let (a, b) = ((0..columns).map(wave).collect(), (0..rows).map(wave).collect());
    LowRank { matrix: matrix.to_owned(), expert: None, rank: 1, a, b, scale: 0.01 }
}

fn edits() -> Changes {
    let edits = (0..6).map(|block| rank_one(&format!("blk.{block}.attn_output.weight"), 256, 256));
    Changes { edits: edits.collect(), interventions: Vec::new() }
}

/// A file as the format describes it, for the model that comes with the repository.
fn treatment(changes: &Changes) -> Value {
    let file = PathBuf::from(model("wren-chat-q8_0.gguf"));
    json!({
        "format": "sonde-treatment",
        "version": 1,
        "model": {
            "name": "chat", "architecture": "qwen3", "layers": 6, "width": 256, "vocabulary": 2048,
            "quantisation": "Q8_0", "digest": Digest::of_file(&file).unwrap(),
        },
        "plugin": { "name": "rosi", "version": "0.1.0", "digest": Digest::of("a component") },
        "parameters": { "target": 0.9 },
        "seed": 7,
        "purpose": "safety",
        "metrics": [{ "name": "refused", "value": 0.75 }],
        "changes": changes,
        "digest": Digest::of_json(changes).unwrap(),
    })
}

fn write(folder: &Folder, treatment: &Value) -> PathBuf {
    folder.write("a.sonde-treatment", treatment.to_string())
}

const EXPORT: [&str; 3] = ["treatment", "export", "a.sonde-treatment"];

fn export(folder: &Folder, to: &str, output: &str) -> crate::support::Ran {
    let model = model("wren-chat-q8_0.gguf");
    let rest = ["--model", &model, "--to", to, "--output", output];
    folder.sonde(EXPORT.into_iter().chain(rest))
}

#[test]
fn a_treatment_is_shown_with_what_made_it_and_what_it_changes() {
    let folder = Folder::new();
    let mut changes = edits();
    let change = Change::ProjectOut { direction: vec![0.5; 256], coefficient: 0.25 };
    changes.interventions.push(Intervention { layers: vec![2, 3], site: Site::Mlp, change });
    write(&folder, &treatment(&changes));
    let shown = folder.sonde(["treatment", "show", "a.sonde-treatment"]);
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    for line in [
        "made by        rosi 0.1.0",
        "made for       chat (qwen3, 6 blocks, 256 wide; Q8_0)",
        "changes        6 matrices attn_output, by rank 1",
        "changes        a direction taken out, times 0.25, at the site mlp, layers [2, 3]",
        "measured       refused: 0.75",
    ] {
        assert!(shown.out.lines().any(|shown| shown == line), "{line}\n{}", shown.out);
    }
    let json = folder.sonde(["treatment", "show", "a.sonde-treatment", "--json"]).out;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["edits"].as_u64(), json["seed"].as_u64()), (Some(6), Some(7)));
}

#[test]
fn every_form_is_written_and_found_to_do_what_the_treatment_does() {
    let folder = Folder::new();
    write(&folder, &treatment(&edits()));
    for (form, output) in [("gguf-lora", "lora.gguf"), ("peft", "adapter"), ("gguf", "merged.gguf")] {
        let ran = export(&folder, form, output);
        assert_eq!(ran.code, Some(0), "{form}: {}", ran.err);
        assert!(ran.out.contains("\nchanged  6 places\nchecked  at "), "{}", ran.out);
        assert_eq!(ran.err, "");
    }
    let vector = Change::Add { vector: vec![0.125; 256], coefficient: 2.0 };
    let steering = Intervention { layers: vec![3], site: Site::Residual, change: vector };
    let changes = Changes { edits: Vec::new(), interventions: vec![steering] };
    write(&folder, &treatment(&changes));
    let ran = export(&folder, "control-vector", "vector.gguf");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let names = ["a.sonde-treatment", "adapter", "lora.gguf", "merged.gguf", "vector.gguf"];
    assert_eq!(folder.names(), names);
    // The merged model is a model.
    let merged = folder.path("merged.gguf");
    let said = folder.sonde(["generate", merged.to_str().unwrap(), "What is 3 + 4?", "--max-tokens", "8"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
}

#[test]
fn what_cannot_be_exported_says_why_and_changes_nothing() {
    let folder = Folder::new();
    let good = treatment(&edits());
    folder.write("lora.gguf", "before");
    let refused = |treatment: &Value, form: &str, sentences: &[&str]| {
        write(&folder, treatment);
        export(&folder, form, "lora.gguf").refused_with(2, sentences);
        assert_eq!(std::fs::read(folder.path("lora.gguf")).unwrap(), b"before");
    };
    let with = |key: &str, value: Value| {
        let mut changed = good.clone();
        changed[key] = value;
        changed
    };
    refused(
        &with("purpose", json!("robustness-audit")),
        "gguf-lora",
        &["is for measuring in memory and is never written to a file"],
    );
    let mut other = good.clone();
    other["model"]["name"] = json!("robin");
    other["model"]["digest"] = json!(Digest::of("another file"));
    refused(
        &other,
        "gguf-lora",
        &["this treatment was made for robin (qwen3, 6 blocks", ", not for chat (qwen3, 6 blocks"],
    );
    refused(
        &good,
        "control-vector",
        &[
            "this treatment changes the matrix blk.0.attn_output.weight, which the form control-vector cannot express",
        ],
    );
    refused(&with("digest", json!(Digest::of("else"))), "gguf-lora", &["are not those it was written with"]);
    let mut wrong = edits();
    wrong.edits.push(rank_one("blk.2.attn_output.weight", 255, 256));
    refused(&treatment(&wrong), "gguf-lora", &["does not fit: the matrix has 256 rows and 256 columns"]);

    let whole = good.to_string();
    folder.write("a.sonde-treatment", &whole[..whole.len() / 2]);
    export(&folder, "gguf-lora", "lora.gguf").refused_with(2, &["is cut short; copy it again"]);
    assert_eq!(folder.names(), ["a.sonde-treatment", "lora.gguf"]);
}

#[test]
fn another_quantisation_of_the_model_gets_a_notice() {
    let folder = Folder::new();
    let mut kin = treatment(&edits());
    kin["model"]["digest"] = json!(Digest::of("another file"));
    kin["model"]["quantisation"] = json!("F32");
    write(&folder, &kin);
    let ran = export(&folder, "gguf-lora", "lora.gguf");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let notice = "note: the treatment was made for another file of chat (F32, this one is Q8_0)";
    assert!(ran.err.starts_with(notice), "{}", ran.err);
    let at = |strength: &str| {
        let model = model("wren-chat-q8_0.gguf");
        let rest =
            ["--model", &model, "--to", "gguf-lora", "-o", "lora.gguf", "--strength", strength, "--json"];
        folder.sonde(EXPORT.into_iter().chain(rest))
    };
    at("0").refused_with(2, &["at strength 0 a treatment changes nothing, so there is nothing to export"]);
    at("-0.5").refused_with(2, &["the strength is -0.5; it must be 0 or more"]);
    let found: Value = serde_json::from_str(&at("0.5").out).unwrap();
    assert!(found["relative"].as_f64().unwrap() < 1e-5 && found["moved"].as_f64().unwrap() > 1e-3, "{found}");
}

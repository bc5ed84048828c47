//! Treatment files as they are written, damaged, read back and held against models.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail loudly")]

use std::path::Path;

use sonde_contract::{
    Change, Changes, Derived, Digest, Estimate, Intervention, LowRank, Metric, ModelInfo, Purpose, Site,
    Summary, Treatment,
};
use sonde_runner::{Maker, TreatedModel, TreatmentFile};

fn wren() -> ModelInfo {
    ModelInfo {
        name: "wren".to_owned(),
        architecture: "llama".to_owned(),
        quantisation: "Q8_0".to_owned(),
        layers: 6,
        width: 4,
        vocabulary: 100,
        context: 64,
        has_chat_template: true,
    }
}

fn metric(name: &str, estimate: Estimate) -> Metric {
    Metric {
        name: name.to_owned(),
        about: String::new(),
        estimate,
        higher_is_better: None,
        group: None,
        headline: false,
    }
}

fn derived(purpose: Purpose) -> Derived {
    let edit = LowRank {
        matrix: "blk.0.attn_output.weight".to_owned(),
        expert: None,
        rank: 1,
        // Numbers whose decimal forms are long.
        a: vec![0.1, -1.0 / 3.0, f32::MIN_POSITIVE, 1e30],
        b: vec![1.0, 2.0, 3.0, 4.0],
        scale: 0.7,
    };
    let change = Change::Add { vector: vec![0.1, 1.0 / 3.0, -7.25e-12, 16_777_217.0], coefficient: -0.3 };
    let intervention = Intervention { layers: vec![2, 3], site: Site::Residual, change };
    let metrics = vec![
        metric("refused", Estimate::Proportion { hits: 3, n: 4 }),
        metric("length", Estimate::Mean(vec![1.0, 2.0, 6.0])),
        metric("alpha", Estimate::Given { value: -64.0, n: 1, interval: None }),
        metric("nothing", Estimate::Proportion { hits: 0, n: 0 }),
    ];
    Derived {
        changes: Changes { edits: vec![edit], interventions: vec![intervention] },
        purpose,
        summary: Summary { metrics, ..Summary::default() },
        documents: Vec::new(),
    }
}

fn kept(derived: Derived) -> Treatment {
    Treatment::of(derived).unwrap()
}

fn file() -> TreatmentFile {
    let maker =
        Maker { name: "rosi".to_owned(), version: "0.1.0".to_owned(), digest: Digest::of("component") };
    let model = TreatedModel::of(&wren(), Digest::of("file"));
    let parameters = serde_json::json!({ "target": 0.9 });
    TreatmentFile::new(model, maker, parameters, u64::MAX, &kept(derived(Purpose::Safety))).unwrap()
}

fn refused(path: &Path, bytes: &[u8]) -> String {
    std::fs::write(path, bytes).unwrap();
    TreatmentFile::read(path).unwrap_err().to_string()
}

#[test]
fn a_treatment_read_back_is_the_treatment_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rosi.sonde-treatment");
    let file = file();
    file.write(&path).unwrap();
    assert_eq!(TreatmentFile::read(&path).unwrap(), file);
    let values: Vec<_> = file.metrics.iter().map(|metric| (metric.name.as_str(), metric.value)).collect();
    assert_eq!(values, [("refused", 0.75), ("length", 3.0), ("alpha", -64.0)]);
    assert_eq!(file.digest(), Digest::of_json(&derived(Purpose::Safety).changes).unwrap());
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "format",
        "version",
        "model",
        "plugin",
        "parameters",
        "seed",
        "purpose",
        "metrics",
        "changes",
        "digest",
    ];
    assert_eq!(keys, expected);
    assert_eq!((json["format"].as_str(), json["version"].as_u64()), (Some("sonde-treatment"), Some(1)));
}

#[test]
fn files_that_are_no_whole_treatments_say_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sonde-treatment");
    file().write(&path).unwrap();
    let whole = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();

    let missing = TreatmentFile::read(&folder.path().join("b")).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read the treatment "), "{missing}");
    assert!(refused(&path, b"GGUF").contains("is not a treatment file (it does not begin with \"{\")"));
    assert!(refused(&path, b"{}").contains("it says no format and version"));
    assert!(refused(&path, b"{\"format\":\"recipe\"}").contains("its format is \"recipe\""));
    for end in [whole.len() / 3, whole.len() / 2, whole.len() - 3] {
        let text = refused(&path, &whole.as_bytes()[..end]);
        assert!(text.ends_with("is cut short; copy it again, or derive it again"), "{text}");
    }
    let newer = refused(&path, whole.replace("\"version\":1,\"model\"", "\"version\":2,\"else\"").as_bytes());
    assert!(newer.contains("has version 2 of the format, and this Sonde reads version 1"), "{newer}");
    // The scale of the change, and a bit of A.
    let changed = refused(&path, whole.replace("\"scale\":0.7", "\"scale\":0.8").as_bytes());
    assert!(changed.contains("are not those it was written with"), "{changed}");
    let lacking = refused(&path, whole.replace("\"seed\"", "\"sead\"").as_bytes());
    assert!(lacking.contains("missing field `seed`"), "{lacking}");
}

#[test]
fn a_treatment_for_robustness_audits_is_never_a_file() {
    let file = file();
    let audit = kept(derived(Purpose::RobustnessAudit));
    let made =
        TreatmentFile::new(file.model.clone(), file.plugin.clone(), file.parameters.clone(), 1, &audit);
    let text = made.unwrap_err().to_string();
    assert!(text.contains("is never written to a file"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sonde-treatment");
    let mut changed = file;
    changed.purpose = Purpose::RobustnessAudit;
    assert_eq!(changed.write(&path).unwrap_err().to_string(), text);
    assert!(!path.exists());
}

#[test]
fn numbers_that_json_does_not_have_are_refused() {
    let file = file();
    let mut derived = derived(Purpose::Safety);
    derived.changes.interventions[0].change =
        Change::Add { vector: vec![f32::INFINITY; 4], coefficient: 1.0 };
    let made = TreatmentFile::new(file.model, file.plugin, file.parameters, 1, &kept(derived));
    let expected = "the treatment of wren holds numbers that are not finite (in a change at the site residual, layers [2, 3]) \
                    and is not written";
    assert_eq!(made.unwrap_err().to_string(), expected);
}

#[test]
fn a_treatment_fits_its_model_and_other_quantisations_of_it_and_no_other_model() {
    let file = file();
    assert_eq!(file.check_for(&wren(), Digest::of("file")).unwrap(), None);
    let kin = ModelInfo { quantisation: "F32".to_owned(), context: 8, ..wren() };
    let notice = file.check_for(&kin, Digest::of("other")).unwrap().unwrap();
    assert!(
        notice.starts_with("the treatment was made for another file of wren (Q8_0, this one is F32)"),
        "{notice}"
    );
    let strangers = [
        ModelInfo { name: "robin".to_owned(), ..wren() },
        ModelInfo { architecture: "qwen3".to_owned(), ..wren() },
        ModelInfo { layers: 7, ..wren() },
        ModelInfo { width: 8, ..wren() },
        ModelInfo { vocabulary: 101, ..wren() },
    ];
    for stranger in strangers {
        let text = file.check_for(&stranger, Digest::of("other")).unwrap_err().to_string();
        let made_for =
            "this treatment was made for wren (llama, 6 blocks, 4 wide, 100 tokens; Q8_0, SHA-256 ";
        let given = format!(", not for {} ({}, ", stranger.name, stranger.architecture);
        assert!(text.starts_with(made_for) && text.contains(&given), "{text}");
    }
}

#[test]
fn a_treatment_that_cannot_be_written_leaves_the_old_one_whole() {
    let folder = tempfile::tempdir().unwrap();
    let text = file().write(&folder.path().join("none/a.sonde-treatment")).unwrap_err().to_string();
    assert!(
        text.ends_with("nothing there was changed; make its folder first, or give another path"),
        "{text}"
    );
}

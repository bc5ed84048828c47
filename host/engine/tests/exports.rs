//! Exports: what stands in the files, what other programs make of them, and what is left when writing fails.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail loudly")]

#[path = "support/edits.rs"]
mod edits;
#[path = "support/loader.rs"]
mod loader;
mod support;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Content;
use edits::{edit, entry, patch, place};
use sonde_contract::{Change, Changes, Intervention, LowRank, Prompt, Rows, Site};
use sonde_engine::{Exporter, Form, Model, OpenOptions, Precision, treated};
use support::{capture, generate, greedy, open, quantise, relative, shared, tokens, user, wren};

fn exact(path: &Path) -> Arc<dyn Model> {
    let options =
        OpenOptions { context: Some(512), slots: Some(1), threads: Some(1), ..OpenOptions::default() };
    open(path, OpenOptions { precision: Precision::Exact, ..options })
}

fn of_matrices(edits: Vec<LowRank>) -> Changes {
    Changes { edits, interventions: Vec::new() }
}

/// As ROSI changes a model: every matrix that writes to the residual stream, and two that read it, of other ranks.
fn several(model: &Arc<dyn Model>, size: f64) -> Vec<LowRank> {
    let mut edits = Vec::new();
    for block in 0..model.info().layers {
        for (name, rank) in [("attn_output", 1), ("ffn_down", 1)] {
            edits.push(edit(model, &format!("blk.{block}.{name}.weight"), None, rank, size, block));
        }
    }
    edits.push(edit(model, "blk.1.attn_q.weight", None, 3, size, 50));
    edits.push(edit(model, "blk.2.attn_k.weight", None, 2, size, 51));
    edits.push(edit(model, "blk.2.attn_k.weight", None, 2, size, 52));
    edits
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exported_lora_adapter_gives_the_live_replies_in_llama_cpps_own_loader() {
    let path = wren("wren-chat-q8_0.gguf");
    let model = exact(&path);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("adapter.gguf");
    let changes = of_matrices(several(&model, 0.4));
    let exported =
        Exporter::open(&path).unwrap().export(&changes, 0.5, Form::GgufLora, &file, "a test").unwrap();
    assert_eq!((exported.files.as_slice(), exported.changed), ([file.clone()].as_slice(), 14));
    assert!(exported.agreement.holds() && exported.agreement.relative < 1e-6, "{}", exported.agreement);

    let live = treated(&model, &changes, 0.5).unwrap();
    let mut different = 0;
    for question in ["How do I bake an apple pie?", "How do I pick a lock?", "What is 3 + 4?"] {
        let ours = generate(&live, user(question), greedy(32)).await.unwrap();
        let prompt = live.tokenize(&user(question)).unwrap();
        let theirs = loader::greedy_with_adapter(&path, Some(&file), &prompt, ours.tokens.len());
        assert_eq!(ours.tokens, theirs, "{question}");
        different +=
            usize::from(ours.tokens != loader::greedy_with_adapter(&path, None, &prompt, ours.tokens.len()));
    }
    assert!(different > 0, "the treatment does nothing");
}

#[test]
fn a_merged_file_differs_from_its_base_in_the_changed_rows_alone() {
    let Some(base) = shared("models/wren/wren-chat-f32.gguf") else { return };
    let model = exact(&base);
    let folder = tempfile::tempdir().unwrap();
    let (merged, expected) = (folder.path().join("merged.gguf"), folder.path().join("expected.gguf"));
    let mut edits = several(&model, 0.4);
    // A change of a few rows only.
    let one = edits.iter_mut().find(|edit| edit.matrix == "blk.3.ffn_down.weight").unwrap();
    one.b.iter_mut().skip(5).for_each(|number| *number = 0.0);
    patch(&base, &expected, &edits);
    let exported = Exporter::open(&base)
        .unwrap()
        .export(&of_matrices(edits.clone()), 1.0, Form::Gguf, &merged, "a test")
        .unwrap();
    assert!(exported.agreement.holds() && exported.agreement.relative < 1e-5, "{}", exported.agreement);

    let (before, after) = (parts(&base), parts(&merged));
    for (name, bytes) in &before {
        if !edits.iter().any(|edit| edit.matrix == *name) {
            assert_eq!(*bytes, after[name], "{name:?}");
            continue;
        }
        let (ours, theirs) = (weights(&merged, name), weights(&expected, name));
        let largest = theirs.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
        let apart = ours.iter().zip(&theirs).map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f32::max);
        // The scale is multiplied into B first, in f32.
        assert!(apart <= 1e-6 * largest, "{name}: {apart} of {largest}");
    }
    let row = 4 * 512;
    let [before, after] = [before, after].map(|parts| parts["blk.3.ffn_down.weight"].clone());
    assert!(before[..row] != after[..row] && before[5 * row..] == after[5 * row..]);
}

/// The tensors of a file as bytes, with the header under the empty name.
fn parts(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let content = Content::read(&mut File::open(path).unwrap()).unwrap();
    let bytes = std::fs::read(path).unwrap();
    let start = usize::try_from(content.tensor_data_offset).unwrap();
    let mut parts = BTreeMap::from([(String::new(), bytes[..start].to_vec())]);
    for (name, info) in &content.tensor_infos {
        let from = start + usize::try_from(info.offset).unwrap();
        let blocks = info.shape.elem_count() / info.ggml_dtype.block_size();
        parts.insert(name.clone(), bytes[from..from + blocks * info.ggml_dtype.type_size()].to_vec());
    }
    parts
}

fn weights(path: &Path, name: &str) -> Vec<f32> {
    let mut file = File::open(path).unwrap();
    let content = Content::read(&mut file).unwrap();
    let tensor = content.tensor(&mut file, name, &Device::Cpu).unwrap().dequantize(&Device::Cpu).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn merged_files_keep_their_quantisation_and_every_other_byte() {
    let Some(original) = shared("models/wren/wren-chat-f32.gguf") else { return };
    let folder = tempfile::tempdir().unwrap();
    let kinds = [
        ("f16", llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_F16),
        ("bf16", llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_BF16),
        ("q8_0", llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_Q8_0),
        ("q5_1", llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_Q5_1),
        ("q4_0", llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_Q4_0),
        ("q6_k", llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_Q6_K),
        ("q4_k_m", llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_Q4_K_M),
        ("q3_k_m", llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_Q3_K_M),
        ("iq4_nl", llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_IQ4_NL),
    ];
    for (kind, ftype) in kinds {
        let (base, merged) = (folder.path().join(format!("{kind}.gguf")), folder.path().join("merged.gguf"));
        quantise(&original, &base, ftype);
        let exporter = Exporter::open(&base).unwrap();
        let model = exact(&base);
        for size in [0.1, 0.4, 2.0] {
            let edits = several(&model, size);
            let changes = of_matrices(edits.clone());
            let exported = exporter.export(&changes, 1.0, Form::Gguf, &merged, "a test").unwrap();
            println!("{kind} {size}: {}", exported.agreement);
            // As much again as the weights themselves is more than any of these types rounds away.
            assert!(size < 1.0 || !exported.agreement.drowns(), "{kind} {size}: {}", exported.agreement);
            if kind == "iq4_nl" {
                // candle, which reads the files for this test, does not know it.
                continue;
            }
            let (before, after) = (parts(&base), parts(&merged));
            assert_eq!(before.len(), after.len());
            for (name, bytes) in &before {
                let changed = edits.iter().any(|edit| edit.matrix == *name);
                assert_eq!(*bytes != after[name], changed, "{kind} {name:?}");
                assert_eq!(bytes.len(), after[name].len());
            }
        }
    }
}

#[test]
fn merged_weights_are_the_nearest_that_q8_0_has() {
    let base = wren("wren-chat-q8_0.gguf");
    let model = exact(&base);
    let folder = tempfile::tempdir().unwrap();
    let merged = folder.path().join("merged.gguf");
    let change = edit(&model, "blk.4.attn_output.weight", None, 2, 0.7, 9);
    Exporter::open(&base)
        .unwrap()
        .export(&of_matrices(vec![change.clone()]), -1.0, Form::Gguf, &merged, "a test")
        .unwrap();
    let (kind, _, shape) = place(&base, &change.matrix);
    assert_eq!(kind, GgmlDType::Q8_0);
    let (before, after) = (weights(&base, &change.matrix), weights(&merged, &change.matrix));
    let exact = |place: usize| f64::from(before[place]) - entry(&change, place / shape[1], place % shape[1]);
    for block in 0..before.len() / 32 {
        let places = || block * 32..(block + 1) * 32;
        let largest = places().map(|place| exact(place).abs()).fold(0.0, f64::max);
        // Half a step of 1/127 of the block's largest, and the step itself rounded to f16, 127 times.
        let allowed = largest * (0.5 / 127.0 + 2_f64.powi(-11)) * 1.001;
        for place in places() {
            let lost = (f64::from(after[place]) - exact(place)).abs();
            assert!(lost <= allowed, "{place}: {lost} of {largest}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peft_adapter_does_to_hugging_faces_weights_what_the_treatment_does_to_the_gguf_file() {
    let Some(base) = shared("models/wren/wren-chat-f32.gguf") else { return };
    let Some(original) = shared("models/wren/chat") else { return };
    let model = exact(&base);
    let folder = tempfile::tempdir().unwrap();
    let adapter = folder.path().join("adapter");
    let changes = of_matrices(several(&model, 0.4));
    let exported =
        Exporter::open(&base).unwrap().export(&changes, 0.5, Form::Peft, &adapter, "a test").unwrap();
    assert!(exported.agreement.holds(), "{}", exported.agreement);
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(adapter.join("adapter_config.json")).unwrap()).unwrap();
    assert_eq!((config["peft_type"].as_str(), config["r"].as_u64()), (Some("LORA"), Some(4)));
    let targets = serde_json::json!([
        "down_proj",
        "model.layers.1.self_attn.q_proj",
        "model.layers.2.self_attn.k_proj",
        "o_proj"
    ]);
    assert_eq!(config["target_modules"], targets);
    assert_eq!(config["alpha_pattern"]["model.layers.1.self_attn.q_proj"], 3);

    // W + alpha/r · B · A, by hand, in a copy of the folder that the GGUF file was made from.
    let changed = folder.path().join("changed");
    std::fs::create_dir(&changed).unwrap();
    for file in std::fs::read_dir(&original).unwrap() {
        let file = file.unwrap().path();
        std::fs::write(changed.join(file.file_name().unwrap()), std::fs::read(&file).unwrap()).unwrap();
    }
    let mut all = candle_core::safetensors::load(changed.join("model.safetensors"), &Device::Cpu).unwrap();
    let sides =
        candle_core::safetensors::load(adapter.join("adapter_model.safetensors"), &Device::Cpu).unwrap();
    assert_eq!(sides.len(), 2 * 14);
    for (name, a) in &sides {
        let Some(name) = name.strip_suffix(".lora_A.weight") else { continue };
        let b = &sides[&format!("{name}.lora_B.weight")];
        let module = name.strip_prefix("base_model.model.").unwrap();
        let rank = a.dims()[0] as f64;
        let alpha = config["alpha_pattern"].get(module).unwrap_or(&config["lora_alpha"]).as_f64().unwrap();
        assert_eq!(config["rank_pattern"].get(module).unwrap_or(&config["r"]).as_f64(), Some(rank));
        let weight = all.get_mut(&format!("{module}.weight")).unwrap();
        *weight = (&*weight + (b.matmul(a).unwrap() * (alpha / rank)).unwrap()).unwrap();
    }
    candle_core::safetensors::save(&all, changed.join("model.safetensors")).unwrap();
    let options = OpenOptions { precision: Precision::Exact, threads: Some(1), ..OpenOptions::default() };
    let theirs = sonde_engine::open_candle(&changed, &options).unwrap();
    let ours = treated(&model, &changes, 0.5).unwrap();
    let state = async |model: &Arc<dyn Model>| {
        let rows = capture(model, tokens(model, 24, 3), Site::FinalNorm, &[6], Rows::All).await;
        rows.unwrap().layers.remove(0)
    };
    let (plain, ours, theirs) = (state(&model).await, state(&ours).await, state(&theirs).await);
    assert!(relative(&ours, &theirs) < 1e-4, "{:e}", relative(&ours, &theirs));
    assert!(relative(&plain, &theirs) > 0.05);
}

#[test]
fn rows_of_a_llamas_queries_and_keys_stand_in_halves_in_peft() {
    let Some(base) = shared("models/stories260K/stories260K.gguf") else { return };
    let model = exact(&base);
    let folder = tempfile::tempdir().unwrap();
    let mut edits = Vec::new();
    for name in ["attn_q", "attn_k", "attn_v"] {
        edits.push(edit(&model, &format!("blk.0.{name}.weight"), None, 1, 0.1, 4));
    }
    for edit in &mut edits {
        // Row i of B is i.
        edit.b.iter_mut().zip(0_u8..).for_each(|(number, row)| *number = f32::from(row));
        edit.scale = 0.01;
    }
    let adapter = folder.path().join("adapter");
    let changes = of_matrices(edits);
    Exporter::open(&base).unwrap().export(&changes, 1.0, Form::Peft, &adapter, "a test").unwrap();
    let sides =
        candle_core::safetensors::load(adapter.join("adapter_model.safetensors"), &Device::Cpu).unwrap();
    let rows = |name: &str| -> Vec<u8> {
        let b = &sides[&format!("base_model.model.model.layers.0.self_attn.{name}.lora_B.weight")];
        let b = b.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        b.iter().map(|number| (number * 100.0).round() as u8).collect()
    };
    // 8 heads of 8 rows, 4 heads of keys; within a head 0 2 4 6 is the first half and 1 3 5 7 the second.
    let halves = |heads: u8| -> Vec<u8> {
        (0..heads).flat_map(|head| [0, 2, 4, 6, 1, 3, 5, 7].map(|row| 8 * head + row)).collect()
    };
    assert_eq!(rows("q_proj"), halves(8));
    assert_eq!(rows("k_proj"), halves(4));
    assert_eq!(rows("v_proj"), (0..32).collect::<Vec<u8>>());
}

fn add(layers: &[u32], vector: &[f32], coefficient: f32) -> Intervention {
    let change = Change::Add { vector: vector.to_vec(), coefficient };
    Intervention { layers: layers.to_vec(), site: Site::Residual, change }
}

#[test]
fn a_control_vector_holds_the_sum_for_each_block_under_llama_cpps_numbers() {
    let base = wren("wren-chat-q8_0.gguf");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vector.gguf");
    let exporter = Exporter::open(&base).unwrap();
    let width = exporter.info().width;
    let one: Vec<f32> = (0..width).map(|place| (place % 7) as f32 - 3.0).collect();
    let two: Vec<f32> = (0..width).map(|place| (place % 5) as f32).collect();
    let changes = Changes {
        edits: Vec::new(),
        interventions: vec![add(&[2, 4], &one, 0.5), add(&[4, 6], &two, -0.25)],
    };
    let exported = exporter.export(&changes, 2.0, Form::ControlVector, &file, "a test").unwrap();
    assert!(exported.agreement.holds() && exported.changed == 3, "{}", exported.agreement);

    let content = Content::read(&mut File::open(&file).unwrap()).unwrap();
    assert_eq!(content.metadata["general.architecture"].to_string().unwrap(), "controlvector");
    assert_eq!(content.metadata["controlvector.model_hint"].to_string().unwrap(), "qwen3");
    assert_eq!(content.metadata["controlvector.layer_count"].to_i32().unwrap(), 5);
    let mut names: Vec<_> = content.tensor_infos.keys().cloned().collect();
    names.sort();
    // The output of block N is layer N + 1.
    assert_eq!(names, ["direction.1", "direction.3", "direction.5"]);
    assert_eq!(weights(&file, "direction.1"), one);
    let half = |vector: &[f32]| vector.iter().map(|number| number * -0.5).collect::<Vec<_>>();
    assert_eq!(weights(&file, "direction.5"), half(&two));
    let sum: Vec<f32> = one.iter().zip(half(&two)).map(|(one, two)| one + two).collect();
    assert_eq!(weights(&file, "direction.3"), sum);
}

fn refused(exporter: &Exporter, changes: &Changes, form: Form, to: &Path) -> String {
    exporter.export(changes, 1.0, form, to, "a test").unwrap_err().to_string()
}

#[test]
fn treatments_that_do_not_fit_leave_nothing_behind() {
    let base = wren("wren-chat-q8_0.gguf");
    let model = exact(&base);
    let exporter = Exporter::open(&base).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("export");
    let good = edit(&model, "blk.0.ffn_down.weight", None, 1, 0.3, 1);
    let elsewhere = LowRank { matrix: "blk.9.ffn_down.weight".to_owned(), ..good.clone() };
    let shape = LowRank { b: good.b[2..].to_vec(), ..good.clone() };
    let changes = of_matrices(vec![good.clone()]);
    for form in [Form::GgufLora, Form::Peft, Form::Gguf] {
        let text = refused(&exporter, &of_matrices(vec![elsewhere.clone()]), form, &to);
        assert!(text.starts_with("the model has no tensor \"blk.9.ffn_down.weight\" to change"), "{text}");
        let text = refused(&exporter, &of_matrices(vec![shape.clone()]), form, &to);
        assert!(text.contains("does not fit: the matrix has 256 rows and 512 columns"), "{text}");
        let nothing = exporter.export(&changes, 0.0, form, &to, "a test").unwrap_err().to_string();
        assert_eq!(nothing, "at strength 0 a treatment changes nothing, so there is nothing to export");
        let itself = refused(&exporter, &changes, form, &base);
        assert!(itself.ends_with("is the model itself; write the export to another path"), "{itself}");
    }
    let wide = Changes { edits: Vec::new(), interventions: vec![add(&[3], &[1.0; 8], 1.0)] };
    let text = refused(&exporter, &wide, Form::ControlVector, &to);
    assert!(text.contains("has 8 numbers, and the residual stream of"), "{text}");
    let zero = Changes { edits: Vec::new(), interventions: vec![add(&[3], &[0.0; 256], 1.0)] };
    let text = refused(&exporter, &zero, Form::ControlVector, &to);
    assert!(text.contains("so there is nothing to export"), "{text}");
    let missing = refused(&exporter, &changes, Form::Gguf, &folder.path().join("none/merged.gguf"));
    assert!(
        missing.ends_with("nothing there was changed; make its folder first, or give another path"),
        "{missing}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_is_too_large_for_a_type_is_refused() {
    let Some(original) = shared("models/wren/wren-chat-f32.gguf") else { return };
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("f16.gguf");
    quantise(&original, &base, llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_F16);
    let exporter = Exporter::open(&base).unwrap();
    let change = LowRank { scale: 1e7, ..edit(&exact(&base), "blk.0.ffn_down.weight", None, 1, 0.3, 1) };
    let to = folder.path().join("merged.gguf");
    let text = refused(&exporter, &of_matrices(vec![change]), Form::Gguf, &to);
    let expected = "the changed blk.0.ffn_down.weight is too large for its type, F16; make the strength smaller, or export \
                    gguf-lora";
    assert_eq!(text, expected);
    assert!(!to.exists());
}

#[test]
fn types_that_need_an_importance_matrix_are_refused() {
    let Some(original) = shared("models/wren/wren-chat-f32.gguf") else { return };
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("tq2_0.gguf");
    quantise(&original, &base, llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_TQ2_0);
    let exporter = Exporter::open(&base).unwrap();
    let change = edit(&exact(&base), "blk.0.ffn_down.weight", None, 1, 0.3, 1);
    let text = refused(&exporter, &of_matrices(vec![change]), Form::Gguf, &folder.path().join("merged.gguf"));
    let expected = "blk.0.ffn_down.weight is stored as TQ2_0, which is not written without an importance matrix, or not at all";
    assert!(text.starts_with(expected), "{text}");
}

/// A file system of so many KiB; `None`, with a message, where none may be mounted.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(kib: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"]).arg(folder.path());
        if !mount.output().is_ok_and(|done| done.status.success()) {
            eprintln!("skipped: no small file system may be mounted here");
            return None;
        }
        Some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).output();
    }
}

#[test]
fn a_full_disk_leaves_the_previous_files_whole() {
    let Some(disk) = SmallDisk::mount(64) else { return };
    let base = wren("wren-chat-q8_0.gguf");
    let model = exact(&base);
    let exporter = Exporter::open(&base).unwrap();
    let changes = of_matrices(several(&model, 0.3));
    let vector = Changes {
        edits: Vec::new(),
        interventions: (0..5).map(|layer| add(&[layer + 2], &[1.0; 256], 1.0)).collect(),
    };
    let folder = disk.0.path();
    std::fs::create_dir(folder.join("peft")).unwrap();
    for name in ["lora.gguf", "merged.gguf", "vector.gguf", "peft/adapter_config.json"] {
        std::fs::write(folder.join(name), "before").unwrap();
    }
    let mut rest = File::create(folder.join("rest")).unwrap();
    while rest.write_all(&[1; 4096]).is_ok() {}
    for (form, to, changes) in [
        (Form::GgufLora, "lora.gguf", &changes),
        (Form::Gguf, "merged.gguf", &changes),
        (Form::Peft, "peft", &changes),
        (Form::ControlVector, "vector.gguf", &vector),
    ] {
        let text = refused(&exporter, changes, form, &folder.join(to));
        assert!(text.starts_with("cannot write "), "{form:?}: {text}");
        assert!(
            text.ends_with("nothing there was changed; make room, or write to another disk"),
            "{form:?}: {text}"
        );
    }
    for name in ["lora.gguf", "merged.gguf", "vector.gguf", "peft/adapter_config.json"] {
        assert_eq!(std::fs::read(folder.join(name)).unwrap(), b"before");
    }
    let mut left: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["lora.gguf", "merged.gguf", "peft", "rest", "vector.gguf"]);
    assert_eq!(std::fs::read_dir(folder.join("peft")).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_engines_put_the_same_changes_of_quantised_matrices_in_force() {
    let path = wren("wren-chat-q8_0.gguf");
    let options = OpenOptions { precision: Precision::Exact, threads: Some(1), ..OpenOptions::default() };
    let (llama, candle) = (exact(&path), sonde_engine::open_candle(&path, &options).unwrap());
    let changes = of_matrices(several(&llama, 0.4));
    let state = async |model: &Arc<dyn Model>| {
        let prompt = Prompt::Tokens((0..20).map(|place| 300 + 37 * place).collect());
        capture(model, prompt, Site::FinalNorm, &[6], Rows::All).await.unwrap().layers.remove(0)
    };
    let before = relative(&state(&llama).await, &state(&candle).await);
    let (ours, theirs) = (treated(&llama, &changes, 1.0).unwrap(), treated(&candle, &changes, 1.0).unwrap());
    let after = relative(&state(&ours).await, &state(&theirs).await);
    println!("untreated {before:e}, treated {after:e}");
    // candle multiplies with dequantised matrices where the mode is exact, llama.cpp rounds activations to 8 bits.
    assert!(after < 3.0 * before + 1e-5, "untreated {before:e}, treated {after:e}");
}

//! Low-rank changes of matrices in the candle engine, against models whose files were changed in the same way.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail loudly")]

mod support;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use sonde_contract::{
    Change, Example, HostError, ImportanceRequest, Intervention, LowRank, Modules, Prompt, Rows,
    ScoreRequest, Site,
};
use sonde_engine::{Model, OpenOptions, Precision};
use support::{capture, relative, shared};

const FAMILIES: [&str; 7] = ["llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3"];
const MATRICES: [&str; 7] = [
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
];

fn fixture(family: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/candle")).join(family)
}

fn open(path: &Path) -> Arc<dyn Model> {
    let options = OpenOptions { precision: Precision::Exact, threads: Some(1), ..OpenOptions::default() };
    sonde_engine::open_candle(path, &options).unwrap()
}

fn sides(model: &Arc<dyn Model>, matrix: &str) -> (usize, usize) {
    let tensors = model.tensors().unwrap();
    let tensor = tensors.iter().find(|tensor| tensor.name == matrix).unwrap();
    (usize::try_from(tensor.shape[0]).unwrap(), usize::try_from(tensor.shape[1]).unwrap())
}

/// Of the matrix's size, and different in every row and column.
fn edit(model: &Arc<dyn Model>, matrix: &str, rank: usize, scale: f32) -> LowRank {
    let (rows, columns) = sides(model, matrix);
    let number = |place: usize| ((place * 37 + 11) % 101) as f32 / 101.0 - 0.45;
    LowRank {
        matrix: matrix.to_owned(),
        expert: None,
        rank: u32::try_from(rank).unwrap(),
        a: (0..rank * columns).map(number).collect(),
        b: (0..rank * rows).map(|place| number(place + 5)).collect(),
        scale,
    }
}

/// scale · B · A, row by row.
fn product(edit: &LowRank) -> Vec<f32> {
    let rank = edit.rank as usize;
    let columns = edit.a.len() / rank;
    let entry = |row: &[f32], column: usize| -> f32 {
        edit.scale * row.iter().enumerate().map(|(k, b)| b * edit.a[k * columns + column]).sum::<f32>()
    };
    edit.b.chunks(rank).flat_map(|row| (0..columns).map(move |column| entry(row, column))).collect()
}

/// Adds numbers to some F32 numbers of a file.
fn add(file: &mut [u8], first: usize, numbers: &[f32]) {
    for (place, number) in numbers.iter().enumerate() {
        let bytes = &mut file[first + 4 * place..first + 4 * place + 4];
        let sum = f32::from_le_bytes(bytes.try_into().unwrap()) + number;
        bytes.copy_from_slice(&sum.to_le_bytes());
    }
}

/// A folder's copy with this change in its file.
fn edited_folder(family: &str, edit: &LowRank) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for other in ["config.json", "tokenizer.json"] {
        std::fs::copy(fixture(family).join(other), folder.path().join(other)).unwrap();
    }
    let mut file = std::fs::read(fixture(family).join("model.safetensors")).unwrap();
    let header = usize::try_from(u64::from_le_bytes(file[..8].try_into().unwrap())).unwrap();
    let entries: HashMap<String, Value> = serde_json::from_slice(&file[8..8 + header]).unwrap();
    assert_eq!(entries[&edit.matrix]["dtype"], "F32");
    let first = usize::try_from(entries[&edit.matrix]["data_offsets"][0].as_u64().unwrap()).unwrap();
    add(&mut file, first + 8 + header, &product(edit));
    std::fs::write(folder.path().join("model.safetensors"), file).unwrap();
    folder
}

const TOKENS: [u32; 12] = [3, 17, 5, 29, 8, 8, 21, 30, 1, 12, 4, 19];

/// The states after the final norm, of which logits are products, and the log-likelihood of a reply.
async fn outputs(model: &Arc<dyn Model>) -> (Vec<f32>, f64) {
    let layer = model.info().layers;
    let tokens = Prompt::Tokens(TOKENS.to_vec());
    let states = capture(model, tokens.clone(), Site::FinalNorm, &[layer], Rows::All).await.unwrap();
    let continuations = vec!["w7 w9".to_owned()];
    let scores = model.score(ScoreRequest { prompt: tokens, continuations }).await.unwrap();
    (states.layers.concat(), f64::from(scores[0].logprob))
}

/// 1e-5: R4 of the method's specification, for F32.
#[tokio::test]
async fn a_change_beside_a_matrix_is_the_change_of_the_matrix_in_every_family() {
    for family in FAMILIES {
        let model = open(&fixture(family));
        let (plain, _) = outputs(&model).await;
        for (number, matrix) in MATRICES.iter().enumerate() {
            let name = format!("model.layers.{}.{matrix}.weight", number % 2);
            let edit = edit(&model, &name, 1 + number % 3, 0.7);
            let beside = outputs(&model.adapt(Arc::from([edit.clone()])).unwrap()).await;
            let inside = outputs(&open(edited_folder(family, &edit).path())).await;
            let error = relative(&beside.0, &inside.0);
            assert!(error < 1e-5, "{family} {name}: {error}");
            assert!((beside.1 - inside.1).abs() < 1e-5 * inside.1.abs(), "{family} {name}");
            assert!(relative(&beside.0, &plain) > 1e-3, "{family} {name}: it changes nothing");
        }
        assert_eq!(outputs(&model).await.0, plain, "{family}: the first handle stays as it was");
    }
}

#[tokio::test]
async fn a_change_of_scale_0_leaves_every_bit_as_it_was() {
    let model = open(&fixture("qwen3"));
    let edits: Vec<LowRank> = MATRICES
        .iter()
        .map(|matrix| edit(&model, &format!("model.layers.1.{matrix}.weight"), 2, 0.0))
        .collect();
    let same = model.adapt(Arc::from(edits)).unwrap();
    assert_eq!(outputs(&same).await, outputs(&model).await);
}

/// Sums of the same terms in another order: a few units in the last place.
#[tokio::test]
async fn changes_add_up_and_stay_in_force_with_interventions_on_top_and_below() {
    let model = open(&fixture("gemma2"));
    let of = |matrix: &str, scale| edit(&model, &format!("model.layers.0.{matrix}.weight"), 2, scale);
    let (one, two) = (of("mlp.down_proj", 0.5), of("self_attn.q_proj", -0.4));
    let halves = [LowRank { scale: 0.25, ..one.clone() }, LowRank { scale: 0.25, ..one.clone() }];
    let vector = vec![0.3; 16];
    let push = Intervention {
        layers: vec![1],
        site: Site::Residual,
        change: Change::Add { vector, coefficient: 1.0 },
    };
    let together = model.adapt(Arc::from([one.clone(), two.clone()])).unwrap();
    let pushed = together.intervene(vec![push.clone()]).unwrap();
    let other_way = model.intervene(vec![push]).unwrap().adapt(Arc::from(halves)).unwrap();
    let other_way = other_way.adapt(Arc::from([two])).unwrap();
    let (pushed, other_way) = (outputs(&pushed).await.0, outputs(&other_way).await.0);
    assert!(relative(&pushed, &other_way) < 1e-5);
    assert!(relative(&pushed, &outputs(&together).await.0) > 1e-3);
}

/// The gradient at all other matrices is that of a model with the change in its file.
#[tokio::test]
async fn importance_is_that_of_the_changed_model() {
    let model = open(&fixture("qwen2"));
    let name = "model.layers.1.mlp.up_proj.weight";
    let edit = edit(&model, name, 1, 0.7);
    let request = || ImportanceRequest {
        examples: vec![Example { prompt: "w3 w9 w4".to_owned(), response: "w5 w6 w20".to_owned() }],
        fraction: 1.0,
        modules: Modules::All,
        drop_first_token: false,
    };
    let total = |of: &sonde_contract::MatrixImportance| -> f64 {
        of.scores.iter().map(|score| f64::from(*score)).sum()
    };
    let inside = open(edited_folder("qwen2", &edit).path()).importance(request()).await.unwrap();
    let beside = model.adapt(Arc::from([edit])).unwrap().importance(request()).await.unwrap();
    let plain = model.importance(request()).await.unwrap();
    for ((beside, inside), plain) in beside.iter().zip(&inside).zip(&plain) {
        if beside.layer == 1 && beside.name == "mlp.up_proj" {
            continue;
        }
        assert!((total(beside) - total(inside)).abs() < 1e-4 * total(inside), "{}", beside.name);
        assert!((total(beside) - total(plain)).abs() > 1e-4 * total(plain), "{}", beside.name);
    }
}

/// llama.cpp stores Llama's queries and keys as interleaved pairs; a change's rows stand in the file's order.
#[tokio::test]
#[expect(unsafe_code, reason = "llama.cpp reads GGUF in C alone")]
async fn rows_of_a_gguf_file_stand_in_the_file_s_order() {
    use llama_cpp_sys_2 as sys;

    let Some(stories) = shared("models/stories260K/stories260K.gguf") else { return };
    let model = open(&stories);
    for matrix in
        ["blk.0.attn_q.weight", "blk.1.attn_k.weight", "blk.2.attn_v.weight", "blk.3.ffn_down.weight"]
    {
        let edit = edit(&model, matrix, 2, 0.2);
        let mut file = std::fs::read(&stories).unwrap();
        let text = |text: &str| std::ffi::CString::new(text).unwrap();
        // SAFETY: plain calls with zero-ended names; what is made is freed.
        let first = unsafe {
            let params = sys::gguf_init_params { no_alloc: true, ctx: std::ptr::null_mut() };
            let header = sys::gguf_init_from_file(text(stories.to_str().unwrap()).as_ptr(), params);
            let tensor = sys::gguf_find_tensor(header, text(matrix).as_ptr());
            assert_eq!(sys::gguf_get_tensor_type(header, tensor), sys::GGML_TYPE_F32);
            let first = sys::gguf_get_data_offset(header) + sys::gguf_get_tensor_offset(header, tensor);
            sys::gguf_free(header);
            first
        };
        add(&mut file, first, &product(&edit));
        let folder = tempfile::tempdir().unwrap();
        let changed = folder.path().join("changed.gguf");
        std::fs::write(&changed, file).unwrap();
        let states = async |model: &Arc<dyn Model>| {
            let tokens = Prompt::Tokens(vec![1, 300, 20, 411, 77, 5, 250]);
            capture(model, tokens, Site::FinalNorm, &[5], Rows::All).await.unwrap().layers.concat()
        };
        let inside = states(&open(&changed)).await;
        let beside = states(&model.adapt(Arc::from([edit])).unwrap()).await;
        assert!(relative(&beside, &inside) < 1e-5, "{matrix}: {}", relative(&beside, &inside));
        assert!(relative(&beside, &states(&model).await) > 1e-3, "{matrix}");
    }
}

/// Quantised matrices stay as they are: what is beside them is added to their product.
#[tokio::test]
async fn a_quantised_matrix_is_changed_beside_its_product() {
    let options = OpenOptions { threads: Some(1), ..OpenOptions::default() };
    let model = sonde_engine::open_candle(&support::wren("wren-chat-q8_0.gguf"), &options).unwrap();
    let (name, site) = ("blk.2.ffn_down.weight", Site::Mlp);
    let edit = LowRank { a: vec![0.0; 512], ..edit(&model, name, 1, 1.0) };
    let mut one = edit.clone();
    one.a[7] = 1.0;
    let prompt = || support::user("Hello there");
    let take = async |model: &Arc<dyn Model>| {
        capture(model, prompt(), site, &[2], Rows::Last).await.unwrap().layers.remove(0)
    };
    let (plain, same) = (take(&model).await, take(&model.adapt(Arc::from([edit.clone()])).unwrap()).await);
    assert_eq!(plain, same);
    let changed = take(&model.adapt(Arc::from([one])).unwrap()).await;
    // What is added is a multiple of B: x₇ · B.
    let added: Vec<f32> = changed.iter().zip(&plain).map(|(a, b)| a - b).collect();
    let along = support::dot(&added, &edit.b) / support::dot(&edit.b, &edit.b);
    let expected: Vec<f32> = edit.b.iter().map(|b| (f64::from(*b) * along) as f32).collect();
    assert!(along.abs() > 1e-3, "{along}");
    // f32's rounding of states some hundred times as large.
    assert!(relative(&added, &expected) < 1e-4, "{}", relative(&added, &expected));
}

#[tokio::test]
async fn changes_that_do_not_fit_are_refused() {
    let model = open(&fixture("llama"));
    let refused = |edit: LowRank| match model.adapt(Arc::from([edit])) {
        Ok(_) => panic!("not refused"),
        Err(error) => error,
    };
    let whole = edit(&model, "model.layers.0.mlp.up_proj.weight", 1, 1.0);
    let unknown = refused(LowRank { matrix: "model.layers.0.mlp.upproj.weight".into(), ..whole.clone() });
    assert!(unknown.to_string().contains("did you mean \"model.layers.0.mlp.up_proj.weight\"?"));
    let shape = refused(LowRank { a: vec![1.0; 3], ..whole.clone() }).to_string();
    assert!(shape.contains("A has 3"), "{shape}");
    assert!(refused(LowRank { expert: Some(0), ..whole.clone() }).to_string().contains("leave `expert` out"));
    assert!(refused(LowRank { rank: 0, ..whole.clone() }).to_string().contains("rank 0"));
    assert!(refused(LowRank { scale: f32::INFINITY, ..whole }).to_string().contains("not finite"));
    let table = refused(edit(&model, "model.embed_tokens.weight", 1, 1.0));
    assert!(
        matches!(&table, HostError::Unsupported(why) if why.contains("matrices of blocks only")),
        "{table}"
    );
}

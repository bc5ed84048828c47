//! Tensors read from the file, in pieces, against the same weights in other files and the definitions of their formats.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail loudly")]

mod support;

use sonde_engine::OpenOptions;
use support::{open, quantised_wren, relative, shared, slots};

#[test]
fn every_tensor_is_listed_with_its_shape_outermost_first() {
    let model = quantised_wren(slots(1));
    let tensors = model.tensors().unwrap();
    let of = |name: &str| tensors.iter().find(|tensor| tensor.name == name).unwrap();
    let (width, vocabulary) = (u64::from(model.info().width), u64::from(model.info().vocabulary));
    assert_eq!(of("token_embd.weight").shape, [vocabulary, width]);
    assert_eq!(of("token_embd.weight").quantisation, "Q8_0");
    assert_eq!(of("output_norm.weight").shape, [width]);
    assert_eq!(of("output_norm.weight").quantisation, "F32");
    let down = of("blk.5.ffn_down.weight");
    assert_eq!(down.shape[0], width);
    assert!(down.shape[1] > width);
}

#[test]
fn pieces_are_the_whole_in_pieces_wherever_they_are_cut() {
    let model = quantised_wren(slots(1));
    for name in ["blk.0.ffn_up.weight", "output_norm.weight"] {
        let tensors = model.tensors().unwrap();
        let tensor = tensors.iter().find(|tensor| tensor.name == name).unwrap();
        let length: u64 = tensor.shape.iter().product();
        let whole = model.read_tensor(name, 0, length as u32).unwrap();
        assert_eq!(whole.len() as u64, length);
        for (first, count) in [(0, 1), (31, 2), (32, 32), (5, 100), (length - 1, 1), (length, 0), (7, 0)] {
            let piece = model.read_tensor(name, first, count).unwrap();
            assert_eq!(piece, whole[first as usize..][..count as usize], "{name} {first} {count}");
        }
    }
}

/// Q8_0 by its definition: blocks of 32 with one f16 scale and 32 signed bytes.
#[test]
fn q8_0_numbers_are_those_of_its_definition() {
    let (Some(f32), Some(q8)) =
        (shared("models/wren/wren-chat-f32.gguf"), shared("models/wren/wren-chat-q8_0.gguf"))
    else {
        return;
    };
    let options = || OpenOptions { slots: Some(1), context: Some(64), ..OpenOptions::default() };
    let (exact, rounded) = (open(&f32, options()), open(&q8, options()));
    for name in ["blk.3.attn_q.weight", "blk.1.ffn_down.weight"] {
        let expected = exact.read_tensor(name, 640, 3200).unwrap();
        let found = rounded.read_tensor(name, 640, 3200).unwrap();
        for (found, expected) in found.chunks(32).zip(expected.chunks(32)) {
            // Rounded to the nearest of 255 steps from the block's largest down; half a step and f16's error in the scale.
            let largest = expected.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
            let step = largest / 127.0;
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() <= step * 0.5 + largest * 1e-3, "{found} {expected}");
            }
        }
    }
}

#[test]
fn f32_and_f16_numbers_are_those_in_the_file() {
    let (Some(file), Some(bin)) =
        (shared("models/stories260K/stories260K.gguf"), shared("models/stories260K/stories260K.bin"))
    else {
        return;
    };
    let model = open(&file, OpenOptions { slots: Some(1), ..OpenOptions::default() });
    // llama2.c's file: seven integers, then the embedding, 512 rows of 64.
    let bytes = std::fs::read(bin).unwrap();
    let expected: Vec<f32> = bytes[28..28 + 4 * 512 * 64]
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
        .collect();
    let found = model.read_tensor("token_embd.weight", 0, 512 * 64).unwrap();
    assert!(relative(&found, &expected) < 1e-6);

    let folder = tempfile::tempdir().unwrap();
    let half = folder.path().join("half.gguf");
    support::quantise(&file, &half, llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_F16);
    let half = open(&half, OpenOptions { slots: Some(1), ..OpenOptions::default() });
    let name = "blk.2.ffn_up.weight";
    let kind = half.tensors().unwrap().into_iter().find(|tensor| tensor.name == name).unwrap().quantisation;
    assert_eq!(kind, "F16");
    let (found, expected) =
        (half.read_tensor(name, 3, 1000).unwrap(), model.read_tensor(name, 3, 1000).unwrap());
    for (found, expected) in found.iter().zip(&expected) {
        // f16 has eleven bits.
        assert!((found - expected).abs() <= expected.abs() / 2048.0 + 6e-8, "{found} {expected}");
    }
}

#[test]
fn a_tensor_that_is_not_there_or_ends_before_is_named() {
    let model = quantised_wren(slots(1));
    let refused = |name: &str, first, count| model.read_tensor(name, first, count).unwrap_err().to_string();
    assert_eq!(
        refused("blk.0.atn_q.weight", 0, 1),
        "there is no tensor \"blk.0.atn_q.weight\"; did you mean \"blk.0.attn_q.weight\"?"
    );
    let width = u64::from(model.info().width);
    let end = refused("output_norm.weight", width - 1, 2);
    assert!(
        end.starts_with(&format!("2 numbers from {} on lie past the end of the tensor", width - 1)),
        "{end}"
    );
    for (first, count) in [(u64::MAX, 1), (u64::MAX, u32::MAX), (0, 1_000_000_000), (width + 1, 0)] {
        assert!(refused("output_norm.weight", first, count).contains("past the end"));
    }
}

#[test]
fn a_file_that_is_gone_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::copy(support::wren("wren-chat-q8_0.gguf"), &path).unwrap();
    let model = open(&path, OpenOptions { slots: Some(1), context: Some(64), ..OpenOptions::default() });
    let listed = model.tensors().unwrap().len();
    std::fs::remove_file(&path).unwrap();
    let error = model.read_tensor("output_norm.weight", 0, 4).unwrap_err().to_string();
    assert!(error.contains("cannot read the tensor \"output_norm.weight\""), "{error}");
    assert_eq!(model.tensors().unwrap().len(), listed);
}

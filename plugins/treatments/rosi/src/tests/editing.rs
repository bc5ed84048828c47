//! Which matrices are edited, and how.

use super::*;
use sonde_sdk::mock::check_parameters;

/// f32 beside f64.
const NEAR: f64 = 1e-6;

fn published(alpha: f64) -> Parameters {
    Parameters { alpha: Some(alpha), ..at_layer_2() }
}

#[test]
fn every_writing_matrix_gets_alpha_times_direction_times_row_mean() {
    let host = host();
    let derived = derive(&host, &published(-64.0)).unwrap();
    let edits = edits(&derived);
    assert_eq!(edits.len(), 10);
    for (block, pair) in edits.chunks(2).enumerate() {
        let expected =
            [("attn_output", vec![2.0, 5.0]), ("ffn_down", vec![0.0, 3.0, 0.0])].map(|(name, mean)| {
                RankOne::new(&format!("blk.{block}.{name}.weight"), [0.6, -0.8], mean, -64.0)
            });
        assert_eq!(pair, expected);
    }
    assert!(host.prompts("target").is_empty(), "an alpha that is given is not calibrated");
    assert!((value(&derived, "relative_edit_max") - 64.0 / UNITS[0]).abs() < NEAR);
    let mean = 64.0 * (1.0 / UNITS[0] + 1.0 / UNITS[1]) / 2.0;
    assert!((value(&derived, "relative_edit_mean") - mean).abs() < NEAR);
    assert_eq!((value(&derived, "alpha_mean"), value(&derived, "layer")), (-64.0, 2.0));
}

#[test]
fn one_alpha_for_all_changes_the_matrices_by_the_size_on_average() {
    let sizes = vec![0.1];
    let parameters = Parameters { scale: Scale::Common, sizes, ..at_layer_2() };
    let derived = derive(&host(), &parameters).unwrap();
    let alphas: Vec<f32> = edits(&derived).iter().map(|edit| edit.coefficient).collect();
    // By hand: 0.1 is the mean of |alpha| / 1.64 and |alpha| / 2.357.
    let expected = -0.2 / (1.0 / UNITS[0] + 1.0 / UNITS[1]);
    assert!(alphas.iter().all(|alpha| (f64::from(*alpha) - expected).abs() < NEAR), "{alphas:?}");
    assert!((value(&derived, "relative_edit_mean") - 0.1).abs() < NEAR);
    assert!((value(&derived, "relative_edit_max") + expected / UNITS[0]).abs() < NEAR);
}

#[test]
fn each_expert_has_its_own_row_mean() {
    // Two experts of 2 × 2: rows with the means (1, 0) and (0, 2).
    let experts =
        tensor("blk.0.ffn_down_exps.weight", &[2, 2, 2], &[1.0, 2.0, 1.0, -2.0, 3.0, 2.0, -3.0, 2.0]);
    let dense = tensors().into_iter().filter(|(tensor, _)| tensor.name != "blk.0.ffn_down.weight");
    let host = host().tensors("target", dense.chain([experts]));
    let derived = derive(&host, &published(2.0)).unwrap();
    let edits = edits(&derived);
    let edit = |mean: [f32; 2]| RankOne::new("blk.0.ffn_down_exps.weight", [0.6, -0.8], mean, 2.0);
    assert_eq!(edits[9..], [edit([1.0, 0.0]).expert(0), edit([0.0, 2.0]).expert(1)]);
}

#[test]
fn a_matrix_whose_rows_have_no_mean_is_left_out_and_a_block_without_one_is_named() {
    let mut tensors = tensors();
    tensors.retain(|(tensor, _)| tensor.name != "blk.3.attn_output.weight");
    let still = tensors.iter_mut().find(|(tensor, _)| tensor.name == "blk.0.ffn_down.weight").unwrap();
    still.1 = vec![1.0, 2.0, 3.0, -1.0, -2.0, -3.0];
    let derived = derive(&host().tensors("target", tensors), &published(1.0)).unwrap();
    assert_eq!(edits(&derived).len(), 8);
    assert!(has_note(&derived, "1 matrices whose rows have a mean of zero"));
    assert!(has_note(&derived, "1 of 5 blocks have no attention output under a known name"));
}

#[test]
fn a_model_whose_matrices_are_not_known_or_stand_transposed_is_refused() {
    let unknown = host().tensors("target", [tensor("h.0.attn.c_proj.weight", &[2, 2], &ATTENTION)]);
    let why = refused(derive(&unknown, &published(1.0)));
    assert!(why.starts_with("none of the 1 tensors of small is known to write"), "{why}");
    let transposed = host().tensors("target", [tensor("blk.0.ffn_down.weight", &[3, 2], &MLP)]);
    let why = refused(derive(&transposed, &published(1.0)));
    assert!(why.starts_with("`blk.0.ffn_down.weight` has 3 rows, and the residual stream has 2"), "{why}");
    let still = host().tensors("target", [tensor("blk.0.ffn_down.weight", &[2, 1], &[1.0, -1.0])]);
    assert!(refused(derive(&still, &published(1.0))).contains("ROSI changes nothing"));
}

#[test]
fn a_norm_between_matrix_and_residual_stream_is_said() {
    let norm = tensor("blk.0.post_ffw_norm.weight", &[2], &[1.0, 1.0]);
    let derived = derive(&host().tensors("target", tensors().into_iter().chain([norm])), &published(1.0));
    assert!(has_note(&derived.unwrap(), "normalises what its blocks write"));
}

#[test]
fn a_layer_at_which_the_means_are_equal_is_refused() {
    let why = refused(derive(&host(), &Parameters { layer: Some(0), ..published(1.0) }));
    assert!(why.contains("the same mean state at layer 0"), "{why}");
    let why = refused(derive(&host(), &Parameters { layer: Some(6), ..published(1.0) }));
    assert_eq!(why, "layer 6 does not exist: small has 5 blocks, so the layers go from 0 (embeddings) to 5");
}

#[test]
fn the_signs_of_what_the_matrices_write_are_counted() {
    let derived = derive(&host(), &Parameters { sign_prompts: 6, ..published(1.0) }).unwrap();
    let signs: Vec<_> = derived
        .summary
        .metrics
        .iter()
        .filter(|metric| metric.name == "positive_row_mean_output")
        .map(|metric| (metric.group.as_ref().unwrap().name.as_str(), share(metric)))
        .collect();
    // Five blocks, six prompts of a kind; the last two blocks' MLPs are positive on both kinds.
    let expected = [
        ("output=attention, harmful prompts", (30, 30)),
        ("output=MLP, harmful prompts", (12, 30)),
        ("output=attention, harmless prompts", (0, 30)),
        ("output=MLP, harmless prompts", (12, 30)),
    ];
    assert_eq!(signs, expected);
    // By hand: means 1 and −1 of attention; three blocks' MLPs have −1/2 and two 1/2.
    let means: Vec<_> = derived
        .summary
        .metrics
        .iter()
        .filter(|metric| metric.name == "row_mean_output")
        .map(|metric| match &metric.estimate {
            Estimate::Given(given) => given.value,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(means.iter().zip([1.0, -0.1, -1.0, -0.1]).all(|(a, b)| (a - b).abs() < NEAR), "{means:?}");
    let without = derive(&host(), &Parameters { sign_prompts: 0, ..published(1.0) }).unwrap();
    assert!(without.summary.metrics.iter().all(|metric| metric.name != "positive_row_mean_output"));
}

#[test]
fn parameters_are_those_of_the_description_and_have_ranges() {
    check_parameters::<Parameters>(&Rosi::about()).unwrap();
    let wrong = [
        ("`sizes`", Parameters { sizes: vec![0.1, -0.1], ..Parameters::default() }),
        ("`sizes`", Parameters { sizes: vec![], ..Parameters::default() }),
        ("`alpha`", published(f64::NAN)),
        ("`refusal_target`", Parameters { refusal_target: 90.0, ..Parameters::default() }),
        ("`compliance_bound`", Parameters { compliance_bound: -1.0, ..Parameters::default() }),
        ("`calibration_share`", Parameters { calibration_share: 1.0, ..Parameters::default() }),
        ("`n_val`", Parameters { n_val: 0, ..Parameters::default() }),
    ];
    for (name, parameters) in wrong {
        let why = refused(derive(&host(), &parameters));
        assert!(why.contains(name), "{why}");
    }
}

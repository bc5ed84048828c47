//! SPIN's counts against plain sets, its chance against SciPy's hypergeometric distribution.

use std::collections::BTreeSet;

use sonde_diagnostics::Error;
use sonde_diagnostics::resampling::Resampler;
use sonde_diagnostics::spin::{Matrix, Modules, Ranked, Unreached, coupling, sweep, top_count};

use crate::reference::{assert_near, cases, numbers};

fn matrix<'a>(layer: u32, name: &'a str, first: &'a [u64], second: &'a [u64]) -> Matrix<'a> {
    Matrix { layer, name, weights: 1000, first: Some(first), second: Some(second) }
}

#[test]
fn counts_are_those_of_plain_sets() {
    let mut draws = Resampler::new(2);
    for _ in 0..50 {
        let mut set = |size: usize| -> BTreeSet<u64> { (0..size).map(|_| draws.draw(120) as u64).collect() };
        let (first, second) = (set(40), set(70));
        let expected = first.intersection(&second).count() as u64;
        let (first, second): (Vec<u64>, Vec<u64>) =
            (first.into_iter().collect(), second.into_iter().collect());
        let found =
            coupling(&[matrix(0, "mlp.up", &first, &second)], Modules::All, Unreached::Count).unwrap();
        assert_eq!(found.counts.coupled, expected);
    }
}

#[test]
fn layers_and_totals_add_up_and_names_choose() {
    let matrices = [
        matrix(1, "mlp.up_proj", &[1, 2, 3], &[2, 3, 4, 900]),
        matrix(0, "mlp.up_proj", &[5], &[5]),
        matrix(0, "self_attn.q_proj", &[1, 2], &[1, 2]),
        matrix(0, "router", &[7], &[8]),
    ];
    let found = coupling(&matrices, Modules::default(), Unreached::default()).unwrap();
    assert_eq!(
        (found.counts.first, found.counts.second, found.counts.coupled, found.counts.weights),
        (5, 6, 3, 3000)
    );
    assert_near("rate", found.counts.rate_vs_candidate_mean().unwrap(), 3.0 / 5.5, 1e-15);
    assert_near("ratio", found.counts.ratio().unwrap(), 0.001, 1e-15);
    assert_near("ln ratio", found.counts.ln_ratio().unwrap(), -6.907_755_278_982_137, 1e-12);
    let layers: Vec<(u32, u64)> =
        found.layers.iter().map(|layer| (layer.layer, layer.counts.coupled)).collect();
    assert_eq!(layers, [(0, 1), (1, 2)]);
    let names: Vec<&str> = found.layers[0].modules.iter().map(|module| module.name.as_str()).collect();
    assert_eq!(names, ["mlp.up_proj", "router"]);
    let attention = coupling(&matrices, Modules::SelfAttention, Unreached::default()).unwrap();
    assert_eq!((attention.counts.coupled, attention.counts.weights), (2, 2000));
    assert_eq!(coupling(&matrices, Modules::All, Unreached::default()).unwrap().counts.coupled, 5);
}

#[test]
fn an_expert_without_gradient_is_left_out_unless_deepscans_rule_is_asked_for() {
    let reached = matrix(0, "mlp.experts.0", &[1, 2], &[2, 3]);
    let idle = Matrix { name: "mlp.experts.1", second: None, ..reached };
    let without = coupling(&[reached, idle], Modules::Mlp, Unreached::LeaveOut).unwrap();
    assert_eq!((without.counts.weights, without.counts.first, without.unreached), (1000, 2, 1));
    let with = coupling(&[reached, idle], Modules::Mlp, Unreached::Count).unwrap();
    assert_eq!((with.counts.weights, with.counts.first, with.unreached), (2000, 4, 1));
    // Whoever is not to have any candidates was reached all the same.
    let small = matrix(0, "mlp.gate", &[], &[]);
    assert_eq!(coupling(&[small], Modules::Mlp, Unreached::LeaveOut).unwrap().counts.weights, 1000);
}

#[test]
fn chance_is_scipys_hypergeometric_distribution() {
    for case in cases("hypergeometric") {
        let case = numbers(case);
        let [weights, first, second, coupled] = [0, 1, 2, 3].map(|place: usize| case[place] as u64);
        // Shares `coupled` indices; where that leaves no room below the number of weights, wraps to the front.
        let first_set: Vec<u64> = (0..first).collect();
        let second_set: Vec<u64> = (first - coupled..first - coupled + second).collect();
        let one = Matrix { layer: 0, name: "m", weights, first: Some(&first_set), second: Some(&second_set) };
        let found = coupling(&[one], Modules::All, Unreached::Count).unwrap();
        assert_eq!(found.counts.coupled, coupled);
        assert!(found.chance.exact);
        assert_near("mean", found.chance.mean, case[4], 1e-12);
        assert_near("sd", found.chance.sd, case[5], 1e-12);
        // Logarithms of factorials of 10⁷ are about 1.5e8 and cancel: 1e-7 is what f64 leaves.
        assert_near("ln p", found.chance.ln_p, case[6], 1e-7);
    }
}

#[test]
fn the_bound_for_several_matrices_is_above_the_exact_tail_of_their_union() {
    // Two matrices of 1,000 with 30 and 40 top weights and 5 shared each: mean 2.4, 10 found. The exact tail of the
    // convolution (scipy: np.convolve(hypergeom.pmf(range(31), 1000, 30, 40), ...)[10:].sum()) is 8.856e-5.
    let (first, second): (Vec<u64>, Vec<u64>) = ((0..30).collect(), (25..65).collect());
    let two = [matrix(0, "a", &first, &second), matrix(0, "b", &first, &second)];
    let chance = coupling(&two, Modules::All, Unreached::Count).unwrap().chance;
    assert!(!chance.exact);
    assert_near("mean", chance.mean, 2.4, 1e-12);
    assert_near("sd", chance.sd, 1.057_619_288_098_774_5 * std::f64::consts::SQRT_2, 1e-12);
    // Not below the truth, and not uselessly far above.
    assert!(chance.ln_p > EXACT_LN_P && chance.ln_p < EXACT_LN_P + 3.0, "{}", chance.ln_p);
}

/// See the test above.
const EXACT_LN_P: f64 = -9.331_787;

#[test]
fn a_sweep_is_cut_from_the_rankings() {
    let (first, second) = ([9, 3, 7, 1, 0, 5], [3, 8, 9, 2, 1, 0]);
    let ranked =
        Ranked { layer: 0, name: "mlp.up", weights: 100, first: Some(&first), second: Some(&second) };
    let points = sweep(&[ranked], &[0.02, 0.05], Modules::Mlp, Unreached::LeaveOut).unwrap();
    let coupled: Vec<u64> = points.iter().map(|point| point.counts.coupled).collect();
    // {9, 3} and {3, 8}; {0, 1, 3, 7, 9} and {1, 2, 3, 8, 9}.
    assert_eq!(coupled, [1, 3]);
    let short = sweep(&[ranked], &[0.5], Modules::Mlp, Unreached::LeaveOut);
    assert!(matches!(short, Err(Error::Parameter { name: "fraction", .. })), "{short:?}");
}

#[test]
fn sets_that_do_not_ascend_or_leave_the_matrix_are_refused() {
    for wrong in [&[2_u64, 1][..], &[1, 1], &[1000]] {
        let found = coupling(&[matrix(3, "mlp.up", wrong, &[])], Modules::Mlp, Unreached::Count);
        assert!(matches!(found, Err(Error::Indices { layer: 3, .. })), "{found:?}");
    }
    let twice = [matrix(0, "a", &[], &[]), matrix(0, "a", &[], &[])];
    assert!(coupling(&twice, Modules::All, Unreached::Count).is_err());
    assert!(Modules::from_name("attention").is_err());
}

#[test]
fn nothing_has_no_rates() {
    let found = coupling(&[], Modules::All, Unreached::Count).unwrap();
    assert_eq!(
        (found.counts.ratio(), found.counts.rate_vs_candidate_mean(), found.counts.ln_ratio()),
        (None, None, None)
    );
    let empty = Matrix { weights: 0, ..matrix(0, "a", &[], &[]) };
    assert_eq!(coupling(&[empty], Modules::All, Unreached::Count).unwrap().chance.mean, 0.0);
}

#[test]
fn top_counts_are_those_of_python() {
    // int(q * numel)
    assert_eq!(top_count(1e-3, 128 * 1024), 131);
    assert_eq!(top_count(5e-7, 1536 * 8960), 6);
    assert_eq!(top_count(5e-7, 100 * 100), 0);
    assert_eq!([top_count(-1.0, 81), top_count(f64::NAN, 81), top_count(2.0, 81)], [0, 0, 81]);
}

//! ROSI against the numbers of `methods.md` §2.3: R1 by hand, R2 generated, R3 the invariants.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

use sonde_treatments::refusal_direction::{Directions, Means, Place};
use sonde_treatments::rosi::{Error, RankOne, alpha_of_size, relative_size, row_mean, unit};

/// Relative, as the specification has it.
const ROUNDING: f64 = 1e-12;
/// A few roundings of numbers near 1, for what is zero but for them.
const ZERO: f64 = 1e-15;

/// Test data of the specification: sin(1 + 0.7 i + 1.3 j + s), row by row.
fn generated(rows: u32, columns: u32, shift: f64) -> Vec<f64> {
    let row = |i| (0..columns).map(move |j| (1.0 + 0.7 * f64::from(i) + 1.3 * f64::from(j) + shift).sin());
    (0..rows).flat_map(row).collect()
}

#[track_caller]
fn assert_near(found: &[f64], expected: &[f64]) {
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= ROUNDING * b.abs() + ZERO;
    assert!(
        found.len() == expected.len() && found.iter().zip(expected).all(near),
        "{found:?}\nis not\n{expected:?}"
    );
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

fn norm(vector: &[f64]) -> f64 {
    dot(vector, vector).sqrt()
}

fn difference(one: &[f64], other: &[f64]) -> Vec<f64> {
    one.iter().zip(other).map(|(a, b)| a - b).collect()
}

/// vᵀ W.
fn left(vector: &[f64], matrix: &[f64], columns: usize) -> Vec<f64> {
    (0..columns)
        .map(|j| vector.iter().zip(matrix[j..].iter().step_by(columns)).map(|(v, w)| v * w).sum())
        .collect()
}

/// W x.
fn times(matrix: &[f64], x: &[f64]) -> Vec<f64> {
    matrix.chunks(x.len()).map(|row| dot(row, x)).collect()
}

/// R2's s: the difference of means of two generated groups of five states.
fn generated_direction() -> Vec<f64> {
    let means = |shift| {
        let mut means = Means::new(1, 1, 4);
        generated(5, 4, shift).chunks(4).for_each(|state| means.add(0, state).unwrap());
        means
    };
    let directions = Directions::between(&means(0.25), &means(2.0)).unwrap();
    directions.at(Place { position: -1, layer: 0 }).unwrap().to_vec()
}

fn generated_edit(alpha: f64) -> (Vec<f64>, RankOne) {
    let matrix = generated(4, 3, 0.0);
    let edit = RankOne::injection(&generated_direction(), &row_mean(&matrix, 3).unwrap(), alpha).unwrap();
    (matrix, edit)
}

#[test]
fn r1_a_small_edit_agrees_with_a_hand_calculation() {
    let matrix = [1.0, 2.0, 3.0, 4.0, 5.0, -6.0];
    let mean = row_mean(&matrix, 2).unwrap();
    assert_near(&mean, &[3.0, 0.0]);
    let direction = unit(&[2.0, -1.0, 2.0]).unwrap();
    assert_near(&direction, &[2.0 / 3.0, -1.0 / 3.0, 2.0 / 3.0]);
    let edited = RankOne::injection(&direction, &mean, 0.9).unwrap().applied(&matrix).unwrap();
    assert_near(&edited, &[2.8, 2.0, 2.1, 4.0, 6.8, -6.0]);
    let x = [1.0, -2.0];
    assert_near(&times(&matrix, &x), &[-3.0, -5.0, 17.0]);
    assert_near(&times(&edited, &x), &[-1.2, -5.9, 18.8]);
}

#[test]
fn r1_the_mean_is_over_rows_of_a_square_matrix_too() {
    // Rows (1, 2) and (3, 8): their mean is (2, 5); the mean over columns would be (1.5, 5.5).
    let square = [1.0, 2.0, 3.0, 8.0];
    let mean = row_mean(&square, 2).unwrap();
    assert_near(&mean, &[2.0, 5.0]);
    let edited = RankOne::injection(&[0.0, 2.0], &mean, 10.0).unwrap().applied(&square).unwrap();
    assert_near(&edited, &[1.0, 2.0, 23.0, 58.0]);
}

#[test]
fn r2_a_generated_edit_is_the_specifications() {
    let s = generated_direction();
    let expected = [0.8170565436058751, -0.09900332536047524, -0.870023090733607, -0.3664569899346905];
    assert_near(&s, &expected);
    assert_near(&[norm(&s)], &[1.2524431954237538]);
    let expected = [0.6523701406908365, -0.07904815621356646, -0.6946607190749612, -0.2925937010745647];
    assert_near(&unit(&s).unwrap(), &expected);
    let (matrix, edit) = generated_edit(0.5);
    assert_near(&edit.input, &[0.6375449095612018, -0.14865324864035542, -0.7170740493262711]);
    let expected = [
        [1.0494286159814805, 0.697216741811891, -0.6764192925172161],
        [0.9664664356503896, 0.14699539066995568, -0.887824246015536],
        [0.4540244778919682, -0.47820435461182426, -0.7098626872956476],
        [-0.05169014991158941, -0.9298545717912963, -0.445779867579189],
    ];
    assert_near(&edit.applied(&matrix).unwrap(), &expected.concat());
}

#[test]
fn r3_the_change_has_rank_one_and_the_size_of_alpha_times_the_row_mean() {
    let (matrix, edit) = generated_edit(0.5);
    let change = difference(&edit.applied(&matrix).unwrap(), &matrix);
    // Every 2 × 2 minor of a matrix of rank one is zero.
    for (i, k) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
        for (j, l) in [(0, 1), (0, 2), (1, 2)] {
            let at = |row: usize, column: usize| change[row * 3 + column];
            assert_near(&[at(i, j) * at(k, l) - at(i, l) * at(k, j)], &[0.0]);
        }
    }
    assert_near(&[norm(&change), edit.norm()], &[0.4854782415968577; 2]);
    let size = relative_size(-0.5, norm(&edit.input), norm(&matrix)).unwrap();
    assert_near(&[size], &[norm(&change) / norm(&matrix)]);
}

#[test]
fn r3_only_what_lies_along_the_direction_changes() {
    let (matrix, edit) = generated_edit(0.5);
    let edited = edit.applied(&matrix).unwrap();
    let direction = unit(&generated_direction()).unwrap();
    let (before, after) = (left(&direction, &matrix, 3), left(&direction, &edited, 3));
    let expected: Vec<f64> = before.iter().zip(&edit.input).map(|(w, mean)| w + 0.5 * mean).collect();
    assert_near(&after, &expected);
    let across = |matrix: &[f64], along: &[f64]| -> Vec<f64> {
        let rows = matrix.chunks(3).zip(&direction);
        rows.flat_map(|(row, s)| row.iter().zip(along).map(move |(w, along)| w - s * along)).collect()
    };
    assert_near(&across(&edited, &after), &across(&matrix, &before));
}

#[test]
fn r3_an_edit_is_undone_with_the_original_row_mean_only() {
    let (matrix, edit) = generated_edit(0.5);
    let edited = edit.applied(&matrix).unwrap();
    let back = RankOne { coefficient: -0.5, ..edit.clone() };
    assert_near(&back.applied(&edited).unwrap(), &matrix);
    // w̄' = w̄ (1 + alpha · mean(ŝ)): undone with that, something is left.
    let recomputed = row_mean(&edited, 3).unwrap();
    let factor = 1.0 + 0.5 * edit.output.iter().sum::<f64>() / 4.0;
    assert_near(&recomputed, &edit.input.iter().map(|mean| mean * factor).collect::<Vec<_>>());
    let wrong = RankOne { input: recomputed, ..back }.applied(&edited).unwrap();
    let left = norm(&difference(&wrong, &matrix));
    assert!((left - edit.norm() * (factor - 1.0).abs()).abs() < ROUNDING && left > 0.02, "{left}");
}

#[test]
fn r3_no_alpha_changes_nothing_and_only_the_sign_of_the_directions_length_counts() {
    let (matrix, none) = generated_edit(0.0);
    assert_eq!(none.applied(&matrix).unwrap(), matrix);
    let s = generated_direction();
    let scaled = |k: f64| unit(&s.iter().map(|number| k * number).collect::<Vec<_>>()).unwrap();
    let direction = unit(&s).unwrap();
    for k in [1e-3, 2.0, 1e6] {
        assert_near(&scaled(k), &direction);
        assert_near(&scaled(-k), &direction.iter().map(|number| -number).collect::<Vec<_>>());
    }
}

#[test]
fn a_size_and_its_alpha_are_two_ways_to_say_the_same() {
    // By hand: ‖W‖_F = 10, ‖w̄‖ = 0.04; a quarter of W is alpha = 62.5.
    assert_eq!(alpha_of_size(-0.25, 0.04, 10.0), Some(-62.5));
    assert!((relative_size(-62.5, 0.04, 10.0).unwrap() - 0.25).abs() < ROUNDING);
    assert_eq!((alpha_of_size(0.25, 0.0, 10.0), relative_size(1.0, 0.0, 0.0)), (None, None));
}

#[test]
fn what_has_no_answer_is_refused() {
    assert_eq!(unit(&[0.0, 0.0]), Err(Error::NoDirection));
    assert!(matches!(unit(&[0.0, f64::NAN]), Err(Error::NotFinite { place: 1, .. })));
    assert!(row_mean(&[1.0, 2.0, 3.0], 2).is_err());
    let edit = RankOne::injection(&[1.0, 0.0], &[1.0, 1.0, 1.0], 1.0).unwrap();
    // Transposed storage: as many numbers, but three rows of two.
    assert!(matches!(edit.applied(&[0.0; 9]), Err(Error::Length { found: 3, expected: 2, .. })));
}

//! Reading the reference, and comparing with it.

use std::sync::LazyLock;

use serde_json::Value;
use sonde_diagnostics::Vectors;

static REFERENCE: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../reference/reference.json")).unwrap_or_default());

/// A part of the reference.
pub fn reference(name: &str) -> &'static Value {
    let part = REFERENCE.get(name).unwrap_or(&Value::Null);
    assert!(!part.is_null(), "the reference has no `{name}`");
    part
}

/// The cases of a part.
pub fn cases(name: &str) -> &'static [Value] {
    reference(name).as_array().map_or(&[], Vec::as_slice)
}

/// A list of numbers.
pub fn numbers(list: &Value) -> Vec<f64> {
    let list = list.as_array().map_or(&[] as &[Value], Vec::as_slice);
    assert!(!list.is_empty() && list.iter().all(Value::is_number));
    list.iter().filter_map(Value::as_f64).collect()
}

/// A case's `vectors`.
pub fn vectors(case: &Value) -> Vectors {
    let rows: Vec<Vec<f64>> =
        case.get("vectors").and_then(Value::as_array).into_iter().flatten().map(numbers).collect();
    let vectors = Vectors::new(&rows);
    assert!(vectors.is_ok(), "{vectors:?}");
    vectors.unwrap_or_else(|_| unreachable!())
}

/// A case's `labels`.
pub fn labels(case: &Value) -> Vec<u32> {
    let labels = case.get("labels").and_then(Value::as_array).into_iter().flatten();
    labels.filter_map(Value::as_u64).filter_map(|label| u32::try_from(label).ok()).collect()
}

/// That `got` is `expected` within `tolerance` · max(1, |expected|).
#[track_caller]
pub fn assert_near(what: &str, got: f64, expected: f64, tolerance: f64) {
    let room = tolerance * expected.abs().max(1.0);
    assert!((got - expected).abs() <= room, "{what}: {got} where {expected} was expected");
}

/// That `got` is the case's number `name`, within 1e-9: both sides compute in `f64`, in different orders, on values
/// whose conditioning costs a few digits.
#[track_caller]
pub fn assert_is(case: &Value, name: &str, got: f64) {
    let expected = case.get(name).and_then(Value::as_f64);
    assert!(expected.is_some(), "the reference has no number `{name}`");
    assert_near(name, got, expected.unwrap_or(f64::NAN), 1e-9);
}

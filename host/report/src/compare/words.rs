//! Numbers and sentences that all forms of a comparison share.

use super::{ComparedRun, ComparedTask, Comparison, Flip, Flips, Method, Row};
use crate::numbers::{percent, plain, range, thousands};
use crate::printable::{cut, printable_line};
use crate::statistics::{Interval, MetricKind};

/// Headings of a task's table.
pub(crate) fn header(task: &ComparedTask) -> [String; 9] {
    let [other, baseline] = [task.other.clone(), "A".to_owned()];
    let difference = format!("{other} − A");
    ["metric".to_owned(), baseline, other, difference]
        .into_iter()
        .chain(["95 % interval", "n", "p", "p (Holm)", "told"].map(str::to_owned))
        .collect::<Vec<_>>()
        .try_into()
        .unwrap_or_default()
}

/// The metric's name, and its group.
pub(crate) fn label(row: &Row) -> String {
    match &row.group {
        Some(group) => format!("{}, {}: {}", row.metric, group.kind, group.name),
        None => row.metric.clone(),
    }
}

/// Cells after the label.
pub(crate) fn cells(row: &Row) -> [String; 8] {
    [
        number(row.baseline, row.baseline_interval, row.kind),
        number(row.other, row.other_interval, row.kind),
        difference(row),
        interval(row.interval, row.kind),
        thousands(row.n),
        p_value(row.p),
        p_value(row.p_holm),
        row.told.as_str().to_owned(),
    ]
}

/// With its own interval, where it has one.
fn number(number: Option<f64>, interval: Option<Interval>, kind: MetricKind) -> String {
    let Some(number) = number else { return "–".to_owned() };
    let number = if kind == MetricKind::Proportion { percent(number) } else { plain(number) };
    match interval {
        Some(interval) => format!("{number} ({})", range(interval, kind)),
        None => number,
    }
}

/// With its sign; shares in percentage points.
fn difference(row: &Row) -> String {
    match (row.difference, row.kind) {
        (None, _) => "–".to_owned(),
        (Some(difference), MetricKind::Proportion) => format!("{} pp", points(difference)),
        (Some(difference), _) => signed(difference),
    }
}

fn interval(interval: Option<Interval>, kind: MetricKind) -> String {
    match (interval, kind) {
        (None, _) => "–".to_owned(),
        (Some([low, high]), MetricKind::Proportion) => format!("{} to {} pp", points(low), points(high)),
        (Some([low, high]), _) => format!("{} to {}", signed(low), signed(high)),
    }
}

fn points(share: f64) -> String {
    let points = format!("{:+.1}", share * 100.0).replace('-', "−");
    if matches!(points.as_str(), "+0.0" | "−0.0") { "0.0".to_owned() } else { points }
}

fn signed(number: f64) -> String {
    let size = plain(number.abs());
    match number {
        _ if number < 0.0 => format!("−{size}"),
        _ if number > 0.0 => format!("+{size}"),
        _ => size,
    }
}

fn p_value(p: Option<f64>) -> String {
    match p {
        None => "–".to_owned(),
        Some(p) if p < 0.0001 => "< 0.0001".to_owned(),
        Some(p) => format!("{p:.4}"),
    }
}

/// A run with its letter.
pub(crate) fn run(run: &ComparedRun) -> String {
    format!("{}  {}, begun {}: {}", run.letter, run.path, run.created, run.models.join("; "))
}

/// Under which heading a task's table stands.
pub(crate) fn heading(task: &ComparedTask) -> String {
    let pairs = match task.paired {
        true => format!("{} pairs of samples", thousands(task.pairs)),
        false => "a diagnostic: its numbers beside each other, without pairs and tests".to_owned(),
    };
    format!("{}, A and {} — {} — {pairs}", task.name, task.other, task.plugin)
}

/// What concerns single rows: discordant samples, and what is odd.
pub(crate) fn row_remarks(task: &ComparedTask) -> Vec<String> {
    let mut remarks: Vec<String> = Vec::new();
    for row in &task.rows {
        let odd = row.remark.as_ref().map(|remark| format!("{}: {remark}", row.metric));
        if let Some(odd) = odd.filter(|odd| !remarks.contains(odd)) {
            remarks.push(odd);
        }
        if let Some([first, second]) = row.discordant.filter(|_| row.headline) {
            remarks.push(format!(
                "{}: counted in A alone {first}, in {} alone {second}",
                label(row),
                task.other
            ));
        }
    }
    remarks
}

/// How many samples changed sides; `None` where there are no sides.
pub(crate) fn flips(flips: &Flips) -> Option<String> {
    let all = flips.to_worse + flips.to_better;
    let shown = flips.shown.len() as u64;
    let rest = if shown < all { format!("; {shown} of them shown") } else { String::new() };
    (!flips.by.is_empty()).then(|| {
        format!(
            "flipped ({}): {} of {} pairs, {} to the worse, {} to the better{rest}",
            flips.by,
            thousands(all),
            thousands(flips.of),
            thousands(flips.to_worse),
            thousands(flips.to_better),
        )
    })
}

/// A flip's sample, in both runs.
pub(crate) fn sample(flip: &Flip) -> String {
    match &flip.other_sample {
        Some(other) => format!("{} ({other})", flip.sample),
        None => flip.sample.clone(),
    }
}

/// A flip's changes on one line.
pub(crate) fn changes(flip: &Flip) -> String {
    let one = |(name, before, after): &(String, String, String)| {
        format!("{name} {} → {}", cut(&printable_line(before), 40), cut(&printable_line(after), 40))
    };
    flip.changes.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// How the numbers came about, for the end of every form; of the methods that were used only.
pub(crate) fn methods(comparison: &Comparison) -> Vec<String> {
    let used =
        |method: Method| comparison.tasks.iter().flat_map(|task| &task.rows).any(|row| row.method == method);
    let mut lines = vec![
        "Every number is over the pairs only: samples of the same row that count in both runs. It may differ from the \
         number in the run's own report, which is over all of its samples."
            .to_owned(),
    ];
    let texts = [
        (
            Method::Newcombe,
            "Shares: Newcombe's interval for paired shares (1998, method 10); McNemar's exact test. Differences are in percentage points (pp).",
        ),
        (
            Method::Differences,
            "Means: percentile bootstrap of the samples' differences; paired permutation test, exact up to 20 samples that differ, else seeded.",
        ),
        (
            Method::Resummed,
            "Other numbers: the plugin sums up resampled pairs for the interval (percentile bootstrap), and pairs whose two outcomes are exchanged at random for the test; seeded.",
        ),
        (Method::Beside, "Diagnostics: no samples to pair, so no interval of the difference and no test."),
    ];
    lines.extend(texts.into_iter().filter(|(method, _)| used(*method)).map(|(_, text)| text.to_owned()));
    if comparison.tests > 0 {
        lines.push(format!(
            "p (Holm) is adjusted for all {} of this comparison; what is told goes by it, at {}.",
            match comparison.tests {
                1 => "tests (there is one)".to_owned(),
                tests => format!("{tests} tests"),
            },
            super::LEVEL
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_have_their_sign_and_shares_are_in_percentage_points() {
        let cases = [(0.125, "+12.5"), (-0.0621, "−6.2"), (0.0, "0.0"), (-0.0001, "0.0")];
        for (share, expected) in cases {
            assert_eq!(points(share), expected);
        }
        assert_eq!([signed(-0.5), signed(2.0), signed(0.0)], ["−0.500", "+2", "0"]);
    }

    #[test]
    fn small_probabilities_are_not_told_as_zero() {
        assert_eq!(p_value(Some(0.000_01)), "< 0.0001");
        assert_eq!([p_value(Some(0.0703)), p_value(None)], ["0.0703", "–"]);
    }
}

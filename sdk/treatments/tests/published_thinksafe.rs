//! T3 and T4: the published numbers in `docs/treatments/thinksafe.md` are whole counts of the published sets. A slip of
//! the pen in the document fails here.

/// The rows of the document's tables that begin with this, as numbers.
fn rows(first: &str) -> Vec<Vec<f64>> {
    let document = include_str!("../../../docs/treatments/thinksafe.md");
    let cells = |line: &str| -> Option<Vec<f64>> {
        let mut cells = line.strip_prefix("| ")?.split('|').map(|cell| cell.trim().replace(',', ""));
        cells.next().filter(|name| name.starts_with(first))?;
        cells.filter(|cell| !cell.is_empty()).map(|cell| cell.parse().ok()).collect()
    };
    document.lines().filter_map(cells).collect()
}

#[test]
fn every_published_safety_rate_is_a_whole_count_of_its_set() {
    // HarmBench as the authors have it, StrongREJECT, WildJailbreak's harmful half, XSTest's safe half.
    let sets = [602.0, 313.0, 2000.0, 250.0];
    let found = rows("Qwen3-");
    assert_eq!(found.len(), 8);
    for row in &found {
        for (rate, set) in row.iter().zip(sets) {
            let count = (rate / 100.0 * set).round();
            // Two printed places.
            assert!((100.0 * count / set - rate).abs() <= 0.005 + 1e-9, "{rate} % of {set}");
        }
    }
    // The specification's own recount of some of them.
    let count = |row: usize, set: usize| (found[row][set] / 100.0 * sets[set]).round() as u32;
    assert_eq!([count(0, 0), count(0, 1), count(0, 2), count(0, 3)], [412, 208, 1056, 13]);
    assert_eq!([count(1, 0), count(5, 0)], [243, 58]);
}

#[test]
fn the_published_averages_follow_from_their_rates() {
    let averages = [48.2225, 29.6475, 35.265, 17.38, 22.58, 5.05, 19.5675, 4.5025];
    for (row, average) in rows("Qwen3-").iter().zip(averages) {
        assert!((row[..4].iter().sum::<f64>() / 4.0 - average).abs() < 1e-9, "{row:?}");
        // Two printed places; half a cent is printed either way.
        assert!((row[4] - average).abs() <= 0.005 + 1e-9, "{row:?}");
    }
}

#[test]
fn kept_and_rejected_make_the_whole_set_in_every_row() {
    let found = rows("kept by ");
    assert_eq!(found.len(), 7);
    for row in found {
        let [harmful, rejected, benign, refused] = row.try_into().unwrap();
        // The rejected share has two printed places: a count within a few.
        assert!((harmful / (1.0 - rejected / 100.0) - 17_888.0).abs() <= 6.0, "{harmful} {rejected}");
        assert!((benign / (1.0 - refused / 100.0) - 22_112.0).abs() <= 5.0, "{benign} {refused}");
    }
}

//! What is told of trajectories: their mean, their peaks, and the words at the peaks.

/// The steps of the `count` largest values, largest first, ties by the earlier step (DeepScan's peaks: there is no
/// threshold, so a flat trajectory has as many as any other). Values that are not numbers are none.
pub fn peaks(trajectory: &[f64], count: usize) -> Vec<usize> {
    let mut steps: Vec<(usize, f64)> =
        trajectory.iter().copied().enumerate().filter(|(_, value)| !value.is_nan()).collect();
    // Stable, so ties stay in the order of the steps.
    steps.sort_by(|one, other| other.1.total_cmp(&one.1));
    steps.into_iter().take(count).map(|(step, _)| step).collect()
}

/// At each step the mean over the trajectories that last so long. As long as the longest.
pub fn mean_trajectory(trajectories: &[impl AsRef<[f64]>]) -> Vec<f64> {
    let longest = trajectories.iter().map(|one| one.as_ref().len()).max().unwrap_or(0);
    let mut sums = vec![(0.0, 0.0); longest];
    for trajectory in trajectories {
        for ((sum, count), value) in sums.iter_mut().zip(trajectory.as_ref()) {
            *sum += value;
            *count += 1.0;
        }
    }
    sums.into_iter().map(|(sum, count)| sum / count).collect()
}

/// The `most` commonest of the tokens that are words of ASCII letters once surrounding white space is gone
/// (`^[A-Za-z]+$`), with their counts; commonest first, ties by who came first.
pub fn count_words<'a>(tokens: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<(String, u64)> {
    let mut counts: Vec<(String, u64)> = Vec::new();
    for token in tokens {
        let word = token.trim();
        if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            continue;
        }
        match counts.iter_mut().find(|(known, _)| known == word) {
            Some((_, count)) => *count += 1,
            None => counts.push((word.to_owned(), 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.truncate(most);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_the_largest_values_and_ties_go_to_the_earlier_step() {
        assert_eq!(peaks(&[1.0, 5.0, 2.0, 5.0, f64::NAN, 0.0], 3), [1, 3, 2]);
        assert_eq!(peaks(&[1.0], 20), [0]);
        assert!(peaks(&[], 20).is_empty());
    }

    #[test]
    fn the_mean_trajectory_is_over_those_that_last() {
        assert_eq!(mean_trajectory(&[vec![1.0, 2.0, 6.0], vec![3.0], vec![]]), [2.0, 2.0, 6.0]);
        assert!(mean_trajectory(&[[0.0; 0]; 2]).is_empty());
    }

    #[test]
    fn only_words_are_counted_and_the_first_of_equals_comes_first() {
        let tokens = [" So", "Let", "\n", "So", "2", "I'm", "Hmm ", "Let", "", "naïve", "wait"];
        let expected = [("So", 2), ("Let", 2), ("Hmm", 1)].map(|(word, count)| (word.to_owned(), count));
        assert_eq!(count_words(tokens, 3), expected);
    }
}

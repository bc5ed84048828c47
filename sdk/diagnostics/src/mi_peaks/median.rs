//! DeepScan's median rule for the kernel width, without the d² distances it is the median of.

/// The median of the squared distances, as DeepScan takes it: over all pairs of the vector's elements **written twice**,
/// so that each pair of two elements counts four times and each element has distance 0 to its copy. The mean of those
/// distances if the median is 0; never below 0.01. Costs d ln d.
pub(super) fn squared_distance_median(vector: &[f64]) -> f64 {
    let mut sorted = vector.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len() as u64;
    let pairs = count * (2 * count).saturating_sub(1);
    if pairs == 0 {
        return 0.01;
    }
    let upper = order_statistic(&sorted, pairs / 2);
    let median = if pairs % 2 == 1 { upper } else { (order_statistic(&sorted, pairs / 2 - 1) + upper) / 2.0 };
    let median = if median > 0.0 { median } else { mean(&sorted, pairs) };
    median.max(0.01)
}

/// The distance with `rank` smaller ones before it, found by halving the range of floats, whose bits are in the order
/// of their values, and counting for each candidate with two fingers on the sorted elements.
fn order_statistic(sorted: &[f64], rank: u64) -> f64 {
    let (mut low, mut high) = (0_u64, f64::MAX.to_bits());
    while low < high {
        let middle = low + (high - low) / 2;
        if at_most(sorted, f64::from_bits(middle)) > rank { high = middle } else { low = middle + 1 }
    }
    f64::from_bits(low)
}

/// How many of the distances are at most `limit`.
fn at_most(sorted: &[f64], limit: f64) -> u64 {
    let (mut pairs, mut behind) = (0_u64, sorted.iter().enumerate().peekable());
    for (place, &x) in sorted.iter().enumerate() {
        while behind.next_if(|&(_, &y)| (x - y) * (x - y) > limit).is_some() {}
        pairs += behind.peek().map_or(0, |&(first, _)| (place - first) as u64);
    }
    4 * pairs + sorted.len() as u64
}

fn mean(sorted: &[f64], pairs: u64) -> f64 {
    let count = sorted.len() as f64;
    let centre = sorted.iter().sum::<f64>() / count;
    let squares: f64 = sorted.iter().map(|x| (x - centre).powi(2)).sum();
    // Σ over pairs i < j of (x_i - x_j)² is d Σ (x - mean)².
    4.0 * count * squares / pairs as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_median_of_the_doubled_vectors_distances() {
        // numpy: x = np.r_[x, x]; D = (x[:, None] - x)**2; np.median(D[np.tril_indices(len(x), -1)])
        assert!((squared_distance_median(&[0.0, 1.0, 3.0]) - 4.0).abs() < 1e-12);
        assert!((squared_distance_median(&[0.0, 1.0, 3.0, 7.5, -2.0]) - 9.0).abs() < 1e-12);
        assert!((squared_distance_median(&[0.5, 0.25, -1.5, 4.0]) - 4.0).abs() < 1e-12);
    }

    #[test]
    fn equal_elements_give_the_floor_and_a_few_others_the_mean() {
        assert_eq!(squared_distance_median(&[2.0; 9]), 0.01);
        assert_eq!(squared_distance_median(&[]), 0.01);
        assert_eq!(squared_distance_median(&[3.0]), 0.01);
        // Nine zeros and a ten: the median is 0, the mean 4 · 9 · 100 / 190.
        let mut few = [0.0; 10];
        few[9] = 10.0;
        assert!((squared_distance_median(&few) - 3600.0 / 190.0).abs() < 1e-12);
    }
}

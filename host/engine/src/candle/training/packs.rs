//! How the lessons of a step are put together: packs whose tokens the matrices see at once, computed side by side, and as
//! many of them as memory should hold at a time.

/// Tokens of a pack, about: enough for a product to run at full speed, few enough for every core to have one.
const PACK: usize = 256;

/// Tokens that are computed side by side, at most, but for a single lesson that is longer.
const TOGETHER: usize = 4096;

/// Divides lessons, in their order, into packs of about equal length.
pub(super) fn packs(lengths: &[usize]) -> Vec<std::ops::Range<usize>> {
    let total: usize = lengths.iter().sum();
    let count = total.div_ceil(PACK).max(1);
    let mut packs: Vec<std::ops::Range<usize>> = Vec::new();
    let (mut before, mut last) = (0, None);
    for (lesson, length) in lengths.iter().enumerate() {
        // Where the lesson's middle falls if all tokens are cut into as many equal pieces.
        let piece = (2 * before + length) * count / (2 * total).max(1);
        before += length;
        match packs.last_mut().filter(|_| last == Some(piece)) {
            Some(pack) => pack.end = lesson + 1,
            None => packs.push(lesson..lesson + 1),
        }
        last = Some(piece);
    }
    packs
}

/// Divides packs of these lengths, in their order, into groups that are computed side by side.
pub(super) fn groups(lengths: &[usize]) -> Vec<std::ops::Range<usize>> {
    let mut groups: Vec<std::ops::Range<usize>> = Vec::new();
    let mut tokens = 0;
    for (pack, length) in lengths.iter().enumerate() {
        tokens += length;
        match groups.last_mut().filter(|_| tokens <= TOGETHER) {
            Some(group) => group.end = pack + 1,
            None => {
                groups.push(pack..pack + 1);
                tokens = *length;
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_are_about_equally_long_and_lessons_keep_their_order() {
        assert_eq!(packs(&[60; 8]), [0..4, 4..8]);
        assert_eq!(packs(&[10]).first(), Some(&(0..1)));
        assert_eq!(packs(&[1000, 10, 10]), [0..1, 1..3]);
        assert!(packs(&[]).is_empty());
        assert_eq!(packs(&[0, 0]).first(), Some(&(0..2)));
    }

    #[test]
    fn groups_hold_what_fits_and_a_longer_pack_alone() {
        assert_eq!(groups(&[2000, 2000, 96, 1, 9000, 5]), [0..3, 3..4, 4..5, 5..6]);
        assert!(groups(&[]).is_empty());
    }
}

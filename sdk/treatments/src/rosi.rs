//! Rank-one safety injection.

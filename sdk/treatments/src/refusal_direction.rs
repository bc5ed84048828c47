//! Difference-of-means directions: scores, selection, interventions (Arditi et al., NeurIPS 2024).

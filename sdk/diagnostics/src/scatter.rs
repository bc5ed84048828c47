//! Pictures of high-dimensional vectors: two coordinates per sample, by [`pca`] and by [`tsne`].

mod pca;
mod tsne;

pub use pca::{Pca, pca};
pub use tsne::{Tsne, TsneOptions, tsne};

//! The sites of architectures that build their blocks differently: serial and parallel, norms before and after, scaled
//! residuals and embeddings, position embeddings, experts with and without a shared one.
//!
//! Weights are random, so names cannot help: block 1's attention and block 2's MLP have zero output matrices, hence add
//! exactly nothing, and the addends of every other block must make the difference of the residual stream.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail loudly")]

mod support;
#[path = "support/tiny.rs"]
mod tiny;

use std::sync::Arc;

use sonde_contract::{Change, Intervention, Rows, Site};
use sonde_engine::{Model, OpenOptions, Precision};
use support::{capture, dot, open, relative, shared, tokens};

async fn rows(model: &Arc<dyn Model>, site: Site, layers: &[u32]) -> Vec<Vec<f32>> {
    capture(model, tokens(model, 13, 2), site, layers, Rows::All).await.unwrap().layers
}

#[tokio::test]
async fn every_kind_of_block_shows_what_it_adds() {
    let Some(vocabulary) = shared("models/stories260K/stories260K.gguf") else { return };
    let folder = tempfile::tempdir().unwrap();
    for architecture in tiny::architectures() {
        let path = folder.path().join(format!("{architecture}.gguf"));
        tiny::write(architecture, &vocabulary, &path);
        let options = OpenOptions { precision: Precision::Exact, threads: Some(1), ..OpenOptions::default() };
        let model = open(&path, OpenOptions { slots: Some(2), ..options });
        assert_eq!(model.info().architecture, architecture);

        let residual = rows(&model, Site::Residual, &[0, 1, 2, 3]).await;
        let attention = rows(&model, Site::Attention, &[0, 1, 2]).await;
        let mlp = rows(&model, Site::Mlp, &[0, 1, 2]).await;
        for block in 0..tiny::BLOCKS {
            let at = block as usize;
            let silent = |rows: &[f32]| rows.iter().all(|number| *number == 0.0);
            assert_eq!(silent(&attention[at]), block == tiny::NO_ATTENTION, "{architecture} {block}");
            assert_eq!(silent(&mlp[at]), block == tiny::NO_MLP, "{architecture} {block}");
            let parts = residual[at].iter().zip(&attention[at]).zip(&mlp[at]);
            let sum: Vec<f32> = parts.map(|((stream, attention), mlp)| stream + attention + mlp).collect();
            assert!(relative(&sum, &residual[at + 1]) < 1e-5, "{architecture} {block}");
        }

        // The embedding of a token stands in the file, times the architecture's own factor.
        let width = model.info().width;
        let prompt =
            capture(&model, tokens(&model, 13, 2), Site::Residual, &[0], Rows::At(vec![4])).await.unwrap();
        let from = u64::from(prompt.tokens[4]) * u64::from(width);
        let mut expected = model.read_tensor("token_embd.weight", from, width).unwrap();
        let factor = match architecture {
            "gemma2" => 8.0,
            "granite" => 3.0,
            _ => 1.0,
        };
        expected.iter_mut().for_each(|number| *number *= factor);
        if architecture == "gpt2" {
            let position = model.read_tensor("position_embd.weight", 4 * u64::from(width), width).unwrap();
            expected.iter_mut().zip(position).for_each(|(number, position)| *number += position);
        }
        assert!(relative(&prompt.layers[0], &expected) < 1e-5, "{architecture}");

        // Changes reach the stream: the last block's MLP adds nothing but what is added to it.
        let vector: Vec<f32> = (0..width).map(|place| (place % 7) as f32 - 3.0).collect();
        for (site, layer) in [(Site::Mlp, tiny::NO_MLP), (Site::Residual, 3)] {
            let change = Change::Add { vector: vector.clone(), coefficient: 0.5 };
            let changed = model.intervene(vec![Intervention { layers: vec![layer], site, change }]).unwrap();
            let found = rows(&changed, Site::Residual, &[3]).await;
            let expected = residual[3].chunks(vector.len()).flat_map(|row| row.iter().zip(&vector));
            let expected: Vec<f32> = expected.map(|(number, added)| number + 0.5 * added).collect();
            let error = relative(&found[0], &expected);
            assert!(error < 1e-5, "{architecture} {site:?}: {error:e}");
        }
        assert!(dot(&residual[3], &residual[3]) > 0.0);
        println!("{architecture}: all sites");
    }
}

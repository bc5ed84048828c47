//! G8: the published directions, read from their PyTorch archives.

use std::fs::File;
use std::io::Read;

use sonde_treatments::refusal_direction::{Directions, Place};

use crate::{assert_near, dot, norm, published};

const POSITIONS: usize = 5;
const WIDTH: usize = 2048;

struct Golden {
    run: &'static str,
    layers: usize,
    layer: u32,
    norm: f64,
    first: [f64; 4],
    sum: f64,
    largest: (usize, f64),
    cosine_to_last: f64,
    /// Where `direction.pt`, a view into the same storage, says that it begins.
    offset: usize,
}

const GOLDENS: [Golden; 2] = [
    Golden {
        run: "gemma-2b-it",
        layers: 18,
        layer: 10,
        norm: 10.064_353_277_286_578,
        first: [0.097_540_41, 0.039_495_68, 0.090_529_57, 0.072_986_53],
        sum: 4.159_610_848_418_938,
        largest: (674, -1.340_299_586_776_859),
        cosine_to_last: 0.936_400_9,
        offset: 131_072,
    },
    Golden {
        run: "qwen-1_8b-chat",
        layers: 24,
        layer: 15,
        norm: 26.287_272_279_345_903,
        first: [0.330_907_5, -0.896_529_96, 1.252_487_53, 0.326_884_72],
        sum: 21.579_328_644_034_71,
        largest: (247, -2.038_756_721_930_084),
        cosine_to_last: 0.991_385_9,
        offset: 178_176,
    },
];

/// `data/0` of the archive: little-endian `f64`.
fn storage(run: &str) -> Option<Vec<f64>> {
    let path = published(run, "generate_directions/mean_diffs.pt")?;
    let mut archive = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    let mut bytes = Vec::new();
    archive.by_name("mean_diffs/data/0").unwrap().read_to_end(&mut bytes).unwrap();
    Some(bytes.chunks_exact(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect())
}

#[test]
fn the_published_directions_stand_where_position_and_layer_say() {
    for golden in GOLDENS {
        let Some(numbers) = storage(golden.run) else { return };
        let view = numbers[golden.offset..golden.offset + WIDTH].to_vec();
        let directions = Directions::new(POSITIONS, golden.layers, WIDTH, numbers).unwrap();
        let at = |position, layer| directions.at(Place { position, layer }).unwrap();

        let found = at(-2, golden.layer);
        assert_eq!(found, view, "{}: the view that `direction.pt` is", golden.run);
        assert_near(&found[..4], &golden.first, 5e-9);
        // A norm and a sum of 2,048 numbers in another order than NumPy's.
        assert_near(&[norm(found), found.iter().sum()], &[golden.norm, golden.sum], 1e-11);
        let largest = (0..WIDTH).max_by(|a, b| found[*a].abs().total_cmp(&found[*b].abs())).unwrap();
        assert_eq!((largest, found[largest]), golden.largest);
        let last = at(-1, golden.layer);
        assert_near(&[dot(found, last) / norm(found) / norm(last)], &[golden.cosine_to_last], 5e-8);
        // The tokens after the instruction are the same in every prompt, so their embeddings do not differ: the states
        // are those of the blocks' inputs.
        assert!((-5..0).all(|position| norm(at(position, 0)) < 1e-13));
        assert!(norm(at(-5, 1)) > 1e-3);
    }
}

//! A transformer of two blocks in plain `f64`, written down once more and without the engine: pre-norm, one causal
//! attention head, an MLP, no biases but one that a test may set. Random weights.

use sonde_treatments::refusal_direction::{ablated, added, orthogonalised, orthogonalised_rows};

pub const WIDTH: usize = 6;
const INNER: usize = 10;
const VOCABULARY: usize = 7;

#[derive(Clone)]
struct Block {
    query: Vec<f64>,
    key: Vec<f64>,
    value: Vec<f64>,
    /// Writes to the residual stream.
    output: Vec<f64>,
    up: Vec<f64>,
    /// Writes to the residual stream.
    down: Vec<f64>,
    down_bias: Vec<f64>,
}

#[derive(Clone)]
pub struct Tiny {
    embedding: Vec<f64>,
    blocks: Vec<Block>,
    head: Vec<f64>,
}

/// What is done to the states of every token.
pub enum Hook<'a> {
    None,
    /// At the input of every block and the outputs of every attention and MLP.
    Ablate(&'a [f64]),
    /// At the input of one block.
    Add(usize, &'a [f64], f64),
}

/// Numbers between −1 and 1, the same each time (Knuth's MMIX generator).
pub struct Random(pub u64);

impl Random {
    pub fn numbers(&mut self, count: usize) -> Vec<f64> {
        let mut next = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }
}

impl Tiny {
    pub fn random(seed: u64) -> Self {
        let mut random = Random(seed);
        let embedding = random.numbers(VOCABULARY * WIDTH);
        let block = |_| Block {
            query: random.numbers(WIDTH * WIDTH),
            key: random.numbers(WIDTH * WIDTH),
            value: random.numbers(WIDTH * WIDTH),
            output: random.numbers(WIDTH * WIDTH),
            up: random.numbers(INNER * WIDTH),
            down: random.numbers(WIDTH * INNER),
            down_bias: vec![0.0; WIDTH],
        };
        let blocks = [0, 1].map(block).to_vec();
        Self { embedding, blocks, head: random.numbers(VOCABULARY * WIDTH) }
    }

    /// Everything that writes to the residual stream, orthogonalised.
    pub fn orthogonalised(mut self, direction: &[f64]) -> Self {
        self.embedding = orthogonalised_rows(&self.embedding, direction).unwrap();
        for block in &mut self.blocks {
            block.output = orthogonalised(&block.output, WIDTH, direction).unwrap();
            block.down = orthogonalised(&block.down, INNER, direction).unwrap();
        }
        self
    }

    /// With a bias of c·r on a block's down projection.
    pub fn with_bias(mut self, block: usize, direction: &[f64], coefficient: f64) -> Self {
        self.blocks[block].down_bias = direction.iter().map(|r| coefficient * r).collect();
        self
    }

    /// The logits after each of the tokens, one after another.
    pub fn logits(&self, tokens: &[usize], hook: &Hook<'_>) -> Vec<f64> {
        let everywhere = |state: Vec<f64>| match hook {
            Hook::Ablate(direction) => ablated(&state, direction).unwrap(),
            Hook::Add(..) | Hook::None => state,
        };
        let mut states: Vec<Vec<f64>> =
            tokens.iter().map(|token| self.embedding[token * WIDTH..(token + 1) * WIDTH].to_vec()).collect();
        for (index, block) in self.blocks.iter().enumerate() {
            for state in &mut states {
                *state = match hook {
                    Hook::Add(at, direction, coefficient) if *at == index => {
                        added(state, direction, *coefficient).unwrap()
                    }
                    _ => everywhere(state.clone()),
                };
            }
            let normed: Vec<_> = states.iter().map(|state| rms(state)).collect();
            let attended: Vec<_> =
                (0..states.len()).map(|at| everywhere(block.attention(&normed[..=at]))).collect();
            add(&mut states, &attended);
            let written: Vec<_> = states.iter().map(|state| everywhere(block.mlp(&rms(state)))).collect();
            add(&mut states, &written);
        }
        states.iter().flat_map(|state| product(&self.head, &rms(state))).collect()
    }
}

impl Block {
    /// What the last of these tokens is given.
    fn attention(&self, tokens: &[Vec<f64>]) -> Vec<f64> {
        let query = product(&self.query, tokens.last().unwrap());
        let weights: Vec<f64> =
            tokens.iter().map(|token| crate::dot(&query, &product(&self.key, token)).exp()).collect();
        let sum: f64 = weights.iter().sum();
        let mut mixed = vec![0.0; WIDTH];
        for (token, weight) in tokens.iter().zip(weights) {
            for (mixed, value) in mixed.iter_mut().zip(product(&self.value, token)) {
                *mixed += weight / sum * value;
            }
        }
        product(&self.output, &mixed)
    }

    fn mlp(&self, state: &[f64]) -> Vec<f64> {
        let inner: Vec<f64> =
            product(&self.up, state).into_iter().map(|number| number / (1.0 + (-number).exp())).collect();
        product(&self.down, &inner).iter().zip(&self.down_bias).map(|(number, bias)| number + bias).collect()
    }
}

/// W·x, of a matrix by rows.
fn product(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
    matrix.chunks_exact(vector.len()).map(|row| crate::dot(row, vector)).collect()
}

fn rms(state: &[f64]) -> Vec<f64> {
    let scale = (crate::dot(state, state) / state.len() as f64 + 1e-6).sqrt();
    state.iter().map(|number| number / scale).collect()
}

fn add(states: &mut [Vec<f64>], written: &[Vec<f64>]) {
    for (state, written) in states.iter_mut().zip(written) {
        state.iter_mut().zip(written).for_each(|(state, written)| *state += written);
    }
}

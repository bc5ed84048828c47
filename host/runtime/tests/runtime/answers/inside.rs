//! A model of six blocks, 256 wide, that can be looked into. It counts what it holds.

use std::collections::BTreeSet;
use std::sync::Mutex;

use sonde_contract::{CaptureSpec, HostError, Intervention, Prompt, Rows, TensorInfo};
use sonde_runtime::{Kept, ModelRef};

pub const WIDTH: u32 = 256;
const BLOCKS: u32 = 6;

#[derive(Default)]
pub struct Inside {
    /// Added to the rows and to the width of every capture, to be caught at it.
    pub odd: (u32, u32),
    /// Answers each capture twice.
    pub twice: bool,
    /// How many numbers a read falls short by.
    pub short: usize,
    /// Captures that were not released yet.
    pub held: Mutex<BTreeSet<u64>>,
    /// What was captured or traced, in order.
    pub asked: Mutex<Vec<(ModelRef, CaptureSpec)>>,
    /// What was put into force, in order.
    pub changes: Mutex<Vec<(usize, Vec<Intervention>)>>,
}

/// Token ids, or twelve tokens for any text.
pub fn tokens(prompt: &Prompt) -> Vec<u32> {
    if let Prompt::Tokens(tokens) = prompt { tokens.clone() } else { (0..12).collect() }
}

impl Inside {
    pub fn keep(&self, model: &ModelRef, prompt: &Prompt, spec: &CaptureSpec) -> Result<Kept, HostError> {
        let (tokens, wrong) = (tokens(prompt), |text: String| Err(HostError::InvalidArgument(text)));
        let rows = match &spec.rows {
            Rows::Last | Rows::Mean => 1,
            Rows::All => tokens.len(),
            Rows::At(rows) => match rows.iter().find(|row| **row >= tokens.len() as i32) {
                Some(row) => {
                    return wrong(format!(
                        "row {row} does not exist: the prompt has {} tokens",
                        tokens.len()
                    ));
                }
                None => rows.len(),
            },
        };
        if let Some(layer) = spec.layers.iter().find(|layer| **layer > BLOCKS) {
            return wrong(format!("layer {layer} does not exist: Wren has layers 0 to {BLOCKS}"));
        }
        self.asked.lock().unwrap().push((model.clone(), spec.clone()));
        Ok(self.hold(rows as u32, tokens))
    }

    pub fn hold(&self, rows: u32, tokens: Vec<u32>) -> Kept {
        let mut held = self.held.lock().unwrap();
        let id = held.last().map_or(0, |last| last + 1);
        held.insert(id);
        Kept { id, rows: rows + self.odd.0, width: WIDTH + self.odd.1, tokens }
    }

    /// Row r of layer l is r + l/10, all along.
    pub fn read(&self, layer: u32, first: u32, rows: u32) -> Vec<f32> {
        let row = |row: u32| std::iter::repeat_n(row as f32 + layer as f32 / 10.0, WIDTH as usize);
        let mut numbers: Vec<f32> = (first..first + rows).flat_map(row).collect();
        numbers.truncate(numbers.len().saturating_sub(self.short));
        numbers
    }

    pub fn release(&self, capture: u64) {
        assert!(self.held.lock().unwrap().remove(&capture), "capture {capture} was released twice");
    }

    pub fn tensors() -> Vec<TensorInfo> {
        vec![TensorInfo { name: "w".into(), shape: vec![2, 8], quantisation: "Q8_0".into() }]
    }
}

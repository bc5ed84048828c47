//! Keys and values of one sequence, per block, in f32. Grows as the sequence does and can be cut back.

use candle_core::{DType, Device, Result, Tensor};

/// Tokens that room is first made for.
const FIRST_ROOM: usize = 256;

/// The keys and values of one block, `[key heads, room, head width]`.
struct Block {
    keys: Tensor,
    values: Tensor,
}

/// The cache of a sequence.
pub(crate) struct Cache {
    blocks: Vec<Option<Block>>,
    length: usize,
}

impl Cache {
    pub(crate) fn new(blocks: usize) -> Self {
        Self { blocks: (0..blocks).map(|_| None).collect(), length: 0 }
    }

    /// Tokens whose keys and values are complete.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// A piece of the sequence has passed through the blocks.
    pub(crate) fn advance(&mut self, tokens: usize) {
        self.length += tokens;
    }

    /// Forgets what follows the first `length` tokens.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Adds a piece's keys and values `[key heads, tokens, head width]` and returns all so far.
    pub(crate) fn extend(
        &mut self,
        block: usize,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let (heads, tokens, width) = keys.dims3()?;
        let (start, end) = (self.length, self.length + tokens);
        let Some(slot) = self.blocks.get_mut(block) else {
            candle_core::bail!("the cache has no block {block}")
        };
        let room = slot.as_ref().map_or(Ok(0), |block| block.keys.dim(1))?;
        if room < end {
            let larger = end.next_power_of_two().max(FIRST_ROOM);
            let fresh = || Tensor::zeros((heads, larger, width), DType::F32, &Device::Cpu);
            let grown = Block { keys: fresh()?, values: fresh()? };
            if let Some(old) = slot.as_ref().filter(|_| start > 0) {
                grown.keys.slice_set(&old.keys.narrow(1, 0, start)?.contiguous()?, 1, 0)?;
                grown.values.slice_set(&old.values.narrow(1, 0, start)?.contiguous()?, 1, 0)?;
            }
            *slot = Some(grown);
        }
        let Some(block) = slot else { candle_core::bail!("the cache has no room") };
        block.keys.slice_set(&keys.contiguous()?, 1, start)?;
        block.values.slice_set(&values.contiguous()?, 1, start)?;
        Ok((block.keys.narrow(1, 0, end)?, block.values.narrow(1, 0, end)?))
    }
}

//! Small GGUF files of f32 tensors, version 3 of the format, as `ggml/docs/gguf.md` describes it.
//!
//! Numbers go straight to the file. Whole models are not written here: `merged` copies what it does not change.

use std::io::{Result, Write};

/// Where tensors begin, as long as `general.alignment` does not say otherwise.
const ALIGNMENT: u64 = 32;

/// A metadata value.
pub(crate) enum Value<'a> {
    Text(&'a str),
    Float(f32),
    Count(i32),
}

/// A tensor to write.
pub(crate) struct Part<'a> {
    pub name: String,
    /// Lengths, outermost first.
    pub shape: Vec<usize>,
    /// As many as the lengths say.
    pub numbers: &'a [f32],
}

impl Part<'_> {
    fn bytes(&self) -> u64 {
        4 * self.numbers.len() as u64
    }
}

/// Writes a whole file.
pub(crate) fn write(
    file: &mut impl Write,
    metadata: &[(&str, Value<'_>)],
    tensors: &[Part<'_>],
) -> Result<()> {
    let header = header(metadata, tensors);
    file.write_all(&header)?;
    pad(file, header.len() as u64)?;
    for tensor in tensors {
        for number in tensor.numbers {
            file.write_all(&number.to_le_bytes())?;
        }
        pad(file, tensor.bytes())?;
    }
    Ok(())
}

fn header(metadata: &[(&str, Value<'_>)], tensors: &[Part<'_>]) -> Vec<u8> {
    let mut header = b"GGUF".to_vec();
    header.extend(3_u32.to_le_bytes());
    header.extend((tensors.len() as u64).to_le_bytes());
    header.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        text(&mut header, key);
        // The format's numbers for the types, `gguf_metadata_value_type`.
        let kind: u32 = match value {
            Value::Count(_) => 5,
            Value::Float(_) => 6,
            Value::Text(_) => 8,
        };
        header.extend(kind.to_le_bytes());
        match value {
            Value::Count(count) => header.extend(count.to_le_bytes()),
            Value::Float(number) => header.extend(number.to_le_bytes()),
            Value::Text(value) => text(&mut header, value),
        }
    }
    let mut offset = 0_u64;
    for tensor in tensors {
        text(&mut header, &tensor.name);
        header.extend(u32::try_from(tensor.shape.len()).unwrap_or(u32::MAX).to_le_bytes());
        // Innermost first.
        for length in tensor.shape.iter().rev() {
            header.extend((*length as u64).to_le_bytes());
        }
        let f32_kind: u32 = 0;
        header.extend(f32_kind.to_le_bytes());
        header.extend(offset.to_le_bytes());
        offset += tensor.bytes().next_multiple_of(ALIGNMENT);
    }
    header
}

fn text(header: &mut Vec<u8>, text: &str) {
    header.extend((text.len() as u64).to_le_bytes());
    header.extend(text.as_bytes());
}

fn pad(file: &mut impl Write, written: u64) -> Result<()> {
    let zeros = written.next_multiple_of(ALIGNMENT) - written;
    (0..zeros).try_for_each(|_| file.write_all(&[0]))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use candle_core::quantized::gguf_file::Content;

    use super::*;

    #[test]
    fn another_reader_finds_what_was_written() {
        let numbers: Vec<f32> = (0..10).map(|number| number as f32 / 3.0).collect();
        let part = |name: &str, shape: &[usize], from: usize| {
            let length: usize = shape.iter().product();
            Part { name: name.to_owned(), shape: shape.to_vec(), numbers: &numbers[from..from + length] }
        };
        let metadata = [
            ("general.type", Value::Text("adapter")),
            ("some.number", Value::Float(0.1)),
            ("some.count", Value::Count(70_000)),
        ];
        let mut file = Vec::new();
        write(&mut file, &metadata, &[part("first", &[3], 0), part("second", &[2, 1, 3], 4)]).unwrap();

        let mut reader = std::io::Cursor::new(&file);
        let content = Content::read(&mut reader).unwrap();
        assert_eq!(content.metadata["general.type"].to_string().unwrap(), "adapter");
        assert_eq!(content.metadata["some.number"].to_f32().unwrap(), 0.1);
        assert_eq!(content.metadata["some.count"].to_i32().unwrap(), 70_000);
        let second = content.tensor(&mut reader, "second", &Device::Cpu).unwrap();
        let second = second.dequantize(&Device::Cpu).unwrap();
        assert_eq!(second.dims(), [2, 1, 3]);
        assert_eq!(second.flatten_all().unwrap().to_vec1::<f32>().unwrap(), numbers[4..]);
        let first = content.tensor(&mut reader, "first", &Device::Cpu).unwrap();
        assert_eq!(first.dequantize(&Device::Cpu).unwrap().to_vec1::<f32>().unwrap(), numbers[..3]);
    }
}

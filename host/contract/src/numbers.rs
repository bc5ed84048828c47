//! Lists of numbers as run files and treatment files keep them: base64 of their little-endian bytes, which is a third of their decimal
//! form and gives back the same bits.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Activations, weights, scores: f32, 4 bytes each.
#[derive(Clone, Debug, PartialEq)]
pub struct Floats(pub Vec<f32>);

/// Places in a matrix: u64, 8 bytes each.
#[derive(Clone, Debug, PartialEq)]
pub struct Places(pub Vec<u64>);

impl Serialize for Floats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        floats(&self.0, serializer)
    }
}

/// Writes borrowed numbers as [`Floats`] does its own; for `serialize_with`.
///
/// # Errors
/// What the serializer says.
pub fn floats<S: Serializer>(numbers: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    serializer.serialize_str(&STANDARD.encode(bytes))
}

impl<'de> Deserialize<'de> for Floats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        words(deserializer).map(|words| Self(words.into_iter().map(f32::from_le_bytes).collect()))
    }
}

/// Reads numbers as [`Floats`] does; for `deserialize_with`.
///
/// # Errors
/// What the deserializer says, and text that is no list of numbers.
pub fn floats_back<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    Floats::deserialize(deserializer).map(|Floats(numbers)| numbers)
}

impl Serialize for Places {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|place| place.to_le_bytes()).collect();
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Places {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        words(deserializer).map(|words| Self(words.into_iter().map(u64::from_le_bytes).collect()))
    }
}

fn words<'de, D: Deserializer<'de>, const BYTES: usize>(
    deserializer: D,
) -> Result<Vec<[u8; BYTES]>, D::Error> {
    use serde::de::Error as _;
    let text = String::deserialize(deserializer)?;
    let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
    let (words, rest) = bytes.as_chunks::<BYTES>();
    if rest.is_empty() {
        return Ok(words.to_vec());
    }
    Err(D::Error::custom(format!("{} bytes are no whole number of {BYTES}-byte numbers", bytes.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_base64_of_their_little_endian_bytes_and_keep_every_bit() {
        // Python: base64.b64encode(struct.pack("<3f", 1.0, -2.5, 0.1))
        let json = serde_json::to_string(&Floats(vec![1.0, -2.5, 0.1])).unwrap();
        assert_eq!(json, r#""AACAPwAAIMDNzMw9""#);
        let odd = [f32::NAN, f32::NEG_INFINITY, -0.0, f32::MIN_POSITIVE / 2.0];
        let again: Floats =
            serde_json::from_str(&serde_json::to_string(&Floats(odd.to_vec())).unwrap()).unwrap();
        assert_eq!(again.0.map_bits(), odd.to_vec().map_bits());
        // base64.b64encode(struct.pack("<2Q", 7, 2**40))
        let places = Places(vec![7, 1 << 40]);
        let json = serde_json::to_string(&places).unwrap();
        assert_eq!(json, r#""BwAAAAAAAAAAAAAAAAEAAA==""#);
        assert_eq!(serde_json::from_str::<Places>(&json).unwrap(), places);
    }

    #[test]
    fn text_that_is_no_list_of_numbers_is_refused() {
        assert!(serde_json::from_str::<Floats>(r#""AACA""#).is_err());
        assert!(serde_json::from_str::<Floats>(r#""not base64!""#).is_err());
    }

    trait Bits {
        fn map_bits(&self) -> Vec<u32>;
    }

    impl Bits for Vec<f32> {
        fn map_bits(&self) -> Vec<u32> {
            self.iter().map(|number| number.to_bits()).collect()
        }
    }
}

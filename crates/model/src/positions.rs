//! Positions of generated code in the text that was uploaded.

/// Where the pieces of a generated text came from. A component carries it, encoded, as the custom section [`PositionMap::SECTION`] when the
/// lines and columns of the evaluated code differ from those of the upload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PositionMap {
    /// Sorted by the generated position.
    mappings: Vec<Mapping>,
}

/// One piece: from this generated position on, the source is at this position. Lines and columns count characters from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct Mapping {
    pub line: u32,
    pub column: u32,
    pub source_line: u32,
    pub source_column: u32,
}

impl PositionMap {
    /// Name of the custom section in a component.
    pub const SECTION: &str = "snaphook:map";

    /// A map of these pieces, in any order.
    #[must_use]
    pub fn new(mut mappings: Vec<Mapping>) -> Self {
        mappings.sort_unstable();
        Self { mappings }
    }

    /// The source position of a generated one: that of the last piece which begins at or before it. Nothing before the first piece.
    #[must_use]
    pub fn source(&self, line: u32, column: u32) -> Option<(u32, u32)> {
        let after = self.mappings.partition_point(|mapping| (mapping.line, mapping.column) <= (line, column));
        let mapping = self.mappings.get(after.checked_sub(1)?)?;
        Some((mapping.source_line, mapping.source_column))
    }

    /// The map as bytes: four differences to the piece before for each piece, zigzag, in LEB128.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.mappings.len() * 5);
        let mut before = [0; 4];
        for mapping in &self.mappings {
            let numbers = [mapping.line, mapping.column, mapping.source_line, mapping.source_column];
            for (number, before) in numbers.into_iter().zip(&mut before) {
                let difference = i64::from(number) - i64::from(*before);
                *before = number;
                put_leb128(&mut bytes, ((difference << 1) ^ (difference >> 63)).cast_unsigned());
            }
        }
        bytes
    }

    /// The map that was encoded; nothing when the bytes are no map.
    #[must_use]
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut mappings = Vec::with_capacity(bytes.len() / 5);
        let mut before = [0_u32; 4];
        while !bytes.is_empty() {
            for before in &mut before {
                let zigzag = take_leb128(&mut bytes)?;
                let difference = (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed();
                *before = u32::try_from(i64::from(*before).checked_add(difference)?).ok()?;
            }
            let [line, column, source_line, source_column] = before;
            mappings.push(Mapping { line, column, source_line, source_column });
        }
        mappings.is_sorted().then_some(Self { mappings })
    }
}

fn put_leb128(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_leb128(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    // Five groups hold every difference of two 32-bit numbers.
    for shift in 0..5 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << (7 * shift);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Mapping, PositionMap};

    fn mapping(line: u32, column: u32, source_line: u32, source_column: u32) -> Mapping {
        Mapping { line, column, source_line, source_column }
    }

    #[test]
    fn positions_are_found_at_or_before() {
        let map = PositionMap::new(vec![mapping(2, 5, 7, 9), mapping(1, 3, 4, 1), mapping(2, 1, 5, 2)]);
        assert_eq!(map.source(1, 2), None);
        assert_eq!(map.source(1, 3), Some((4, 1)));
        assert_eq!(map.source(2, 4), Some((5, 2)));
        assert_eq!(map.source(9, 1), Some((7, 9)));
    }

    #[test]
    fn encoding_round_trips() {
        let map = PositionMap::new(vec![mapping(1, 1, 1, 1), mapping(1, 200, 30, 2), mapping(u32::MAX, 1, 0, u32::MAX)]);
        assert_eq!(PositionMap::decode(&map.encode()), Some(map));
        assert_eq!(PositionMap::decode(&[]), Some(PositionMap::default()));
        assert_eq!(PositionMap::decode(&[2, 2, 2]), None);
        assert_eq!(PositionMap::decode(&[1, 0, 0, 0]), None);
        assert_eq!(PositionMap::decode(&[0xff; 40]), None);
    }
}

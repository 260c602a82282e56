//! What is kept for a component: its compiled code and what a fault's position needs. Opaque to everybody else.

/// Begins every artifact. Changes with the layout, so that older files count as absent.
const MAGIC: &[u8; 8] = b"snapart1";

/// The parts of an artifact.
pub(crate) struct Parts<'a> {
    /// The component's source map, empty when positions need none.
    pub(crate) map: &'a [u8],
    /// wasmtime's serialized component.
    pub(crate) code: &'a [u8],
}

/// Joins the parts. A map of 4 GiB or more is left out; positions are then those of the generated text.
pub(crate) fn join(parts: &Parts<'_>) -> Vec<u8> {
    let (length, map) = u32::try_from(parts.map.len()).map_or((0, &[][..]), |length| (length, parts.map));
    [&MAGIC[..], &length.to_le_bytes(), map, parts.code].concat()
}

/// Takes an artifact apart, or `None` when it is none of this release.
pub(crate) fn split(artifact: &[u8]) -> Option<Parts<'_>> {
    let rest = artifact.strip_prefix(MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (map, code) = rest.split_at_checked(length)?;
    Some(Parts { map, code })
}

/// The content of a component's custom section of this name. Empty when there is none, or when the bytes do not parse.
pub(crate) fn custom_section<'a>(component: &'a [u8], name: &str) -> &'a [u8] {
    use wasmparser::Payload;
    let mut depth = 0u32;
    for payload in wasmparser::Parser::new(0).parse_all(component) {
        match payload {
            Ok(Payload::ModuleSection { .. } | Payload::ComponentSection { .. }) => depth += 1,
            Ok(Payload::End(_)) => depth = depth.saturating_sub(1),
            Ok(Payload::CustomSection(section)) if depth == 0 && section.name() == name => return section.data(),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    &[]
}

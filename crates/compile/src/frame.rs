//! What parent and child say to each other: a JSON header with its length before it, and the bytes that it announces behind it.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use snaphook_model::{Dialect, Fault, HookSet, Import, Language, Limits, Name, ScriptKind, Warning};
use snaphook_wall::Mode;

use crate::library::{LibraryScript, Wanted};

/// First word to a child: what it may use, and what it should have ready.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// Where the prepared interpreter lies.
    pub(crate) data_dir: std::path::PathBuf,
    /// CPU time in its life.
    pub(crate) cpu_s: u64,
    /// Private memory beyond what it begins with.
    pub(crate) memory_bytes: u64,
    /// Whether it closes itself before its job comes.
    pub(crate) wall: Mode,
}

/// Second word to a child, with the upload or component behind it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) kind: JobKind,
    /// Length of what follows.
    pub(crate) bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum JobKind {
    Compile { name: Name, language: Language, dialect: Dialect, limits: Limits, imports: Vec<Import>, now_ms: u64 },
    Precompile,
}

/// The answer to [`Answer::Wanted`], with the bytes of each script that was found behind it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Found {
    /// In the order of the questions.
    pub(crate) scripts: Vec<Option<FoundScript>>,
}

/// A script of the library on its way.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FoundScript {
    version: u32,
    language: Language,
    dialect: Dialect,
    imports: Vec<Import>,
    /// Length of what was uploaded.
    pub(crate) bytes: u64,
}

impl From<&LibraryScript> for FoundScript {
    fn from(script: &LibraryScript) -> Self {
        let LibraryScript { version, language, dialect, bytes, imports } = script;
        Self { version: *version, language: *language, dialect: *dialect, imports: imports.clone(), bytes: bytes.len() as u64 }
    }
}

impl FoundScript {
    pub(crate) fn with(self, bytes: Vec<u8>) -> LibraryScript {
        let Self { version, language, dialect, imports, .. } = self;
        LibraryScript { version, language, dialect, bytes: bytes.into(), imports }
    }
}

/// The child's last word, with component and code behind it; or a question, before it goes on.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Compiled {
        hooks: HookSet,
        kind: ScriptKind,
        imports: Vec<Import>,
        warnings: Vec<Warning>,
        interpreter: Option<String>,
        component_bytes: u64,
        code_bytes: u64,
    },
    Precompiled {
        code_bytes: u64,
    },
    /// The upload imports these.
    Wanted {
        scripts: Vec<Wanted>,
    },
    Rejected(Fault),
    Failed(String),
}

impl Answer {
    /// Lengths of the component and the code that follow.
    pub(crate) const fn lengths(&self) -> (u64, u64) {
        match self {
            Self::Compiled { component_bytes, code_bytes, .. } => (*component_bytes, *code_bytes),
            Self::Precompiled { code_bytes } => (0, *code_bytes),
            Self::Wanted { .. } | Self::Rejected(_) | Self::Failed(_) => (0, 0),
        }
    }
}

/// A header holds messages and a few warnings; more is not believed.
pub(crate) const MAX_HEADER: usize = 1 << 20;

/// A header as it goes over the wire.
pub(crate) fn header(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(value)?;
    let length = u32::try_from(json.len()).ok().filter(|_| json.len() <= MAX_HEADER);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the header is too long"))?;
    Ok([&length.to_le_bytes()[..], &json].concat())
}

pub(crate) fn write(to: &mut impl Write, value: &impl Serialize, bodies: [&[u8]; 2]) -> io::Result<()> {
    to.write_all(&header(value)?)?;
    bodies.into_iter().try_for_each(|body| to.write_all(body))?;
    to.flush()
}

/// A header, or nothing at the end of input.
pub(crate) fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut json = vec![0; header_length(length)?];
    from.read_exact(&mut json)?;
    Ok(Some(serde_json::from_slice(&json)?))
}

/// The length before a header, when it can be believed.
pub(crate) fn header_length(bytes: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_le_bytes(bytes) as usize;
    if length <= MAX_HEADER { Ok(length) } else { Err(io::Error::new(io::ErrorKind::InvalidData, "the header is too long")) }
}

#[cfg(test)]
mod tests {
    use super::{Answer, header, read, write};

    #[test]
    fn words_arrive_as_they_were_said() {
        let mut wire = Vec::new();
        write(&mut wire, &Answer::Precompiled { code_bytes: 2 }, [b"", b"ab"]).unwrap();
        let mut from = wire.as_slice();
        let answer = read::<Answer>(&mut from).unwrap().unwrap();
        assert_eq!((answer.lengths(), from), ((0, 2), &b"ab"[..]));
        assert!(read::<Answer>(&mut &b""[..]).unwrap().is_none());
        assert!(read::<Answer>(&mut &b"\xff\xff\xff\xff"[..]).is_err());
        assert!(header(&"x".repeat(super::MAX_HEADER)).is_err());
    }
}

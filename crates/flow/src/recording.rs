//! What a replay of a run needs, written down while it runs.
//!
//! The outcome of an invocation depends on: the program (a script's version, and the build of interpreter and engine that runs it), the hook's
//! input, the context (which holds the frozen clock and the seed of all chance), the limits, the values it may read by key, what it read of state,
//! what its own requests were answered, in the order in which it heard of them, and the signatures that were made for it. All of it is in an
//! [`Entry`], beside what came of it.
//!
//! Not in it is the clock on the wall. A guest sees its deadline as the limit `wall_ms`, which is recorded; when the host ended an invocation
//! because time was over, the fuel spent by then says how far it had come (see `replay`). What failed on our own side is left out: it says
//! nothing about the script.
//!
//! Bodies stand apart from the rest and are shared with the run itself, so recording copies none of them; one that goes unchanged from hook to
//! hook is kept once.

mod bodies;

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use snaphook_model::{
    Blame, Context, Decision, Exchange, Fault, HookInput, Limits, Name, Payload, Signed, StateSeen, SubjectValues, VariableWrite,
};
use snaphook_store::Recording;

/// Beyond this a run keeps its record and what it began with, and cannot be replayed. A quarter of what the store's queue holds, and a thousand
/// ordinary calls.
pub(crate) const MAX_BYTES: usize = 8 << 20;
// Nothing is missing that would fit.
const _: () = assert!(MAX_BYTES <= snaphook_sandbox::MAX_EXCHANGE_BYTES);

/// Before what is left of a recording whose invocations were too much to be kept. Nothing else that is written down begins so: it is a text, and
/// the others are maps.
const CUT: &[u8] = b"\xa3cut";

/// Earlier bodies that a body is compared with, by address: what is shared is shared with the hooks just before.
const NEIGHBOURS: usize = 32;

/// What the invocations share that one process made in one go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// Of [`snaphook_sandbox::Sandbox::build`].
    pub(crate) build: String,
    pub(crate) limits: Limits,
}

/// One invocation: everything it depended on, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Where recording began, or went on: `changed` then names all values there are.
    pub(crate) begins: Option<Header>,
    pub(crate) script: Name,
    pub(crate) version: u32,
    /// Values that changed since the invocation before.
    pub(crate) changed: Vec<VariableWrite>,
    pub(crate) input: HookInput,
    pub(crate) context: Context,
    /// Whether it might make requests of its own.
    pub(crate) granted: bool,
    pub(crate) exchanges: Vec<Exchange>,
    /// Signatures that it was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) signatures: Vec<Signed>,
    /// What it learned of state that was kept before the run.
    #[serde(default, skip_serializing_if = "StateSeen::is_empty")]
    pub(crate) state: StateSeen,
    pub(crate) result: Result<Decision, Fault>,
    pub(crate) writes: Vec<VariableWrite>,
    pub(crate) fuel: u64,
    /// While written down: where each body stands among the bodies, in the order in which they are visited.
    pub(crate) bodies: Vec<u32>,
}

/// What a run began with, so that it can be made again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Opening {
    pub(crate) content_type: String,
    /// Where the first payload stands among the bodies.
    body: u32,
    pub(crate) writes: Vec<VariableWrite>,
    /// JSON texts by name.
    subject_values: BTreeMap<String, String>,
}

impl Opening {
    /// Values of its subject that were brought along.
    pub(crate) fn subject_values(&self) -> SubjectValues {
        SubjectValues(self.subject_values.clone())
    }
}

/// One thing that is written down.
#[derive(Serialize)]
enum Noted<'a> {
    Opening(&'a Opening),
    Entry(&'a Entry),
}

/// The same as it is read.
#[derive(Deserialize)]
enum Read {
    Opening(Opening),
    Entry(Box<Entry>),
}

/// A recording, read back.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// What a run of a flow began with, and its first payload.
    pub(crate) opening: Option<(Opening, Bytes)>,
    pub(crate) entries: Vec<Entry>,
    /// There were more than are kept, so there are none.
    pub(crate) too_large: bool,
}

/// A recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("the recording is not in this release's form")]
    Form(#[from] rmp_serde::decode::Error),
    #[error("the recording lacks a body")]
    Body,
}

/// Writes down the invocations of one run.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// Entries one after another; empty before the first.
    head: Vec<u8>,
    /// Whether this recorder wrote the latest of them.
    begun: bool,
    bodies: Vec<Bytes>,
    /// Of all bodies.
    body_bytes: usize,
    /// No invocation is written down any more, and of those before nothing is left.
    too_large: bool,
    /// Nothing is to be.
    off: bool,
    /// How much of it the store has, as [`Recorder::extent`] says.
    in_store: usize,
}

impl Entry {
    pub(crate) const fn new(script: Name, version: u32, input: HookInput, context: Context, result: Result<Decision, Fault>) -> Self {
        Self {
            begins: None,
            script,
            version,
            changed: Vec::new(),
            input,
            context,
            granted: false,
            exchanges: Vec::new(),
            signatures: Vec::new(),
            state: StateSeen { values: Vec::new(), keys: Vec::new() },
            result,
            writes: Vec::new(),
            fuel: 0,
            bodies: Vec::new(),
        }
    }
}

impl Recorder {
    /// Writes nothing down.
    pub(crate) fn off() -> Self {
        Self { off: true, ..Self::default() }
    }

    /// Goes on where another left off, such as before a run was queued.
    pub(crate) fn resumed(before: Option<Recording>) -> Self {
        let mut recorder = match before {
            None => Self::default(),
            Some(Recording::TooLarge) => Self { too_large: true, ..Self::default() },
            Some(Recording::Whole { head, bodies }) => {
                let body_bytes = bodies.iter().map(Bytes::len).sum();
                let too_large = head.starts_with(CUT);
                Self { head: head.into(), bodies, body_bytes, too_large, ..Self::default() }
            }
        };
        recorder.saved();
        recorder
    }

    /// Whether an invocation that ended so is to be written down.
    pub(crate) fn wants(&self, result: &Result<Decision, Fault>) -> bool {
        !self.off && !self.too_large && !result.as_ref().is_err_and(|fault| fault.blame() == Blame::Platform)
    }

    /// Writes down what the run begins with, also where its trigger alone was too large.
    pub(crate) fn open(&mut self, input: &Payload, writes: Vec<VariableWrite>, subject_values: SubjectValues) {
        if self.off {
            return;
        }
        let mut opening = Opening { content_type: input.content_type.clone(), body: 0, writes, subject_values: subject_values.0 };
        if !self.too_large {
            opening.body = self.keep(input.bytes.clone());
            if self.write(&Noted::Opening(&opening)) {
                return;
            }
        }
        self.cut(Some((opening, input.bytes.clone())));
    }

    /// What an invocation was told by others. Where that was too large to be kept, so would the recording be.
    pub(crate) fn within<T>(&mut self, told: Option<T>) -> Option<T> {
        if told.is_none() && !self.off {
            let opening = self.opening();
            self.cut(opening);
        }
        told
    }

    /// Writes an invocation down, unless the whole would become too large.
    pub(crate) fn note(&mut self, build: &str, limits: &Limits, mut entry: Entry) {
        if self.too_large {
            return;
        }
        let mut places = Vec::with_capacity(4);
        bodies::visit(&mut entry, &mut |body| places.push(self.keep(std::mem::take(body))));
        entry.bodies = places;
        entry.begins = (!self.begun).then(|| Header { build: build.to_owned(), limits: *limits });
        self.begun = true;
        if !self.write(&Noted::Entry(&entry)) {
            let opening = self.opening();
            self.cut(opening);
        }
    }

    /// Only grows: two recordings of a run that are as long are the same.
    fn extent(&self) -> usize {
        match (self.too_large, self.head.is_empty()) {
            (false, _) => self.head.len(),
            // What the run begins with may still come.
            (true, true) => usize::MAX - 1,
            (true, false) => usize::MAX,
        }
    }

    /// The store has it so far.
    pub(crate) fn saved(&mut self) {
        self.in_store = self.extent();
    }

    /// What is to be kept so far, for a run that goes on; nothing where the store has it.
    pub(crate) fn so_far(&self) -> Option<Recording> {
        if self.extent() == self.in_store {
            return None;
        }
        if self.head.is_empty() {
            return self.too_large.then_some(Recording::TooLarge);
        }
        Some(Recording::Whole { head: self.head.clone().into(), bodies: self.bodies.clone() })
    }

    /// What is to be kept; nothing where nothing was invoked.
    pub(crate) fn finish(self) -> Option<Recording> {
        if self.head.is_empty() {
            return self.too_large.then_some(Recording::TooLarge);
        }
        Some(Recording::Whole { head: self.head.into(), bodies: self.bodies })
    }

    fn keep(&mut self, body: Bytes) -> u32 {
        let begin = self.bodies.len().saturating_sub(NEIGHBOURS);
        let same = |kept: &Bytes| kept.len() == body.len() && kept.as_ptr() == body.as_ptr();
        let place = self.bodies[begin..].iter().rposition(same).map_or(self.bodies.len(), |at| begin + at);
        if place == self.bodies.len() {
            self.body_bytes = self.body_bytes.saturating_add(body.len());
            self.bodies.push(body);
        }
        u32::try_from(place).unwrap_or(u32::MAX)
    }

    /// What the run began with, where that is written down.
    fn opening(&self) -> Option<(Opening, Bytes)> {
        read(&self.head, &self.bodies).ok()?.opening
    }

    /// There is more than is kept of a run. What it began with stays, where that is not too large itself: with it the run can be made again.
    fn cut(&mut self, opening: Option<(Opening, Bytes)>) {
        *self = Self { too_large: true, in_store: self.in_store, ..Self::default() };
        let Some((mut opening, body)) = opening else { return };
        self.head.extend_from_slice(CUT);
        opening.body = self.keep(body);
        if !self.write(&Noted::Opening(&opening)) {
            self.cut(None);
        }
    }

    /// Writes down one thing; false when there would be more than is kept of a run then.
    fn write(&mut self, noted: &Noted<'_>) -> bool {
        if self.head.is_empty() {
            // An ordinary call with two hooks stays below this.
            self.head.reserve(2048);
        }
        let (before, room) = (self.head.len(), MAX_BYTES.saturating_sub(self.body_bytes));
        let mut head = Bounded { written: &mut self.head, room };
        let fits = rmp_serde::encode::write_named(&mut head, noted).is_ok();
        if !fits {
            self.head.truncate(before);
        }
        fits
    }
}

/// Takes no more than there is room for.
struct Bounded<'a> {
    written: &'a mut Vec<u8>,
    room: usize,
}

impl io::Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written.len() + bytes.len() > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a recording back.
pub(crate) fn read(head: &[u8], bodies: &[Bytes]) -> Result<Recorded, Unreadable> {
    let cut = head.strip_prefix(CUT);
    let mut rest = cut.unwrap_or(head);
    let mut recorded = Recorded { too_large: cut.is_some(), ..Recorded::default() };
    while !rest.is_empty() {
        match rmp_serde::from_read(&mut rest)? {
            Read::Opening(opening) => {
                let body = bodies.get(opening.body as usize).ok_or(Unreadable::Body)?.clone();
                recorded.opening = Some((opening, body));
            }
            Read::Entry(entry) => recorded.entries.push(with_bodies(*entry, bodies)?),
        }
    }
    Ok(recorded)
}

fn with_bodies(mut entry: Entry, bodies: &[Bytes]) -> Result<Entry, Unreadable> {
    let mut places = std::mem::take(&mut entry.bodies).into_iter();
    let mut missing = false;
    bodies::visit(&mut entry, &mut |body| match places.next().and_then(|place| bodies.get(place as usize)) {
        Some(kept) => *body = kept.clone(),
        None => missing = true,
    });
    if missing { Err(Unreadable::Body) } else { Ok(entry) }
}

#[cfg(test)]
mod tests;

//! One script step: its attempts, the waits between them, and what its `on_error` makes of the last failure.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use snaphook_model::{Blame, Fault, OnError, Payload};

use super::call::{End, Failure, IllegalEvent};

/// A script step and everything that has happened in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScriptStep {
    on_error: OnError,
    /// What every attempt is given, and what the run goes on with after a failure that is ignored.
    payload: Payload,
    /// From 1.
    attempt: u32,
    stage: Stage,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Stage {
    Script,
    /// The failure is final where the wait does not fit into the run.
    Wait(Duration, Fault),
    Done(End),
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum ScriptAction<'s> {
    /// Run the script with this payload and tell what became of it: [`ScriptEvent::Returned`] or [`ScriptEvent::Faulted`].
    RunScript(&'s Payload),
    /// Wait so long and tell so, or that there is no time for it: [`ScriptEvent::Waited`] or [`ScriptEvent::NoTime`].
    Wait(Duration),
    /// Nothing: the step has ended.
    Finish(&'s End),
}

/// A fact.
#[derive(Debug, Clone)]
pub enum ScriptEvent {
    /// The script gave the next payload, or keeps the one it was given.
    Returned(Option<Payload>),
    /// The script failed.
    Faulted(Fault),
    /// The time is over.
    Waited,
    /// The run would have ended before.
    NoTime,
}

impl ScriptStep {
    /// A step that is given this payload.
    #[must_use]
    pub const fn new(on_error: OnError, payload: Payload) -> Self {
        Self { on_error, payload, attempt: 1, stage: Stage::Script }
    }

    /// The latest attempt, from 1.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// What to do next. Asking twice gives the same.
    #[must_use]
    pub const fn next(&self) -> ScriptAction<'_> {
        match &self.stage {
            Stage::Script => ScriptAction::RunScript(&self.payload),
            Stage::Wait(wait, _) => ScriptAction::Wait(*wait),
            Stage::Done(end) => ScriptAction::Finish(end),
        }
    }

    /// How the step ended; none while it has not.
    #[must_use]
    pub fn into_end(self) -> Option<End> {
        match self.stage {
            Stage::Done(end) => Some(end),
            Stage::Script | Stage::Wait(..) => None,
        }
    }

    /// Takes a fact in.
    ///
    /// # Errors
    /// When it does not answer [`ScriptStep::next`]; the step is then as it was.
    pub fn apply(&mut self, event: ScriptEvent) -> Result<(), IllegalEvent> {
        self.stage = match (&self.stage, event) {
            (Stage::Script, ScriptEvent::Returned(next)) => Stage::Done(End::Succeeded(next.unwrap_or_else(|| self.payload.clone()))),
            (Stage::Script, ScriptEvent::Faulted(fault)) => match self.on_error.wait_s(self.attempt + 1) {
                // The same again may help where the world has changed, and the author of a script says whether it may elsewhere.
                Some(wait_s) if fault.code.retryable() || fault.blame() == Blame::Guest => Stage::Wait(Duration::from_secs(wait_s), fault),
                _ => self.failed(fault),
            },
            (Stage::Wait(..), ScriptEvent::Waited) => {
                self.attempt += 1;
                Stage::Script
            }
            (Stage::Wait(_, fault), ScriptEvent::NoTime) => self.failed(fault.clone()),
            (stage, event) => return Err(IllegalEvent::new(stage.awaited().to_owned(), event.kind())),
        };
        Ok(())
    }

    /// Nothing is left to try.
    fn failed(&self, fault: Fault) -> Stage {
        let failure = Failure::of(fault);
        Stage::Done(if self.on_error.ignores() { End::Ignored(failure, self.payload.clone()) } else { End::Failed(failure) })
    }
}

impl Stage {
    const fn awaited(&self) -> &'static str {
        match self {
            Self::Script => "the script of a step",
            Self::Wait(..) => "the end of a wait",
            Self::Done(_) => "nothing",
        }
    }
}

impl ScriptEvent {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Returned(_) => "a payload",
            Self::Faulted(_) => "a script's failure",
            Self::Waited | Self::NoTime => "the end of a wait",
        }
    }
}

//! One run of a flow: its steps one after another, and whether another run follows a failed one.

use std::time::Duration;

use snaphook_model::{Payload, Rejection, Retry};

use super::call::{End, Failure, IllegalEvent, Repeat};

/// The definition of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunPlan {
    /// How many steps there are.
    pub steps: usize,
    /// New runs after a failed one.
    pub retry: Option<Retry>,
    /// Which of these runs this is, from 1.
    pub attempt: u32,
}

/// A run and everything that has happened in it.
#[derive(Debug, Clone)]
pub struct Run {
    plan: RunPlan,
    /// Whether a step failed and was ignored.
    partial: bool,
    stage: Stage,
}

#[derive(Debug, Clone)]
enum Stage {
    Step(usize, Payload),
    Done(RunEnd),
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RunAction<'r> {
    /// Run a step with this payload and tell how it ended.
    RunStep(usize, &'r Payload),
    /// Nothing: the run has ended.
    Finish(&'r RunEnd),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum RunEnd {
    /// Every step succeeded; the last one's payload.
    Succeeded(Payload),
    /// The last step's payload; a step before it, or that one, failed and was ignored.
    Partial(Payload),
    /// A hook rejected a step's call. Scripts decided it, so the run is not made again.
    Rejected(Rejection),
    /// A step failed; the run is made again after this delay, if at all.
    Failed(Failure, Option<Duration>),
}

/// Where a script asks for another run and the flow has no `retry`.
const ONCE_MORE: Retry = Retry { attempts: 1, delay_s: 60, backoff: 1 };

impl RunPlan {
    /// How long to wait before the run that a script asks for; none where no run may follow.
    #[must_use]
    pub fn asked(&self) -> Option<Duration> {
        self.delay(self.retry.unwrap_or(ONCE_MORE))
    }

    /// How long to wait before the run that follows a failed one, as the flow's `retry` says; none where no run follows.
    #[must_use]
    pub fn policy(&self) -> Option<Duration> {
        self.retry.and_then(|retry| self.delay(retry))
    }

    fn delay(&self, retry: Retry) -> Option<Duration> {
        if self.attempt > retry.attempts {
            return None;
        }
        Some(retry.delay(self.attempt))
    }
}

impl Run {
    /// A run that begins with this payload.
    #[must_use]
    pub fn new(plan: RunPlan, input: Payload) -> Self {
        let stage = if plan.steps == 0 { Stage::Done(RunEnd::Succeeded(input)) } else { Stage::Step(0, input) };
        Self { plan, partial: false, stage }
    }

    /// A run that was at this step, to go on with it; `partial` says whether a step before it failed and was ignored.
    #[must_use]
    pub fn resumed(plan: RunPlan, step: usize, payload: Payload, partial: bool) -> Self {
        let stage = if step < plan.steps { Stage::Step(step, payload) } else { Stage::Done(RunEnd::Succeeded(payload)) };
        Self { plan, partial, stage }
    }

    /// Whether a step failed and was ignored.
    #[must_use]
    pub const fn is_partial(&self) -> bool {
        self.partial
    }

    /// What to do next. Asking twice gives the same.
    #[must_use]
    pub const fn next(&self) -> RunAction<'_> {
        match &self.stage {
            Stage::Step(index, payload) => RunAction::RunStep(*index, payload),
            Stage::Done(end) => RunAction::Finish(end),
        }
    }

    /// How the run ended; none while it has not.
    #[must_use]
    pub fn into_end(self) -> Option<RunEnd> {
        match self.stage {
            Stage::Done(end) => Some(end),
            Stage::Step(..) => None,
        }
    }

    /// Takes in how the step that was asked for ended.
    ///
    /// # Errors
    /// When no step was asked for; the run is then as it was.
    pub fn step_ended(&mut self, end: End) -> Result<(), IllegalEvent> {
        let Stage::Step(index, _) = self.stage else {
            return Err(IllegalEvent::new("nothing".to_owned(), "a step's end"));
        };
        let payload = end.payload();
        self.partial |= matches!(end, End::Ignored(..));
        self.stage = match end {
            End::Succeeded(_) | End::Responded(_) | End::Ignored(..) => self.after(index, payload.unwrap_or_default()),
            End::Rejected(rejection) => Stage::Done(RunEnd::Rejected(rejection)),
            End::Failed(failure) => {
                let delay = match failure.repeat {
                    Repeat::Never => None,
                    Repeat::Asked => self.plan.asked(),
                    Repeat::AsPolicy => self.plan.policy(),
                };
                Stage::Done(RunEnd::Failed(failure, delay))
            }
        };
        Ok(())
    }

    fn after(&self, index: usize, payload: Payload) -> Stage {
        if index + 1 < self.plan.steps {
            Stage::Step(index + 1, payload)
        } else {
            Stage::Done(if self.partial { RunEnd::Partial(payload) } else { RunEnd::Succeeded(payload) })
        }
    }
}

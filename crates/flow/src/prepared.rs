//! Definitions with everything resolved: programs loaded, URLs put together, parameters as text. Made once, used by many calls.
//!
//! They hold what was current when they were made. Whoever keeps them drops an endpoint when its connector changes, and a flow when any
//! connector of its tenant changes; script versions never change.

use std::sync::Arc;
use std::time::Duration;

use snaphook_model::{Hook, Name, OnError, RetentionDocument, Retry, TriggerAuth, Variables};
use snaphook_sandbox::Program;

use crate::connections::Uses;
use crate::machine::CallPlan;
use crate::template::Needs;

/// An endpoint, ready to be called by [`crate::Runner::call`].
#[derive(Debug)]
pub struct PreparedEndpoint {
    /// `connector/endpoint` of a direct call; a step's name in a flow.
    pub(crate) name: String,
    pub(crate) plan: Arc<CallPlan>,
    /// What its requests may use of the tenant's secrets.
    pub(crate) uses: Uses,
    /// Lists by hook, in the order of [`Hook::ALL`].
    pub(crate) hooks: [Vec<PreparedBinding>; 5],
    /// Of each request.
    pub(crate) timeout: Duration,
    /// Followed for GET and HEAD.
    pub(crate) redirects: u8,
    /// JSON text of what it was made of.
    pub(crate) document_bytes: usize,
}

/// One version of a flow, ready to be run by [`crate::Runner::run_flow`].
#[derive(Debug)]
pub struct PreparedFlow {
    pub(crate) name: Name,
    pub(crate) version: u32,
    /// Absent: the flow has no address of its own.
    pub(crate) trigger: Option<PreparedTrigger>,
    pub(crate) steps: Vec<PreparedStep>,
    /// What every run begins with.
    pub(crate) variables: Arc<Variables>,
    /// Values made anew for each run: their names and lengths.
    pub(crate) generate: Vec<(String, u32)>,
    pub(crate) retry: Option<Retry>,
    /// How long what its runs leave is kept, where it says so.
    pub(crate) record: RetentionDocument,
    /// What the templates of all steps look at.
    pub(crate) needs: Needs,
    /// Whether any script could read the results of earlier steps; else they are not kept.
    pub(crate) scripted: bool,
    /// JSON text of the flow; its endpoints count by themselves.
    pub(crate) document_bytes: usize,
}

/// What a definition takes in memory for each byte of its document: its texts in one form or another, taken apart, with the tables around
/// them. A value of one digit in an object is twelve bytes of text and some fifty in memory.
const BYTES_PER_DOCUMENT_BYTE: usize = 4;

/// What a text with templates takes beside that, taken apart: the list of its parts, the names in it and its path.
const BYTES_PER_TEMPLATE: usize = 200;

/// What the engine takes for a template that it runs: its own environment, and tables that it makes larger than nearly all templates need.
const BYTES_PER_PROGRAM: usize = 12 << 10;

/// What begins a flow's runs from outside.
#[derive(Debug)]
pub(crate) struct PreparedTrigger {
    pub(crate) auth: TriggerAuth,
    /// The name in camel case, under which scripts find the run's first payload.
    pub(crate) key: String,
    /// Its script, where it has one.
    pub(crate) binding: Option<PreparedBinding>,
}

#[derive(Debug)]
pub(crate) struct PreparedStep {
    pub(crate) name: Arc<str>,
    /// The name in camel case, under which scripts find the step's result.
    pub(crate) key: String,
    /// Of a script; requests have their own.
    pub(crate) uses: Uses,
    pub(crate) action: PreparedAction,
}

#[derive(Debug)]
pub(crate) enum PreparedAction {
    /// `call` and `url` alike.
    Request(Box<PreparedEndpoint>),
    /// With what follows when it fails.
    Script(PreparedBinding, OnError),
}

/// A script version at a hook, loaded.
#[derive(Debug)]
pub struct PreparedBinding {
    pub(crate) script: Name,
    pub(crate) version: u32,
    /// JSON text.
    pub(crate) parms: Arc<str>,
    pub(crate) program: Program,
}

impl PreparedStep {
    /// What its templates look at.
    pub(crate) fn needs(&self) -> Needs {
        match &self.action {
            PreparedAction::Request(endpoint) => endpoint.plan.needs(),
            PreparedAction::Script(..) => Needs::default(),
        }
    }
}

impl PreparedEndpoint {
    pub(crate) fn bindings(&self, hook: Hook) -> &[PreparedBinding] {
        self.hooks.get(hook as usize).map_or(&[], Vec::as_slice)
    }

    /// Memory that it takes with the programs of its hooks, about; a program that sits at several hooks counts at each.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let programs: usize = self.hooks.iter().flatten().map(|binding| binding.program.memory_bytes()).sum();
        let Needs { templates, programs: compiled, .. } = self.plan.needs();
        let templates = templates as usize * BYTES_PER_TEMPLATE + compiled as usize * BYTES_PER_PROGRAM;
        programs + templates + self.document_bytes * BYTES_PER_DOCUMENT_BYTE
    }

    /// Whether a call runs no script at all.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.plan.bound.is_empty()
    }
}

impl PreparedFlow {
    /// The version of the definition.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// Memory that it takes with the programs of its scripts, about.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let of = |step: &PreparedStep| match &step.action {
            PreparedAction::Request(endpoint) => endpoint.memory_bytes(),
            PreparedAction::Script(binding, _) => binding.program.memory_bytes(),
        };
        let trigger = self.trigger.as_ref().and_then(|trigger| trigger.binding.as_ref());
        let programs = self.steps.iter().map(of).sum::<usize>() + trigger.map_or(0, |binding| binding.program.memory_bytes());
        programs + self.document_bytes * BYTES_PER_DOCUMENT_BYTE
    }

    /// Who may begin a run from outside; none where the flow has no trigger.
    #[must_use]
    pub fn trigger_auth(&self) -> Option<&TriggerAuth> {
        self.trigger.as_ref().map(|trigger| &trigger.auth)
    }

    /// Whether an upstream may call back to a step.
    pub(crate) fn calls_back(&self) -> bool {
        self.steps.iter().any(|step| matches!(&step.action, PreparedAction::Request(endpoint) if endpoint.plan.awaits.is_some()))
    }

    /// Whether a script reads the requests to the flow's trigger.
    pub(crate) fn has_trigger_script(&self) -> bool {
        self.trigger.as_ref().is_some_and(|trigger| trigger.binding.is_some())
    }

    /// Under which name scripts find the run's first payload.
    pub(crate) fn trigger_key(&self) -> &str {
        self.trigger.as_ref().map_or("trigger", |trigger| &trigger.key)
    }
}

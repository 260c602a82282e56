//! One invocation: a new store, a new instance, one call, and nothing left of it afterwards.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use snaphook_model::{
    Context, Decision, Exchange, Fault, HookInput, Limits, LogEntry, Signed, StateSeen, TenantName, TriggerRequest, Usage, VariableWrite,
    Variables, Weight,
};
use snaphook_shares::Place;
use snaphook_telemetry::{Invoked, held, invoked, metrics};
use tokio::time::timeout_at;
use wasmtime::component::{ComponentNamedList, Func, Lift, Lower};
use wasmtime::{Store, StoreContextMut, Trap, UpdateDeadline, WasmCoreDump};

use crate::abi::{
    ContextIn, FailureIn, FaultOut, PostFailOut, PostHookOut, PostRequestOut, PreHookOut, PreRequestOut, RequestIn, ResponseIn, StepOut,
    TriggerOut, TriggerRequestIn,
};
use crate::background::Running;
use crate::chance::Chance;
use crate::check;
use crate::convert::Decided;
use crate::data::{Data, Stop};
use crate::fault::{self, Phase};
use crate::host::http::{GuestHttp, Requests, Source};
use crate::host::keys::{GuestKeys, KeySource, Keys};
use crate::host::state::{GuestState, Kept, State};
use crate::host::variables::Overlay;
use crate::log::Log;
use crate::meter::Meter;
use crate::parts::Part;
use crate::program::Program;
use crate::sandbox::Sandbox;
use crate::short::{SHORT, to_its_end, while_short};

/// What a hook is called with.
pub struct Invocation {
    /// The hook and what it acts on.
    pub input: HookInput,
    /// Circumstances; the guest's clock and chance come from here.
    pub context: Context,
    /// The tenant's part of the processor beside other tenants' long invocations.
    pub weight: Weight,
    /// Budgets. A memory limit beyond [`crate::Settings::max_memory_bytes`] is that.
    pub limits: Limits,
    /// The call's own deadline. The invocation ends then, or when `limits.wall_ms` are over, whichever is first.
    pub deadline: Option<Instant>,
    /// What the guest reads by key.
    pub variables: Arc<Variables>,
    /// Where state is kept. Absent: nowhere, and what is written into it goes nowhere either.
    pub state: Option<Arc<dyn GuestState>>,
    /// Sends the guest's own requests. Absent: not granted.
    pub http: Option<Arc<dyn GuestHttp>>,
    /// Signs for the guest. Absent: nobody does, and no placeholder is a key.
    pub keys: Option<Arc<dyn GuestKeys>>,
}

/// What an invocation left behind.
#[derive(Debug)]
pub struct Outcome {
    /// What the hook decided, checked; or why there is no decision.
    pub result: Result<Decision, Fault>,
    /// What it spent, beside its limits.
    pub usage: Usage,
    /// In order, within `log_bytes`.
    pub logs: Vec<LogEntry>,
    /// Variables and state that it wrote. To be applied only when the result is a decision.
    pub writes: Vec<VariableWrite>,
    /// From the call of `invoke` to its return, in microseconds.
    pub duration_us: u64,
    /// When `invoke` was called.
    pub started_at: Timestamp,
    /// The guest's own requests, in order, with what it was told of them. Absent when they were more than [`crate::MAX_EXCHANGE_BYTES`].
    pub exchanges: Option<Vec<Exchange>>,
    /// Signatures that others made for it. Absent when they were more than [`crate::MAX_EXCHANGE_BYTES`].
    pub signatures: Option<Vec<Signed>>,
    /// What it learned of state that was kept.
    pub state: StateSeen,
    /// What the hook acted on, given back to who keeps it.
    pub input: HookInput,
    /// Its circumstances, given back likewise.
    pub context: Context,
}

/// What an invocation was told by others when it ran first.
#[derive(Debug, Default)]
pub struct Recorded {
    /// Whether it might make requests of its own.
    pub granted: bool,
    /// Those it made.
    pub exchanges: Vec<Exchange>,
    /// Signatures that it was given.
    pub signatures: Vec<Signed>,
    /// What it learned of state.
    pub state: StateSeen,
}

/// Who tells an invocation what it asks for.
struct Told {
    source: Source,
    keys: KeySource,
    kept: Kept,
}

/// An invocation that has a place.
struct Begun {
    program: Program,
    invocation: Invocation,
    told: Told,
    limits: Limits,
    deadline: Instant,
    started_at: Timestamp,
    held: Held,
}

/// What an invocation holds until nothing is left of it.
struct Held {
    _place: Place,
    part: Arc<Part>,
}

/// Beyond its deadline, a guest that waits where only the engine knows is dropped after this.
const GRACE: Duration = Duration::from_millis(5);
/// What a guest may pass to the host at once, besides what its memory can hold: nothing. Overlapping lists could be endless.
const MAX_PASSED_BYTES: u64 = 256 << 20;
/// Handles of resources that a component may hold.
const MAX_HANDLES: usize = 4096;

impl Sandbox {
    /// Calls one hook of a program in a fresh sandbox. Never fails: what goes wrong is in the outcome.
    ///
    /// Begins on the task that awaits it. What takes longer than a short while goes on elsewhere, in turns with other tenants' long invocations.
    /// Dropping the future ends the invocation, when it would go on next at the latest.
    pub async fn invoke(&self, program: &Program, invocation: Invocation) -> Outcome {
        let wall = Instant::now() + Duration::from_millis(invocation.limits.wall_ms);
        let deadline = invocation.deadline.map_or(wall, |deadline| deadline.min(wall));
        let told = Told {
            source: invocation.http.clone().map_or(Source::Refused, Source::Granted),
            keys: invocation.keys.clone().map_or(KeySource::Nobody, KeySource::Live),
            kept: invocation.state.clone().map_or(Kept::Nothing, Kept::Live),
        };
        self.begin(program, invocation, told, deadline).await
    }

    /// Calls a hook once more as it was called before; nobody is called, whatever `http` and `keys` of the invocation say.
    ///
    /// The clock on the wall is not part of what is repeated: a busy machine must not change an outcome. What a guest sees of its deadline
    /// is `limits.wall_ms`, as before, and time that it only imagines ends there; but the host ends the invocation at `deadline` alone.
    pub async fn replay(&self, program: &Program, invocation: Invocation, recorded: Recorded, deadline: Instant) -> Outcome {
        let source = if recorded.granted { Source::Recorded(recorded.exchanges) } else { Source::Refused };
        let told = Told { source, keys: KeySource::Recorded(recorded.signatures), kept: Kept::Recorded(recorded.state) };
        self.begin(program, invocation, told, deadline).await
    }

    async fn begin(&self, program: &Program, invocation: Invocation, told: Told, deadline: Instant) -> Outcome {
        let started_at = Timestamp::now();
        let begun = Instant::now();
        let mut limits = invocation.limits;
        limits.memory_bytes = limits.memory_bytes.min(self.settings().max_memory_bytes);
        let mut outcome = match self.hold(&invocation.context.tenant, deadline).await {
            Some(held) => self.drive(Begun { program: program.clone(), invocation, told, limits, deadline, started_at, held }).await,
            None => refused(invocation, &limits, started_at),
        };
        let duration = begun.elapsed();
        outcome.duration_us = micros(duration);
        let fault = outcome.result.as_ref().err().map(|fault| fault.code);
        invoked(Invoked { hook: outcome.input.hook(), fault, duration, fuel: outcome.usage.fuel });
        outcome
    }

    /// A place to run, as soon as there is one before the deadline.
    async fn hold(&self, tenant: &TenantName, deadline: Instant) -> Option<Held> {
        let (places, part) = (self.places(), self.parts().of(tenant));
        let tenant = places.holder(tenant);
        if let Some(place) = places.try_take(tenant, 1) {
            return Some(Held { _place: place, part });
        }
        let (_waiting, begun) = (held(&metrics().sandbox_places_waiting), Instant::now());
        let place = timeout_at(deadline.into(), places.take(tenant, 1)).await;
        metrics().sandbox_wait.took([], begun.elapsed());
        Some(Held { _place: place.ok()?, part })
    }

    /// Runs an invocation here while it is short, and in the background from then on.
    async fn drive(&self, begun: Begun) -> Outcome {
        let (tenant, weight, program) = (begun.invocation.context.tenant.clone(), begun.invocation.weight, begun.program.clone());
        let sandbox = self.clone();
        let mut running: Running<Outcome> = Box::pin(async move { sandbox.run(begun).await });
        let background = self.background();
        let (short, mut had) = if program.is_long() || background.is_due(&tenant) {
            (None, Duration::ZERO)
        } else {
            let (short, had) = while_short(&mut running, background.is_busy()).await;
            background.had_elsewhere(&tenant, weight, had);
            (short, had)
        };
        let moved = short.is_none();
        let outcome = match short {
            Some(outcome) => outcome,
            None => {
                let (outcome, more) = background.run(&tenant, weight, Box::pin(to_its_end(running))).await;
                had += more;
                outcome
            }
        };
        program.took(outcome.usage.fuel, moved && had >= SHORT);
        outcome
    }

    async fn run(&self, begun: Begun) -> Outcome {
        let Begun { program, invocation, told, limits, deadline, started_at, held } = begun;
        let Invocation { input, context, variables, .. } = invocation;
        let (body, arguments) = large(&input);
        let data = Data {
            body,
            payload_type: payload_type(&input),
            arguments,
            endpoint: endpoint(&input),
            log: Log::new(usize::try_from(limits.log_bytes).unwrap_or(usize::MAX)),
            // Whoever tries a script out has given it what state it finds.
            state: State::new(told.kept, Arc::clone(&variables), context.flow.is_some() || context.test_run, limits.state_bytes),
            variables: Overlay::new(variables),
            requests: Requests::new(told.source, &limits),
            keys: Keys::new(told.keys),
            chance: Chance::new(context.seed, "snaphook random 1"),
            meter: Meter::new(Arc::clone(self.pool()), Some(Arc::clone(&held.part)), limits.memory_bytes),
            deadline,
            now_ms: context.now_ms,
            wasi: None,
        };
        let begun = Instant::now();
        let mut store = self.store(data, &limits);
        let called = before(deadline + GRACE, call(&mut store, &program, &input, &context, &limits)).await;
        let called = called.unwrap_or_else(|| Err((Phase::Calling, Stop::Deadline.into())));
        let spent = begun.elapsed();
        let fuel = limits.fuel.saturating_sub(store.get_fuel().unwrap_or(0));
        let result = match called {
            Ok(Ok(decision)) => check::decision(decision, limits.output_bytes),
            Ok(Err(report)) => Err(fault::reported(report, &program, &store, &limits, spent)),
            Err((phase, error)) => {
                let fault = fault::of_error(&error, phase, store.data(), &limits, spent);
                Err(self.located(fault, &error, &program, &mut store).await)
            }
        };
        let data = store.into_data();
        let mut writes = data.variables.into_writes();
        let (state_writes, state) = data.state.into_parts();
        writes.extend(state_writes);
        Outcome {
            result,
            usage: Usage {
                fuel,
                fuel_limit: limits.fuel,
                memory_bytes: data.meter.used(),
                memory_limit_bytes: limits.memory_bytes,
                wall_us: micros(spent),
            },
            logs: logs(data.log, data.wasi.as_deref()),
            writes,
            duration_us: 0,
            started_at,
            exchanges: data.requests.into_exchanges(),
            signatures: data.keys.into_signatures(),
            state,
            input,
            context,
        }
    }

    fn store(&self, data: Data, limits: &Limits) -> Store<Data> {
        let mut store = Store::new(self.engine(), data);
        store.limiter(|data| &mut data.meter);
        // Fuel is on in this engine, which is all that setting it asks for.
        let _ = store.set_fuel(limits.fuel);
        store.set_hostcall_fuel(usize::try_from(limits.memory_bytes.min(MAX_PASSED_BYTES)).unwrap_or(usize::MAX));
        store.set_max_component_handles(MAX_HANDLES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(tick);
        store
    }

    /// The fault with the place where the script stood, if it runs in the interpreter and was stopped in the middle.
    async fn located(&self, fault: Fault, error: &wasmtime::Error, program: &Program, store: &mut Store<Data>) -> Fault {
        let stopped = error.is::<Trap>() || error.is::<Stop>();
        let (true, true, Some(post_mortem), Some(dump)) =
            (stopped, program.is_script(), self.post_mortem(), error.downcast_ref::<WasmCoreDump>())
        else {
            return fault;
        };
        match post_mortem.place(dump, store).await {
            Some(stood) => program.place(stood.line.zip(stood.column), &stood.stack).of(fault),
            None => fault,
        }
    }
}

/// An invocation that found no place.
fn refused(invocation: Invocation, limits: &Limits, started_at: Timestamp) -> Outcome {
    Outcome {
        result: Err(fault::overloaded()),
        usage: Usage { fuel_limit: limits.fuel, memory_limit_bytes: limits.memory_bytes, ..Usage::default() },
        logs: Vec::new(),
        writes: Vec::new(),
        duration_us: 0,
        started_at,
        exchanges: Some(Vec::new()),
        signatures: Some(Vec::new()),
        state: StateSeen::default(),
        input: invocation.input,
        context: invocation.context,
    }
}

/// What the future gives, if it does so before the time. Most invocations never wait, and a timer, which may have to wake the thread that keeps
/// time, is set for those that do.
async fn before<T>(time: Instant, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    match poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await {
        Poll::Ready(value) => Some(value),
        Poll::Pending => timeout_at(time.into(), future).await.ok(),
    }
}

/// At every tick: the end, or others' turn.
fn tick(store: StoreContextMut<'_, Data>) -> wasmtime::Result<UpdateDeadline> {
    if Instant::now() >= store.data().deadline {
        return Err(Stop::Deadline.into());
    }
    Ok(UpdateDeadline::Yield(1))
}

type Called = Result<Result<Decision, FaultOut>, (Phase, wasmtime::Error)>;

async fn call(store: &mut Store<Data>, program: &Program, input: &HookInput, context: &Context, limits: &Limits) -> Called {
    let hook = input.hook();
    let Some(export) = program.export(hook) else {
        return Err((Phase::Calling, Stop::NoHook(hook).into()));
    };
    let instance = program.pre().instantiate_async(&mut *store).await.map_err(|error| (Phase::Instantiating, error))?;
    let Some(function) = instance.get_func(&mut *store, export) else {
        return Err((Phase::Calling, Stop::NoHook(hook).into()));
    };
    let mut run_id = [0; 36];
    let context = ContextIn::new(context, context.run.0.hyphenated().encode_lower(&mut run_id), limits);
    let called = match input {
        HookInput::PreHook { connector, endpoint, .. } => {
            typed::<_, PreHookOut>(store, function, (&**connector, &**endpoint, context)).await
        }
        HookInput::PreRequest { request } => {
            let request = RequestIn { method: &request.method, url: &request.url, headers: &request.headers.0 };
            typed::<_, PreRequestOut>(store, function, (request, context)).await
        }
        HookInput::PostRequest { method, url, status, headers, .. } => {
            let response = ResponseIn { method, url, status: *status, headers: &headers.0 };
            typed::<_, PostRequestOut>(store, function, (response, context)).await
        }
        HookInput::PostHook { status, headers, .. } => typed::<_, PostHookOut>(store, function, (*status, &headers.0[..], context)).await,
        HookInput::PostFail { status, code, message, .. } => {
            let failure = FailureIn { status: *status, code, message };
            typed::<_, PostFailOut>(store, function, (failure, context)).await
        }
        HookInput::Step { payload } => typed::<_, StepOut>(store, function, (&*payload.content_type, context)).await,
        HookInput::Trigger { request } => {
            let TriggerRequest { method, url, path, headers, .. } = request;
            let request = TriggerRequestIn { method, url, path, headers: &headers.0 };
            typed::<_, TriggerOut>(store, function, (request, context)).await
        }
    };
    called.map_err(|error| (Phase::Calling, error))
}

/// Calls a hook. Its type was checked when the program was loaded, and is again: that is cheaper than to be wrong about it.
async fn typed<In, Out>(store: &mut Store<Data>, function: Func, input: In) -> wasmtime::Result<Result<Decision, FaultOut>>
where
    In: ComponentNamedList + Lower + Send + Sync,
    Out: Decided + Lift + Send + Sync + 'static,
{
    let function = function.typed::<In, (Result<Out, FaultOut>,)>(&*store)?;
    let (answer,) = function.call_async(store, input).await?;
    Ok(answer.map(Decided::decision))
}

/// What `input.endpoint` gives.
fn endpoint(input: &HookInput) -> (Arc<str>, Arc<str>) {
    match input {
        HookInput::PreHook { connector, endpoint, .. }
        | HookInput::PostHook { connector, endpoint, .. }
        | HookInput::PostFail { connector, endpoint, .. } => (Arc::clone(connector), Arc::clone(endpoint)),
        _ => Default::default(),
    }
}

/// What `input.body` and `input.arguments` give.
fn large(input: &HookInput) -> (Bytes, Bytes) {
    match input {
        HookInput::PreHook { arguments, .. } | HookInput::PostFail { arguments, .. } => (Bytes::new(), arguments.clone()),
        HookInput::PreRequest { request } => (request.body.clone(), Bytes::new()),
        HookInput::PostRequest { payload, .. } => (payload.clone(), Bytes::new()),
        HookInput::PostHook { payload, arguments, .. } => (payload.clone(), arguments.clone()),
        HookInput::Step { payload } => (payload.bytes.clone(), Bytes::new()),
        HookInput::Trigger { request } => (request.body.clone(), Bytes::new()),
    }
}

/// What `input.payload-type` gives.
fn payload_type(input: &HookInput) -> Option<String> {
    match input {
        HookInput::PostRequest { payload_type, .. } | HookInput::PostHook { payload_type, .. } => payload_type.clone(),
        HookInput::Step { payload } => Some(payload.content_type.clone()),
        HookInput::PreHook { .. } | HookInput::PreRequest { .. } | HookInput::PostFail { .. } | HookInput::Trigger { .. } => None,
    }
}

fn logs(mut log: Log, wasi: Option<&crate::host::wasi::Wasi>) -> Vec<LogEntry> {
    if let Some(wasi) = wasi {
        wasi.take_printed().append_to(&mut log);
    }
    log.finish()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

//! The table of metrics.

use std::sync::LazyLock;

use crate::metric::{Counter, Description, FUEL, Gauge, Histogram, Kind, LONG, RECORDS, SHORT};

/// Makes the table, and a handle for each of its rows.
macro_rules! metrics {
    ($($handle:ident: $kind:ident<$count:literal> $name:literal [$($label:literal),*] $(in $bounds:ident)?, $help:literal;)*) => {
        /// Every metric that a node has.
        pub const METRICS: &[Description] = &[$(Description {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
            bounds: metrics!(@bounds $($bounds)?),
        }),*];

        /// A handle for each of them.
        pub struct Metrics {
            $(#[doc = $help] pub $handle: $kind<$count>,)*
        }

        impl Metrics {
            fn new() -> Self {
                let mut rows = METRICS.iter();
                let mut next = || rows.next().expect("there is a row for each handle");
                Self { $($handle: $kind::new(next()),)* }
            }
        }
    };
    (@bounds) => { &[] };
    (@bounds $bounds:ident) => { $bounds };
}

metrics! {
    build_info: Gauge<1> "snaphook_build_info" ["version"],
        "1, for the version that runs.";

    http_requests: Counter<3> "snaphook_http_requests_total" ["route", "method", "status"],
        "Requests answered, by the pattern of their route, method and class of status (`2xx`). The route is `none` where there is no such path or method.";
    http_request_duration: Histogram<1> "snaphook_http_request_duration_seconds" ["route"] in LONG,
        "Time from a request's head until its answer is ready to be sent, by the pattern of the route.";
    http_requests_in_flight: Gauge<0> "snaphook_http_requests_in_flight" [],
        "Requests that are being answered now.";
    refusals: Counter<1> "snaphook_refusals_total" ["code"],
        "Requests refused because there is no room: `quota-concurrency` and `quota-rate` of a tenant, `overloaded` of the node.";

    runs: Counter<3> "snaphook_runs_total" ["kind", "status", "blame"],
        "Runs that ended on this node, of kind `call` or `flow`, by how they ended and whose fault it was (`nobody` where it was none).";
    run_duration: Histogram<1> "snaphook_run_duration_seconds" ["kind"] in LONG,
        "Time from a run's begin until its end, waits included, by its kind.";
    runs_now: Gauge<1> "snaphook_runs" ["state"],
        "Runs in the database that have not ended: `queued` (not begun), `waiting` (for a time or a callback), `leased` (held by a node). All nodes on a database tell the same, at most 15 seconds old: take the maximum, not the sum.";
    runs_due: Gauge<0> "snaphook_runs_due" [],
        "Of the queued and waiting ones those whose time has come and that no node has taken up yet. As old as `snaphook_runs`.";
    runs_driven: Gauge<0> "snaphook_runs_driven" [],
        "Runs of flows that this node is at now.";

    invocation_duration: Histogram<2> "snaphook_invocation_duration_seconds" ["hook", "outcome"] in SHORT,
        "Time of an invocation with its wait for a place, by its hook and outcome: `decision`, or whose fault it was.";
    invocation_fuel: Histogram<1> "snaphook_invocation_fuel" ["hook"] in FUEL,
        "Fuel of an invocation, by its hook.";
    invocation_faults: Counter<2> "snaphook_invocation_faults_total" ["hook", "code"],
        "Invocations that gave no decision, by their hook and the code of the fault.";
    sandbox_places: Gauge<0> "snaphook_sandbox_places" [],
        "Invocations that may run at once.";
    sandbox_places_in_use: Gauge<0> "snaphook_sandbox_places_in_use" [],
        "Invocations that run now.";
    sandbox_places_waiting: Gauge<0> "snaphook_sandbox_places_waiting" [],
        "Invocations that wait for a place now: one of those that their tenant may have.";
    sandbox_wait: Histogram<0> "snaphook_sandbox_wait_seconds" [] in SHORT,
        "Time for which invocations waited that found no place at once.";
    sandbox_memory: Gauge<0> "snaphook_sandbox_memory_bytes" [],
        "Linear memory of the invocations that run now.";
    sandbox_memory_limit: Gauge<0> "snaphook_sandbox_memory_limit_bytes" [],
        "Linear memory that they may have together.";
    programs: Gauge<0> "snaphook_programs" [],
        "Programs that are loaded.";
    programs_memory: Gauge<0> "snaphook_programs_bytes" [],
        "Memory that they are counted with.";

    egress_requests: Counter<1> "snaphook_egress_requests_total" ["outcome"],
        "Requests to upstreams, by the class of the answer's status (`2xx`), or the code of the fault where there was no answer.";
    egress_request_duration: Histogram<0> "snaphook_egress_request_duration_seconds" [] in LONG,
        "Time of a request to an upstream: waiting for a permit, resolving, connecting, redirects and the body included.";
    egress_requests_in_flight: Gauge<0> "snaphook_egress_requests_in_flight" [],
        "Requests to upstreams that are under way now.";

    store_batch: Histogram<1> "snaphook_store_batch_records" ["what"] in RECORDS,
        "What was written in one transaction: `records` of runs that were answered in one go, or `runs` that are queued, and ended ones that were.";
    store_write_duration: Histogram<1> "snaphook_store_write_duration_seconds" ["what"] in SHORT,
        "Time of such a transaction, with its further tries.";
    store_queue: Gauge<0> "snaphook_store_queue_records" [],
        "Records of runs that wait to be written.";
    store_lost: Counter<0> "snaphook_store_lost_records_total" [],
        "Records of runs that were given up, because the database did not take them in time. More than 0 is a reason to look.";

    compile_waiting: Gauge<0> "snaphook_compile_waiting" [],
        "Uploads and lost programs that wait for a place to be compiled.";
    compile_running: Gauge<0> "snaphook_compile_running" [],
        "Those that are being compiled now.";
    compile_wait: Histogram<0> "snaphook_compile_wait_seconds" [] in LONG,
        "Time for which they waited.";
    compile_duration: Histogram<1> "snaphook_compile_duration_seconds" ["outcome"] in LONG,
        "Time that compiling took, by its outcome: `compiled`, `rejected` (the upload's fault) or `failed` (ours).";

    cache_lookups: Counter<2> "snaphook_cache_lookups_total" ["cache", "result"],
        "Look-ups in memory, by cache and whether it was a `hit` or a `miss`.";

    spans: Counter<1> "snaphook_spans_total" ["fate"],
        "Spans that were brought to the collector (`sent`), that it did not take (`lost`), or for which there was no room among those on their way (`dropped`).";

    process_memory: Gauge<0> "process_resident_memory_bytes" [],
        "Resident memory of the node's process, without the children that compile.";
    process_cpu: Counter<0> "process_cpu_seconds_total" [],
        "Processor time that the process has had, in whole seconds.";
    process_fds: Gauge<0> "process_open_fds" [],
        "Files and connections that are open.";
    process_max_fds: Gauge<0> "process_max_fds" [],
        "As many may be open.";
    process_threads: Gauge<0> "process_threads" [],
        "Threads of the process.";
    process_start: Gauge<0> "process_start_time_seconds" [],
        "When the process started, in seconds since the Unix epoch.";
}

/// The handles.
pub fn metrics() -> &'static Metrics {
    static ALL: LazyLock<Metrics> = LazyLock::new(Metrics::new);
    &ALL
}

#[cfg(test)]
mod tests {
    use super::{METRICS, metrics};
    use crate::metric::Kind;

    #[test]
    fn names_say_what_they_are() {
        for row in METRICS {
            let (name, counter) = (row.name, row.kind == Kind::Counter);
            assert_eq!(name.ends_with("_total"), counter, "{name}: counters end in `_total`, and nothing else does");
            assert_eq!(row.bounds.is_empty(), row.kind != Kind::Histogram, "{name}");
            assert!(row.bounds.is_sorted() && row.help.ends_with('.'), "{name}");
        }
    }

    #[test]
    fn what_has_no_labels_is_there_before_it_is_used() {
        metrics();
        let text = crate::render();
        for row in METRICS.iter().filter(|row| row.labels.is_empty()) {
            assert!(text.contains(&format!("# TYPE {} {}\n", row.name, row.kind.as_str())), "{}", row.name);
        }
    }
}

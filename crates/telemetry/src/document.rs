//! `docs/telemetry.md`: what stands in the tables, around it what an operator needs to know.

use std::fmt::Write as _;

use crate::spans::SPANS;
use crate::table::METRICS;

const BEGIN: &str = "\
# Telemetry

For whoever watches nodes. This page is made from the tables in `crates/telemetry` by `cargo xtask gen`; a test holds it so.

## Metrics

`GET /metrics` answers with all of them in Prometheus' text form. It wants the operator's token, as `Authorization: Bearer TOKEN`. A client on the
same machine needs none, as long as it asks for the node by a name of the machine itself (`http://127.0.0.1:7070/metrics`, `localhost`, `[::1]`) and
no proxy says that it asks for somebody else (`forwarded`, `x-forwarded-for`, `x-real-ip`, `via`). A node with a `public_url` always wants it: what
stands before such a node need not say for whom it asks.

```yaml skip=machine
scrape_configs:
  - job_name: snaphook
    static_configs: [{targets: [\"127.0.0.1:7070\"]}]
    # From elsewhere:
    # authorization: {credentials_file: /etc/prometheus/snaphook-operator-token}
```

Labels have values of the program's own only: patterns of routes, codes, hooks. No tenant, script, flow, path or id is a label, so that the number of
series does not grow with what tenants do. `packaging/grafana.json` of the repository is a dashboard for Grafana over these metrics.

A series with labels is there once it has counted something; one without is there from the start. Times are in seconds.

";

const SPANS_BEGIN: &str = "
## Traces

With `--otlp-endpoint http://collector:4318` (or `SNAPHOOK_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_ENDPOINT`) a node sends spans to a collector, as
protobuf over HTTP, to `/v1/traces` below that address. `OTEL_EXPORTER_OTLP_HEADERS` may hold headers for it, such as a token. Without an address no
span is made, and nothing is added to any request.

Of the traces that begin at the node, `--otlp-ratio` (`SNAPHOOK_OTLP_RATIO`, 1 unless given) says how many are recorded. A caller who sends
[`traceparent`](https://www.w3.org/TR/trace-context/) goes on with a trace of its own, which is recorded if the caller records it.

Each request to an upstream carries `traceparent`, and the caller's `tracestate`, to the origin that it is for; a redirect to another origin does not. A
request that a script or a definition has given a `traceparent` keeps that one. What is recorded of a request is what the script made, without these headers,
so that a replay finds it as it was; a replay makes no span of a run.

A run that waits goes on in the same trace, whichever node takes it up. The trace of a run that nobody asked for with a span of their own, such as a repeated
one, has the run's id without its hyphens as its id. `trace` in the record of a run says below what it hangs.

Spans tell names, codes, numbers and times. URLs, headers, bodies, messages and logs are in none of them.

";

const LOGS: &str = "
## Log

The node's own log goes to standard error, as text or, with `--log-format json`, as one JSON object a line. `RUST_LOG` says what is logged, such as
`RUST_LOG=info,snaphook_egress=debug`.

Whatever is logged while a request is answered has the request's id, which the answer has as `x-request-id`, a problem as `request_id`, and the span `api` as
`snaphook.request_id`. Where spans are exported, `trace_id` stands beside it.
";

/// The page.
#[must_use]
pub fn document() -> String {
    let mut page = BEGIN.to_owned();
    page.push_str("| metric | kind | labels | what it says |\n| --- | --- | --- | --- |\n");
    for row in METRICS {
        let labels = if row.labels.is_empty() { "–".to_owned() } else { listed(row.labels) };
        writeln!(page, "| `{}` | {} | {labels} | {} |", row.name, row.kind.as_str(), row.help).expect("a String takes every text");
    }
    page.push_str(SPANS_BEGIN);
    for row in SPANS {
        writeln!(page, "### `{}`\n\nKind {}. {}\n", row.name, row.kind.as_str(), row.help).expect("a String takes every text");
        page.push_str("| attribute | what it says |\n| --- | --- |\n");
        for attribute in row.attributes {
            writeln!(page, "| `{}` | {} |", attribute.name, attribute.help).expect("a String takes every text");
        }
        page.push('\n');
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page.push_str(LOGS);
    page
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

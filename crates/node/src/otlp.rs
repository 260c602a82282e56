//! Brings spans to a collector: OTLP, as protobuf over HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter as Otlp, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanExporter, SpanLinks, SpanProcessor as _};
use snaphook_telemetry as telemetry;
use tokio::runtime::Handle;

use crate::config::Config;
use crate::node::start_error;
use crate::problem::CliError;

/// Where a collector takes spans, below its address.
const PATH: &str = "/v1/traces";
/// One batch of spans is brought within this time, or lost.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A collector says little; more than this is no answer of one.
const MAX_ANSWER: usize = 64 << 10;

/// How many spans may be on their way, as every exporter of OpenTelemetry has it from the environment.
const QUEUE: (&str, usize) = ("OTEL_BSP_MAX_QUEUE_SIZE", 2048);

/// Spans on their way; there is one for the process.
#[derive(Clone)]
pub(crate) struct Traces {
    processor: Arc<BatchSpanProcessor>,
    room: Arc<Room>,
    scope: InstrumentationScope,
}

/// From now on spans are brought to the collector that the configuration names; nothing happens where it names none.
///
/// # Errors
/// When its address is none.
pub(crate) fn start(config: &Config) -> Result<Option<Traces>, CliError> {
    let Some(endpoint) = &config.otlp_endpoint else { return Ok(None) };
    let connector = hyper_rustls::HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
    let http = HyperClient::builder(TokioExecutor::new()).build(connector);
    let exporter = Otlp::builder()
        .with_http()
        .with_http_client(Client { http, runtime: Handle::current() })
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(address(endpoint)?)
        .with_timeout(TIMEOUT);
    let most = std::env::var(QUEUE.0).ok().and_then(|text| text.parse().ok()).unwrap_or(QUEUE.1);
    let room = Arc::new(Room { most, taken: AtomicUsize::new(0) });
    let exporter = Counted { exporter: exporter.build().map_err(start_error)?, room: Arc::clone(&room) };
    let batches = BatchConfigBuilder::default().with_max_queue_size(most).build();
    let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    processor.set_resource(&Resource::builder().with_service_name("snaphook").with_attribute(version).build());
    let traces = Traces { processor: Arc::new(processor), room, scope: InstrumentationScope::builder("snaphook").build() };
    telemetry::export_to(Box::new(traces.clone()), config.otlp_ratio);
    Ok(Some(traces))
}

/// Where spans go to: `/v1/traces` below the collector's address, unless that says so itself.
fn address(endpoint: &str) -> Result<String, CliError> {
    let address = endpoint.trim_end_matches('/');
    let known = address.parse::<Uri>().is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none());
    if !known {
        let detail = format!("configuration: `{endpoint}` is no address of a collector; write one such as http://127.0.0.1:4318");
        return Err(CliError::Usage(detail));
    }
    Ok(if address.ends_with(PATH) { address.to_owned() } else { format!("{address}{PATH}") })
}

impl Traces {
    /// Brings what is on its way, within the time that one batch has.
    pub(crate) async fn stop(self) {
        let stopped = tokio::task::spawn_blocking(move || self.processor.shutdown_with_timeout(TIMEOUT)).await;
        if let Ok(Err(error)) = stopped {
            tracing::warn!(%error, "the last spans were not brought to the collector");
        }
    }
}

impl telemetry::SpanSink for Traces {
    fn take(&self, span: telemetry::Span) {
        if self.room.take() {
            self.processor.on_end(data(span, self.scope.clone()));
        } else {
            telemetry::metrics().spans.count(["dropped"]);
        }
    }
}

/// A span as the collector's library has it.
fn data(span: telemetry::Span, scope: InstrumentationScope) -> SpanData {
    let telemetry::Span { context, parent, name, start, end, failed, attributes } = span;
    let flags = if context.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let state = context.state.as_deref().and_then(|state| state.parse().ok()).unwrap_or(TraceState::NONE);
    let attributes = attributes.into_inner().into_iter().map(|(name, value)| match value {
        telemetry::Value::Text(text) => KeyValue::new(name, text),
        telemetry::Value::Number(number) => KeyValue::new(name, number),
    });
    SpanData {
        span_context: SpanContext::new(TraceId::from_bytes(context.trace.0), SpanId::from_bytes(context.span.0), flags, false, state),
        parent_span_id: parent.map_or(SpanId::INVALID, |parent| SpanId::from_bytes(parent.0)),
        parent_span_is_remote: name == telemetry::SpanName::Api && parent.is_some(),
        span_kind: match name.description().kind {
            telemetry::SpanKind::Server => SpanKind::Server,
            telemetry::SpanKind::Client => SpanKind::Client,
            telemetry::SpanKind::Internal => SpanKind::Internal,
        },
        name: name.as_str().into(),
        start_time: SystemTime::from(start),
        end_time: SystemTime::from(end),
        attributes: attributes.collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: failed.map_or(Status::Unset, |code| Status::error(code.as_str())),
        instrumentation_scope: scope,
    }
}

/// Room for spans on their way, as much as the processor has. It drops in silence what it has no room for, so that it is asked here before.
#[derive(Debug)]
struct Room {
    most: usize,
    taken: AtomicUsize,
}

impl Room {
    fn take(&self) -> bool {
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| (taken < self.most).then_some(taken + 1)).is_ok()
    }

    fn give_back(&self, spans: usize) {
        self.taken.fetch_sub(spans, Ordering::Relaxed);
    }
}

/// Counts what was brought, and says when the collector takes nothing.
#[derive(Debug)]
struct Counted {
    exporter: Otlp,
    room: Arc<Room>,
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        // They have left the processor's queue.
        self.room.give_back(batch.len());
        let exported = self.exporter.export(batch).await;
        let fate = if exported.is_ok() { "sent" } else { "lost" };
        telemetry::metrics().spans.add([fate], spans);
        if let Err(error) = &exported {
            tracing::warn!(%error, spans, "the collector did not take spans");
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// The exporter has a thread of its own, and asks from there; the exchange itself is a task of the node's.
#[derive(Debug)]
struct Client {
    http: HyperClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let exchange = async move {
            let (head, body) = http.request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
            Ok(Response::from_parts(head, body))
        };
        self.runtime.spawn(async { tokio::time::timeout(TIMEOUT, exchange).await? }).await?
    }
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn spans_go_below_the_collectors_address() {
        for (given, goes_to) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("https://a.example/otlp/", "https://a.example/otlp/v1/traces"),
            ("https://a.example/v1/traces", "https://a.example/v1/traces"),
        ] {
            assert_eq!(address(given).unwrap(), goes_to);
        }
        for bad in ["", "127.0.0.1:4318", "grpc://a.example", "http://a.example/?x=1"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}

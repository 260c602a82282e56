//! One request from end to end: check, permit, exchange, and again for each redirect, all before one deadline.

use std::time::Duration;

use http::header::LOCATION;
use http::{Method, StatusCode};
use reqwest::{Client, Response};
use snaphook_model::{Code, Fault, HttpResponse, TenantName};
use snaphook_telemetry::{held, metrics, status_class};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::kept::Keeping;
use crate::room::Room;
use crate::sealed::fill_form;
use crate::{Egress, Outbound, Secrets, Streams, fault, message, target};

/// A clock's arithmetic has an end; nobody waits longer than a day.
const LONGEST: Duration = Duration::from_secs(86_400);

/// What one hop goes out with.
struct Way<'a> {
    client: Client,
    keeping: Keeping<'a>,
    room: Room,
}

/// What came of one hop.
enum Step {
    Answer(HttpResponse),
    Redirect(Url),
}

impl Egress {
    /// Sends a request and reads the whole answer.
    ///
    /// A GET or HEAD follows redirects, each checked like a request of its own. To another origin (scheme, host or port) go none of its
    /// headers but `accept`, `accept-encoding`, `accept-language`, `range` and `user-agent`, and no body. From https to http nothing is followed.
    ///
    /// # Errors
    /// `url`, `egress-refused`, `script-contract` and `overloaded` before anything was sent; `dns`, `connect`, `tls`, `redirects`,
    /// `response-header`, `response-size`, `reset` and `timeout` from there on.
    pub async fn send(&self, outbound: Outbound<'_>) -> Result<HttpResponse, Fault> {
        self.send_streaming(outbound, Streams::default()).await
    }

    /// The same, with bodies that do not go through memory. An answer whose body went to the sink has an empty one.
    ///
    /// # Errors
    /// As [`Egress::send`], and what the sink ends a write with.
    pub async fn send_streaming(&self, outbound: Outbound<'_>, streams: Streams<'_>) -> Result<HttpResponse, Fault> {
        let (_in_flight, begun) = (held(&metrics().egress_requests_in_flight), Instant::now());
        let answered = self.follow(outbound, streams).await;
        metrics()
            .egress_requests
            .count([answered.as_ref().map_or_else(|fault| fault.code.as_str(), |response| status_class(response.status))]);
        metrics().egress_request_duration.took([], begun.elapsed());
        answered
    }

    /// What came on another way from where requests with these secrets went, such as a callback, without their texts.
    ///
    /// # Errors
    /// `secret-unreadable` and the like where they cannot be opened, `response-size` and `overloaded` as for an answer.
    pub fn masked(&self, tenant: &TenantName, secrets: &Secrets, mut answer: HttpResponse, max_bytes: u64) -> Result<HttpResponse, Fault> {
        self.vault.open_all(tenant, secrets)?.mask(&mut answer, max_bytes, self.bodies.room(tenant))?;
        Ok(answer)
    }

    /// Sends it, and again where it is sent on to.
    async fn follow(&self, mut outbound: Outbound<'_>, mut streams: Streams<'_>) -> Result<HttpResponse, Fault> {
        let deadline = Instant::now() + outbound.timeout.min(LONGEST);
        let method = message::method(&outbound.request.method)?;
        let mut url = target::parse(&outbound.request.url)?;
        let tenant = outbound.tenant;
        let opened = outbound.secrets.map(|secrets| self.vault.open_all(tenant, secrets)).transpose()?;
        if let Some(opened) = &opened {
            opened.fill(&mut outbound.request, &url)?;
            streams.upload = streams.upload.map(|upload| fill_form(opened, &upload, &url)).transpose()?;
            url = target::parse(&outbound.request.url)?;
        }
        let mut own_origin = true;
        let mut redirects = if matches!(method, Method::GET | Method::HEAD) { outbound.redirects } else { 0 };
        loop {
            target::check(&url, &method, outbound.policy)?;
            let permit = self.permits.enter(outbound.tenant, &url, deadline).await?;
            let keeping = self.kept.enter(outbound.tenant, &url);
            let client = self.clients.of(&outbound.policy.allow_private, keeping.is_kept())?;
            let way = Way { client, keeping, room: self.bodies.room(outbound.tenant) };
            let exchange = exchange(way, &outbound, &mut streams, &method, url.clone(), own_origin);
            // Should a name have to be resolved for it, that is on behalf of this tenant.
            let exchange = self.clients.asking(outbound.tenant, exchange);
            let step = timeout_at(deadline, exchange).await.unwrap_or_else(|_| Err(timed_out(&url, outbound.timeout)))?;
            drop(permit);
            match step {
                Step::Answer(mut response) => {
                    if let Some(opened) = &opened {
                        opened.mask(&mut response, outbound.max_response_bytes, self.bodies.room(outbound.tenant))?;
                    }
                    return Ok(response);
                }
                Step::Redirect(next) => {
                    check_redirect(&url, &next)?;
                    redirects = redirects.checked_sub(1).ok_or_else(|| too_many(&url, outbound.redirects))?;
                    let same_origin = target::same_origin(&url, &next);
                    if !same_origin
                        && let Some(opened) = &opened
                        && opened.stand_in(&next)?
                    {
                        let detail = format!(
                            "`{}` redirects to `{}` with a secret in the address, which is not followed",
                            target::label(&url),
                            target::label(&next)
                        );
                        return Err(Fault::new(Code::Redirects, detail));
                    }
                    own_origin &= same_origin;
                    url = next;
                }
            }
        }
    }
}

async fn exchange(
    way: Way<'_>,
    outbound: &Outbound<'_>,
    streams: &mut Streams<'_>,
    method: &Method,
    url: Url,
    own_origin: bool,
) -> Result<Step, Fault> {
    // Its connection is counted as in use until the answer is there.
    let Way { client, keeping: _keeping, room } = way;
    let follows = outbound.redirects > 0 && matches!(*method, Method::GET | Method::HEAD);
    let label = target::label(&url);
    let mut request = reqwest::Request::new(method.clone(), url);
    *request.headers_mut() = message::request_headers(&outbound.request.headers, own_origin)?;
    if own_origin && let Some(trace) = outbound.trace {
        message::trace(request.headers_mut(), trace);
    }
    match &streams.upload {
        _ if !own_origin => {}
        Some(upload) => *request.body_mut() = Some(upload.body()),
        None if outbound.request.body.is_empty() => {}
        None => *request.body_mut() = Some(outbound.request.body.clone().into()),
    }
    let response = client.execute(request).await.map_err(|error| fault::of_client(error, &label))?;
    if follows && let Some(next) = redirect_of(&response)? {
        return Ok(Step::Redirect(next));
    }
    let sink = streams.sink.as_deref_mut();
    message::receive(response, method, outbound.max_response_bytes, room, &label, sink).await.map(Step::Answer)
}

/// Where a response sends on to. A redirect that names no place is an answer like any other.
fn redirect_of(response: &Response) -> Result<Option<Url>, Fault> {
    let redirects = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let Some(location) = response.headers().get(LOCATION).filter(|_| redirects) else { return Ok(None) };
    let next = std::str::from_utf8(location.as_bytes()).ok().and_then(|location| response.url().join(location).ok());
    let invalid = || Fault::new(Code::Url, format!("`{}` redirects to something that is no URL", target::label(response.url())));
    next.map(Some).ok_or_else(invalid)
}

/// What was asked for under TLS is not fetched without: whoever sits on the way could read the question and make up the answer.
fn check_redirect(from: &Url, to: &Url) -> Result<(), Fault> {
    if from.scheme() == "https" && to.scheme() == "http" {
        let detail = format!("`{}` redirects from https to http at `{}`, which is not followed", target::label(from), target::label(to));
        return Err(Fault::new(Code::Redirects, detail));
    }
    Ok(())
}

fn too_many(url: &Url, allowed: u8) -> Fault {
    let detail = format!("`{}` redirects again after {allowed} redirects were followed", target::label(url));
    Fault::new(Code::Redirects, detail).of_limit(allowed.into(), Some(u64::from(allowed) + 1))
}

fn timed_out(url: &Url, timeout: Duration) -> Fault {
    Fault::new(Code::Timeout, format!("`{}` timed out: no whole answer within {timeout:?}", target::label(url)))
}

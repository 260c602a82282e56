//! From a name to the addresses that a policy lets a connection try.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve};
use snaphook_model::{Code, Fault};
use snaphook_shares::{Holder, Places};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::{address, fault};

/// The addresses of a name, in the order in which to try them.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Finds the addresses of names. A trait so that tests can hold what a name means.
pub trait Resolver: Send + Sync + 'static {
    /// Starts to resolve a name. May take as long as it likes: the caller stops waiting.
    fn resolve(&self, name: &str) -> Resolving;
}

/// The system's own resolution, with its hosts file, search domains and name services: a name means what it means to every other program of the machine.
///
/// It occupies a thread per question and cannot be stopped, so the number of questions at once is bounded, and a question whose asker has
/// gone counts until it has ended.
pub struct SystemResolver {
    questions: Arc<Semaphore>,
}

/// A quarter of the threads that the runtime keeps for blocking work: names that nobody answers for leave the rest of the node its threads.
pub(crate) const MAX_QUESTIONS: usize = 128;

impl Default for SystemResolver {
    fn default() -> Self {
        Self { questions: Arc::new(Semaphore::new(MAX_QUESTIONS)) }
    }
}

impl Resolver for SystemResolver {
    fn resolve(&self, name: &str) -> Resolving {
        let (name, questions) = (name.to_owned(), self.questions.clone());
        Box::pin(async move {
            let permit = questions.acquire_owned().await.map_err(io::Error::other)?;
            let question = move || {
                let answer = (name.as_str(), 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect());
                drop(permit);
                answer
            };
            // In a task of its own: a guest asks on a thread that makes way, and so would one that is started there, long after the question.
            let asked = tokio::spawn(async { tokio::task::spawn_blocking(question).await });
            asked.await.flatten().map_err(io::Error::other)?
        })
    }
}

tokio::task_local! {
    /// On whose behalf names are resolved. The HTTP client asks in the task of the request that needs the answer, and knows no tenants.
    pub(crate) static ASKER: Holder;
}

/// What the HTTP client asks: gives only addresses that were checked, so no others are ever connected to.
pub(crate) struct Checked {
    pub(crate) resolver: Arc<dyn Resolver>,
    /// Bounds the names under way at once, of all tenants and of one.
    pub(crate) names: Arc<Places>,
    /// Special networks that are allowed all the same.
    pub(crate) allowed: Arc<[IpNet]>,
    pub(crate) timeout: Duration,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> reqwest::dns::Resolving {
        let place = ASKER.try_with(|asker| self.names.take(*asker, 1)).ok();
        let (resolver, allowed, timeout) = (self.resolver.clone(), self.allowed.clone(), self.timeout);
        Box::pin(async move {
            let deadline = Instant::now() + timeout;
            let place = match place {
                None => None,
                Some(place) => match timeout_at(deadline, place).await {
                    Ok(place) => Some(place),
                    Err(_) => {
                        let detail = format!(
                            "`{}` was not resolved: other names do not answer and hold the places that this tenant may have",
                            name.as_str()
                        );
                        return Err(stop(Code::Dns, detail));
                    }
                },
            };
            let question = name.as_str().to_owned();
            // A question that has begun counts until it has ended, also when its asker has gone: a thread may be at it.
            let asked = tokio::spawn(async move {
                let answer = resolver.resolve(&question).await;
                drop(place);
                answer
            });
            let answer = async { asked.await.map_err(io::Error::other)? };
            let found = match timeout_at(deadline, answer).await {
                Ok(Ok(found)) if !found.is_empty() => found,
                Ok(Ok(_)) => return Err(stop(Code::Dns, format!("`{}` has no address", name.as_str()))),
                Ok(Err(error)) => {
                    tracing::debug!(name = name.as_str(), %error, "name does not resolve");
                    return Err(stop(Code::Dns, format!("`{}` does not resolve", name.as_str())));
                }
                Err(_) => return Err(stop(Code::Dns, format!("`{}` did not resolve within {timeout:?}", name.as_str()))),
            };
            let checked = allowed_of(name.as_str(), &found, &allowed).map_err(fault::Stopped)?;
            // The port is the URL's.
            Ok(Box::new(checked.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

/// Those of a name's addresses that may be tried, in their order.
fn allowed_of(name: &str, found: &[IpAddr], allowed: &[IpNet]) -> Result<Vec<IpAddr>, Fault> {
    let mut refused = None;
    let mut checked = Vec::with_capacity(found.len());
    for &address in found {
        match address::check(address, allowed) {
            Ok(address) if checked.contains(&address) => {}
            Ok(address) => checked.push(address),
            Err(special) => refused = refused.or(Some(special)),
        }
    }
    match refused {
        Some(special) if checked.is_empty() => Err(fault::refused_name(name, special)),
        _ => Ok(checked),
    }
}

fn stop(code: Code, detail: String) -> Box<dyn std::error::Error + Send + Sync> {
    Box::new(fault::Stopped(Fault::new(code, detail)))
}

//! Names of the sandbox and of egress, as they are agreed on.

use snaphook_model::*;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
pub struct Program;
#[derive(Clone)]
pub struct Sandbox;
impl Sandbox {
    pub async fn invoke(&self, _p: &Program, _i: Invocation) -> Outcome {
        std::future::pending().await
    }
}
pub struct Invocation {
    pub input: HookInput,
    pub context: Context,
    pub limits: Limits,
    pub deadline: Option<Instant>,
    pub variables: Arc<Variables>,
    pub http: Option<Arc<dyn GuestHttp>>,
}
pub trait GuestHttp: Send + Sync {
    fn start(&self, request: HttpRequest) -> Pin<Box<dyn Future<Output = Result<HttpResponse, Fault>> + Send>>;
}
pub struct Outcome {
    pub result: Result<Decision, Fault>,
    pub usage: Usage,
    pub logs: Vec<LogEntry>,
    pub writes: Vec<VariableWrite>,
    pub duration_us: u64,
    pub started_at: jiff::Timestamp,
}
pub struct Egress;
pub struct Outbound<'a> {
    pub tenant: &'a TenantName,
    pub request: HttpRequest,
    pub policy: &'a EgressPolicy,
    pub timeout: Duration,
    pub max_response_bytes: u64,
    pub redirects: u8,
}
impl Egress {
    pub async fn send(&self, _r: Outbound<'_>) -> Result<HttpResponse, Fault> {
        std::future::pending().await
    }
}

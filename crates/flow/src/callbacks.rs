//! Callbacks on their way through the store: an upstream may repeat in one what it was sent, so they lie there sealed until their run hears them.

use snaphook_egress::Egress;
use snaphook_model::{Callback, Code, CorrelationId, Fault, TenantName};
use snaphook_store::KeptCallback;

use crate::runner::Inner;

/// A callback as the store is to keep it.
///
/// # Errors
/// `internal` when the system's random source does not work.
pub(crate) fn kept(inner: &Inner, tenant: &TenantName, id: &CorrelationId, callback: &Callback) -> Result<KeptCallback, Fault> {
    if inner.config.plain_callbacks_until.is_some_and(|until| inner.parts.clock.now() < until) {
        return Ok(KeptCallback::Plain(callback.clone()));
    }
    let written = rmp_serde::to_vec_named(callback).map_err(|error| internal(&error))?;
    inner.parts.egress.seal_callback(tenant, id, &written).map(KeptCallback::Sealed)
}

/// The callback that was kept so.
///
/// # Errors
/// `internal` for one that does not open, or that is another tenant's or run's.
pub(crate) fn opened(egress: &Egress, tenant: &TenantName, id: &CorrelationId, kept: KeptCallback) -> Result<Callback, Fault> {
    match kept {
        KeptCallback::Plain(callback) => Ok(callback),
        KeptCallback::Sealed(sealed) => {
            let written = egress.open_callback(tenant, id, &sealed)?;
            rmp_serde::from_slice(&written).map_err(|error| internal(&error))
        }
    }
}

fn internal(error: &(dyn std::error::Error + 'static)) -> Fault {
    tracing::error!(error, "a callback has another form");
    Fault::new(Code::Internal, "internal error")
}

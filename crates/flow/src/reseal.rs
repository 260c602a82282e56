//! Seals everything anew that is sealed under another key than the one that seals now.

use std::collections::BTreeMap;

use snaphook_egress::{Vault, callback_label, field_label, token_label, verifier_label};
use snaphook_model::{Fault, SealedSecret, TenantName};
use snaphook_store::{PageRequest, Store, StoredConnection};

use crate::record::store_fault;

/// A page of a list.
const PAGE: u32 = 100;

/// What one walk through the database did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Secrets, connections, authorizations and callbacks that are sealed under the new key now.
    pub done: u64,
    /// Those that others changed at the same moment; the next walk looks at them again.
    pub missed: u64,
}

impl Resealed {
    fn count(&mut self, done: bool) {
        if done { self.done += 1 } else { self.missed += 1 }
    }
}

/// Walks through all tenants. What is sealed under the vault's sealing key already is not touched, so a walk that is broken off is just begun again.
///
/// # Errors
/// `store-unavailable` when the store does not answer, `internal` for what does not open under the vault's keys.
pub async fn reseal_all(store: &dyn Store, vault: &Vault) -> Result<Resealed, Fault> {
    let mut resealed = Resealed::default();
    let mut page = PageRequest::first(PAGE);
    loop {
        let tenants = store.tenants(&page).await.map_err(store_fault)?;
        for tenant in &tenants.items {
            secrets(store, vault, &tenant.name, &mut resealed).await?;
            connections(store, vault, &tenant.name, &mut resealed).await?;
            authorizations(store, vault, &tenant.name, &mut resealed).await?;
            callbacks(store, vault, &tenant.name, &mut resealed).await?;
        }
        match tenants.next {
            Some(next) => page.after = Some(next),
            None => return Ok(resealed),
        }
    }
}

async fn secrets(store: &dyn Store, vault: &Vault, tenant: &TenantName, resealed: &mut Resealed) -> Result<(), Fault> {
    let mut page = PageRequest::first(PAGE);
    loop {
        let listed = store.secrets(tenant, &page).await.map_err(store_fault)?;
        for name in listed.items.into_iter().map(|secret| secret.name) {
            let Some(sealed) = store.secret(tenant, &name).await.map_err(store_fault)? else { continue };
            if let Some(new) = vault.reseal(tenant, name.as_str(), &sealed)? {
                resealed.count(store.reseal_secret(tenant, &name, (&sealed, &new)).await.map_err(store_fault)?);
            }
        }
        match listed.next {
            Some(next) => page.after = Some(next),
            None => return Ok(()),
        }
    }
}

async fn connections(store: &dyn Store, vault: &Vault, tenant: &TenantName, resealed: &mut Resealed) -> Result<(), Fault> {
    let mut page = PageRequest::first(PAGE);
    loop {
        let listed = store.connections(tenant, &page).await.map_err(store_fault)?;
        for stored in listed.items {
            if let Some((fields, token)) = connection(vault, tenant, &stored)? {
                let put = store.reseal_connection(tenant, &stored.name, stored.revision, (&fields, token.as_ref()));
                resealed.count(put.await.map_err(store_fault)?);
            }
        }
        match listed.next {
            Some(next) => page.after = Some(next),
            None => return Ok(()),
        }
    }
}

type Seals = (BTreeMap<String, SealedSecret>, Option<SealedSecret>);

/// A connection's fields and token with other seals; none where all are as they should be.
fn connection(vault: &Vault, tenant: &TenantName, stored: &StoredConnection) -> Result<Option<Seals>, Fault> {
    let name = stored.name.as_str();
    let (mut fields, mut token) = (stored.sealed.clone(), stored.token.clone());
    for (field, sealed) in &mut fields {
        if let Some(new) = vault.reseal(tenant, &field_label(name, field), sealed)? {
            *sealed = new;
        }
    }
    if let Some(sealed) = &mut token
        && let Some(new) = vault.reseal(tenant, &token_label(name), sealed)?
    {
        *sealed = new;
    }
    Ok((fields != stored.sealed || token != stored.token).then_some((fields, token)))
}

async fn authorizations(store: &dyn Store, vault: &Vault, tenant: &TenantName, resealed: &mut Resealed) -> Result<(), Fault> {
    let mut after = String::new();
    loop {
        let found = store.authorizations(tenant, &after).await.map_err(store_fault)?;
        let Some((last, _)) = found.last() else { return Ok(()) };
        after.clone_from(last);
        for (state, authorization) in found {
            let sealed = &authorization.verifier;
            if let Some(new) = vault.reseal(tenant, &verifier_label(authorization.connection.as_str()), sealed)? {
                resealed.count(store.reseal_authorization(tenant, &state, (sealed, &new)).await.map_err(store_fault)?);
            }
        }
    }
}

/// Those that no run has heard yet. Of all others nothing is kept, so that there are few, however many runs wait.
async fn callbacks(store: &dyn Store, vault: &Vault, tenant: &TenantName, resealed: &mut Resealed) -> Result<(), Fault> {
    let mut after = String::new();
    loop {
        let found = store.sealed_callbacks(tenant, &after).await.map_err(store_fault)?;
        let Some((last, _)) = found.last() else { return Ok(()) };
        after.clone_from(&last.0);
        for (id, sealed) in found {
            if let Some(new) = vault.reseal(tenant, &callback_label(&id), &sealed)? {
                resealed.count(store.reseal_callback(tenant, &id, (&sealed, &new)).await.map_err(store_fault)?);
            }
        }
    }
}

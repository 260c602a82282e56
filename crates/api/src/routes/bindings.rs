//! Bindings of a document that is about to be stored: each is checked and pinned.

use std::collections::HashMap;

use snaphook_model::{Binding, Code, Fault, Hook, Invalid, Name, ScriptVersion, TenantName};
use snaphook_store::{ScriptPin, Store};

use crate::problem::Problem;

/// Looks up versions once per document, however often they are bound.
pub(crate) struct Pinner<'a> {
    store: &'a dyn Store,
    tenant: &'a TenantName,
    known: HashMap<(Name, Option<u32>), ScriptVersion>,
    pins: Vec<ScriptPin>,
}

impl<'a> Pinner<'a> {
    pub(crate) fn new(store: &'a dyn Store, tenant: &'a TenantName) -> Self {
        Self { store, tenant, known: HashMap::new(), pins: Vec::new() }
    }

    /// Fills in the latest version where none is given, and refuses one that does not exist or lacks the hook.
    pub(crate) async fn pin(&mut self, place: String, hook: Hook, binding: &mut Binding) -> Result<(), Problem> {
        let version = self.version(&place, binding).await?;
        if !version.hooks.contains(hook) {
            let has = match version.hooks.iter().map(Hook::as_str).collect::<Vec<_>>().join(", ") {
                none if none.is_empty() => "none and is there to be imported".to_owned(),
                some => some,
            };
            let detail = format!("version {} of script `{}` has no `{hook}`; it has {has}", version.version, version.name);
            return Err(Fault::new(Code::ScriptNoHook, detail).in_field(place).into());
        }
        binding.version = Some(version.version);
        self.pins.push(ScriptPin { place, script: binding.script.clone(), version: version.version });
        Ok(())
    }

    /// Everything that was pinned.
    pub(crate) fn pins(self) -> Vec<ScriptPin> {
        self.pins
    }

    async fn version(&mut self, place: &str, binding: &Binding) -> Result<ScriptVersion, Problem> {
        let key = (binding.script.clone(), binding.version);
        if let Some(version) = self.known.get(&key) {
            return Ok(version.clone());
        }
        let found = match binding.version {
            Some(number) => self.store.version(self.tenant, &binding.script, number).await?,
            None => self.store.latest_version(self.tenant, &binding.script).await?,
        };
        let version = found.ok_or_else(|| match binding.version {
            Some(number) => Invalid::new(format!("{place}.version"), format!("script `{}` has no version {number}", binding.script)),
            None => Invalid::new(format!("{place}.script"), format!("there is no script `{}`", binding.script)),
        })?;
        self.known.insert(key, version.clone());
        Ok(version)
    }
}

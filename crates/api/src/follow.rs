//! What other nodes change: forgotten here, so that the next request reads it anew.

use std::collections::HashSet;
use std::time::Duration;

use snaphook_model::TenantName;
use snaphook_store::{Changes, Notice};

use crate::front::Api;

/// Changes are gathered for this long: to forget is to look at everything that is kept, which costs the same for one tenant as for many.
const GATHER: Duration = Duration::from_millis(20);

/// Whose things to forget.
#[derive(Debug, Default)]
struct Changed {
    tenants: HashSet<TenantName>,
    /// Notices were lost, so it may be anybody's.
    all: bool,
}

impl Changed {
    fn add(&mut self, notice: Notice) {
        match notice {
            Notice::Changed(tenant) => {
                self.tenants.insert(tenant);
            }
            Notice::Missed => self.all = true,
            Notice::Queued(_) => {}
        }
    }

    fn has(&self, tenant: &TenantName) -> bool {
        self.all || self.tenants.contains(tenant)
    }

    fn is_empty(&self) -> bool {
        !self.all && self.tenants.is_empty()
    }
}

impl Api {
    /// Forgets what other nodes change, until the store is closed. For one task of the node's; `changes` is to be asked for before the first
    /// request, so that nothing is kept of which a change would not be heard.
    pub async fn follow(self, mut changes: Changes) {
        while let Some(notice) = changes.next().await {
            let mut changed = Changed::default();
            changed.add(notice);
            if changed.is_empty() {
                continue;
            }
            let gather = async {
                while let Some(notice) = changes.next().await {
                    changed.add(notice);
                }
            };
            // The time is up, or the store is closed.
            let _ = tokio::time::timeout(GATHER, gather).await;
            self.forget(&changed);
        }
    }

    /// In the order in which things are made of each other: what is made anew meanwhile is made of what is new.
    fn forget(&self, changed: &Changed) {
        let core = &self.core;
        core.programs.forget_of(&|tenant| changed.has(tenant));
        core.definitions.forget_of(&|tenant| changed.has(tenant));
        core.auth.forget_of(&|tenant| changed.has(tenant));
    }
}

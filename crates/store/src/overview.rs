//! Runs as a whole: how many ended how, and what they cost.

use std::collections::HashMap;

use jiff::Timestamp;
use snaphook_model::{Name, RunCost, RunStatus, TenantName};

use crate::StoreFuture;

/// Which runs an overview is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverviewRequest {
    /// Edges of the buckets, oldest first. A bucket holds the runs that were asked for from one edge on and before the next; a run that waited for
    /// its time counts where it was asked for.
    pub edges: Vec<Timestamp>,
    /// Absent: all of them.
    pub of: Option<RunsOf>,
    /// The tenant's limit, for [`RunCost::of`].
    pub wall_ms: u64,
}

/// Runs of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunsOf {
    /// Of this flow.
    Flow(Name),
    /// Direct calls of this `connector/endpoint`.
    Call(String),
}

/// The runs between two edges.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OverviewBucket {
    /// How many there are, by where they are. What is absent is none.
    pub runs: HashMap<RunStatus, u64>,
    /// The newest of them, as many as were looked at.
    pub costs: Vec<RunCost>,
    /// For how many runs each of these stands: 1 where all of them were looked at.
    pub weight: f64,
    /// Whether not all of them were looked at. Then `costs` are some of them, and of a flow or an endpoint `runs` is an estimate; that of all runs is
    /// one only where there are hundreds of thousands.
    pub sampled: bool,
}

/// Overviews of a tenant's runs.
pub trait OverviewStore: Send + Sync {
    /// One bucket for every two edges that follow one another. Looks at a bounded number of rows, whatever there is.
    fn overview<'a>(&'a self, tenant: &'a TenantName, request: &'a OverviewRequest) -> StoreFuture<'a, Vec<OverviewBucket>>;
}

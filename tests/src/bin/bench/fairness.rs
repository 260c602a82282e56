//! A quiet tenant's latency beside neighbours who take all they can.

use std::time::Duration;

use snaphook_tests::NodeProcess;
use snaphook_tests::neighbours::{self, Neighbour};

use crate::Paths;
use crate::calls::Peer;
use crate::table::Table;

/// The 99th percentile of a quiet tenant's calls beside each neighbour, as a multiple of the one alone.
pub(crate) async fn beside_neighbours(paths: &Paths, table: &mut Table) {
    let upstream = Peer::start("upstream", "");
    let duration = if paths.quick { Duration::from_secs(1) } else { Duration::from_secs(10) };
    for neighbour in Neighbour::ALL {
        let node = NodeProcess::start(&paths.snaphook);
        let [alone, beside] = neighbours::beside(&node, &format!("http://{}", upstream.address), neighbour, duration, 1).await;
        let failed: usize = alone.iter().chain(&beside).map(|quiet| quiet.failed.len()).sum();
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        let (before, after) = (millis(neighbours::median(&alone, 99)), millis(neighbours::median(&beside, 99)));
        let what =
            format!("quiet tenant's p99 beside {} ({failed} calls failed; {before:.2} ms alone, {after:.2} ms beside)", neighbour.words());
        // A call that failed was not answered at all.
        let ratio = if failed == 0 { after / before } else { f64::INFINITY };
        table.at_most(&what, ratio, 2.0, "×");
    }
}

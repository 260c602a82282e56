//! The nodes of the chaos test, and what happens to them.

use std::time::{Duration, Instant};

use snaphook_testkit::Link;
use snaphook_testkit::postgres::Cluster;
use snaphook_tests::{NodeOptions, NodeProcess};

use super::Chance;
use crate::support::node;

/// Nodes that share a database.
const NODES: usize = 3;

/// Kills of one that is alone, at least: it is under load before each of them.
const KILLS: u32 = 6;

/// Clients may need so much longer until enough was accepted.
const LONGER: Duration = Duration::from_secs(120);

/// Nodes under load, which are killed and whose links are cut.
pub(super) struct Disturbed {
    pub(super) nodes: Vec<NodeProcess>,
    /// From each node to the database; none where that is in the data directory.
    links: Vec<Link>,
    /// Kills, cuts and outages that have to happen, also where the machine is slow.
    at_least: [u32; 3],
    /// A killed node stays away for less than so long.
    away_ms: u64,
}

impl Disturbed {
    /// Three nodes on one PostgreSQL, each with a link of its own to it. While one is away, its leases run out and the others go on.
    pub(super) fn three_on_postgres() -> Self {
        let cluster = Cluster::shared();
        let url = cluster.database();
        let links: Vec<_> = (0..NODES).map(|_| Link::to(cluster.address())).collect();
        let options = links.iter().map(|link| NodeOptions::on(cluster.through(&url, link)).at_a_fixed_address());
        let nodes = options.map(|options| NodeProcess::start_with(node(), options)).collect();
        Self { nodes, links, at_least: [1; 3], away_ms: 3_000 }
    }

    /// One node on SQLite. Nothing goes on while it is away, so it soon is back.
    pub(super) fn one_on_sqlite() -> Self {
        let nodes = vec![NodeProcess::start_with(node(), NodeOptions::default().at_a_fixed_address())];
        Self { nodes, links: Vec::new(), at_least: [KILLS, 0, 0], away_ms: 300 }
    }

    /// Kills nodes and cuts links, one after another, until the time is up; says how often each. On a slow machine it goes on until each of them
    /// has happened as often as it has to, and clients have had enough accepted.
    pub(super) async fn disturb(&mut self, chance: &Chance, seconds: u64, enough: impl Fn() -> bool) -> [u32; 3] {
        let (begun, mut done) = (Instant::now(), [0_u32; 3]);
        let planned = Duration::from_secs(seconds);
        while begun.elapsed() < planned
            || done.iter().zip(self.at_least).any(|(done, at_least)| *done < at_least)
            || (!enough() && begun.elapsed() < planned + LONGER)
        {
            chance.pause(300, 1_500).await;
            let which = usize::try_from(chance.below(self.nodes.len() as u64)).unwrap();
            let what = if self.links.is_empty() { 0 } else { usize::try_from(chance.below(3)).unwrap() };
            match what {
                0 => self.kill(which, chance).await,
                1 => self.links[which].cut(),
                _ => {
                    self.links[which].take_down();
                    chance.pause(100, 2_500).await;
                    self.links[which].mend();
                }
            }
            done[what] += 1;
        }
        done
    }

    async fn kill(&mut self, which: usize, chance: &Chance) {
        let node = &mut self.nodes[which];
        node.kill();
        chance.pause(1, self.away_ms).await;
        // The process is waited for, and what goes on meanwhile is on other threads.
        tokio::task::block_in_place(|| node.restart());
    }
}

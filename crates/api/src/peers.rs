//! Who has how many of the connections, so that one peer does not have them all.
//!
//! A peer is an address, and of IPv6 the network that one customer is given: nobody has more of those at will. Behind a balancer all clients are one
//! peer, for which its part is enough: it is more than the requests that a node takes at once, and connections that idle are given up before it is full.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use snaphook_shares::{Ledger, Part};

/// A peer whose room is less than this part of all connections keeps none that it does not use: one alone comes to that at three quarters of its half.
const SCARCE: u64 = 8;

/// The connections that there are.
#[derive(Debug)]
pub(crate) struct Peers {
    /// Held for a look-up.
    taken: Mutex<Ledger<IpAddr>>,
}

/// A connection of a peer's, given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat(Holder);

/// Who holds a connection. Whatever outlives the connection may have one, since it gives nothing back.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    peers: Arc<Peers>,
    peer: IpAddr,
}

impl Peers {
    /// For so many connections at once.
    pub(crate) fn new(connections: usize) -> Arc<Self> {
        Arc::new(Self { taken: Mutex::new(Ledger::new(connections as u64, Part::HALF)) })
    }

    /// A connection for a peer; none when it has its part.
    pub(crate) fn seat(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let peer = network(address);
        self.taken().take(&peer, 1).then(|| Seat(Holder { peers: Arc::clone(self), peer }))
    }

    fn taken(&self) -> MutexGuard<'_, Ledger<IpAddr>> {
        // Nothing that runs under the lock can leave it half changed.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Whose it is.
    pub(crate) fn holder(&self) -> Holder {
        self.0.clone()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.peers.taken().give_back(&self.0.peer, 1);
    }
}

impl Holder {
    /// Whether a connection is to end with the answer that it is at, since others, or others of this peer's, will want its place.
    pub(crate) fn is_to_end(&self) -> bool {
        let taken = self.peers.taken();
        taken.room(&self.peer) < taken.total() / SCARCE
    }
}

/// Whose an address is.
fn network(address: IpAddr) -> IpAddr {
    /// The part of an address of IPv6 that networks are told apart by.
    const NETWORK: u128 = !(u64::MAX as u128);
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

    use super::{Peers, Seat};

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// As many connections as a peer may have now.
    fn all_of(peers: &Arc<Peers>, peer: &str) -> Vec<Seat> {
        std::iter::from_fn(|| peers.seat(address(peer))).collect()
    }

    #[test]
    fn one_has_half_and_whoever_comes_finds_some() {
        let peers = Peers::new(64);
        let first = all_of(&peers, "192.0.2.1");
        let second = all_of(&peers, "192.0.2.2");
        let third = all_of(&peers, "192.0.2.3");
        assert_eq!([first.len(), second.len(), third.len()], [32, 16, 8]);
        drop(first);
        assert_eq!(all_of(&peers, "192.0.2.2").len(), 12, "what is free moves");
    }

    #[test]
    fn a_connection_is_to_end_when_little_is_left_to_its_peer() {
        let peers = Peers::new(64);
        let mut seats = Vec::new();
        while seats.last().is_none_or(|seat: &Seat| !seat.holder().is_to_end()) {
            seats.push(peers.seat(address("192.0.2.1")).expect("its part is not full"));
        }
        assert_eq!(seats.len(), 25, "three quarters of half, and one");
        let other = peers.seat(address("192.0.2.2")).expect("another's");
        assert!(!other.holder().is_to_end(), "who has little keeps it");
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer() {
        let peers = Peers::new(64);
        let first = all_of(&peers, "2001:db8::1");
        assert_eq!(first.len(), 32);
        assert!(peers.seat(address("2001:db8::2")).is_none());
        assert!(peers.seat(address("2001:db8:0:1::1")).is_some());
        let _mapped = all_of(&peers, "::ffff:192.0.2.1");
        assert!(peers.seat(address("192.0.2.1")).is_none(), "IPv4 by another way of writing");
    }
}

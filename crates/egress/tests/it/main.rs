//! Egress against upstreams on loopback: what leaves, where it goes, and what comes back of a good or a bad answer.

mod addresses;
mod answers;
mod connections;
mod failures;
mod names;
mod policy;
mod redirects;
mod requests;
mod streams;
mod support;

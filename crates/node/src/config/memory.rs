//! Who gets how much of the machine's memory, so that all of it together is less than there is.

use snaphook_compile::CompilerConfig;

/// What is given out by the machine's size, or by that of the control group when that is less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Given {
    /// For sandboxes and loaded programs.
    pub(crate) sandboxes: u64,
    /// For the bodies of upstreams' responses.
    pub(crate) responses: u64,
}

/// What no setting says: it comes from what the settings leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rest {
    /// For the bodies of requests.
    pub(crate) request_bodies: u64,
    /// Compile children at once.
    pub(crate) children: usize,
    /// For one of them.
    pub(crate) child: u64,
}

/// As much as bodies of requests and one child have where there is enough.
const REQUEST_BODIES: u64 = 256 << 20;
const CHILD: u64 = 512 << 20;
/// What a child comes along with for the scripts that people write; with less, one child is better than two.
const SMALL_CHILD: u64 = 256 << 20;
/// Less does not do for any script at all, however small the machine is.
const LEAST_CHILD: u64 = 128 << 20;

impl Given {
    /// Of a machine with so much memory, or one that does not say.
    pub(crate) fn of(machine: Option<u64>) -> Self {
        Self {
            sandboxes: machine.map_or(1 << 30, |bytes| bytes / 2),
            // Never less than what two tenants' largest answers of the default limit take while they arrive.
            responses: machine.map_or(256 << 20, |bytes| bytes / 8).max(64 << 20),
        }
    }

    /// What is left for the others, of whom the node itself has a sixteenth: its code, caches and connections. So many children are as many as the cores
    /// have use for.
    pub(crate) fn rest(self, machine: Option<u64>, most_children: usize) -> Rest {
        let Some(machine) = machine else { return Rest { request_bodies: REQUEST_BODIES, children: most_children, child: CHILD } };
        let request_bodies = (machine / 16).min(REQUEST_BODIES);
        let left = machine.saturating_sub(self.sandboxes).saturating_sub(self.responses).saturating_sub(request_bodies + machine / 16);
        let children = if left >= 2 * CHILD {
            usize::try_from(left / CHILD).unwrap_or(usize::MAX).min(most_children)
        } else if left >= 2 * SMALL_CHILD {
            most_children.min(2)
        } else {
            1
        };
        let children = children.max(1);
        Rest { request_bodies, children, child: (left / children as u64).clamp(LEAST_CHILD, CHILD) }
    }
}

impl Rest {
    /// Where nobody has looked at the machine.
    const UNKNOWN: Self = Self { request_bodies: REQUEST_BODIES, children: 2, child: CHILD };

    /// The same for the compiler.
    pub(crate) fn compiler(self, config: CompilerConfig) -> CompilerConfig {
        CompilerConfig { memory_bytes: self.child, children: self.children, ..config }
    }
}

impl Default for Rest {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

#[cfg(test)]
mod tests {
    use super::{CHILD, Given, REQUEST_BODIES, Rest};

    const GIB: u64 = 1 << 30;

    fn rest(machine: u64, cores: usize) -> (Given, Rest) {
        let given = Given::of(Some(machine));
        (given, given.rest(Some(machine), cores.max(2) + 1))
    }

    #[test]
    fn all_together_is_less_than_there_is() {
        for machine in (4..=256).map(|quarters| quarters * GIB / 4) {
            for cores in [1, 2, 4, 16, 64, 256] {
                let (given, rest) = rest(machine, cores);
                let together = given.sandboxes + given.responses + rest.request_bodies + rest.children as u64 * rest.child;
                assert!(together <= machine - machine / 16, "{machine} bytes, {cores} cores: {given:?} and {rest:?}");
                assert!(rest.children >= 1 && rest.child >= 256 << 20, "{machine} bytes, {cores} cores: {rest:?}");
            }
        }
    }

    #[test]
    fn where_there_is_enough_nobody_has_less_than_its_best() {
        assert_eq!(rest(8 * GIB, 2).1, Rest { request_bodies: REQUEST_BODIES, children: 3, child: CHILD });
        assert_eq!(rest(64 * GIB, 16).1, Rest { request_bodies: REQUEST_BODIES, children: 17, child: CHILD });
        assert_eq!(Given::of(None).rest(None, 3), Rest { request_bodies: REQUEST_BODIES, children: 3, child: CHILD });
    }

    #[test]
    fn small_machines_have_fewer_and_smaller_children() {
        assert_eq!(rest(GIB, 2).1, Rest { request_bodies: 64 << 20, children: 1, child: 256 << 20 });
        assert_eq!(rest(2 * GIB, 2).1, Rest { request_bodies: 128 << 20, children: 2, child: 256 << 20 });
        assert_eq!(rest(4 * GIB, 2).1, Rest { request_bodies: 256 << 20, children: 2, child: 512 << 20 });
    }

    #[test]
    fn what_an_operator_gives_to_sandboxes_is_not_given_twice() {
        let given = Given { sandboxes: 6 * GIB, responses: GIB };
        assert_eq!(given.rest(Some(8 * GIB), 3), Rest { request_bodies: REQUEST_BODIES, children: 1, child: 256 << 20 });
        assert_eq!(Given { sandboxes: 9 * GIB, ..given }.rest(Some(8 * GIB), 3).children, 1, "nothing is left");
    }
}

//! Files, ports and signals, by landlock.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus, NetPort, RestrictionStatus, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, make_bitflags, path_beneath_rules,
};

use crate::{Allowed, InForce};

/// The newest set of rules that the tests have seen in force. What an older kernel lacks of it is left out and said.
const RULES: ABI = ABI::V7;

/// In a directory of its own, a process makes files, links and further directories; nothing else.
const WRITE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | MakeSym | RemoveFile | RemoveDir | Refer
});

pub(crate) fn confine(allowed: &Allowed) -> InForce {
    // Without this right in the kernel, a process that is confined links no file from one directory to another, its own neither.
    if Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(AccessFs::Refer).is_err() {
        return InForce::missing("landlock of Linux 5.19, so files, ports and signals are not confined".to_owned());
    }
    let restricted = || -> Result<RestrictionStatus, RulesetError> {
        let ports = allowed.listen.iter().map(|&port| Ok::<_, RulesetError>(NetPort::new(port, AccessNet::BindTcp)));
        handled(AccessNet::BindTcp.into())?
            .create()?
            .add_rules(path_beneath_rules(&allowed.read, AccessFs::ReadFile | AccessFs::ReadDir))?
            .add_rules(path_beneath_rules(&allowed.write, WRITE))?
            .add_rules(path_beneath_rules(&allowed.run, AccessFs::ReadFile | AccessFs::Execute))?
            .add_rules(ports)?
            .restrict_self()
    };
    said(restricted(), "files", "the port to listen on")
}

/// Nothing at all.
pub(crate) fn close() -> InForce {
    let restricted = || -> Result<RestrictionStatus, RulesetError> { handled(AccessNet::from_all(RULES))?.create()?.restrict_self() };
    said(restricted(), "no files", "no connections")
}

/// What is forbidden unless a rule allows it.
fn handled(net: BitFlags<AccessNet>) -> Result<Ruleset, RulesetError> {
    Ruleset::default().handle_access(AccessFs::from_all(RULES))?.handle_access(net)?.scope(Scope::from_all(RULES))
}

fn said(restricted: Result<RestrictionStatus, RulesetError>, files: &str, ports: &str) -> InForce {
    let status = match restricted {
        Ok(status) => status,
        // What runs the process may forbid it to confine itself.
        Err(error) => return InForce::missing(format!("landlock, which is refused here: {error}")),
    };
    let mut in_force = InForce::default();
    if status.no_new_privs {
        in_force.stands.push("no new privileges".to_owned());
    } else {
        in_force.missing.push("a program may gain privileges when it is started".to_owned());
    }
    let release = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } if status.ruleset != RulesetStatus::NotEnforced => Some(effective_abi),
        _ => None,
    };
    describe(release, files, ports, &mut in_force);
    in_force
}

/// What landlock of a release holds, and what it does not.
fn describe(release: Option<ABI>, files: &str, ports: &str, in_force: &mut InForce) {
    let Some(release) = release else {
        in_force.missing.push(
            "landlock, so files, ports and signals are not confined: Linux 5.19 has what is needed of it, where `lsm=` names it".to_owned(),
        );
        return;
    };
    in_force.stands.push(files.to_owned());
    if release < ABI::V3 {
        in_force.missing.push("landlock of Linux 6.2, so files that may not be written may still be cut short".to_owned());
    }
    let parts = [
        (ABI::V4, ports, "landlock of Linux 6.7, so ports are not confined"),
        (ABI::V6, "no signals to others", "landlock of Linux 6.12, so signals are not confined"),
    ];
    for (since, stands, missing) in parts {
        if release >= since {
            in_force.stands.push(stands.to_owned());
        } else {
            in_force.missing.push(missing.to_owned());
        }
    }
}

/// What the kernel says it has. It does so to a thread that tries, and that ends at once.
pub(crate) fn offered() -> InForce {
    let tried = std::thread::spawn(|| confine(&Allowed::default())).join();
    tried.unwrap_or_else(|_| InForce::missing("landlock, which cannot be asked for"))
}

#[cfg(test)]
mod tests {
    use super::{ABI, InForce, describe};

    #[test]
    fn what_an_older_kernel_lacks_is_said() {
        let said = |release| {
            let mut in_force = InForce::default();
            describe(release, "files", "the port", &mut in_force);
            (in_force.stands.join(", "), in_force.missing.len())
        };
        assert_eq!(said(None), (String::new(), 1));
        assert_eq!(said(Some(ABI::V2)), ("files".to_owned(), 3));
        assert_eq!(said(Some(ABI::V3)), ("files".to_owned(), 2));
        assert_eq!(said(Some(ABI::V5)), ("files, the port".to_owned(), 1));
        assert_eq!(said(Some(ABI::V7)), ("files, the port, no signals to others".to_owned(), 0));
    }
}

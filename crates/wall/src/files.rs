//! Files, ports and signals, by landlock.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, RestrictionStatus, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, make_bitflags, path_beneath_rules,
};

use crate::{Allowed, InForce, WallError};

/// The newest set of rules that the tests have seen in force. What an older kernel lacks of it is left out and said.
const RULES: ABI = ABI::V7;

/// In a directory of its own, a process makes files, links and further directories; nothing else.
const WRITE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | MakeSym | RemoveFile | RemoveDir | Refer
});

pub(crate) fn confine(allowed: &Allowed) -> Result<InForce, WallError> {
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
    said(&restricted().map_err(failed)?, "files", "the port to listen on")
}

/// Nothing at all.
pub(crate) fn close() -> Result<InForce, WallError> {
    let restricted = || -> Result<RestrictionStatus, RulesetError> { handled(AccessNet::from_all(RULES))?.create()?.restrict_self() };
    said(&restricted().map_err(failed)?, "no files", "no connections")
}

/// What is forbidden unless a rule allows it.
fn handled(net: BitFlags<AccessNet>) -> Result<Ruleset, RulesetError> {
    Ruleset::default().handle_access(AccessFs::from_all(RULES))?.handle_access(net)?.scope(Scope::from_all(RULES))
}

fn said(status: &RestrictionStatus, files: &str, ports: &str) -> Result<InForce, WallError> {
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
    Ok(in_force)
}

/// What landlock of a release holds, and what it does not.
fn describe(release: Option<ABI>, files: &str, ports: &str, in_force: &mut InForce) {
    let Some(release) = release else {
        in_force
            .missing
            .push("landlock, so files, ports and signals are not confined: Linux 5.13 has it, where `lsm=` names it".to_owned());
        return;
    };
    let parts = [
        (ABI::V3, files, "landlock of Linux 6.2, so a file that may not be written may still be cut short"),
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
    match tried {
        Ok(Ok(in_force)) => in_force,
        _ => InForce { stands: Vec::new(), missing: vec!["landlock, which cannot be asked for".to_owned()] },
    }
}

fn failed(error: RulesetError) -> WallError {
    WallError::Failed(error.to_string())
}

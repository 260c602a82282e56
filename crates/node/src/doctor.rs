//! `snaphook doctor`: what a person would check by hand, with what to do about each finding.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use serde_json::json;
use snaphook_store::{Inspected, Objects, ObjectsPlaceError, PostgresOptions, PostgresStore, SqliteStore, StoreError};

use crate::cli::DoctorArgs;
use crate::config::Config;
use crate::node::Node;
use crate::problem::CliError;
use crate::tls::TlsFiles;
use crate::{agree, database, progress};

/// One check: fine, or not quite, or broken.
enum Finding {
    Good(String),
    Note(String),
    Bad(String),
}

pub(crate) async fn run(args: DoctorArgs) -> Result<(), CliError> {
    let mut findings = vec![kernel(), memory(), second_wall()];
    if args.data.data_dir.exists() {
        findings.push(rights(&args.data.data_dir));
        // A node on PostgreSQL has none there.
        if args.data.database.is_none() || args.data.data_dir.join("snaphook.db").exists() {
            findings.extend(own_database(&args.data.data_dir).await);
        }
    } else {
        findings.push(Finding::Note(format!("{} does not exist yet; the first start makes it", args.data.data_dir.display())));
    }
    let mut known = Vec::new();
    if let Some(url) = &args.data.database {
        let key_file = agree::key_file(args.data.secrets_key_file.as_deref(), &args.data.data_dir);
        findings.extend(shared_database(url, &key_file, &mut known).await);
    } else if let Ok(values) = SqliteStore::values(&args.data.data_dir, Objects::META).await {
        // Where it cannot be read, that was said above.
        known.extend(values);
    }
    findings.extend(objects(&args, &known).await);
    findings.extend(tls(&args).await);
    findings.push(progress::while_longer("starting a node for a trial", node_starts()).await);
    let broken = findings.iter().filter(|finding| matches!(finding, Finding::Bad(_))).count();
    if args.output.json {
        let found: Vec<_> = findings.iter().map(|finding| json!({"finding": finding.parts().0, "text": finding.parts().1})).collect();
        println!("{:#}", json!({"ok": broken == 0, "findings": found}));
    } else {
        findings.iter().map(Finding::parts).for_each(|(word, text)| println!("{word:5} {text}"));
    }
    match broken {
        0 => Ok(()),
        _ => Err(CliError::Start(format!("{broken} of {} checks found something broken", findings.len()))),
    }
}

impl Finding {
    /// The word that people and programs look for, and the rest.
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Good(text) => ("ok", text),
            Self::Note(text) => ("note", text),
            Self::Bad(text) => ("BAD", text),
        }
    }
}

/// The scan of written pages came with Linux 6.7 and makes a sandbox's end several times cheaper.
fn kernel() -> Finding {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or_default());
    let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    if version >= (6, 7) {
        Finding::Good(format!("kernel {release} tells which pages a sandbox wrote"))
    } else {
        Finding::Note(format!("kernel {release} is older than 6.7: sandboxes work, but each costs about three times as much"))
    }
}

fn memory() -> Finding {
    let budget = Config::defaults("./snaphook-data".into()).sandbox_memory_bytes >> 20;
    if budget >= 512 {
        Finding::Good(format!("{budget} MiB for sandboxes by default"))
    } else {
        Finding::Note(format!("only {budget} MiB for sandboxes by default; fewer invocations will run at once"))
    }
}

/// What a node would be confined by, and what this kernel lacks.
fn second_wall() -> Finding {
    let offered = snaphook_wall::offered();
    if offered.missing.is_empty() {
        Finding::Good(format!("the second wall is whole: {offered}"))
    } else {
        Finding::Note(format!("the second wall is not whole: {offered}"))
    }
}

fn rights(data_dir: &Path) -> Finding {
    let shown = data_dir.display();
    match std::fs::metadata(data_dir).map(|metadata| metadata.permissions().mode() & 0o077) {
        Ok(0) => Finding::Good(format!("{shown} is for its owner alone")),
        Ok(_) => Finding::Bad(format!("{shown} can be read by others: run `chmod 700 {shown}`")),
        Err(error) => Finding::Bad(format!("{shown} cannot be read: {error}")),
    }
}

async fn own_database(data_dir: &Path) -> Vec<Finding> {
    match SqliteStore::inspect(data_dir).await {
        Ok(damage) if damage.is_empty() => vec![Finding::Good("the database is sound".to_owned())],
        Ok(damage) => damage.into_iter().map(|text| Finding::Bad(format!("database: {text}"))).collect(),
        Err(error) => vec![Finding::Bad(crate::problem::chain(&error))],
    }
}

/// PostgreSQL, as a node of this machine would find it. Nothing is changed there.
async fn shared_database(url: &str, key_file: &Path, objects: &mut Vec<Option<String>>) -> Vec<Finding> {
    let [id, place] = Objects::META;
    let inspected = match PostgresStore::inspect(url, &PostgresOptions::default(), &[agree::SECRETS_KEY, id, place]).await {
        Ok(inspected) => inspected,
        Err(error) => return vec![Finding::Bad(crate::problem::chain(&error))],
    };
    let Inspected { address, version, findings, missing, mut values } = inspected;
    objects.extend(values.split_off(1));
    let mut all = vec![Finding::Good(format!("PostgreSQL {version} answers: {address}"))];
    match findings.is_empty() {
        true => all.push(Finding::Good("its version, rights and clock are as a node needs them".to_owned())),
        false => all.extend(findings.into_iter().map(|text| Finding::Bad(format!("database: {text}")))),
    }
    all.push(match missing {
        0 => Finding::Good("it is up to date with this release".to_owned()),
        _ => Finding::Note(format!("{missing} migrations have not run; the next start of a node runs them")),
    });
    all.push(match values.pop().flatten().map(|stands| agree::key_finding(&stands, key_file)) {
        None => Finding::Note("no node has started on this database yet; the first one says under which key secrets are sealed".to_owned()),
        Some(Ok(text)) => Finding::Good(text),
        Some(Err(text)) => Finding::Bad(text),
    });
    all
}

/// The place of objects: whether it can be used, and whether it is the one of the database, of which these values are known.
async fn objects(args: &DoctorArgs, known: &[Option<String>]) -> Vec<Finding> {
    let folder = SqliteStore::objects_folder(&args.data.data_dir);
    let place = match &args.objects {
        Some(url) => database::objects(Some(url)),
        // The first start makes it.
        None if args.data.database.is_some() || !folder.is_dir() => Ok(None),
        None => Objects::folder(&folder).map(Some).map_err(crate::node::start_error),
    };
    let value = |number: usize| known.get(number).and_then(Option::as_deref);
    let place = match place {
        Ok(Some(place)) => place,
        Ok(None) => {
            let elsewhere = value(1).map(|place| other_place(&ObjectsPlaceError::NotGiven { place: place.to_owned() }));
            return elsewhere.into_iter().collect();
        }
        Err(error) => return vec![Finding::Bad(error.to_string())],
    };
    let shown = place.place();
    if let Err(error) = place.probe().await {
        return vec![Finding::Bad(crate::problem::chain(&error))];
    }
    let usable = Finding::Good(format!("objects can be written, read and deleted in {shown}"));
    let belongs = match place.check([value(0), value(1)]).await {
        Ok(Some(())) => Finding::Good(format!("{shown} is where the database's objects are")),
        Ok(None) => Finding::Note(format!("no node has put the database's objects anywhere yet; the first one to start with {shown} does")),
        Err(StoreError::OtherObjects(why)) => other_place(&why),
        Err(error) => Finding::Bad(crate::problem::chain(&error)),
    };
    vec![usable, belongs].into_iter().chain(place.exposure().map(Finding::Note)).collect()
}

/// Fewer days than this are worth a word: what renews certificates does it about a month before.
const DAYS: i64 = 14;

/// The certificate of the front end, where one is named.
async fn tls(args: &DoctorArgs) -> Vec<Finding> {
    let files = match TlsFiles::named(args.tls_cert.as_deref(), args.tls_key.as_deref()) {
        Ok(Some(files)) => files,
        Ok(None) => return Vec::new(),
        Err(error) => return vec![Finding::Bad(error.to_string())],
    };
    let (identity, validity) = match files.read().await {
        Ok(read) => read,
        Err(why) => return vec![Finding::Bad(why)],
    };
    let file = files.certificate().display();
    let days = validity.days_left();
    let validity = match (validity.state(), days) {
        (Err(why), _) => Finding::Bad(format!("{file}: {why}")),
        (Ok(()), ..DAYS) => Finding::Note(format!("{file} is good for {days} more days; renew it, and a running node reads it by itself")),
        (Ok(()), _) => Finding::Good(format!("{file} is good for {days} more days")),
    };
    drop(identity);
    vec![Finding::Good(format!("{file} can be read, and the key is its own")), validity]
}

fn other_place(why: &ObjectsPlaceError) -> Finding {
    Finding::Bad(format!("{why}; {}", agree::place_advice(why)))
}

/// Starts a whole node in a temporary directory: interpreter, sandbox pool, database and listener.
async fn node_starts() -> Finding {
    // Nobody else's, and nobody can have made it before: compiled code is loaded from there.
    let directory = std::env::temp_dir().join(format!("snaphook-doctor-{}", snaphook_api::new_token()));
    if let Err(error) = DirBuilder::new().mode(0o700).create(&directory) {
        return Finding::Bad(format!("{} cannot be made: {error}", directory.display()));
    }
    let mut config = Config::defaults(directory.clone());
    config.listen = ([127, 0, 0, 1], 0).into();
    let finding = match Node::start(config).await {
        Ok(node) => {
            let slots = node.settings().slots;
            node.stop().await;
            Finding::Good(format!("a node starts, with {slots} invocations at once"))
        }
        Err(error) => Finding::Bad(format!("a node does not start: {error}")),
    };
    // What is left in a temporary directory does no harm.
    drop(std::fs::remove_dir_all(&directory));
    finding
}

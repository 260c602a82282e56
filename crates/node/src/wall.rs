//! What a node needs of its machine, as the configuration has it: everything else is given up before the first connection.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use snaphook_wall::{Allowed, InForce, Mode};
use url::Url;

use crate::config::Config;
use crate::node::start_error;
use crate::problem::CliError;

/// The kernel's own figures, chance, and what the C library reads to start a program and to look up a name.
const SYSTEM: [&str; 20] = [
    "/proc",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/sys/kernel/mm",
    "/dev/random",
    "/dev/urandom",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/passwd",
];

/// Where systems keep the certificates that they trust. Private keys lie elsewhere.
const ROOTS: [&str; 7] = [
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/ca-trust/extracted",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
];

/// Variables that name a file which those who connect to a database or to a storage read.
const NAMED: [&str; 6] = ["SSL_CERT_FILE", "SSL_CERT_DIR", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGPASSFILE"];
/// Variables that name a file which those who lend rights replace every few hours.
const REPLACED: [&str; 2] = ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"];
/// Parameters with such files in the URL of a database.
const IN_URL: [&str; 3] = ["sslrootcert", "sslcert", "sslkey"];

/// Confines this process to what the configuration names. It has one thread yet.
///
/// # Errors
/// When the wall is required and the kernel has not all of it, or a directory of the node's cannot be made.
pub(crate) fn raise(config: &Config) -> Result<InForce, CliError> {
    if config.second_wall != Mode::Off {
        // A rule is about what is there.
        for directory in own_directories(config) {
            make(&directory).map_err(|source| CliError::File { what: format!("cannot make {}", directory.display()), source })?;
        }
    }
    let in_force = snaphook_wall::confine(config.second_wall, &allowed(config)).map_err(start_error)?;
    if !in_force.missing.is_empty() {
        tracing::warn!("the second wall is not whole: {}", in_force.missing.join("; "));
    }
    Ok(in_force)
}

fn make(directory: &Path) -> std::io::Result<()> {
    if directory.is_dir() { Ok(()) } else { DirBuilder::new().recursive(true).mode(0o700).create(directory) }
}

/// The data directory, and the folder of objects where that is elsewhere.
fn own_directories(config: &Config) -> Vec<PathBuf> {
    let folder = config.objects.as_deref().and_then(|place| Url::parse(place).ok()).filter(|place| place.scheme() == "file");
    let folder = folder.and_then(|place| place.to_file_path().ok());
    [config.data_dir.clone()].into_iter().chain(folder).collect()
}

fn allowed(config: &Config) -> Allowed {
    let mut read: Vec<PathBuf> = SYSTEM.iter().chain(&ROOTS).map(PathBuf::from).collect();
    read.extend(resolver());
    read.extend(config.secrets_key_file.clone());
    read.extend(config.tls_cert.iter().chain(&config.tls_key).flat_map(|file| replaceable(file)));
    read.extend(NAMED.iter().filter_map(std::env::var_os).map(PathBuf::from));
    read.extend(REPLACED.iter().filter_map(std::env::var_os).flat_map(|file| replaceable(Path::new(&file))));
    read.extend(std::env::home_dir().map(|home| home.join(".pgpass")));
    read.extend(config.database_url.as_deref().map(of_database).unwrap_or_default());
    let mut write = own_directories(config);
    write.extend(linked(&config.data_dir));
    write.push("/dev/null".into());
    Allowed {
        read,
        write,
        run: itself(),
        listen: vec![config.listen.port()],
        local_servers: config.database_url.as_deref().is_some_and(is_local),
    }
}

/// Where links in the data directory lead: who has put a part of it on another disk means it to be used.
fn linked(data_dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data_dir).into_iter().flatten().flatten();
    let links = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
    links.filter_map(|link| link.path().canonicalize().ok()).collect()
}

/// What keeps the addresses of name servers up to date replaces the file, in a directory that is for such files alone.
fn resolver() -> Option<PathBuf> {
    let directory = Path::new("/etc/resolv.conf").canonicalize().ok()?.parent()?.to_owned();
    (directory != Path::new("/etc")).then_some(directory)
}

/// A file that others replace while the node runs: its directory, and that of what it is a link to. A rule stays with the file that was there.
fn replaceable(file: &Path) -> Vec<PathBuf> {
    let target = file.canonicalize().ok();
    let directories = [Some(file), target.as_deref()].into_iter().flatten().filter_map(Path::parent);
    let directories = directories.map(|directory| if directory.as_os_str().is_empty() { Path::new(".") } else { directory });
    // However they were written, these hold far more than certificates.
    let narrow = |directory: &&Path| {
        let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_path_buf());
        let of_somebody = directory.parent() == Some(Path::new("/home"));
        !of_somebody && !["/", "/etc", "/root", "/home"].map(Path::new).contains(&directory.as_path())
    };
    directories.filter(narrow).map(Path::to_owned).chain([file.to_owned()]).collect()
}

/// Files of keys and certificates that the URL of a database names.
fn of_database(url: &str) -> Vec<PathBuf> {
    let Ok(url) = Url::parse(url) else { return Vec::new() };
    let named = url.query_pairs().filter(|(name, _)| IN_URL.contains(&name.as_ref()));
    named.map(|(_, file)| PathBuf::from(file.as_ref())).collect()
}

/// Whether a database is reached by a socket in the file system: its host is a directory, or there is none and the usual directory is looked into.
fn is_local(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return true };
    let named = url.query_pairs().filter(|(name, _)| name == "host").last().map(|(_, host)| host.into_owned());
    let host = named.unwrap_or_else(|| url.host_str().unwrap_or_default().to_owned());
    host.is_empty() || host.starts_with('/') || host.to_ascii_lowercase().starts_with("%2f")
}

/// This program, which is its own child, and what the system loads to start it.
fn itself() -> Vec<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mapped = maps.lines().filter_map(|line| line.find('/').map(|at| PathBuf::from(&line[at..])));
    let mut files: Vec<PathBuf> = ["/proc/self/exe".into()].into_iter().chain(mapped.filter(|file| file.is_file())).collect();
    files.dedup();
    // A child is loaded by what is there when it is started: an upgrade of the system's library replaces these while the node runs.
    files.extend(["/lib", "/lib64", "/usr/lib", "/usr/lib64"].map(PathBuf::from).into_iter().filter(|directory| directory.is_dir()));
    files
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{allowed, is_local, itself, of_database, replaceable};
    use crate::config::Config;

    #[test]
    fn what_the_configuration_names_is_allowed_and_nothing_private_of_the_system() {
        let directory = tempfile::tempdir().unwrap();
        // A part of the data directory lies elsewhere.
        let (data, disk) = (directory.path().join("data"), directory.path().join("disk"));
        std::fs::create_dir(&data).unwrap();
        std::fs::create_dir(&disk).unwrap();
        std::os::unix::fs::symlink(&disk, data.join("files")).unwrap();
        let mut config = Config::defaults(data.clone());
        config.objects = Some(format!("file://{}/objects", directory.path().display()));
        config.database_url = Some("postgres://u:p@h/d?sslmode=verify-full&sslrootcert=/srv/root%20ca.pem".to_owned());
        config.secrets_key_file = Some("/run/secrets/key".into());
        config.listen = ([127, 0, 0, 1], 8443).into();
        let allowed = allowed(&config);
        assert_eq!(allowed.write, [data.clone(), directory.path().join("objects"), disk.canonicalize().unwrap(), "/dev/null".into()]);
        assert_eq!(allowed.listen, [8443]);
        for named in ["/srv/root ca.pem", "/run/secrets/key", "/etc/resolv.conf", "/etc/ssl/certs"] {
            assert!(allowed.read.contains(&PathBuf::from(named)), "{named}");
        }
        let reaches = |file: &str| allowed.read.iter().chain(&allowed.write).any(|path| Path::new(file).starts_with(path));
        for private in ["/etc/shadow", "/root/.ssh/id_ed25519", "/etc/ssl/private/key.pem", "/home/a/x", "/var/lib/x", "/tmp/x"] {
            assert!(!reaches(private), "{private} can be read");
        }
        assert!(itself().iter().any(|file| file.to_string_lossy().contains("libc")));
    }

    #[test]
    fn servers_of_the_machine_are_within_reach_where_the_database_is_one() {
        for url in [
            "postgres://u@%2Frun%2Fpostgresql:5433/d",
            "postgres:///d?host=/run/postgresql",
            "postgres:///d",
            "postgres://u@a.example/d?host=/x",
        ] {
            assert!(is_local(url), "{url}");
        }
        for url in ["postgres://u:p@a.example/d", "postgres://u@[::1]:5432/d?sslmode=require", "postgresql://10.0.0.1/d"] {
            assert!(!is_local(url), "{url}");
        }
        assert!(!allowed(&Config::defaults("./data".into())).local_servers);
    }

    #[test]
    fn files_that_are_replaced_are_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let (live, archive) = (directory.path().join("live"), directory.path().join("archive"));
        std::fs::create_dir(&live).unwrap();
        std::fs::create_dir(&archive).unwrap();
        std::fs::write(archive.join("cert1.pem"), "").unwrap();
        std::os::unix::fs::symlink(archive.join("cert1.pem"), live.join("cert.pem")).unwrap();
        let archive = archive.canonicalize().unwrap();
        assert_eq!(replaceable(&live.join("cert.pem")), [live.clone(), archive, live.join("cert.pem")]);
        assert_eq!(replaceable(Path::new("cert.pem")), [Path::new("."), Path::new("cert.pem")]);
        assert_eq!(replaceable(Path::new("/etc/shadow")), [Path::new("/etc/shadow")]);
        assert_eq!(of_database("no url"), Vec::<PathBuf>::new());
    }
}

//! Certificate and key of the front end: their files, read at the start, again when they change, and on SIGHUP.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use snaphook_api::{Identity, Tls};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::time::Time;

use crate::node::start_error;
use crate::problem::CliError;

/// How often the files are looked at. They are read whole, which takes microseconds: links and mounted folders change without a sign in the
/// file's own times, and some file systems tell nobody of a change.
const LOOK: Duration = Duration::from_secs(2);

/// The two files.
#[derive(Debug, Clone)]
pub(crate) struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
}

/// What the files held.
#[derive(PartialEq, Eq)]
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// From when until when a certificate is good.
pub(crate) struct Validity {
    from: i64,
    until: i64,
    now: i64,
}

impl TlsFiles {
    /// The files that the configuration names, if it names any.
    ///
    /// # Errors
    /// When it names one of them only.
    pub(crate) fn named(certificate: Option<&Path>, key: Option<&Path>) -> Result<Option<Self>, CliError> {
        match (certificate, key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => Ok(Some(Self { certificate: certificate.to_owned(), key: key.to_owned() })),
            (Some(_), None) => Err(CliError::Usage("configuration: tls_cert is set and tls_key is not; TLS needs both".to_owned())),
            (None, Some(_)) => Err(CliError::Usage("configuration: tls_key is set and tls_cert is not; TLS needs both".to_owned())),
        }
    }

    /// The file of the certificate.
    pub(crate) fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// Reads and checks both files.
    ///
    /// # Errors
    /// A sentence that names the file that cannot be read or used.
    pub(crate) async fn read(&self) -> Result<(Identity, Validity), String> {
        self.check(&self.content().await?)
    }

    /// Reads the files for the listener, and again whenever they change, until the node stops.
    ///
    /// # Errors
    /// When they cannot be used now. Later that is logged, and what was read before stays.
    pub(crate) async fn show(self, stopping: CancellationToken) -> Result<Tls, CliError> {
        let content = self.content().await.map_err(CliError::Start)?;
        let (identity, validity) = self.check(&content).map_err(CliError::Start)?;
        validity.warn(&self.certificate);
        let tls = Tls::new(identity);
        let hangup = signal(SignalKind::hangup()).map_err(start_error)?;
        let follow = Follow { files: self, tls: tls.clone(), shown: content, unusable: None };
        tokio::spawn(async move { stopping.run_until_cancelled(follow.always(hangup)).await });
        Ok(tls)
    }

    async fn content(&self) -> Result<Content, String> {
        let read = async |file: &Path| tokio::fs::read(file).await.map_err(|error| format!("{} cannot be read: {error}", file.display()));
        Ok(Content { certificate: read(&self.certificate).await?, key: read(&self.key).await? })
    }

    fn check(&self, content: &Content) -> Result<(Identity, Validity), String> {
        let named = |error: &dyn std::fmt::Display| format!("{} and {}: {error}", self.certificate.display(), self.key.display());
        let identity = Identity::from_pem(&content.certificate, &content.key).map_err(|error| named(&error))?;
        let certificate = Certificate::from_der(identity.certificate())
            .map_err(|error| format!("{} is no certificate: {error}", self.certificate.display()))?;
        let validity = certificate.tbs_certificate().validity();
        let second = |time: Time| i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
        let (from, until) = (second(validity.not_before), second(validity.not_after));
        Ok((identity, Validity { from, until, now: Timestamp::now().as_second() }))
    }
}

/// Who puts a new certificate in the place of the one that is shown.
struct Follow {
    files: TlsFiles,
    tls: Tls,
    shown: Content,
    /// What the last look found, where that cannot be used.
    unusable: Option<Unusable>,
}

struct Unusable {
    /// Or why it could not be read.
    content: Result<Content, String>,
    /// Whether the log has it.
    said: bool,
}

impl Follow {
    async fn always(mut self, mut hangup: Signal) {
        let mut look = tokio::time::interval(LOOK);
        loop {
            let asked = tokio::select! {
                _ = look.tick() => false,
                _ = hangup.recv() => true,
            };
            self.look(asked).await;
        }
    }

    /// Reads the files. What cannot be used is said when somebody asked, or when it was so at the look before as well: certificate and key are
    /// written one after the other, and in between they do not belong together. It is said once.
    async fn look(&mut self, asked: bool) {
        let content = self.files.content().await;
        if content.as_ref() == Ok(&self.shown) {
            self.unusable = None;
            if asked {
                tracing::info!(file = %self.files.certificate.display(), "the certificate is the one that is shown already");
            }
            return;
        }
        let checked = match &content {
            Ok(content) => self.files.check(content),
            Err(why) => Err(why.clone()),
        };
        match (checked, content) {
            (Ok((identity, validity)), Ok(content)) => {
                self.tls.replace(identity);
                self.shown = content;
                self.unusable = None;
                tracing::info!(file = %self.files.certificate.display(), days = validity.days_left(), "new connections get the new certificate");
                validity.warn(&self.files.certificate);
            }
            (Err(why), content) => self.keep(&why, content, asked),
            (Ok(_), Err(_)) => {}
        }
    }

    fn keep(&mut self, why: &str, content: Result<Content, String>, asked: bool) {
        let said_before = self.unusable.take().filter(|unusable| unusable.content == content).map(|unusable| unusable.said);
        let say = asked || said_before == Some(false);
        if say {
            tracing::error!("the new certificate cannot be used, and the earlier one stays: {why}");
        }
        self.unusable = Some(Unusable { content, said: say || said_before == Some(true) });
    }
}

impl Validity {
    /// Whole days until it ends; negative afterwards.
    pub(crate) fn days_left(&self) -> i64 {
        (self.until - self.now).div_euclid(24 * 60 * 60)
    }

    /// Whether it is good now.
    ///
    /// # Errors
    /// A part of a sentence about the certificate that says why not.
    pub(crate) fn state(&self) -> Result<(), String> {
        let time = |second| Timestamp::from_second(second).map_or_else(|_| "a time past all calendars".to_owned(), |time| time.to_string());
        match self.now {
            now if now < self.from => Err(format!("the certificate is not good before {}", time(self.from))),
            now if now > self.until => Err(format!("the certificate expired at {}", time(self.until))),
            _ => Ok(()),
        }
    }

    /// Clients will refuse it, but a node that does not start serves nobody.
    fn warn(&self, file: &Path) {
        if let Err(why) = self.state() {
            tracing::error!(file = %file.display(), "{why}; clients will refuse it");
        }
    }
}

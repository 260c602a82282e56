//! Starts the child processes that compile, few at a time, and tells their deaths apart.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use snaphook_aside::Busy;
use snaphook_model::{Code, Fault};
use snaphook_telemetry::{held, metrics};
use snaphook_wall::Mode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::frame::{self, Answer, Found, FoundScript, Job, JobKind, Setup};
use crate::job::{CompileError, Compiled, Upload, check_size};
use crate::library::{EmptyLibrary, Library, LibraryScript, MAX_IMPORTS, Wanted};
use crate::places::{Places, Turn};
use crate::text::excerpt;

/// How children are started and what they may use.
#[derive(Debug, Clone)]
pub struct CompilerConfig {
    /// A program whose run with `arguments` is [`crate::child_main`]; as a rule our own.
    pub executable: PathBuf,
    /// The hidden subcommand.
    pub arguments: Vec<OsString>,
    /// Where the prepared interpreter lies.
    pub data_dir: PathBuf,
    /// CPU time of one child, in seconds.
    pub cpu_s: u64,
    /// Private memory of one child.
    pub memory_bytes: u64,
    /// Children at work at once; from two on one of them is for calls that wait for their script.
    pub children: usize,
    /// Time from a job's start to its answer, and of waiting for a place before.
    pub wall: Duration,
    /// Whether children close themselves to files, network and everything else before they see an upload.
    pub second_wall: Mode,
}

impl CompilerConfig {
    /// The default limits.
    #[must_use]
    pub fn new(executable: PathBuf, arguments: Vec<OsString>, data_dir: PathBuf) -> Self {
        Self {
            executable,
            arguments,
            data_dir,
            cpu_s: 10,
            memory_bytes: 512 << 20,
            // Compiling uses every core there is; a second child makes use of what the first one leaves idle.
            children: std::thread::available_parallelism().map_or(2, std::num::NonZeroUsize::get).max(2) + 1,
            wall: Duration::from_secs(30),
            second_wall: Mode::On,
        }
    }
}

/// Compiles uploads in child processes. Cheap to clone.
#[derive(Clone)]
pub struct Compiler {
    inner: Arc<Inner>,
}

struct Inner {
    config: CompilerConfig,
    places: Places,
    /// A child that has made itself ready ahead of its job. Locked to put it in or take it out, no longer.
    idle: Mutex<Option<Worker>>,
}

/// Compiled code of the largest component that limits allow is far smaller; more than this is no answer.
const MAX_CODE: u64 = 256 << 20;
/// Of what a child writes to standard error, this much is read: the last words before an abort.
const MAX_LAST_WORDS: u64 = 4096;
/// Tells our allocator to take memory as it needs it. By default it takes a gigabyte at once, which no limit could be set beside.
const ALLOCATOR: (&str, &str) = ("MIMALLOC_ARENA_EAGER_COMMIT", "0");

impl Compiler {
    /// A compiler with these settings. Nothing is started yet.
    #[must_use]
    pub fn new(config: CompilerConfig) -> Self {
        let places = Places::new(config.children);
        Self { inner: Arc::new(Inner { config, places, idle: Mutex::new(None) }) }
    }

    /// Starts a child ahead of the first job, so that this one too finds everything at hand. Without it the first job waits a little longer.
    pub async fn warm(&self) {
        self.inner.refill().await;
    }

    /// Makes a checked component of an upload, which may import scripts of its tenant's library.
    ///
    /// # Errors
    /// [`CompileError::Rejected`] with `script-syntax`, `script-compile`, `script-no-hook`, `component-imports`, `component-invalid`,
    /// `source-size`, `compile` (a budget of the child or of top-level code is spent), or `overloaded`; [`CompileError::Failed`] when it is ours.
    pub async fn compile(&self, turn: Turn<'_>, upload: Upload, library: &dyn Library) -> Result<Compiled, CompileError> {
        check_size(&upload)?;
        let Upload { name, language, dialect, bytes, limits, imports, now_ms } = upload;
        let kind = JobKind::Compile { name, language, dialect, limits, imports, now_ms };
        match self.run(turn, kind, &bytes, library).await? {
            (Answer::Compiled { hooks, kind, imports, warnings, interpreter, .. }, component, code) => {
                Ok(Compiled { component, code, hooks, kind, imports, warnings, interpreter })
            }
            (answer, ..) => Err(unexpected(answer)),
        }
    }

    /// Compiled code of a component that was accepted before and whose code is gone.
    ///
    /// # Errors
    /// [`CompileError::Rejected`] with `compile` or `overloaded`, [`CompileError::Failed`] when it is ours.
    pub async fn precompile(&self, turn: Turn<'_>, component: Bytes) -> Result<Bytes, CompileError> {
        match self.run(turn, JobKind::Precompile, &component, &EmptyLibrary).await? {
            (Answer::Precompiled { .. }, _, code) => Ok(code),
            (answer, ..) => Err(unexpected(answer)),
        }
    }

    async fn run(
        &self,
        turn: Turn<'_>,
        kind: JobKind,
        bytes: &[u8],
        library: &dyn Library,
    ) -> Result<(Answer, Bytes, Bytes), CompileError> {
        let (waiting, begun) = (held(&metrics().compile_waiting), Instant::now());
        let place = timeout(self.inner.config.wall, self.inner.places.take(turn)).await;
        drop(waiting);
        metrics().compile_wait.took([], begun.elapsed());
        let Ok(Ok(_place)) = place else {
            return Err(CompileError::Rejected(Fault::new(Code::Overloaded, "too many scripts are being compiled; try again soon")));
        };
        let (_running, begun) = (held(&metrics().compile_running), Instant::now());
        let answered = self.work(kind, bytes, library).await;
        let outcome = match &answered {
            Ok(_) => "compiled",
            Err(CompileError::Rejected(_)) => "rejected",
            Err(CompileError::Failed(_)) => "failed",
        };
        metrics().compile_duration.took([outcome], begun.elapsed());
        answered
    }

    /// Has a child do it, in a place that the caller holds.
    async fn work(&self, kind: JobKind, bytes: &[u8], library: &dyn Library) -> Result<(Answer, Bytes, Bytes), CompileError> {
        let inner = &self.inner;
        let header = frame::header(&Job { kind, bytes: bytes.len() as u64 }).map_err(ours)?;
        let mut worker = inner.worker(&header).await.map_err(ours)?;
        let busy = Busy::new();
        let answered = timeout(inner.config.wall, worker.answer(bytes, library)).await;
        drop(busy);
        let refilling = Arc::clone(inner);
        tokio::spawn(async move { refilling.refill().await });
        match answered {
            Ok(Ok(answer)) => answer.map_err(CompileError::Rejected),
            Ok(Err(error)) => Err(worker.death(&error, &inner.config).await),
            Err(_) => {
                let wall_ms = u64::try_from(inner.config.wall.as_millis()).unwrap_or(u64::MAX);
                let detail = format!("compiling the upload took longer than {wall_ms} ms");
                Err(Fault::new(Code::Compile, detail).of_limit(wall_ms, None).into())
            }
        }
    }
}

impl Inner {
    /// A child that has got a job's header.
    async fn worker(&self, header: &[u8]) -> io::Result<Worker> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut idle) = idle {
            // It may have died of something while it waited; a fresh one does as well.
            if idle.say(header).await.is_ok() && idle.is_alive() {
                return Ok(idle);
            }
        }
        let mut fresh = Worker::start(&self.config).await?;
        fresh.say(header).await?;
        Ok(fresh)
    }

    async fn refill(&self) {
        if self.idle.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return;
        }
        match Worker::start(&self.config).await {
            // When another was quicker, this one reads the end of its input and goes.
            Ok(worker) => drop(self.idle.lock().unwrap_or_else(PoisonError::into_inner).replace(worker)),
            Err(error) => tracing::warn!(%error, "no compile child can be started ahead"),
        }
    }
}

/// One child. Dropped, it is killed.
struct Worker {
    child: Child,
}

impl Worker {
    async fn start(config: &CompilerConfig) -> io::Result<Self> {
        let setup =
            Setup { data_dir: config.data_dir.clone(), cpu_s: config.cpu_s, memory_bytes: config.memory_bytes, wall: config.second_wall };
        let child = Command::new(&config.executable)
            .args(&config.arguments)
            .env_clear()
            .env(ALLOCATOR.0, ALLOCATOR.1)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut worker = Self { child };
        worker.say(&frame::header(&setup)?).await?;
        Ok(worker)
    }

    fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stdin = self.child.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        stdin.write_all(bytes).await?;
        stdin.flush().await
    }

    /// Hands over the upload, answers questions about the library, and reads what comes of it.
    async fn answer(&mut self, bytes: &[u8], library: &dyn Library) -> io::Result<Result<(Answer, Bytes, Bytes), Fault>> {
        self.say(bytes).await?;
        // Each question is about scripts that were not known before.
        for _ in 0..=MAX_IMPORTS {
            let answer = self.header().await?;
            let Answer::Wanted { scripts } = answer else { return self.bodies(answer).await.map(Ok) };
            match find(scripts, library).await? {
                Ok(found) => self.hand_over(&found).await?,
                Err(fault) => return Ok(Err(fault)),
            }
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the child goes on asking"))
    }

    async fn hand_over(&mut self, found: &[Option<LibraryScript>]) -> io::Result<()> {
        let scripts = found.iter().map(|script| script.as_ref().map(FoundScript::from)).collect();
        self.say(&frame::header(&Found { scripts })?).await?;
        for script in found.iter().flatten() {
            self.say(&script.bytes).await?;
        }
        Ok(())
    }

    async fn header(&mut self) -> io::Result<Answer> {
        let from = self.child.stdout.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut length = [0; 4];
        from.read_exact(&mut length).await?;
        let mut json = vec![0; frame::header_length(length)?];
        from.read_exact(&mut json).await?;
        Ok(serde_json::from_slice(&json)?)
    }

    async fn bodies(&mut self, answer: Answer) -> io::Result<(Answer, Bytes, Bytes)> {
        self.child.stdin = None;
        let from = self.child.stdout.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let (component, code) = answer.lengths();
        if component.max(code) > MAX_CODE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too long"));
        }
        let mut bodies = [Vec::new(), Vec::new()];
        for (body, length) in bodies.iter_mut().zip([component, code]) {
            if from.take(length).read_to_end(body).await? as u64 != length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let [component, code] = bodies;
        Ok((answer, component.into(), code.into()))
    }

    /// Why there is no answer.
    async fn death(mut self, error: &io::Error, config: &CompilerConfig) -> CompileError {
        let mut last_words = Vec::new();
        let listening = async {
            if let Some(stderr) = self.child.stderr.as_mut() {
                let _ = stderr.take(MAX_LAST_WORDS).read_to_end(&mut last_words).await;
            }
            self.child.wait().await
        };
        let status = match timeout(Duration::from_secs(1), listening).await {
            Ok(Ok(status)) => status,
            _ => return CompileError::Failed(format!("the child broke off: {error}")),
        };
        let last_words = String::from_utf8_lossy(&last_words);
        match budget(status, &last_words, config) {
            Some(fault) => CompileError::Rejected(fault),
            None => CompileError::Failed(format!("the child ended with {status}: {error}; {}", excerpt(last_words.trim()))),
        }
    }
}

/// Looks scripts up. What the library fails with is the answer for whoever uploaded.
async fn find(wanted: Vec<Wanted>, library: &dyn Library) -> io::Result<Result<Vec<Option<LibraryScript>>, Fault>> {
    if wanted.len() > MAX_IMPORTS {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the child asks for too much"));
    }
    let mut found = Vec::new();
    for Wanted { script, version } in wanted {
        match library.find(&script, version).await {
            Ok(one) => found.push(one),
            Err(fault) => return Ok(Err(fault)),
        }
    }
    Ok(Ok(found))
}

/// The budget that a child died of. It dies by a signal of no other thing than its upload.
fn budget(status: ExitStatus, last_words: &str, config: &CompilerConfig) -> Option<Fault> {
    // As in signal(7); the same on every architecture that Linux has but three old ones.
    const SIGXCPU: i32 = 24;
    let signal = status.signal()?;
    Some(match signal {
        SIGXCPU => {
            let detail = format!("compiling the upload took more than {} s of CPU time", config.cpu_s);
            Fault::new(Code::Compile, detail).of_limit(config.cpu_s, None)
        }
        // What Rust's standard library writes before it aborts.
        _ if last_words.contains("memory allocation of") => {
            let detail = format!("compiling the upload took more than {} bytes of memory", config.memory_bytes);
            Fault::new(Code::Compile, detail).of_limit(config.memory_bytes, None)
        }
        _ if last_words.contains("overflowed its stack") => Fault::new(Code::Compile, "the upload is nested too deeply"),
        _ => Fault::new(Code::Compile, format!("the compiler was stopped by signal {signal} while it worked on the upload")),
    })
}

fn ours(error: io::Error) -> CompileError {
    CompileError::Failed(format!("no child can be started: {error}"))
}

fn unexpected(answer: Answer) -> CompileError {
    match answer {
        Answer::Rejected(fault) => CompileError::Rejected(fault),
        Answer::Failed(why) => CompileError::Failed(why),
        Answer::Compiled { .. } | Answer::Precompiled { .. } | Answer::Wanted { .. } => {
            CompileError::Failed("the child answered another question".to_owned())
        }
    }
}

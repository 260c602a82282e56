//! WASI 0.2 for components whose toolchain wants it: a frozen clock, seeded chance, and a log in place of a console. No files, no network.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use snaphook_model::LogLevel;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{HostMonotonicClock, HostWallClock};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::{cli, filesystem, random};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::chance::Chance;
use crate::data::Data;
use crate::log::Log;

/// Handles of host things that one invocation may hold. More than any real program does.
const MAX_HANDLES: usize = 4096;
/// Random bytes at a time.
const MAX_RANDOM: u64 = 65_536;
/// What a stream takes at a time.
const WRITE_BYTES: usize = 64 << 10;

pub(crate) fn add(linker: &mut Linker<Data>) -> wasmtime::Result<()> {
    // Streams, polling, clocks, `random`, and the three standard streams.
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(linker)?;
    random::insecure::add_to_linker::<Data, WasiRandom>(linker, |data| data.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<Data, WasiRandom>(linker, |data| data.ctx().ctx.random())?;
    cli::environment::add_to_linker::<Data, WasiCli>(linker, Data::cli)?;
    cli::exit::add_to_linker::<Data, WasiCli>(linker, Data::cli)?;
    cli::terminal_input::add_to_linker::<Data, WasiCli>(linker, Data::cli)?;
    cli::terminal_output::add_to_linker::<Data, WasiCli>(linker, Data::cli)?;
    cli::terminal_stdin::add_to_linker::<Data, WasiCli>(linker, Data::cli)?;
    cli::terminal_stdout::add_to_linker::<Data, WasiCli>(linker, Data::cli)?;
    cli::terminal_stderr::add_to_linker::<Data, WasiCli>(linker, Data::cli)?;
    filesystem::preopens::add_to_linker::<Data, WasiFilesystem>(linker, Data::filesystem)?;
    filesystem::types::add_to_linker::<Data, WasiFilesystem>(linker, Data::filesystem)
}

impl WasiView for Data {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi.get_or_insert_with(|| Box::new(Wasi::new(self.chance.seed(), self.now_ms, self.log.room())));
        WasiCtxView { ctx: &mut wasi.context, table: &mut wasi.table }
    }
}

/// WASI's side of an invocation.
pub(crate) struct Wasi {
    context: WasiCtx,
    table: ResourceTable,
    printed: Arc<Mutex<Printed>>,
}

impl Wasi {
    fn new(seed: u64, now_ms: u64, room: usize) -> Self {
        let printed = Arc::new(Mutex::new(Printed { room, ..Printed::default() }));
        let console = |level| Console { printed: Arc::clone(&printed), level };
        let mut insecure_seed = [0; 16];
        Chance::new(seed, "snaphook wasi insecure seed 1").fill(&mut insecure_seed);
        let clock = Frozen { since_epoch: Duration::from_millis(now_ms) };
        let context = WasiCtx::builder()
            .stdout(console(LogLevel::Log))
            .stderr(console(LogLevel::Error))
            .secure_random(Chance::new(seed, "snaphook wasi random 1"))
            .insecure_random(Chance::new(seed, "snaphook wasi insecure random 1"))
            .insecure_random_seed(u128::from_le_bytes(insecure_seed))
            .max_random_size(MAX_RANDOM)
            .wall_clock(clock)
            .monotonic_clock(clock)
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        Self { context, table, printed }
    }

    /// What was printed since the last time.
    pub(crate) fn take_printed(&self) -> Printed {
        let mut printed = lock(&self.printed);
        let room = printed.room;
        std::mem::replace(&mut *printed, Printed { room, ..Printed::default() })
    }
}

/// The clock of an invocation, which stands still.
#[derive(Clone, Copy)]
struct Frozen {
    since_epoch: Duration,
}

impl HostWallClock for Frozen {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        self.since_epoch
    }
}

impl HostMonotonicClock for Frozen {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> u64 {
        0
    }
}

/// Text of both standard streams in the order in which it came.
#[derive(Default)]
pub(crate) struct Printed {
    parts: Vec<(LogLevel, Vec<u8>)>,
    /// Bytes that are still kept.
    room: usize,
    dropped: u64,
}

impl Printed {
    fn write(&mut self, level: LogLevel, bytes: &[u8]) {
        let kept = &bytes[..bytes.len().min(self.room)];
        self.room -= kept.len();
        self.dropped += (bytes.len() - kept.len()) as u64;
        match self.parts.last_mut() {
            Some((last, text)) if *last == level => text.extend_from_slice(kept),
            _ if kept.is_empty() => {}
            _ => self.parts.push((level, kept.to_vec())),
        }
    }

    /// Makes an entry of each line.
    pub(crate) fn append_to(self, log: &mut Log) {
        for (level, bytes) in self.parts {
            let text = String::from_utf8_lossy(&bytes);
            text.trim_end_matches('\n').split('\n').for_each(|line| log.push(level, line));
        }
        log.drop_bytes(self.dropped);
    }
}

/// A standard stream that ends in the log.
#[derive(Clone)]
struct Console {
    printed: Arc<Mutex<Printed>>,
    level: LogLevel,
}

/// The lock guards a buffer of one invocation for the length of a copy; only a panic in that copy could poison it.
fn lock(printed: &Mutex<Printed>) -> std::sync::MutexGuard<'_, Printed> {
    printed.lock().unwrap_or_else(PoisonError::into_inner)
}

impl IsTerminal for Console {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Console {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Console {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        lock(&self.printed).write(self.level, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Console {
    async fn ready(&mut self) {}
}

impl tokio::io::AsyncWrite for Console {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        lock(&self.printed).write(self.level, bytes);
        std::task::Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: std::pin::Pin<&mut Self>, _context: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: std::pin::Pin<&mut Self>, _context: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

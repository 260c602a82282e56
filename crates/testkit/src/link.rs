//! A TCP link that breaks when a test says so, such as the one between a node and its database.
//!
//! It runs on a thread of its own, so that it also works while the test's own thread waits for a process that needs it.

use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Bytes that go over at once.
const CHUNK: usize = 16 << 10;

/// Text of as many bytes as it stands for, put in its place on the way to the target.
pub type Replacement = (&'static str, &'static str);

/// A link on a free port of 127.0.0.1. It ends when it is dropped.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    state: watch::Sender<State>,
    running: Option<JoinHandle<()>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct State {
    /// Connections that were made before the last break are over.
    breaks: u64,
    /// New ones are refused.
    down: bool,
    ended: bool,
}

impl Link {
    /// A link to an address of this machine.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn to(target: SocketAddr) -> Self {
        Self::replacing(target, &[])
    }

    /// A balancer of connections: each goes to the next address that takes it.
    ///
    /// # Panics
    /// As [`Link::to`].
    #[must_use]
    pub fn among(targets: Vec<SocketAddr>) -> Self {
        Self::start(targets, Vec::new())
    }

    /// The same as [`Link::to`], which replaces text that the client sends where all of it comes at once: so a server can be made not to know what it knows.
    ///
    /// # Panics
    /// As [`Link::to`]; when a text and what it stands for differ in length.
    #[must_use]
    pub fn replacing(target: SocketAddr, replacements: &[Replacement]) -> Self {
        assert!(replacements.iter().all(|(from, to)| from.len() == to.len()), "{replacements:?}");
        Self::start(vec![target], replacements.to_vec())
    }

    fn start(targets: Vec<SocketAddr>, replacements: Vec<Replacement>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = watch::Sender::new(State::default());
        let watched = state.clone();
        let running = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime can be made");
            runtime.block_on(accept(listener, targets, watched, replacements));
        });
        Self { address, state, running: Some(running) }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks all connections, in the middle of what is on its way; new ones are good.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.breaks += 1);
    }

    /// Breaks all connections and refuses new ones, until [`Link::mend`].
    pub fn take_down(&self) {
        self.state.send_modify(|state| {
            state.breaks += 1;
            state.down = true;
        });
    }

    /// Lets new connections through again.
    pub fn mend(&self) {
        self.state.send_modify(|state| state.down = false);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.state.send_modify(|state| state.ended = true);
        if let Some(running) = self.running.take() {
            // Its panic was shown when it happened.
            let _ = running.join();
        }
    }
}

async fn accept(
    listener: std::net::TcpListener,
    mut targets: Vec<SocketAddr>,
    state: watch::Sender<State>,
    replacements: Vec<Replacement>,
) {
    listener.set_nonblocking(true).expect("it is a socket");
    let listener = TcpListener::from_std(listener).expect("the runtime takes sockets");
    let mut watched = state.subscribe();
    loop {
        let client = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = watched.wait_for(|state| state.ended) => return,
        };
        let now = *state.borrow();
        // Who is dropped at once sees a connection that breaks, as with a server that has gone.
        if let (Ok((client, _)), false) = (client, now.down) {
            let (mut watched, replacements) = (state.subscribe(), replacements.clone());
            let these = targets.clone();
            targets.rotate_left(1);
            tokio::spawn(async move {
                tokio::select! {
                    () = carry(client, &these, &replacements) => {}
                    _ = watched.wait_for(|state| state.ended || state.breaks != now.breaks) => {}
                }
            });
        }
    }
}

/// Carries bytes both ways until one side ends.
async fn carry(client: TcpStream, targets: &[SocketAddr], replacements: &[Replacement]) {
    // The first that takes the connection.
    let Ok(server) = TcpStream::connect(targets).await else { return };
    // Small messages back and forth are what it is for.
    if client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).is_err() {
        return;
    }
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    // A broken connection is what a test wanted, or the end of one.
    tokio::select! {
        _ = copy(from_client, to_server, replacements) => {}
        _ = copy(from_server, to_client, &[]) => {}
    }
}

async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, replacements: &[Replacement]) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = from.read(&mut chunk).await?;
        if length == 0 {
            return Ok(());
        }
        for (text, instead) in replacements {
            replace(&mut chunk[..length], text.as_bytes(), instead.as_bytes());
        }
        to.write_all(&chunk[..length]).await?;
    }
}

fn replace(bytes: &mut [u8], text: &[u8], instead: &[u8]) {
    let mut from = 0;
    while let Some(at) = bytes[from..].windows(text.len()).position(|part| part == text) {
        bytes[from + at..][..text.len()].copy_from_slice(instead);
        from += at + text.len();
    }
}

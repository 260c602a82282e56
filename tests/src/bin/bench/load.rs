//! The load: so many connections, each sending its next request when the last was answered.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What to send, always the same.
#[derive(Clone)]
pub(crate) struct Shot {
    pub(crate) address: String,
    pub(crate) path: String,
    pub(crate) token: String,
    pub(crate) body: Bytes,
    /// The header `prefer`, of a request that is answered 202.
    pub(crate) prefer: Option<&'static str>,
}

/// What came of it.
pub(crate) struct Load {
    pub(crate) per_second: f64,
    /// Of single requests, sorted.
    pub(crate) latencies: Vec<Duration>,
}

impl Load {
    /// A percentile in microseconds.
    pub(crate) fn percentile_us(&self, percent: usize) -> f64 {
        let index = (self.latencies.len() * percent / 100).min(self.latencies.len() - 1);
        self.latencies[index].as_secs_f64() * 1e6
    }
}

/// Sends for this long after a tenth of it as a warm-up.
pub(crate) async fn fire(shot: &Shot, connections: usize, duration: Duration) -> Load {
    fire_all(&vec![shot.clone(); connections], duration).await
}

/// The same with a connection for each shot.
pub(crate) async fn fire_all(shots: &[Shot], duration: Duration) -> Load {
    let begin = Instant::now() + duration / 10;
    let end = begin + duration;
    let tasks: Vec<_> = shots.iter().map(|shot| tokio::spawn(connection(shot.clone(), begin, end))).collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.expect("the load does not panic"));
    }
    latencies.sort_unstable();
    Load { per_second: latencies.len() as f64 / duration.as_secs_f64(), latencies }
}

async fn connection(shot: Shot, begin: Instant, end: Instant) -> Vec<Duration> {
    let stream = TcpStream::connect(&shot.address).await.expect("the server listens");
    stream.set_nodelay(true).expect("a socket takes the option");
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await.expect("the server speaks HTTP");
    tokio::spawn(driver);
    let mut latencies = Vec::new();
    loop {
        let now = Instant::now();
        if now >= end {
            return latencies;
        }
        let mut request = http::Request::post(&shot.path)
            .header("host", &shot.address)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", shot.token));
        if let Some(prefer) = shot.prefer {
            request = request.header("prefer", prefer);
        }
        let request = request.body(Full::new(shot.body.clone())).expect("the parts are valid");
        let response = sender.send_request(request).await.expect("the server answers");
        let status = response.status();
        let body = response.into_body().collect().await.expect("the answer is whole").to_bytes();
        assert_eq!(status.as_u16(), if shot.prefer.is_some() { 202 } else { 200 }, "{}", String::from_utf8_lossy(&body));
        if now >= begin {
            latencies.push(now.elapsed());
        }
    }
}

/// CPU time that a process has used so far, user and system, from `/proc/PID/stat` (fields 14 and 15, in ticks of 10 ms).
pub(crate) fn cpu_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks: u64 = after_name.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Resident memory of a process in bytes, from `/proc/PID/status`.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() << 10
}

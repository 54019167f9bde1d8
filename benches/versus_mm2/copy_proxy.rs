//! The floor: a process that copies bytes between two sockets and does nothing else.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use serde::Serialize;

use crate::common::{CEILING, Process, fresh_dir};
use crate::raw_fetch;
use crate::support::procfs;

/// First argument of the process that plays the proxy.
pub const PART: &str = "copy-proxy";
/// What the proxy prints before its port.
const LISTENING: &str = "listening on ";
/// As much as a socket buffer holds: larger reads save no calls.
const BUFFER_BYTES: usize = 256 << 10;
/// Enough that ticks of 10 ms are a hundredth of the result.
const ENOUGH_BYTES: u64 = 2 << 30;

/// What copying costs.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Floor {
    /// Bytes of records that went through, uncompressed.
    pub bytes: u64,
    /// CPU of the proxy.
    pub cpu_seconds: f64,
    /// How long it took.
    pub seconds: f64,
}

impl Floor {
    /// CPU-seconds per GB (10⁹ bytes).
    pub fn cpu_seconds_per_gigabyte(&self) -> f64 {
        self.cpu_seconds * 1e9 / self.bytes as f64
    }
}

/// Reads a topic from a broker through the proxy, over and over until there are enough bytes.
pub fn measure(broker: &str, topic: &str, partitions: i32) -> Floor {
    let dir = fresh_dir("copy-proxy");
    let output = dir.join("output.log");
    let program = std::env::current_exe().expect("the bench has a path");
    let command = [program.into_os_string(), PART.into(), broker.into()];
    let proxy = Process::spawn("copy proxy", &command, &dir, &output);
    let began = std::time::Instant::now();
    let port = loop {
        let said = fs::read_to_string(&output).unwrap_or_default();
        if let Some(port) = said.strip_suffix('\n').and_then(|line| line.strip_prefix(LISTENING)) {
            break port.to_owned();
        }
        assert!(began.elapsed() < CEILING, "the copy proxy does not start: {said}");
        thread::sleep(Duration::from_millis(10));
    };
    let address = format!("127.0.0.1:{port}");
    // The first reading warms the broker, and the proxy's start is over.
    raw_fetch::read_all(&address, topic, partitions).expect("the topic can be read through the proxy");
    let (cpu, started) = (procfs::cpu_seconds(proxy.pid()), std::time::Instant::now());
    let mut bytes = 0;
    while bytes < ENOUGH_BYTES {
        let read = raw_fetch::read_all(&address, topic, partitions);
        bytes += read.expect("the topic can be read through the proxy");
    }
    let cpu_seconds = procfs::cpu_seconds(proxy.pid()) - cpu;
    Floor { bytes, cpu_seconds, seconds: started.elapsed().as_secs_f64() }
}

/// Plays the proxy until it is killed: accepts connections and copies both ways to `upstream`.
pub fn run(upstream: &str) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{LISTENING}{}", listener.local_addr()?.port());
    for client in listener.incoming() {
        let client = client?;
        let server = TcpStream::connect(upstream)?;
        let back = (server.try_clone()?, client.try_clone()?);
        thread::spawn(move || copy(client, server));
        thread::spawn(move || copy(back.0, back.1));
    }
    Ok(())
}

/// One direction. A connection that breaks ends it: the other side notices.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    // Either side may be closed already; then there is nothing to tell.
    to.shutdown(std::net::Shutdown::Both).ok();
}

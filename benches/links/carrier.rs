//! What the proxy with the delay can carry by itself: no figure over it can be better.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use crate::DELAY;
use crate::common::Proxy;

const BYTES: usize = 1 << 30;
const BUFFER_BYTES: usize = 256 << 10;

/// Million bytes per second over one connection, from the first byte to the last.
pub fn megabytes_per_second() -> f64 {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port can be bound");
    let proxy = Proxy::start(&server.local_addr().expect("it is bound").to_string());
    proxy.set_latency(DELAY);
    let sender = thread::spawn(move || {
        let (mut stream, _) = server.accept().expect("the proxy connects");
        let buffer = vec![0; BUFFER_BYTES];
        for _ in 0..BYTES / BUFFER_BYTES {
            stream.write_all(&buffer).expect("the proxy reads");
        }
        stream
    });
    let mut stream = TcpStream::connect(proxy.address()).expect("the proxy listens");
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut read = stream.read(&mut buffer).expect("the first bytes arrive");
    let began = Instant::now();
    while read < BYTES {
        match stream.read(&mut buffer).expect("the bytes arrive") {
            0 => panic!("the proxy closed after {read} of {BYTES} bytes"),
            more => read += more,
        }
    }
    let rate = BYTES as f64 / 1e6 / began.elapsed().as_secs_f64();
    sender.join().expect("all was sent");
    rate
}

//! TCP ports that stay ours while a broker is down.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;

use rand::Rng;

/// Below the range from which Linux takes the ports of outgoing connections (32768 up), so that a stopped
/// broker's port isn't given away before it starts again.
const RANGE: RangeInclusive<u16> = 15_000..=31_000;

/// A port of 127.0.0.1 that no other test process takes while this value lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// Locked; the lock goes with the process, however that ends.
    _lock: File,
}

impl Port {
    /// Reserves a free port.
    pub fn reserve() -> Self {
        let locks = std::env::temp_dir().join("mirrormesh-test-ports");
        fs::create_dir_all(&locks).expect("a folder for port locks can be created in the temp folder");
        for _ in 0..1000 {
            let number = rand::rng().random_range(RANGE);
            let Ok(lock) = File::create(locks.join(number.to_string())) else { continue };
            if lock.try_lock().is_err() || TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_err() {
                continue;
            }
            return Self { number, _lock: lock };
        }
        panic!("no free port found between {} and {}", RANGE.start(), RANGE.end());
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

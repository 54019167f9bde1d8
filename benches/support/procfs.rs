//! What Linux says about a process.

use std::fs;

/// Clock ticks per second in `/proc`; fixed in Linux's interface to programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU-seconds (user and system) that a process has used, ended threads included.
pub fn cpu_seconds(pid: u32) -> f64 {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    // The name in parentheses may contain anything; utime and stime are the 12th and 13th field after it.
    let (_, rest) = stat.rsplit_once(')').expect("the name stands in parentheses");
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<f64>().expect("a count of ticks");
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

/// The most memory a process has had resident, in bytes.
pub fn peak_resident_bytes(pid: u32) -> u64 {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let line = line.unwrap_or_else(|| panic!("pid {pid} has ended: it has no VmHWM"));
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB") * 1024
}

/// The machine's load averages, as `/proc/loadavg` has them: over 1, 5 and 15 minutes.
pub fn load_averages() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

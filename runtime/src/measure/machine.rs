//! What Linux says of this machine and this process; none where it does not say.

use std::fs;

/// Runnable processes a CPU in the last minute: load average ÷ CPUs.
pub fn background_load() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    let load: f64 = text.split_whitespace().next()?.parse().ok()?;
    let cpus = std::thread::available_parallelism().ok()?;
    Some(load / cpus.get() as f64)
}

/// Nanoseconds that this thread has waited for a CPU although it could have run, since it began.
pub(super) fn waited_ns() -> Option<u64> {
    // proc(5), schedstat: on a CPU, waiting for one, times on one.
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().nth(1)?.parse().ok()
}

/// The most memory that this process has held.
pub fn peak_resident_bytes() -> Option<u64> {
    memory_bytes("VmHWM")
}

/// A figure of this process's memory by its name in proc(5), status: `VmHWM`, `VmRSS`, `RssAnon`, …
pub fn memory_bytes(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text
        .lines()
        .find(|line| line.split_once(':').is_some_and(|(own, _)| own == name))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    #[test]
    fn linux_says_memory_and_load() {
        if cfg!(target_os = "linux") {
            assert!(super::peak_resident_bytes() > Some(100_000));
            assert!(super::background_load() >= Some(0.0));
            assert!(super::waited_ns().is_some());
        }
    }
}

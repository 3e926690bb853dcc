//! What this process uses, as the kernel counts it (`proc(5)`). 0 where it does not say.

use std::fs::read_to_string;

/// Clock ticks a second in `/proc`: fixed at 100 for user space on every Linux that we run on.
const TICKS: f64 = 100.0;

/// Resident memory, bytes.
pub(super) fn rss_bytes() -> u64 {
    rss(&read_to_string("/proc/self/status").unwrap_or_default()).unwrap_or_default()
}

/// Processor seconds used, in user space and in the kernel.
pub(super) fn cpu_s() -> f64 {
    cpu(&read_to_string("/proc/self/stat").unwrap_or_default()).unwrap_or_default()
}

fn rss(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn cpu(stat: &str) -> Option<f64> {
    // The program's name stands in brackets and may hold anything, brackets and spaces too.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_understood() {
        assert_eq!(rss("Name:\theadstock\nVmRSS:\t   9216 kB\n"), Some(9216 * 1024));
        let stat = "12 (head) stock) S 1 12 12 0 -1 4194560 900 0 2 0 250 50 0 0 20 0 5 0 1000";
        assert_eq!(cpu(stat), Some(3.0));
        assert_eq!((rss(""), cpu("12 (x) S 1")), (None, None));
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(1 << 20 < rss_bytes());
    }
}

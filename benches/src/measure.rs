//! Clocks, percentiles, memory and CPU time of processes, the disk's fdatasync.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::Failure;

/// Writes of the fdatasync measurement.
const SYNCS: usize = 300;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(2);
/// The kernel's unit of CPU time in /proc, which is 100 a second everywhere.
const TICKS_PER_SECOND: f64 = 100.0;

/// The value below which this share of the sorted values lies.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (share * values.len() as f64).ceil() as usize;
    values.get(at.max(1) - 1).copied().unwrap_or(f64::NAN)
}

/// The middle value.
pub fn median(values: &mut [f64]) -> f64 {
    percentile(values, 0.5)
}

/// Milliseconds.
pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// This process's CPU time in seconds.
pub fn own_cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Another process's CPU time in seconds, itself and its ended children not counted.
pub fn cpu_of(pid: u32) -> Result<f64, Failure> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name stands in brackets and may hold anything; fields are counted after it.
    let rest = text.rsplit(") ").next().unwrap_or_default();
    let fields: Vec<&str> = rest.split(' ').collect();
    let (user, system) = (fields.get(11).ok_or("stat")?, fields.get(12).ok_or("stat")?);
    Ok((user.parse::<f64>()? + system.parse::<f64>()?) / TICKS_PER_SECOND)
}

/// Resident memory of a process in KB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// All resident pages.
    pub rss_kb: f64,
    /// Shared pages divided by their users.
    pub pss_kb: f64,
}

/// Reads `/proc/PID/smaps_rollup`.
pub fn memory_of(pid: u32) -> Result<Memory, Failure> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let field = |name: &str| -> Result<f64, Failure> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("smaps_rollup")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse()?)
    };
    Ok(Memory { rss_kb: field("Rss:")?, pss_kb: field("Pss:")? })
}

/// The same of a process and all that it has started, summed: pages that they share count once in PSS.
pub fn memory_of_all(pid: u32) -> Result<Memory, Failure> {
    let mut all = memory_of(pid)?;
    for child in children(pid)? {
        // One that has ended meanwhile takes nothing.
        if let Ok(memory) = memory_of(child) {
            all.rss_kb += memory.rss_kb;
            all.pss_kb += memory.pss_kb;
        }
    }
    Ok(all)
}

/// Every process that this one has started, and theirs.
fn children(pid: u32) -> Result<Vec<u32>, Failure> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(text) = std::fs::read_to_string(format!("/proc/{number}/stat")) else { continue };
        let parent =
            text.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)).and_then(|word| word.parse().ok());
        parents.extend(parent.map(|parent: u32| (parent, number)));
    }
    let (mut found, mut at) = (vec![pid], 0);
    while let Some(parent) = found.get(at).copied() {
        found.extend(parents.iter().filter(|(of, _)| *of == parent).map(|(_, child)| *child));
        at += 1;
    }
    found.remove(0);
    Ok(found)
}

/// The most resident memory that a process has had, in KB.
pub fn peak_of(pid: u32) -> Result<f64, Failure> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

/// What the disk takes, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Syncs {
    /// One in ten is faster: the disk alone, where other work holds the cores.
    pub p10: f64,
    /// The middle.
    pub p50: f64,
    /// One in a hundred is slower.
    pub p99: f64,
}

/// Writing 4 KB and fdatasync, some hundred times, with a pause between as load has it: a loop without one is put
/// behind every other process on a busy machine.
pub fn fdatasync(dir: &Path) -> Result<Syncs, Failure> {
    let path = dir.join(format!("fdatasync-{}", std::process::id()));
    let mut file = File::create(&path)?;
    let block = [0x5A_u8; 4096];
    // Within room that is allocated already, as a log writes.
    file.write_all(&vec![0; 4096 * 64])?;
    file.sync_all()?;
    let mut times = Vec::with_capacity(SYNCS);
    for number in 0..SYNCS {
        file.seek(SeekFrom::Start(4096 * (number as u64 % 64)))?;
        let begun = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        times.push(ms(begun.elapsed()));
        std::thread::sleep(PAUSE);
    }
    drop(file);
    std::fs::remove_file(&path)?;
    Ok(Syncs { p10: percentile(&mut times, 0.1), p50: median(&mut times), p99: percentile(&mut times, 0.99) })
}

/// As many open files as the system lets.
pub fn raise_open_files() -> Result<(), Failure> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_a_family() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let own = std::process::id();
        let seen = children(own).unwrap();
        let (alone, all) = (memory_of(own).unwrap(), memory_of_all(own).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(seen.contains(&child.id()));
        assert!(all.rss_kb > alone.rss_kb / 2.0);
        assert!(!children(own).unwrap().contains(&child.id()));
    }

    #[test]
    fn percentiles() {
        let mut values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(median(&mut values), 50.0);
        assert_eq!(percentile(&mut values, 0.99), 99.0);
        assert_eq!(percentile(&mut values, 1.0), 100.0);
        assert_eq!(median(&mut [3.0]), 3.0);
        assert!(median(&mut []).is_nan());
    }
}

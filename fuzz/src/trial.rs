//! Executions of a target in this process: counted, timed, and within a limit of memory.

use std::{
    alloc::System,
    error::Error,
    fs::File,
    io::{Seek, Write},
    time::{Duration, Instant},
};

use cap::Cap;
use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    time::{ClockId, clock_gettime},
};

use crate::{Corpus, Mutator, Target};

/// An allocator that counts; a program that fuzzes makes it the global one.
pub type Allocator = Cap<System>;

/// Processor time that an execution may take.
const MAX_TIME: Duration = Duration::from_secs(1);
/// Processor time after which the system ends the process of an execution that does not end.
const HANG_TIME: Duration = Duration::from_secs(10);

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub enum Budget {
    /// After so many executions.
    Executions(u64),
    /// After this time.
    Time(Duration),
}

/// Time and memory that executions took.
#[derive(Debug, Clone)]
pub struct Report {
    /// Inputs that the target was given.
    pub executions: u64,
    /// Processor time of all.
    pub time: Duration,
    /// The longest time of one, and its number.
    pub slowest: (Duration, u64),
    /// The most memory of one, in bytes, and its number.
    pub heaviest: (usize, u64),
}

/// Gives a target its corpus and mutations of it, inputs `0…` of a [`Mutator`] with this `seed`.
///
/// `progress` gets the number of each input before it is given: 8 bytes, little-endian. So another process knows it even when
/// this one is ended by an abort, which an allocation beyond [`Target::memory`] leads to, or by the system after ten seconds of
/// processor time.
///
/// # Errors
/// When an execution takes more than a second of processor time, and when `progress` cannot be written.
///
/// # Panics
/// When the target does.
pub fn fuzz(
    target: &Target,
    corpus: Corpus,
    seed: u64,
    budget: Budget,
    allocator: &Allocator,
    progress: &mut File,
) -> Result<Report, Box<dyn Error>> {
    let mutator = Mutator::new(corpus, target.words, seed);
    // What a target makes once and keeps is no part of an execution.
    (target.run)(&mutator.input(0));
    let base = allocator.allocated();
    let within = |limit| allocator.set_limit(limit).map_err(|()| "no limit of memory can be set");
    within(base + target.memory)?;
    let (begin, start) = (Instant::now(), processor_time());
    let former = getrlimit(Resource::Cpu);
    limit_processor_time(start)?;
    let mut report = Report {
        executions: 0,
        time: Duration::ZERO,
        slowest: (Duration::ZERO, 0),
        heaviest: (0, 0),
    };
    let mut before = start;
    let is_over = |report: &Report| match budget {
        Budget::Executions(executions) => report.executions >= executions,
        Budget::Time(time) => begin.elapsed() >= time,
    };
    while !is_over(&report) {
        let number = report.executions;
        progress.rewind()?;
        progress.write_all(&number.to_le_bytes())?;
        (target.run)(&mutator.input(number));
        let after = processor_time();
        let (time, memory) = (after - before, allocator.max_allocated().saturating_sub(base));
        if before.as_secs() < after.as_secs() {
            limit_processor_time(after)?;
        }
        before = after;
        report.executions += 1;
        report.slowest = report.slowest.max((time, number));
        if memory > report.heaviest.0 {
            report.heaviest = (memory, number);
        }
        if time > MAX_TIME {
            return Err(format!("it takes {} ms", time.as_millis()).into());
        }
    }
    report.time = before - start;
    within(usize::MAX)?;
    setrlimit(Resource::Cpu, former)?;
    Ok(report)
}

/// Processor time of this process so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Lets this process, which has computed for `so_far`, compute for [`HANG_TIME`] more.
///
/// The limit counts the system's ticks, which may run ahead of the clock on a shared machine: once by ten seconds in 200.
fn limit_processor_time(so_far: Duration) -> Result<(), rustix::io::Errno> {
    let limit = (so_far + so_far / 4 + HANG_TIME).as_secs();
    let maximum = getrlimit(Resource::Cpu).maximum;
    let current = Some(maximum.map_or(limit, |maximum| maximum.min(limit)));
    setrlimit(Resource::Cpu, Rlimit { current, maximum })
}

//! The threads, the instruction set and the rules that graphs are prepared for and run with.

use std::{fmt, sync::Arc};

use coca_host::physical_cores;
use coca_kernels::{Cpu, Pool, WeightMemory};

use crate::{Error, OperatorTime, Rules, buffers::Buffers, environment, profile::Profiler};

/// What graphs are prepared for and run with: a thread pool, an instruction set, and whether rules fuse operators.
///
/// A handle: cloning it is cheap and gives the same engine. Graphs keep theirs alive; the pool's threads end with
/// the last handle. Two engines share nothing, so the work of one never waits for a thread of the other.
///
/// ```
/// use coca_engine::Engine;
///
/// let engine = Engine::builder().threads(2).build()?;
/// assert_eq!(engine.threads(), 2);
/// println!("kernels: {}", engine.cpu().instruction_set().name());
/// # Ok::<(), coca_engine::Error>(())
/// ```
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

struct Shared {
    /// `None` for one thread: the caller's.
    pool: Option<Pool>,
    cpu: Cpu,
    rules: Rules,
    weight_memory: WeightMemory,
    buffers: Buffers,
    /// Only where operators are timed.
    profiler: Option<Profiler>,
}

impl Engine {
    /// An engine with the defaults of [`EngineBuilder`].
    ///
    /// # Errors
    /// As [`EngineBuilder::build`].
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// Chooses what an engine consists of.
    pub fn builder() -> EngineBuilder {
        EngineBuilder { threads: None, cpu: None, rules: None, profiles: false }
    }

    /// The threads that share an operator's work, the caller of [`Graph::run`](crate::Graph::run) included.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.0.pool.as_ref().map_or(1, Pool::threads)
    }

    /// The instruction set that kernels run on.
    #[must_use]
    pub fn cpu(&self) -> Cpu {
        self.0.cpu
    }

    /// Whether rules fuse operators.
    #[must_use]
    pub fn rules(&self) -> Rules {
        self.0.rules
    }

    /// How often each operator ran and how long in all, the longest first, since the engine was made or asked this
    /// before; nothing unless [`EngineBuilder::profile`] says so.
    #[must_use]
    pub fn take_profile(&self) -> Vec<OperatorTime> {
        self.0.profiler.as_ref().map(Profiler::take).unwrap_or_default()
    }

    /// What times operators, if anything does.
    pub(crate) fn profiler(&self) -> Option<&Profiler> {
        self.0.profiler.as_ref()
    }

    /// The pool's threads; `None` for one thread.
    pub(crate) fn pool(&self) -> Option<&Pool> {
        self.0.pool.as_ref()
    }

    /// Memory that the runs of this engine's graphs use again.
    pub(crate) fn buffers(&self) -> &Buffers {
        &self.0.buffers
    }

    /// Memory for the packed weights of this engine's graphs.
    pub(crate) fn weight_memory(&self) -> &WeightMemory {
        &self.0.weight_memory
    }

    /// Runs `work` on every thread at once, and returns when all are done with it.
    pub(crate) fn broadcast(&self, work: impl Fn() + Sync) {
        Pool::broadcast(self.pool(), work);
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut engine = f.debug_struct("Engine");
        engine.field("threads", &self.threads()).field("cpu", &self.cpu());
        engine.field("rules", &self.rules()).finish()
    }
}

/// The choices that make an [`Engine`].
#[derive(Debug, Clone)]
#[must_use]
pub struct EngineBuilder {
    threads: Option<usize>,
    cpu: Option<Cpu>,
    rules: Option<Rules>,
    profiles: bool,
}

impl EngineBuilder {
    /// Computes with `threads` threads, at least 1; by default one for each physical core that the process may use.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Runs kernels on `cpu`; by default on the instruction set that the environment variable `COCA_CPU` names,
    /// else on the fastest that this machine has.
    pub fn cpu(mut self, cpu: Cpu) -> Self {
        self.cpu = Some(cpu);
        self
    }

    /// Turns the rules on or off; by default as the environment variable `COCA_RULES` says, `on` or `off`, else on.
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = Some(rules);
        self
    }

    /// Times every operator, for [`Engine::take_profile`]; runs take a little longer then.
    pub fn profile(mut self) -> Self {
        self.profiles = true;
        self
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// [`Error::Threads`] for none, or when the system refuses to start them; [`Error::Cpu`] and [`Error::Rules`]
    /// when an environment variable that is needed cannot be followed.
    pub fn build(self) -> Result<Engine, Error> {
        let cpu = self.cpu.map_or_else(environment::cpu, Ok)?;
        let rules = self.rules.map_or_else(environment::rules, Ok)?;
        let threads = self.threads.unwrap_or_else(physical_cores);
        let refused = |reason: String| Error::Threads { threads, reason };
        let pool = match threads {
            0 => return Err(refused("at least one is needed".to_owned())),
            1 => None,
            _ => Some(Pool::start(threads).map_err(|error| refused(error.to_string()))?),
        };
        Ok(Engine(Arc::new(Shared {
            pool,
            cpu,
            rules,
            weight_memory: WeightMemory::new(),
            buffers: Buffers::default(),
            profiler: self.profiles.then(Profiler::default),
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_threads_are_refused() {
        let error = Engine::builder().threads(0).build().unwrap_err();
        assert_eq!(error.to_string(), "could not start 0 threads: at least one is needed");
    }

    #[test]
    fn an_engine_has_as_many_threads_as_were_asked_for() {
        for threads in [1, 2, 5] {
            assert_eq!(Engine::builder().threads(threads).build().unwrap().threads(), threads);
        }
    }

    #[test]
    fn engines_may_be_used_from_any_thread() {
        fn assert_shareable<T: Send + Sync>() {}
        assert_shareable::<Engine>();
    }
}

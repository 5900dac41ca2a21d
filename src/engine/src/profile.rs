//! The time that operators take.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tract_core::plan::eval;
use tract_onnx::prelude::{TValue, TVec, TractResult, TypedRunnableModel};

/// How often an operator ran, and how long in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorTime {
    /// Its name, as in [`Execution`](crate::Execution).
    pub operator: String,
    /// Runs of nodes of it.
    pub count: usize,
    /// The time of all these runs.
    pub time: Duration,
}

/// Adds up the time of each operator, over all graphs of an engine.
#[derive(Debug, Default)]
pub(crate) struct Profiler(Mutex<BTreeMap<String, (usize, Duration)>>);

impl Profiler {
    /// Runs `plan`, and adds up what each of its operators takes.
    pub(crate) fn run(
        &self,
        plan: &Arc<TypedRunnableModel>,
        inputs: TVec<TValue>,
    ) -> TractResult<TVec<TValue>> {
        plan.spawn()?.run_plan_with_eval(inputs, |context, state, node, inputs| {
            let start = Instant::now();
            let outputs = eval(context, state, node, inputs);
            self.add(&node.op.name(), start.elapsed());
            outputs
        })
    }

    /// Takes out what was added up, the longest first.
    pub(crate) fn take(&self) -> Vec<OperatorTime> {
        let times = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut times: Vec<OperatorTime> = times
            .into_iter()
            .map(|(operator, (count, time))| OperatorTime { operator, count, time })
            .collect();
        times.sort_by_key(|operator| std::cmp::Reverse(operator.time));
        times
    }

    fn add(&self, operator: &str, time: Duration) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, total) = times.entry(operator.to_owned()).or_default();
        *count += 1;
        *total += time;
    }
}

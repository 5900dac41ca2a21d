//! Memory that runs use again.
//!
//! A run allocates the same tensors as the run before it. Given back to the C library they would often go on to the
//! system, and the next run would take fresh pages: hundreds for a step of six beams, a tenth of its time. So the
//! tensors that fused operators are done with stay with the engine.
//!
//! ```text
//! Buffers ── take [50, 3072] ──▶ output of a fused operator ──▶ input of the next ── give_back ──▶ Buffers
//! ```

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tract_onnx::tract_hir::internal::*;

/// Shorter tensors are left to the C library, which keeps memory of their size anyway: 16 KiB.
const MIN_ELEMENTS: usize = 4096;

/// Idle tensors together, in elements: 4 MiB. A transformer's layers share a few sizes and need less. A convolutional
/// encoder has a size for each layer, more in all: those that find no place any more are left to the C library. Making
/// place would throw out each tensor just before its layer's next turn.
const MAX_IDLE_ELEMENTS: usize = 1 << 20;

/// Tensors of f32 between two uses.
#[derive(Default)]
pub(crate) struct Buffers {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The one given back last stands last.
    idle: Vec<Tensor>,
    idle_elements: usize,
    /// Tensors of each length that were taken and not given back: no more than those are kept, whoever made them.
    lent: HashMap<usize, usize>,
}

impl Buffers {
    /// Takes a tensor of `shape` whose elements are unspecified: zeros, or what an earlier run left there.
    pub(crate) fn take(&self, shape: &[usize]) -> TractResult<Tensor> {
        let length: usize = shape.iter().product();
        if length < MIN_ELEMENTS {
            return Tensor::zero::<f32>(shape);
        }
        let idle = self.state().take(length);
        match idle {
            Some(mut tensor) => {
                tensor.set_shape(shape)?;
                Ok(tensor)
            }
            None => Tensor::zero::<f32>(shape),
        }
    }

    /// Keeps the memory of a tensor that nobody else refers to.
    pub(crate) fn give_back(&self, value: TValue) {
        if value.is_exclusive() && value.len() >= MIN_ELEMENTS && is_plain_f32(&value) {
            self.state().keep(value.into_tensor());
        }
    }

    /// Gives all idle memory back to the system.
    pub(crate) fn clear(&self) {
        *self.state() = State::default();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, length: usize) -> Option<Tensor> {
        *self.lent.entry(length).or_default() += 1;
        // The one used last is the likeliest to be in a cache.
        let at = self.idle.iter().rposition(|tensor| tensor.len() == length)?;
        self.idle_elements -= length;
        Some(self.idle.remove(at))
    }

    fn keep(&mut self, tensor: Tensor) {
        let Some(lent) = self.lent.get_mut(&tensor.len()).filter(|lent| **lent > 0) else { return };
        *lent -= 1;
        if self.idle_elements + tensor.len() <= MAX_IDLE_ELEMENTS {
            self.idle_elements += tensor.len();
            self.idle.push(tensor);
        }
    }
}

fn is_plain_f32(tensor: &Tensor) -> bool {
    tensor.datum_type() == f32::datum_type() && tensor.is_plain_ram()
}

/// A tensor of `shape` from `buffers`, every element of which `fill` writes.
pub(crate) fn filled(
    buffers: &Buffers,
    shape: &[usize],
    fill: impl FnOnce(&mut [f32]) -> TractResult<()>,
) -> TractResult<Tensor> {
    let mut tensor = buffers.take(shape)?;
    if tensor.len() > 0 {
        let mut view = tensor.to_plain_array_view_mut::<f32>()?;
        let elements = view.as_slice_mut();
        fill(elements.ok_or_else(|| format_err!("a new tensor with gaps"))?)?;
    }
    Ok(tensor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle(buffers: &Buffers) -> usize {
        buffers.state().idle_elements
    }

    #[test]
    fn a_tensor_given_back_is_taken_again_whatever_its_shape() {
        let buffers = Buffers::default();
        let first = filled(&buffers, &[2, 4096], |elements| {
            elements.fill(7.0);
            Ok(())
        });
        buffers.give_back(first.unwrap().into());
        let again = buffers.take(&[64, 128]).unwrap();
        assert_eq!(again.shape(), [64, 128]);
        assert!(again.view().as_slice::<f32>().unwrap().iter().all(|&element| element == 7.0));
        assert_eq!(idle(&buffers), 0);
    }

    #[test]
    fn a_tensor_that_somebody_still_reads_is_not_kept() {
        let buffers = Buffers::default();
        let read: TValue = buffers.take(&[8192]).unwrap().into();
        buffers.give_back(read.clone());
        assert_eq!(idle(&buffers), 0);
        drop(read);
    }

    #[test]
    fn no_more_tensors_are_kept_than_were_taken() {
        let buffers = Buffers::default();
        let taken = buffers.take(&[8192]).unwrap();
        buffers.give_back(Tensor::zero::<f32>(&[8192]).unwrap().into());
        buffers.give_back(taken.into());
        buffers.give_back(Tensor::zero::<f32>(&[5000]).unwrap().into());
        assert_eq!(idle(&buffers), 8192);
    }

    #[test]
    fn idle_memory_is_bounded_and_what_is_kept_stays() {
        let buffers = Buffers::default();
        let lengths: Vec<usize> = (0..40).map(|n| 200_000 + n).collect();
        let taken: Vec<Tensor> = lengths.iter().map(|&n| buffers.take(&[n]).unwrap()).collect();
        taken.into_iter().for_each(|tensor| buffers.give_back(tensor.into()));
        assert!(idle(&buffers) <= MAX_IDLE_ELEMENTS);
        let kept: Vec<usize> = buffers.state().idle.iter().map(Tensor::len).collect();
        assert_eq!(kept, lengths[..kept.len()]);
        assert_eq!(kept.len(), MAX_IDLE_ELEMENTS / 200_000);
    }

    /// Pages that this thread had to be given so far.
    #[cfg(target_os = "linux")]
    fn fresh_pages() -> u64 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let behind_name = stat.rsplit(')').next().unwrap();
        behind_name.split_whitespace().nth(7).unwrap().parse().unwrap()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn runs_over_the_same_shapes_need_no_fresh_pages() {
        let buffers = Buffers::default();
        let run = || {
            let outputs = [[6, 49_408], [6, 50_000]].map(|shape| {
                filled(&buffers, &shape, |elements| {
                    elements.fill(1.0);
                    Ok(())
                })
            });
            outputs.into_iter().for_each(|output| buffers.give_back(output.unwrap().into()));
        };
        (0..3).for_each(|_| run());
        let before = fresh_pages();
        (0..20).for_each(|_| run());
        let taken = fresh_pages() - before;
        // 20 runs over 2.4 MB of fresh memory would be 11,700.
        assert!(taken < 60, "{taken} fresh pages");
    }
}

//! Tensors that are given to a graph again and again without a copy.

use std::sync::Arc;

use ndarray::ArrayD;
use tract_onnx::prelude::{IntoTensor, Tensor};

/// A tensor of 32-bit numbers, or of codes of pixels, that many runs share.
#[derive(Debug, Clone)]
pub struct SharedTensor(Arc<Tensor>);

impl From<ArrayD<f32>> for SharedTensor {
    fn from(array: ArrayD<f32>) -> Self {
        Self(Arc::new(array.into_tensor()))
    }
}

impl From<ArrayD<u8>> for SharedTensor {
    fn from(codes: ArrayD<u8>) -> Self {
        Self(Arc::new(codes.into_tensor()))
    }
}

impl From<Arc<Tensor>> for SharedTensor {
    fn from(tensor: Arc<Tensor>) -> Self {
        Self(tensor)
    }
}

impl SharedTensor {
    /// The elements in row-major order, to be overwritten between two runs; `None` while another clone exists.
    #[must_use]
    pub fn elements_mut(&mut self) -> Option<&mut [f32]> {
        Arc::get_mut(&mut self.0)?.to_plain_array_view_mut::<f32>().ok()?.into_slice()
    }

    /// The codes in row-major order, to be overwritten between two runs; `None` while another clone exists.
    #[must_use]
    pub fn codes_mut(&mut self) -> Option<&mut [u8]> {
        Arc::get_mut(&mut self.0)?.to_plain_array_view_mut::<u8>().ok()?.into_slice()
    }

    pub(crate) fn into_tensor(self) -> Arc<Tensor> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_written_only_while_nobody_else_reads_them() {
        let mut tensor = SharedTensor::from(ndarray::arr2(&[[1.0, 2.0], [3.0, 4.0]]).into_dyn());
        tensor.elements_mut().unwrap()[1] = 5.0;
        let clone = tensor.clone();
        assert_eq!(tensor.elements_mut(), None);
        drop(clone);
        assert_eq!(tensor.elements_mut().unwrap(), [1.0, 5.0, 3.0, 4.0]);
    }
}

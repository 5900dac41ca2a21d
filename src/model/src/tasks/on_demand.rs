//! Lazily loaded values.

use std::sync::{Mutex, OnceLock, PoisonError};

/// A value that the first thread to need it loads, while others wait.
///
/// A failed load is tried again by the next thread.
#[derive(Debug, Default)]
pub(super) struct OnDemand<T> {
    value: OnceLock<T>,
    loading: Mutex<()>,
}

impl<T> OnDemand<T> {
    pub(super) const fn new() -> Self {
        Self { value: OnceLock::new(), loading: Mutex::new(()) }
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.value.get().is_some()
    }

    pub(super) fn get_or_load<E>(&self, load: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        let value = load()?;
        Ok(self.value.get_or_init(|| value))
    }
}

//! [`Codes`](crate::codes::Codes) for each instruction set.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod ymm;

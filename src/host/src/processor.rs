//! Cores and instruction sets of the CPU.

/// Physical cores that this process may use: a container's or a taskset's bound counts.
#[must_use]
pub fn physical_cores() -> usize {
    let allowed = std::thread::available_parallelism().map_or(1, usize::from);
    num_cpus::get_physical().min(allowed)
}

/// Instruction set extensions of this CPU, of those that kernels can use.
#[must_use]
pub fn cpu_features() -> Vec<&'static str> {
    found()
}

macro_rules! detected {
    ($detect:ident: $($feature:tt),*) => {{
        let mut features = Vec::new();
        $(if std::arch::$detect!($feature) {
            features.push($feature);
        })*
        features
    }};
}

#[cfg(target_arch = "x86_64")]
fn found() -> Vec<&'static str> {
    detected!(is_x86_feature_detected: "sse4.1", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vnni")
}

#[cfg(target_arch = "aarch64")]
fn found() -> Vec<&'static str> {
    detected!(is_aarch64_feature_detected: "neon", "dotprod", "i8mm", "fp16", "bf16", "sve")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn found() -> Vec<&'static str> {
    Vec::new()
}

//! libFuzzer's way to the target `camera_frame`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: coca_fuzz::silence_caught_panics(), |bytes: &[u8]| {
    coca_fuzz::run("camera_frame", bytes);
});

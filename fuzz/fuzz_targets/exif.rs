//! libFuzzer's way to the target `exif`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: coca_fuzz::silence_caught_panics(), |bytes: &[u8]| {
    coca_fuzz::run("exif", bytes);
});

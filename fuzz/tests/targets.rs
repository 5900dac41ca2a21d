//! Every target on its corpus and on some mutations of it, the same ones in every run.
#![allow(clippy::unwrap_used, missing_docs)]

use std::alloc::System;

use coca_fuzz::{Allocator, Corpus, Mutator, Target, targets};

/// More than any target may take: one that takes memory without end ends here, and not with the machine.
#[global_allocator]
static ALLOCATOR: Allocator = Allocator::new(System, 2 << 30);

/// Mutations of a target in a debug build.
const MUTATIONS: u64 = 1500;
const SLOW_MUTATIONS: u64 = 60;
/// Seed of mutations; the gate's other runs have another.
const SEED: u64 = 20_261_128;

fn inputs(target: &Target) -> impl Iterator<Item = (u64, Vec<u8>)> {
    let corpus = Corpus::of(target).unwrap();
    let mutations = if target.is_slow { SLOW_MUTATIONS } else { MUTATIONS };
    let count = corpus.inputs().len() as u64 + mutations;
    let mutator = Mutator::new(corpus, target.words, SEED);
    (0..count).map(move |number| (number, mutator.input(number)))
}

#[test]
fn every_target_ends_in_a_value_or_an_error() {
    coca_fuzz::silence_caught_panics();
    for target in targets() {
        for (number, input) in inputs(target) {
            let ended = std::panic::catch_unwind(|| (target.run)(&input));
            assert!(ended.is_ok(), "{}: input {number}: {input:x?}", target.name);
        }
    }
}

#[test]
fn names_of_targets_are_those_of_libfuzzer() {
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    let manifest = manifest.unwrap();
    let named: Vec<&str> = manifest
        .split("[[bin]]")
        .skip(1)
        .filter_map(|entry| entry.split('"').nth(1))
        .filter(|name| *name != "coca-fuzz")
        .collect();
    let mut names: Vec<&str> = targets().map(|target| target.name).collect();
    names.sort_unstable();
    assert_eq!(named, names);
}

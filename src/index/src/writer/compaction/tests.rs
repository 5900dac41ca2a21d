//! Indexes that are compacted, held to others that are not.

use std::{
    collections::BTreeMap,
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use coca_kernels::Cpu;
use coca_model::{Embedding, bundle::Fingerprint};
use proptest::{collection::vec, prelude::*};
use tempfile::TempDir;

use super::*;
use crate::{
    Answer, Filter, Index, Picture, Query, SimilarGroup,
    scan::{Scan, Wanted},
    snapshot::Snapshot,
};

const MODEL: Fingerprint = Fingerprint([7; 32]);
const WIDTH: usize = 5;

fn open(folder: &Path) -> IndexWriter {
    IndexWriter::open(folder, MODEL, "made up", WIDTH).unwrap()
}

/// Tells number `i` from every other one.
fn embedding(i: usize) -> Embedding {
    let elements = (0..WIDTH).map(|k| ((i + 1) as f32 * (k as f32 + 0.3)).sin()).collect();
    Embedding::from_elements(elements, MODEL).unwrap()
}

/// A picture at a path, with the content `i`.
fn picture(path: usize, i: usize) -> Picture {
    Picture {
        path: format!("{}/{path}.jpg", path % 3),
        content: i as u128,
        labels: vec![["cat", "dog"][i % 2].to_owned()],
        caption: Some(format!("number {i} of many")),
        ..Picture::default()
    }
}

fn search(index: &Index) -> Answer {
    index.search(&Query::near(embedding(3)).top_k(100)).unwrap()
}

/// The answers to queries of every kind.
fn answers(index: &Index) -> (Vec<Picture>, Vec<Answer>, Vec<SimilarGroup>) {
    let near = || Query::near(embedding(3)).top_k(20);
    let queries = [
        near().min_z(0.1),
        near().dedup(0.99),
        near().filter(Filter::default().label("cat")),
        near().without_content(3).without_content(4),
        Query::in_captions("number 5"),
        Query::near_or_in_captions(embedding(2), "7"),
    ];
    let found = queries.iter().map(|query| index.search(query).unwrap()).collect();
    (index.pictures().unwrap(), found, index.similar(0.9, true).unwrap())
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The names of an index's files, in order.
fn files_of(generation: u64) -> [String; 4] {
    let [codes, scales, vectors] =
        ["codes", "scales", "vectors"].map(|stem| format!("{stem}-{generation}"));
    [codes, "index.redb".to_owned(), scales, vectors]
}

/// An index of `count` pictures of which those at every third path are gone.
fn with_holes(count: usize) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let mut writer = open(&path);
    for i in 0..count {
        writer.add(picture(i, i), &embedding(i)).unwrap();
    }
    writer.commit().unwrap();
    (0..count as u64).step_by(3).for_each(|row| writer.remove(row));
    writer.commit().unwrap();
    (folder, path)
}

#[derive(Debug, Clone)]
enum Step {
    /// Adds embedding `i` at a path, or puts it in the place of the picture there.
    Add { path: usize, i: usize },
    /// Removes the picture at a path.
    Remove(usize),
    /// Compacts one of the two indexes.
    Compact,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0_usize..12, 0_usize..9).prop_map(|(path, i)| Step::Add { path, i }),
        3 => (0_usize..12).prop_map(Step::Remove),
        1 => Just(Step::Compact),
    ]
}

fn take(writer: &mut IndexWriter, step: &Step, compacts: bool) {
    match step {
        Step::Add { path, i } => writer.add(picture(*path, *i), &embedding(*i)).unwrap(),
        Step::Remove(path) => {
            writer.commit().unwrap();
            let known = writer.view().unwrap().at_path(&picture(*path, 0).path).unwrap();
            known.into_iter().for_each(|(row, _)| writer.remove(row));
        }
        Step::Compact if compacts => writer.compact().unwrap(),
        Step::Compact => writer.commit().unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn an_index_that_is_compacted_answers_as_one_that_is_not(steps in vec(step(), 1..30)) {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["compacted", "plain"].map(|name| folder.path().join(name));
        let mut writers = paths.each_ref().map(|path| open(path));
        let readers = paths.each_ref().map(|path| Index::open(path).unwrap());
        for step in steps.iter().chain([&Step::Compact]) {
            take(&mut writers[0], step, true);
            take(&mut writers[1], step, false);
            if matches!(step, Step::Compact) {
                prop_assert_eq!(answers(&readers[0]), answers(&readers[1]));
                prop_assert_eq!(writers[0].view().unwrap().hole_count().unwrap(), 0);
                prop_assert_eq!(writers[0].facts.rows, readers[0].pictures().unwrap().len() as u64);
            }
        }
    }
}

#[test]
fn a_reader_that_has_the_old_files_open_goes_on_with_them() {
    let (_folder, path) = with_holes(30);
    let index = Index::open(&path).unwrap();
    let snapshot = index.snapshot().unwrap();
    let found = || {
        let (vectors, live) = (&snapshot.vectors, &snapshot.live().unwrap());
        let scan = Scan { vectors, live, allowed: None, from: 0, cpu: Cpu::best(), pool: None };
        let rows = scan.run(embedding(4).as_slice(), Wanted::Best(9)).unwrap().rows.into_iter();
        let described = rows.map(|(row, score)| {
            (score, snapshot.view.picture(row).unwrap(), snapshot.embedding(row).unwrap())
        });
        described.collect::<Vec<_>>()
    };
    let before = found();
    let mut writer = open(&path);
    writer.compact().unwrap();
    writer.add(picture(99, 99), &embedding(99)).unwrap();
    writer.commit().unwrap();
    assert_eq!(found(), before);
    assert_eq!(search(&index).hits.len(), 21);
}

#[test]
fn a_reader_that_finds_the_old_files_gone_looks_again() {
    let (_folder, path) = with_holes(30);
    let index = Index::open(&path).unwrap();
    let expected = answers(&index);
    let mut writer = open(&path);
    let (view, facts) = (writer.view().unwrap(), writer.facts.clone());
    writer.compact().unwrap();
    let error = Snapshot::open(&path, view, facts).err().unwrap();
    assert!(matches!(error, Error::Io { .. }), "the error after which it does: {error}");
    assert_eq!(answers(&index), expected);
}

/// The contents of the files in a folder.
fn read_all(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    names(folder)
        .into_iter()
        .map(|name| (name.clone(), fs::read(folder.join(name)).unwrap()))
        .collect()
}

#[test]
fn a_compaction_that_is_interrupted_at_any_step_loses_nothing_and_leaves_nothing() {
    let (_folder, path) = with_holes(30);
    let expected = answers(&Index::open(&path).unwrap());
    let before = read_all(&path);
    open(&path).compact().unwrap();
    let after = read_all(&path);
    let mut states = Vec::new();
    let mut growing = before.clone();
    for name in ["codes-1", "scales-1", "vectors-1"] {
        let whole = &after[name];
        for length in [0, 1, whole.len() / 2, whole.len() - 1, whole.len()] {
            growing.insert(name.to_owned(), whole[..length].to_vec());
            states.push(growing.clone());
        }
    }
    let mut shrinking = after.clone();
    shrinking.extend(before.into_iter().filter(|(name, _)| name.ends_with("-0")));
    for name in ["vectors-0", "codes-0", "scales-0"] {
        states.push(shrinking.clone());
        shrinking.remove(name);
    }
    assert_eq!(states.len(), 18);
    for (number, state) in states.iter().enumerate() {
        fs::remove_dir_all(&path).unwrap();
        fs::create_dir(&path).unwrap();
        state.iter().for_each(|(name, bytes)| fs::write(path.join(name), bytes).unwrap());
        let check =
            || assert_eq!(answers(&Index::open(&path).unwrap()), expected, "state {number}");
        check();
        let mut writer = open(&path);
        let generation = u64::from(number >= 15);
        assert_eq!(names(&path), files_of(generation), "state {number}");
        check();
        writer.compact().unwrap();
        assert_eq!(names(&path), files_of(1), "state {number}");
        check();
    }
}

#[test]
fn a_compaction_that_fails_names_the_file_and_the_index_stays() {
    for name in ["codes-1", "scales-1", "vectors-1"] {
        let (_folder, path) = with_holes(30);
        let index = Index::open(&path).unwrap();
        let expected = answers(&index);
        fs::create_dir(path.join(name)).unwrap();
        let mut writer = open(&path);
        let error = writer.compact().unwrap_err();
        assert!(matches!(&error, Error::Io { path, .. } if path.ends_with(name)), "{error}");
        assert_eq!(answers(&index), expected);
        assert_eq!(names(&path).len(), 5, "what was written is removed");
        writer.add(picture(99, 99), &embedding(99)).unwrap();
        writer.commit().unwrap();
        assert_eq!(search(&index).hits.len(), 21);
        fs::remove_dir(path.join(name)).unwrap();
        writer.compact().unwrap();
        assert_eq!(search(&index).hits.len(), 21);
    }
}

#[cfg(unix)]
#[test]
fn a_link_in_the_place_of_a_new_file_is_not_written_through() {
    let (folder, path) = with_holes(9);
    std::os::unix::fs::symlink("../thesis", path.join("codes-1")).unwrap();
    let error = open(&path).compact().unwrap_err().to_string();
    assert!(error.contains("codes-1"), "{error}");
    assert!(path.join("codes-1").is_symlink() && !folder.path().join("thesis").exists());
}

#[test]
fn an_index_is_compacted_by_itself_once_it_is_worth_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = open(folder.path());
    for i in 0..5000 {
        writer.add(picture(i, i), &embedding(i)).unwrap();
    }
    writer.commit().unwrap();
    let remove = |writer: &mut IndexWriter, rows: Range<u64>| {
        rows.for_each(|row| writer.remove(row));
        writer.commit().unwrap();
        writer.compact_when_due().unwrap();
        writer.facts.generation
    };
    assert_eq!(remove(&mut writer, 0..4095), 0);
    fs::create_dir(folder.path().join("codes-1")).unwrap();
    assert_eq!(remove(&mut writer, 4095..4096), 0, "cannot be, and the update is none the worse");
    fs::remove_dir(folder.path().join("codes-1")).unwrap();
    assert_eq!(remove(&mut writer, 4096..4097), 0, "not tried again at once");
    drop(writer);
    let mut writer = open(folder.path());
    assert_eq!(remove(&mut writer, 0..0), 1);
    assert_eq!(writer.facts.rows, 903);
    let index = Index::open(folder.path()).unwrap();
    let answer = index.search(&Query::near(embedding(4500)).top_k(1)).unwrap();
    assert_eq!(answer.hits[0].picture, picture(4500, 4500));
}

#[test]
fn few_rows_or_a_small_share_are_left() {
    let mut schedule = Schedule::default();
    assert!(!schedule.is_due(MIN_HOLES - 1, MIN_HOLES));
    assert!(schedule.is_due(MIN_HOLES, 2 * MIN_HOLES));
    assert!(!schedule.is_due(MIN_HOLES, 3 * MIN_HOLES));
    assert!(!schedule.is_due(0, 0));
    schedule.postpone(5000);
    assert!(!schedule.is_due(9999, 10_000) && schedule.is_due(10_000, 10_000));
}

#[test]
fn the_last_generation_is_followed_by_the_first() {
    let (_folder, path) = with_holes(9);
    let mut writer = open(&path);
    for (from, to) in files_of(0).into_iter().zip(files_of(u64::MAX)).filter(|(a, b)| a != b) {
        fs::rename(path.join(from), path.join(to)).unwrap();
    }
    writer.facts.generation = u64::MAX;
    writer.database.apply(&writer.facts, &[]).unwrap();
    drop(writer);
    let mut writer = open(&path);
    writer.compact().unwrap();
    assert_eq!(writer.facts.generation, 0);
    assert_eq!(search(&Index::open(&path).unwrap()).hits.len(), 6);
}

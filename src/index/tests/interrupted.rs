//! Writers that are killed, files that are cut, and readers beside a writer in another process.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::{
    fs::{self, OpenOptions},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use coca_index::{Error, Index, IndexWriter, Picture, Query};
use coca_model::{Embedding, bundle::Fingerprint};

const MODEL: Fingerprint = Fingerprint([7; 32]);
const WIDTH: usize = 5;
const BATCH: usize = 7;
const FOLDER: &str = "COCA_INDEX_TEST_FOLDER";

/// Tells row `i` from every other one.
fn embedding(i: usize) -> Embedding {
    let elements = (0..WIDTH).map(|k| ((i + 1) as f32 * (k as f32 + 0.3)).sin()).collect();
    Embedding::from_elements(elements, MODEL).unwrap()
}

fn open(folder: &Path) -> Result<IndexWriter, Error> {
    IndexWriter::open(folder, MODEL, "made up", WIDTH)
}

fn write_batch(writer: &mut IndexWriter, first: usize) {
    for i in first..first + BATCH {
        let picture = Picture { path: format!("{i}.jpg"), ..Picture::default() };
        writer.add(picture, &embedding(i)).unwrap();
    }
    writer.commit().unwrap();
}

/// Opens the index; each picture must be found by its own embedding. Returns the number of pictures.
fn check(folder: &Path) -> usize {
    let index = Index::open(folder).unwrap();
    let count = index.pictures().unwrap().len();
    assert_eq!(count % BATCH, 0, "whole batches");
    for i in 0..count {
        let answer = index.search(&Query::near(embedding(i)).top_k(1)).unwrap();
        assert_eq!(answer.hits[0].picture.path, format!("{i}.jpg"));
    }
    count
}

/// Not a test: what the other process does, until it is killed.
#[test]
#[ignore = "a writer that other tests start and kill"]
fn writes_batches_for_ever() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let mut writer = open(Path::new(&folder)).unwrap();
    let mut first = Index::open(&folder).unwrap().pictures().unwrap().len();
    loop {
        write_batch(&mut writer, first);
        first += BATCH;
    }
}

/// Not a test either: as before, and each time pictures are replaced and the index is compacted.
#[test]
#[ignore = "a writer that other tests start and kill"]
fn writes_and_compacts_for_ever() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let mut writer = open(Path::new(&folder)).unwrap();
    let mut first = Index::open(&folder).unwrap().pictures().unwrap().len();
    loop {
        write_batch(&mut writer, first);
        write_batch(&mut writer, 0);
        writer.compact().unwrap();
        first += BATCH;
    }
}

/// Starts one of the two above.
fn another_process(writes: &str, folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", writes, "--ignored", "--quiet"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until another process has added pictures to `count`.
fn wait_for_more_than(folder: &Path, count: usize) {
    let since = Instant::now();
    while Index::open(folder).map_or(0, |index| index.pictures().unwrap().len()) <= count {
        assert!(since.elapsed() < Duration::from_secs(60), "the other process writes nothing");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_writer_that_is_killed_at_any_moment_loses_at_most_its_last_batch() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("index");
    let mut count = 0;
    for round in 0..6 {
        let mut process = another_process("writes_batches_for_ever", &folder);
        wait_for_more_than(&folder, count);
        thread::sleep(Duration::from_micros(3700 * round));
        process.kill().unwrap();
        process.wait().unwrap();
        let after = check(&folder);
        assert!(after > count);
        count = after;
    }
    write_batch(&mut open(&folder).unwrap(), count);
    assert_eq!(check(&folder), count + BATCH);
}

/// Kills writers that compact; the next one leaves one set of files.
fn kill_while_it_compacts(rounds: u64) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("index");
    let (mut count, mut interrupted) = (0, 0);
    for round in 0..rounds {
        let mut process = another_process("writes_and_compacts_for_ever", &folder);
        wait_for_more_than(&folder, count);
        thread::sleep(Duration::from_micros(7919 * round % 30_000));
        process.kill().unwrap();
        process.wait().unwrap();
        interrupted += usize::from(vector_files(&folder) != 3);
        let after = check(&folder);
        assert!(after > count);
        drop(open(&folder).unwrap());
        assert_eq!((vector_files(&folder), check(&folder)), (3, after));
        // Searching for every picture of a large index takes long.
        count = if after < 40 * BATCH { after } else { 0 };
        if count == 0 {
            fs::remove_dir_all(&folder).unwrap();
        }
    }
    println!("{rounds} writers killed, {interrupted} of them between two generations of files");
}

/// The number of files of embeddings, of all generations.
fn vector_files(folder: &Path) -> usize {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_str().unwrap().contains('-')).count()
}

#[test]
fn a_writer_that_is_killed_while_it_compacts_loses_nothing() {
    kill_while_it_compacts(6);
}

#[test]
#[ignore = "takes minutes"]
fn hundreds_of_writers_that_are_killed_while_they_compact_lose_nothing() {
    kill_while_it_compacts(300);
}

#[test]
fn a_reader_beside_a_writer_that_compacts_finds_every_picture() {
    let folder = tempfile::tempdir().unwrap();
    write_batch(&mut open(folder.path()).unwrap(), 0);
    let index = Index::open(folder.path()).unwrap();
    let mut process = another_process("writes_and_compacts_for_ever", folder.path());
    let since = Instant::now();
    while folder.path().join("codes-0").exists() || index.pictures().unwrap().len() < 5 * BATCH {
        assert!(since.elapsed() < Duration::from_secs(60), "the other process writes nothing");
        for i in 0..BATCH {
            let answer = index.search(&Query::near(embedding(i)).top_k(1)).unwrap();
            assert_eq!(answer.hits[0].picture.path, format!("{i}.jpg"));
        }
    }
    process.kill().unwrap();
    process.wait().unwrap();
}

/// Not a test: what the other process does within a limit of the size of files, which is like a full disk.
#[test]
#[ignore = "a writer that another test starts"]
fn compacts_once() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let Ok(mut writer) = open(Path::new(&folder)) else { return };
    match writer.compact() {
        Ok(()) => println!("compacted"),
        Err(error) => {
            println!("failed: {error}");
            let picture = Picture { path: "0.jpg".to_owned(), ..Picture::default() };
            writer.add(picture, &embedding(0)).unwrap();
            println!("then: {:?}", writer.commit());
        }
    }
}

#[cfg(unix)]
#[test]
fn a_compaction_that_finds_the_disk_full_names_the_file_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("index");
    let mut said = String::new();
    let mut writer = open(&folder).unwrap();
    let count = 20 * BATCH;
    // Each picture twice: half of the rows are of pictures that were replaced.
    (0..2 * count).step_by(BATCH).for_each(|i| write_batch(&mut writer, i % count));
    drop(writer);
    for blocks in (0..14).map(|power| 1 << power) {
        let output = Command::new("sh")
            .args(["-c", "trap '' XFSZ; ulimit -f $0; exec \"$@\"", &blocks.to_string()])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "compacts_once", "--ignored", "--nocapture"])
            .env(FOLDER, &folder)
            .output()
            .unwrap();
        said += str::from_utf8(&output.stdout).unwrap();
        assert_eq!(check(&folder), count, "{said}");
        drop(open(&folder).unwrap());
        assert_eq!(vector_files(&folder), 3);
        if said.contains("compacted") {
            break;
        }
    }
    for expected in ["codes-1: ", "index.redb: ", "compacted"] {
        assert!(said.contains(expected), "{said}");
    }
    let spent = ["PreviousIo", "DatabaseClosed"];
    assert!(!spent.iter().any(|error| said.contains(error)), "the writer goes on: {said}");
}

/// Kills writers of new indexes, most of them before the first commit.
fn kill_while_it_is_made(rounds: u64) {
    let mut unmade = 0;
    for round in 0..rounds {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("index");
        let mut process = another_process("writes_batches_for_ever", &folder);
        while !folder.exists() {
            thread::sleep(Duration::from_micros(100));
        }
        thread::sleep(Duration::from_micros(7919 * round % 20_000));
        process.kill().unwrap();
        process.wait().unwrap();
        let count = match Index::open(&folder) {
            Err(Error::NotAnIndex { .. }) => {
                unmade += 1;
                0
            }
            index => index.map(|_| check(&folder)).unwrap(),
        };
        write_batch(&mut open(&folder).unwrap(), count);
        assert_eq!(check(&folder), count + BATCH);
        let is_temporary = |name: &str| name.starts_with(".coca-");
        let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.filter(|name| is_temporary(name.to_str().unwrap())).count(), 0);
    }
    println!("{rounds} writers killed, {unmade} of them before there was an index");
}

#[test]
fn a_writer_that_is_killed_while_it_makes_an_index_leaves_none_or_a_whole_one() {
    kill_while_it_is_made(12);
}

#[test]
#[ignore = "takes a minute"]
fn a_thousand_writers_that_are_killed_while_they_make_an_index_leave_none_or_a_whole_one() {
    kill_while_it_is_made(1000);
}

#[test]
fn a_reader_follows_the_commits_of_another_process() {
    let folder = tempfile::tempdir().unwrap();
    write_batch(&mut open(folder.path()).unwrap(), 0);
    let index = Index::open(folder.path()).unwrap();
    let mut process = another_process("writes_batches_for_ever", folder.path());
    wait_for_more_than(folder.path(), BATCH);
    let seen = index.pictures().unwrap().len();
    assert!(seen > BATCH, "without opening it again");
    check(folder.path());
    assert!(matches!(open(folder.path()), Err(Error::Busy { .. })), "one writer at a time");
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn what_stands_behind_the_last_commit_is_cut_off_whatever_its_length() {
    let folder = tempfile::tempdir().unwrap();
    write_batch(&mut open(folder.path()).unwrap(), 0);
    let files = ["codes-0", "scales-0", "vectors-0"].map(|name| folder.path().join(name));
    let lengths = files.each_ref().map(|file| fs::metadata(file).unwrap().len());
    for more in 1..70 {
        for (i, (file, length)) in files.iter().zip(lengths).enumerate() {
            let file = OpenOptions::new().write(true).open(file).unwrap();
            file.set_len(length + (more * (i as u64 + 1)) % 70).unwrap();
        }
        assert_eq!(check(folder.path()), BATCH, "a reader looks past it");
        drop(open(folder.path()).unwrap());
        assert_eq!(files.each_ref().map(|file| fs::metadata(file).unwrap().len()), lengths);
    }
    write_batch(&mut open(folder.path()).unwrap(), BATCH);
    assert_eq!(check(folder.path()), 2 * BATCH);
}

#[test]
fn a_file_that_is_too_short_is_named() {
    let folder = tempfile::tempdir().unwrap();
    write_batch(&mut open(folder.path()).unwrap(), 0);
    for name in ["codes-0", "scales-0", "vectors-0"] {
        let file = folder.path().join(name);
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        let index = Index::open(folder.path()).unwrap();
        let error = index.search(&Query::near(embedding(0))).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        assert!(error.to_string().contains("expected at least"), "{error}");
        assert!(matches!(open(folder.path()), Err(Error::Damaged { .. })));
        fs::write(&file, whole).unwrap();
    }
    assert_eq!(check(folder.path()), BATCH);
}

#[test]
fn any_bytes_in_place_of_the_database_end_in_an_error() {
    let folder = tempfile::tempdir().unwrap();
    write_batch(&mut open(folder.path()).unwrap(), 0);
    let file = folder.path().join("index.redb");
    let whole = fs::read(&file).unwrap();
    for length in [0, 1, 63, 64, 4096, whole.len() / 2] {
        fs::write(&file, &whole[..length]).unwrap();
        assert!(Index::open(folder.path()).is_err(), "{length} of {} bytes", whole.len());
    }
}

#[test]
fn a_folder_without_an_index_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = Index::open(folder.path()).map(drop).unwrap_err();
    assert!(matches!(error, Error::NotAnIndex { .. }), "{error}");
}

/// A reader mends what an interrupted writer left, and holds the database while it does.
#[test]
fn a_writer_waits_for_a_moment_while_another_process_holds_the_index() {
    let folder = tempfile::tempdir().unwrap();
    write_batch(&mut open(folder.path()).unwrap(), 0);
    let held = open(folder.path()).unwrap();
    let mender = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        drop(held);
    });
    assert!(open(folder.path()).is_ok());
    mender.join().unwrap();
}

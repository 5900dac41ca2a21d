//! Searches held to multiplying every embedding, and the conditions of queries.

use std::{fs, path::Path};

use coca_model::{Embedding, bundle::Fingerprint};
use proptest::{collection::vec, prelude::*};

use crate::{
    Answer, Error, Filter, Index, IndexWriter, Picture, Query,
    database::{Change, Database, Facts},
    quantized::product,
    snapshot::NewestSnapshot,
    writer::DATABASE,
};

const MODEL: Fingerprint = Fingerprint([7; 32]);

fn embedding(elements: &[f32]) -> Embedding {
    Embedding::from_elements(elements.to_vec(), MODEL).unwrap()
}

fn picture(path: &str) -> Picture {
    Picture { path: path.to_owned(), ..Picture::default() }
}

/// An index of `pictures`, in a folder that goes away with the first of the pair.
fn index_of(pictures: &[(Picture, Embedding)]) -> (tempfile::TempDir, Index) {
    let folder = tempfile::tempdir().unwrap();
    let width = pictures.first().map_or(2, |(_, embedding)| embedding.as_slice().len());
    let mut writer =
        IndexWriter::open(folder.path().join("index"), MODEL, "made up", width).unwrap();
    for (picture, embedding) in pictures {
        writer.add(picture.clone(), embedding).unwrap();
    }
    writer.commit().unwrap();
    drop(writer);
    let index = Index::open(folder.path().join("index")).unwrap();
    (folder, index)
}

fn found(answer: &Answer) -> Vec<&str> {
    answer.hits.iter().map(|hit| hit.picture.path.as_str()).collect()
}

/// Pictures a, b, … at these angles in degrees.
fn at_angles<const N: usize>(angles: [f32; N]) -> Vec<(Picture, Embedding)> {
    let letters = 'a'..='z';
    let at = |angle: f32| embedding(&[angle.to_radians().cos(), angle.to_radians().sin()]);
    letters.zip(angles).map(|(name, angle)| (picture(&name.to_string()), at(angle))).collect()
}

fn right() -> Embedding {
    embedding(&[1.0, 0.0])
}

/// Embeddings around a few directions, so that many products are nearly or exactly equal.
fn clustered() -> impl Strategy<Value = (Vec<Embedding>, Embedding)> {
    (1_usize..80, 1_usize..4).prop_flat_map(|(width, directions)| {
        let direction = vec(-1.0_f32..1.0, width);
        let noise = prop_oneof![Just(0.0_f32), Just(1e-7), Just(1e-5), Just(1e-3), Just(0.3)];
        let row = (0..directions, noise, vec(-1.0_f32..1.0, width));
        (vec(direction, directions), vec(row, 0..200), vec(-1.0_f32..1.0, width)).prop_filter_map(
            "of a length",
            |(directions, rows, query)| {
                let rows: Option<Vec<_>> = rows
                    .into_iter()
                    .map(|(direction, noise, away)| {
                        let elements = directions[direction].iter().zip(away);
                        let elements = elements.map(|(x, away)| x + noise * away).collect();
                        Embedding::from_elements(elements, MODEL)
                    })
                    .collect();
                Some((rows?, Embedding::from_elements(query, MODEL)?))
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_search_finds_what_multiplying_every_embedding_finds(
        (rows, query) in clustered(),
        top_k in 0_usize..30,
        threads in 1_usize..3,
    ) {
        let pictures: Vec<_> =
            rows.iter().enumerate().map(|(i, row)| (picture(&i.to_string()), row.clone())).collect();
        let (_folder, index) = index_of(&pictures);
        let index = index.with_threads(threads).unwrap();
        let mut expected: Vec<(f64, usize)> = rows
            .iter()
            .enumerate()
            .map(|(i, row)| (product(query.as_slice(), row.as_slice()), i))
            .collect();
        expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        expected.truncate(top_k);
        let width = query.as_slice().len();
        prop_assume!(width == 2 || !rows.is_empty());
        let answer = index.search(&Query::near(query).top_k(top_k)).unwrap();
        let scores: Vec<(f64, usize)> =
            answer.hits.iter().map(|hit| (hit.score, hit.picture.path.parse().unwrap())).collect();
        prop_assert_eq!(scores, expected);
    }
}

#[test]
fn more_rows_than_a_thread_takes_at_once_are_all_searched() {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    let rows: Vec<_> = (0..10_000)
        .map(|i| (picture(&i.to_string()), embedding(&std::array::from_fn::<_, 8, _>(|_| next()))))
        .collect();
    let query = embedding(&std::array::from_fn::<_, 8, _>(|_| next()));
    let (_folder, index) = index_of(&rows);
    let search = |index: &Index| index.search(&Query::near(query.clone()).top_k(50)).unwrap();
    let alone = search(&index);
    let mut expected: Vec<f64> =
        rows.iter().map(|(_, row)| product(query.as_slice(), row.as_slice())).collect();
    expected.sort_by(|a, b| b.total_cmp(a));
    assert!(alone.hits.iter().zip(&expected).all(|(hit, expected)| hit.score == *expected));
    assert_eq!(search(&index.with_threads(3).unwrap()), alone, "however many threads");
}

#[test]
fn pictures_that_do_not_stand_out_are_left_out_and_the_nearest_is_named() {
    let (_folder, index) = index_of(&at_angles([0.0, 89.0, 90.0, 91.0, 90.5, 89.5]));
    let query = Query::near(right()).min_z(1.5);
    let answer = index.search(&query).unwrap();
    assert_eq!(found(&answer), ["a"]);
    assert!(answer.nearest.is_none() && answer.hits[0].z.unwrap() > 2.0);
    let answer = index.search(&query.clone().min_z(9.0)).unwrap();
    assert_eq!(found(&answer), [""; 0]);
    assert_eq!(answer.nearest.unwrap().picture.path, "a");
}

#[test]
fn pictures_that_are_all_alike_have_no_z_and_are_given() {
    let (_folder, index) = index_of(&at_angles([10.0, 10.0]));
    let answer = index.search(&Query::near(right()).min_z(3.0)).unwrap();
    assert_eq!(found(&answer), ["a", "b"]);
    assert_eq!(answer.hits[0].z, None);
}

#[test]
fn an_empty_index_answers_with_nothing() {
    let (_folder, index) = index_of(&[]);
    let answer = index.search(&Query::near(right())).unwrap();
    assert_eq!(answer, Answer { hits: vec![], nearest: None });
    assert_eq!(index.similar(0.9, false).unwrap(), []);
}

#[test]
fn conditions_are_met_by_everything_that_is_given() {
    let mut pictures = at_angles([0.0, 10.0, 20.0, 30.0]);
    pictures[2].0.labels = vec!["cat".to_owned()];
    pictures[3].0.labels = vec!["cat".to_owned()];
    pictures[2].0.content = 5;
    let (_folder, index) = index_of(&pictures);
    let query = Query::near(right()).filter(Filter::default().label("cat"));
    assert_eq!(found(&index.search(&query).unwrap()), ["c", "d"]);
    assert_eq!(found(&index.search(&query.clone().top_k(1)).unwrap()), ["c"]);
    assert_eq!(found(&index.search(&query.without_content(5)).unwrap()), ["d"]);
}

#[test]
fn near_duplicates_give_their_places_to_other_pictures() {
    let (_folder, index) = index_of(&at_angles([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 30.0, 60.0]));
    let query = Query::near(right()).dedup(0.999).top_k(3);
    assert_eq!(found(&index.search(&query).unwrap()), ["a", "h", "i"]);
}

#[test]
fn captions_are_searched_by_words_and_fused_with_embeddings() {
    let mut pictures = at_angles([0.0, 40.0, 80.0, 85.0]);
    pictures[2].0.caption = Some("a dog on a beach".to_owned());
    pictures[1].0.caption = Some("a dog".to_owned());
    pictures[0].0.caption = Some("a house".to_owned());
    let (_folder, index) = index_of(&pictures);
    let answer = index.search(&Query::in_captions("dogs")).unwrap();
    assert_eq!(found(&answer), ["b", "c"]);
    assert!(answer.hits[0].z.is_none());
    let both = Query::near_or_in_captions(right(), "beach dog").top_k(3);
    let answer = index.search(&both).unwrap();
    assert_eq!(found(&answer), ["c", "b", "a"]);
    assert!((answer.hits[0].score - 80_f64.to_radians().cos()).abs() < 1e-6, "the cosine");
    assert_eq!(found(&index.search(&Query::in_captions("zebra")).unwrap()), [""; 0]);
}

#[test]
fn similar_pictures_form_groups_the_closest_first() {
    let mut pictures = at_angles([0.0, 50.0, 1.0, 51.0, 51.5, 90.0]);
    for (picture, folder) in pictures.iter_mut().zip(["x", "x", "x", "x", "y", "y"]) {
        picture.0.path = format!("{folder}/{}", picture.0.path);
    }
    let (_folder, index) = index_of(&pictures);
    let groups = |across| {
        let groups = index.similar(0.9995, across).unwrap().into_iter();
        groups
            .map(|group| group.pictures.into_iter().map(|picture| picture.path).collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    assert_eq!(groups(false).len(), 2);
    assert!(groups(false).contains(&vec!["x/a".to_owned(), "x/c".to_owned()]));
    assert_eq!(groups(true), [["x/b", "x/d", "y/e"].map(str::to_owned).to_vec()]);
}

#[test]
fn a_picture_that_is_added_again_takes_the_place_of_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = IndexWriter::open(folder.path(), MODEL, "made up", 2).unwrap();
    writer.add(picture("a"), &right()).unwrap();
    writer.commit().unwrap();
    writer.add(picture("a"), &embedding(&[0.0, 1.0])).unwrap();
    writer.commit().unwrap();
    let index = Index::open(folder.path()).unwrap();
    let answer = index.search(&Query::near(right())).unwrap();
    assert_eq!(found(&answer), ["a"]);
    assert!(answer.hits[0].score.abs() < 1e-6);
    writer.remove(1);
    writer.commit().unwrap();
    assert_eq!(
        index.search(&Query::near(right())).unwrap().hits,
        [],
        "the reader sees each commit"
    );
    assert_eq!(index.pictures().unwrap(), []);
}

#[test]
fn a_picture_that_is_described_after_it_went_is_there_again() {
    let (folder, index) = index_of(&at_angles([0.0, 30.0]));
    let mut writer = IndexWriter::open(folder.path().join("index"), MODEL, "x", 2).unwrap();
    writer.remove(0);
    writer.commit().unwrap();
    assert_eq!(found(&index.search(&Query::near(right())).unwrap()), ["b"]);
    writer.update(0, picture("moved"));
    writer.commit().unwrap();
    assert_eq!(found(&index.search(&Query::near(right())).unwrap()), ["moved", "b"]);
}

#[test]
fn the_index_of_another_model_is_refused() {
    let (folder, index) = index_of(&at_angles([0.0]));
    let other = Fingerprint([8; 32]);
    let query = Embedding::from_elements(vec![1.0, 0.0], other).unwrap();
    let error = index.search(&Query::near(query.clone())).unwrap_err();
    assert!(matches!(error, Error::OtherModel { found: MODEL, .. }), "{error}");
    let path = folder.path().join("index");
    assert!(matches!(IndexWriter::open(&path, other, "x", 2), Err(Error::OtherModel { .. })));
    assert!(matches!(IndexWriter::open(&path, MODEL, "x", 3), Err(Error::OtherModel { .. })));
    let mut writer = IndexWriter::open(&path, MODEL, "x", 2).unwrap();
    assert!(matches!(writer.add(picture("b"), &query), Err(Error::OtherModel { .. })));
}

#[test]
fn a_folder_with_files_that_are_named_as_those_of_an_index_is_left_alone() {
    for name in ["codes-0", "scales-0", "vectors-7"] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), "a thesis").unwrap();
        let error = IndexWriter::open(folder.path(), MODEL, "x", 2).err().unwrap();
        assert!(matches!(&error, Error::ForeignFiles { name: found, .. } if found == name));
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is made");
        assert_eq!(std::fs::read(folder.path().join(name)).unwrap(), b"a thesis");
        std::fs::rename(folder.path().join(name), folder.path().join("codes-draft")).unwrap();
        IndexWriter::open(folder.path(), MODEL, "x", 2).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_link_in_the_place_of_a_file_of_an_index_is_not_written_through() {
    let thesis = "a thesis that is longer than the codes of two rows".repeat(4);
    for name in ["codes-0", "scales-0", "vectors-0"] {
        let (folder, index) = index_of(&at_angles([0.0, 30.0]));
        let (path, target) = (folder.path().join("index"), folder.path().join("thesis"));
        drop(index);
        std::fs::remove_file(path.join(name)).unwrap();
        std::os::unix::fs::symlink("../thesis", path.join(name)).unwrap();
        for text in [None, Some(&thesis)] {
            text.inspect(|text| std::fs::write(&target, text).unwrap());
            let error = IndexWriter::open(&path, MODEL, "x", 2).err().unwrap().to_string();
            let expected = format!("{name}: kind: expected a file, found a link");
            assert!(error.ends_with(&expected), "{error}");
            assert_eq!(std::fs::read_to_string(&target).ok(), text.cloned());
        }
    }
}

#[test]
fn an_index_whose_database_is_gone_is_not_written_over() {
    let (folder, index) = index_of(&at_angles([0.0, 30.0]));
    let path = folder.path().join("index");
    drop(index);
    std::fs::remove_file(path.join(DATABASE)).unwrap();
    let codes = std::fs::read(path.join("codes-0")).unwrap();
    let error = IndexWriter::open(&path, MODEL, "x", 2).err().unwrap();
    assert!(matches!(error, Error::ForeignFiles { .. }), "{error}");
    assert_eq!(std::fs::read(path.join("codes-0")).unwrap(), codes);
}

#[test]
fn a_file_in_the_place_of_the_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photos.txt");
    std::fs::write(&path, "a list").unwrap();
    let error = IndexWriter::open(&path, MODEL, "x", 2).err().unwrap();
    assert!(matches!(error, Error::NotAFolder { .. }), "{error}");
    assert!(error.to_string().ends_with("photos.txt: not a folder, but a file"), "{error}");
    assert_eq!(std::fs::read(path).unwrap(), b"a list");
}

/// Writes facts into an index of three pictures, as its maker could, and searches in it.
fn with_facts(change: impl FnOnce(&mut Facts)) -> Result<Answer, Error> {
    let (folder, index) = index_of(&at_angles([0.0, 30.0, 60.0]));
    let path = folder.path().join("index");
    drop(index);
    let database = Database::open_for_writing(&path.join(DATABASE)).unwrap();
    let mut facts = database.view().unwrap().facts().unwrap();
    change(&mut facts);
    database.apply(&facts, &[]).unwrap();
    drop(database);
    Index::open(path)?.search(&Query::near(right()).top_k(1))
}

#[test]
fn facts_that_cannot_be_are_errors_before_anything_is_computed_with_them() {
    assert_eq!(found(&with_facts(|_| ()).unwrap()), ["a"]);
    type Change = fn(&mut Facts);
    let cases: [(Change, &str); 6] = [
        (|facts| facts.width = 1 << 61, "width: expected a number up to 65536"),
        (|facts| facts.rows = u64::MAX, "rows: expected a number up to 268435456"),
        (|facts| (facts.width, facts.rows) = (1 << 16, 1 << 28), "length: expected at least"),
        (|facts| facts.width = 1, "width: expected 2 as the model has, found 1"),
        (|facts| facts.width = 0, "width: expected 2 as the model has, found 0"),
        (|facts| facts.rows = 4, "length: expected at least 256 bytes"),
    ];
    for (change, expected) in cases {
        let error = with_facts(change).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_caption_of_a_row_without_an_embedding_is_an_error() {
    let (folder, index) = index_of(&at_angles([0.0]));
    let path = folder.path().join("index");
    drop(index);
    let database = Database::open_for_writing(&path.join(DATABASE)).unwrap();
    let facts = database.view().unwrap().facts().unwrap();
    let captioned = Picture { caption: Some("a cat".to_owned()), ..picture("b") };
    let beyond = Facts { rows: 1 << 40, ..facts.clone() };
    database.apply(&beyond, &[Change::Add(captioned)]).unwrap();
    database.apply(&facts, &[]).unwrap();
    drop(database);
    let query = Query::near_or_in_captions(right(), "cat");
    let error = Index::open(path).unwrap().search(&query).unwrap_err().to_string();
    assert!(error.contains("expected a row 1099511627776, found 1 rows"), "{error}");
}

/// Calls `visit` with a folder whose index has other bytes in its database, over and over, `step` bytes further each time;
/// then mends it.
fn for_each_damage(folder: &Path, step: usize, mut visit: impl FnMut()) {
    let database = folder.join(DATABASE);
    let whole = fs::read(&database).unwrap();
    for (at, value) in (0..whole.len()).step_by(step).zip([0xFF, 0, 1, 4, 0x80].into_iter().cycle())
    {
        let mut damaged = whole.clone();
        let end = damaged.len().min(at + 8);
        damaged[at..end].fill(value);
        fs::write(&database, damaged).unwrap();
        visit();
    }
    fs::write(&database, whole).unwrap();
}

#[test]
fn whatever_is_damaged_in_a_database_a_search_ends_in_an_answer_or_an_error() {
    let (folder, index) = index_of(&at_angles([0.0, 30.0, 60.0]));
    let path = folder.path().join("index");
    drop(index);
    let search = || {
        let index = Index::open(&path)?;
        index.pictures()?;
        index.search(&Query::near_or_in_captions(right(), "cat"))
    };
    let mut refused = 0;
    for_each_damage(&path, 61, || refused += usize::from(search().is_err()));
    assert!(refused > 0);
    assert_eq!(found(&search().unwrap()).len(), 3);
}

#[test]
fn whatever_is_damaged_in_a_database_a_writer_writes_to_a_whole_one_or_refuses() {
    let (folder, index) = index_of(&at_angles([0.0, 30.0, 60.0]));
    let path = folder.path().join("index");
    drop(index);
    let write = || -> Result<(), Error> {
        let mut writer = IndexWriter::open(&path, MODEL, "made up", 2)?;
        writer.add(picture("d"), &right())?;
        writer.commit()?;
        drop(writer);
        assert_eq!(found(&Index::open(&path)?.search(&Query::near(right()))?).len(), 4);
        Ok(())
    };
    let mut refused = 0;
    for_each_damage(&path, 499, || refused += usize::from(write().is_err()));
    assert!(refused > 0);
    write().unwrap();
}

#[test]
fn labels_are_read_as_they_were_written() {
    let labels = vec!["cat".to_owned(), "cup of coffee".to_owned()];
    let labelled = Picture { labels: labels.clone(), ..picture("a") };
    let (_folder, index) = index_of(&[(labelled, right()), (picture("b"), right())]);
    let pictures = index.pictures().unwrap();
    assert_eq!(
        pictures.iter().map(|picture| &picture.labels).collect::<Vec<_>>(),
        [&labels, &vec![]]
    );
}

/// Bytes of the database after so many commits of 64 pictures, beside a reader that sees the newest of them or the first.
fn bytes_after_commits(commits: u32, sees_the_newest: bool) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = IndexWriter::open(folder.path(), MODEL, "made up", 2).unwrap();
    let newest = NewestSnapshot::new(writer.snapshot().unwrap());
    for number in 0..64 * commits {
        let picture =
            Picture { content: u128::from(number) << 64, ..picture(&format!("{number}.jpg")) };
        writer.add(picture, &right()).unwrap();
        if writer.staged() == 64 {
            writer.commit().unwrap();
            if sees_the_newest {
                newest.replace(writer.snapshot().unwrap());
            }
        }
    }
    fs::metadata(folder.path().join(DATABASE)).unwrap().len()
}

#[test]
fn the_database_of_a_long_run_does_not_grow_with_every_commit() {
    let (newest, first) = (bytes_after_commits(60, true), bytes_after_commits(60, false));
    assert!(2 * newest < first, "{newest} bytes, {first} where a reader keeps the first commit");
}

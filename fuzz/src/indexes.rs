//! An index on a disk that somebody else wrote, searched and written to.

use std::{error::Error, fs, path::Path};

use coca_index::{Filter, Index, IndexWriter, Picture, Query};
use coca_model::{Embedding, bundle::Fingerprint};
use redb::{Builder, ConcurrencyMode, TableDefinition};

use crate::{
    Seeds, Target,
    packed::{Part, pack, unpack},
    small_model::made_up_embedding,
};

pub(crate) const TARGETS: &[Target] = &[Target {
    name: "index",
    run: |bytes| drop(search_and_add(bytes)),
    seeds: indexes,
    words: &[
        "rows=",
        "width=",
        "generation=",
        "format=",
        "model=",
        "\n",
        "-1",
        "18446744073709551615",
        "4294967297",
    ],
    memory: 128 << 20,
    is_slow: true,
}];

/// Files of an index, in the order of their indices in an input; behind them come facts to write into the database.
const FILES: [&str; 4] = ["index.redb", "codes-0", "scales-0", "vectors-0"];
const FACTS: u8 = FILES.len() as u8;
const FACTS_TABLE: TableDefinition<'_, &str, &str> = TableDefinition::new("facts");

const MODEL: Fingerprint = Fingerprint([7; 32]);
const WIDTH: usize = 8;

fn embedding(number: usize) -> Option<Embedding> {
    made_up_embedding(number, WIDTH, MODEL)
}

/// Three pictures; once as they are, once with facts that are written anew.
fn indexes() -> Seeds {
    let folder = tempfile::tempdir()?;
    let mut writer = IndexWriter::open(folder.path(), MODEL, "made up", WIDTH)?;
    for number in 0..3 {
        let picture = Picture {
            path: format!("{number}.jpg"),
            labels: vec!["cat".to_owned()],
            caption: Some("a cat on a mat".to_owned()),
            content: number as u128,
            ..Picture::default()
        };
        writer.add(picture, &embedding(number).ok_or("a zero")?)?;
    }
    writer.commit()?;
    drop(writer);
    let read = |name: &str| fs::read(folder.path().join(name));
    let files = FILES.iter().map(|name| read(name)).collect::<Result<Vec<_>, _>>()?;
    let facts = b"rows=3\nwidth=8\ngeneration=0\n";
    let parts = || files.iter().zip(0..).map(|(bytes, index)| Part::whole(index, bytes));
    let facts = Part::whole(FACTS, facts);
    Ok(vec![pack(parts()), pack([facts].into_iter().chain(parts()))])
}

/// Writes the files of an input to a folder, searches there and adds a picture.
fn search_and_add(bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let files: [Option<Vec<u8>>; 5] = unpack(bytes);
    for (name, file) in FILES.iter().zip(&files) {
        if let Some(file) = file {
            fs::write(folder.path().join(name), file)?;
        }
    }
    if let Some(facts) = &files[usize::from(FACTS)] {
        let (path, facts) = (folder.path().join(FILES[0]), String::from_utf8_lossy(facts));
        // What redb makes of a damaged database when it writes there is not looked at here.
        let written = coca_host::catch_panic(|| write_facts(&path, &facts).is_ok());
        if written != Ok(true) {
            return Ok(());
        }
    }
    let index = Index::open(folder.path())?;
    let _ = (index.model(), index.pictures());
    let near = || embedding(1).map(Query::near).ok_or("a zero");
    let _ = index.search(&near()?.top_k(2).dedup(0.9));
    let _ = index.search(&near()?.filter(Filter::default().label("cat")));
    let _ = index.search(&Query::in_captions("cat mat"));
    drop(index);
    let mut writer = IndexWriter::open(folder.path(), MODEL, "made up", WIDTH)?;
    let picture = Picture { path: "new.jpg".to_owned(), ..Picture::default() };
    writer.add(picture, &embedding(3).ok_or("a zero")?)?;
    Ok(writer.commit()?)
}

/// Puts lines `key=value` into the table of facts.
fn write_facts(path: &Path, facts: &str) -> Result<(), Box<dyn Error>> {
    let mut builder = Builder::new();
    builder.set_concurrency_mode(ConcurrencyMode::SingleWriter).set_check_integrity_on_open(true);
    let database = builder.open(path)?;
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(FACTS_TABLE)?;
        for (key, value) in facts.lines().filter_map(|line| line.split_once('=')) {
            table.insert(key, value)?;
        }
    }
    transaction.commit()?;
    Ok(())
}

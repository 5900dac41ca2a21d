//! Makes an index of made-up embeddings, or measures searches in one.
//!
//! `made_up_index make FOLDER ROWS WIDTH [VECTORS.f32]` writes the index, and the embeddings for other programs.
//! `made_up_index search FOLDER RUNS` prints the milliseconds of each search on one thread, best first, and the memory.

#![allow(clippy::print_stdout)]

use std::{
    error::Error,
    fs::File,
    io::{BufWriter, Write},
    time::Instant,
};

use coca_index::{Index, IndexWriter, Picture, Query};
use coca_model::{Embedding, bundle::Fingerprint};

const MODEL: Fingerprint = Fingerprint([1; 32]);
const BATCH: usize = 20_000;

/// Elements of a normal distribution, nearly: sums of four uniform ones.
struct MadeUp(u64);

impl MadeUp {
    fn uniform(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / 16_777_216.0 - 0.5
    }

    fn embedding(&mut self, width: usize) -> Option<Embedding> {
        let element = |_| self.uniform() + self.uniform() + self.uniform() + self.uniform();
        Embedding::from_elements((0..width).map(element).collect(), MODEL)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["make", folder, rows, width] => make(folder, rows.parse()?, width.parse()?, None),
        ["make", folder, rows, width, vectors] => {
            make(folder, rows.parse()?, width.parse()?, Some(File::create(vectors)?))
        }
        ["search", folder, runs] => search(folder, runs.parse()?),
        _ => Err("expected make FOLDER ROWS WIDTH [VECTORS.f32], or search FOLDER RUNS".into()),
    }
}

fn make(
    folder: &str,
    rows: usize,
    width: usize,
    vectors: Option<File>,
) -> Result<(), Box<dyn Error>> {
    let mut writer = IndexWriter::open(folder, MODEL, "made up", width)?;
    let mut vectors = vectors.map(BufWriter::new);
    let mut made_up = MadeUp(0x9E37_79B9_7F4A_7C15);
    for row in 0..rows {
        let embedding = made_up.embedding(width).ok_or("an embedding of zeros")?;
        if let Some(vectors) = &mut vectors {
            for element in embedding.as_slice() {
                vectors.write_all(&element.to_le_bytes())?;
            }
        }
        let path = format!("2026/{:03}/IMG_{row:07}.jpg", row / 1000);
        let picture = Picture { path, content: row as u128, ..Picture::default() };
        writer.add(picture, &embedding)?;
        if writer.staged() == BATCH {
            writer.commit()?;
        }
    }
    writer.commit()?;
    Ok(vectors.map_or(Ok(()), |mut vectors| vectors.flush())?)
}

fn search(folder: &str, runs: usize) -> Result<(), Box<dyn Error>> {
    let index = Index::open(folder)?;
    let width: usize = std::env::var("WIDTH").map_or(Ok(512), |width| width.parse())?;
    let mut made_up = MadeUp(0xD1B5_4A32_D192_ED03);
    let mut times = Vec::new();
    for _ in 0..runs {
        let query = Query::near(made_up.embedding(width).ok_or("a query of zeros")?).top_k(10);
        let start = Instant::now();
        let answer = index.search(&query)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        assert_eq!(answer.hits.len(), 10);
    }
    times.sort_by(f64::total_cmp);
    let memory = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of =
        |key: &str| memory.lines().find(|line| line.starts_with(key)).unwrap_or(key).to_owned();
    println!("min {:.1} ms, median {:.1} ms", times[0], times[runs / 2]);
    println!("{}; {}; {}", of("VmHWM"), of("RssAnon"), of("RssFile"));
    Ok(())
}

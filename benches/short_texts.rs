//! Times a label table whose texts run only their own rows, against every text padded to the context length, as
//! open_clip runs it.
//!
//! `cargo bench --bench short_texts -- MODEL LABELS_FILE [MEASURED]`. Counts the rows of all labels × OpenAI's 80
//! templates, and times MEASURED labels (default 20), spread evenly over the file: the same sentences in the same batches
//! through the same text encoder, on one thread, both ways in turns.
#![allow(clippy::print_stdout, missing_docs)]

use std::{
    env, fs,
    time::{Duration, Instant},
};

use coca_edge::{
    Bundle, Engine, Templates,
    engine::Graph,
    text::{TokenIds, Tokenizer},
};
use ndarray::{Array2, ArrayD, s};

/// As many as `Coca` encodes together.
const BATCH: usize = 32;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).filter(|a| a != "--bench").collect();
    let [model, labels, rest @ ..] = &arguments[..] else {
        return Err("expected MODEL LABELS_FILE [MEASURED]".into());
    };
    let measured: usize = rest.first().map_or(Ok(20), |n| n.parse())?;
    let engine = Engine::builder().threads(1).build()?;
    let bundle = Bundle::open(model)?;
    let json = bundle.read("tokenizer.json", "texts")?;
    let tokenizer = Tokenizer::new((*json).as_ref(), bundle.config().text.clone())?;
    let labels = fs::read_to_string(labels)?;
    let labels: Vec<&str> = labels.lines().filter(|line| !line.is_empty()).collect();

    let all = batches(&tokenizer, &labels)?;
    report("rows", "all labels", &labels, row_counts(&tokenizer, &all));
    let step = labels.len().div_ceil(measured.max(1));
    let some: Vec<&str> = labels.iter().copied().step_by(step).collect();
    let chosen = batches(&tokenizer, &some)?;
    report("rows", "measured labels", &some, row_counts(&tokenizer, &chosen));
    let times = time_both(&bundle.load_text_encoder(&engine)?, &tokenizer, &chosen)?;
    report("seconds", "measured labels", &some, times.map(|time| time.as_secs_f64()));
    Ok(())
}

fn report(unit: &str, what: &str, labels: &[&str], [short, padded]: [f64; 2]) {
    let count = labels.len();
    let factor = padded / short;
    println!(
        "{count} {what} × 80 templates: {short:.1} {unit} short, {padded:.1} padded: {factor:.2} times as many"
    );
}

/// The sentences of `labels`, texts of like length together.
fn batches(tokenizer: &Tokenizer, labels: &[&str]) -> Result<Vec<Vec<TokenIds>>> {
    let templates = Templates::imagenet();
    let sentences = labels.iter().flat_map(|label| templates.apply(label));
    let mut ids = sentences.map(|text| Ok(tokenizer.encode(&text)?)).collect::<Result<Vec<_>>>()?;
    ids.sort_by_key(TokenIds::len);
    Ok(ids.chunks(BATCH).map(<[_]>::to_vec).collect())
}

/// Rows of the text encoder, class tokens included: as short as they can be, and padded.
fn row_counts(tokenizer: &Tokenizer, batches: &[Vec<TokenIds>]) -> [f64; 2] {
    let context = tokenizer.spec().context_length;
    let texts = |batch: &Vec<TokenIds>| batch.len() as f64;
    let short = |batch: &Vec<TokenIds>| (tokenizer.batch(batch).ncols() + 1) as f64 * texts(batch);
    [batches.iter().map(short).sum(), batches.iter().map(texts).sum::<f64>() * (context + 1) as f64]
}

/// Both times, after a check that both ways give the same embeddings.
fn time_both(
    encoder: &Graph,
    tokenizer: &Tokenizer,
    batches: &[Vec<TokenIds>],
) -> Result<[Duration; 2]> {
    let context = tokenizer.spec().context_length;
    let mut times = [Duration::ZERO; 2];
    let mut largest: f32 = 0.0;
    for batch in batches {
        let short = tokenizer.batch(batch);
        let mut padded =
            Array2::from_elem((batch.len(), context), i64::from(tokenizer.spec().pad_id));
        padded.slice_mut(s![.., ..short.ncols()]).assign(&short);
        let [a, b] =
            [timed(encoder, short, &mut times[0])?, timed(encoder, padded, &mut times[1])?];
        largest = (a - b).iter().fold(largest, |largest, off| largest.max(off.abs()));
    }
    println!("the embeddings differ by {largest:.1e} at most");
    Ok(times)
}

fn timed(encoder: &Graph, ids: Array2<i64>, time: &mut Duration) -> Result<ArrayD<f32>> {
    let start = Instant::now();
    let embeddings = encoder.run(vec![ids.into()])?.pop().ok_or("no embeddings")?;
    *time += start.elapsed();
    Ok(embeddings)
}

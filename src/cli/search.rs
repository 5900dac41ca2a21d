//! `coca search`: pictures of an index that fit words and pictures.

mod answer;
mod contact_sheet;
mod rerank;
mod time;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use coca_edge::{
    Coca, host,
    index::{self, Background, DEFAULT_MIN_SHARE, Filter, Index, Query, Subject, Term},
};

use self::answer::Format;
use super::{
    Global, Outcome, Usage,
    labels::warn_if_cut,
    messages,
    numbers::{at_least, between},
};

/// Find pictures by words and pictures
///
/// A query may add and take off: `beach + sunset - people`, with weights: `2:dog + snow`; a term that begins with ./, ../ or / is a
/// picture. Exit status 1 when nothing passes.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// What to find: words, with + and - between terms
    #[arg(value_name = "QUERY", allow_hyphen_values = false)]
    query: Vec<String>,
    /// A picture to find others like; may be given more than once
    #[arg(long, value_name = "FILE")]
    image: Vec<PathBuf>,
    /// What pictures should not be like; may be given more than once
    #[arg(long, value_name = "TEXT")]
    not: Vec<String>,
    /// The index [default: the nearest .coca, from the current folder upwards]
    #[arg(long, value_name = "FOLDER")]
    index: Option<PathBuf>,
    /// How many pictures to give, best first
    #[arg(long, short = 'k', value_name = "K", default_value_t = 10, value_parser = at_least(1_usize))]
    top_k: usize,
    /// Leave out pictures that stand out less: standard deviations above the mean over the index [default: those that fit no
    /// better than everyday words do]
    #[arg(long, value_name = "Z")]
    min_z: Option<f64>,
    /// What to compare the query with
    #[arg(long, default_value = "image")]
    by: By,
    /// Put the N best in the order of the decoder's likelihood of the query
    #[arg(long, value_name = "N", value_parser = at_least(1_usize))]
    rerank: Option<usize>,
    /// Only pictures of this time or later: 2026-11-23, 2026-11-23T09:00:00Z or, before now, 7d
    #[arg(long, value_name = "T", value_parser = time::parse)]
    after: Option<i64>,
    /// Only pictures from before this time
    #[arg(long, value_name = "T", value_parser = time::parse)]
    before: Option<i64>,
    /// Only pictures of cameras whose name contains this
    #[arg(long, value_name = "C")]
    camera: Option<String>,
    /// Only pictures with this label
    #[arg(long, value_name = "L")]
    label: Option<String>,
    /// Only pictures whose path matches
    #[arg(long, value_name = "GLOB")]
    path: Option<String>,
    /// Leave out pictures with a cosine of at least this to one that is given
    #[arg(long, value_name = "COS", value_parser = between(-1.0_f32, 1.0))]
    dedup: Option<f32>,
    /// How to print results
    #[arg(long, default_value = "text")]
    format: Format,
    /// Show the pictures on a page in the browser
    #[arg(long)]
    open: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// Embeddings of the pictures
    Image,
    /// Words of their captions
    Caption,
    /// Both, their ranks fused
    Both,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let terms = arguments.terms()?;
    let index = open_index(global, arguments.index.as_deref())?;
    let coca = global.open_model()?;
    for term in &terms {
        if let Subject::Text(text) = &term.subject
            && arguments.by != By::Caption
        {
            warn_if_cut(text, &coca)?;
        }
    }
    let query = arguments.query(&coca, &index, &terms)?;
    let mut answer = index.search(&query)?;
    if let Some(count) = arguments.rerank {
        rerank::rerank(&coca, &words(&terms)?, &mut answer.hits, count)?;
        answer.hits.truncate(arguments.top_k);
    }
    if answer.hits.is_empty() {
        let nearest = answer.nearest.map(|hit| {
            let z = hit.z.map(|z| format!(" (z {z:.1})")).unwrap_or_default();
            format!(": the nearest is {}{z}", hit.file.display())
        });
        messages::say(format_args!("nothing like that{}", nearest.unwrap_or_default()));
        return Ok(Outcome::NothingFound);
    }
    let title = arguments.query.join(" ");
    if arguments.open {
        contact_sheet::open(&title, &answer.hits)?;
    } else {
        answer::print(arguments.format, &title, &answer.hits)?;
    }
    Ok(Outcome::Done)
}

/// Opens the index that the user named, or the nearest.
pub(super) fn open_index(global: &Global, named: Option<&Path>) -> anyhow::Result<Index> {
    let path = match named {
        Some(path) => path.to_path_buf(),
        None => index::nearest(Path::new("")).ok_or_else(|| {
            let ways = "make one with `coca index PATH`, or name one with --index";
            Usage(format!("no index here or in a folder above: {ways}"))
        })?,
    };
    let threads = global.threads.map_or_else(host::physical_cores, usize::from);
    Ok(Index::open(path)?.with_threads(threads)?)
}

impl Arguments {
    fn terms(&self) -> anyhow::Result<Vec<Term>> {
        let mut terms = match self.query.is_empty() {
            true => Vec::new(),
            false => Term::parse(&self.query.join(" "))?,
        };
        let image = |path: &PathBuf| Term { weight: 1.0, subject: Subject::File(path.clone()) };
        terms.extend(self.image.iter().map(image));
        if terms.is_empty() {
            return Err(Usage("nothing to find: expected words or --image".to_owned()).into());
        }
        let unlike = |text: &String| Term { weight: -1.0, subject: Subject::Text(text.clone()) };
        terms.extend(self.not.iter().map(unlike));
        Ok(terms)
    }

    fn query(&self, coca: &Coca, index: &Index, terms: &[Term]) -> anyhow::Result<Query> {
        let query = match self.by {
            By::Caption => Query::in_captions(&words(terms)?),
            By::Image | By::Both => {
                let (embedding, contents) = index.embed(coca, terms)?;
                let query = match self.by {
                    By::Both => Query::near_or_in_captions(embedding, &words(terms)?),
                    _ => Query::near(embedding),
                };
                // Pictures are closer to each other than words are to them: no word stands comparison.
                let of_words = contents.is_empty();
                let query = contents.into_iter().fold(query, Query::without_content);
                match self.min_z {
                    Some(z) => query.min_z(z),
                    None if of_words => {
                        query.against(Background::of(coca, index.folder())?, DEFAULT_MIN_SHARE)
                    }
                    None => query,
                }
            }
        };
        let query = query.filter(self.filter()?).top_k(self.top_k.max(self.rerank.unwrap_or(0)));
        Ok(match self.dedup {
            Some(cosine) => query.dedup(cosine),
            None => query,
        })
    }

    fn filter(&self) -> anyhow::Result<Filter> {
        let mut filter = Filter::default();
        if let Some(time) = self.after {
            filter = filter.after(time);
        }
        if let Some(time) = self.before {
            filter = filter.before(time);
        }
        if let Some(camera) = &self.camera {
            filter = filter.camera(camera);
        }
        if let Some(label) = &self.label {
            filter = filter.label(label);
        }
        match &self.path {
            Some(pattern) => filter.path(pattern).context("--path"),
            None => Ok(filter),
        }
    }
}

/// The words that captions are searched for.
fn words(terms: &[Term]) -> anyhow::Result<String> {
    let texts =
        terms.iter().filter(|term| term.weight > 0.0).filter_map(|term| match &term.subject {
            Subject::Text(text) => Some(text.as_str()),
            Subject::File(_) => None,
        });
    let words: Vec<&str> = texts.collect();
    if words.is_empty() {
        return Err(
            Usage("captions and likelihoods are of words: the query has none".to_owned()).into()
        );
    }
    Ok(words.join(" "))
}

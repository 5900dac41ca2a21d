//! Queries and their answers.

use std::path::PathBuf;

use coca_model::Embedding;

use crate::{Background, Filter, Picture};

/// The least share of a query among [everyday names](Background) with which a picture is said to fit.
///
/// Measured in `benches/search` with the embedded model: of names that five captions or more have, 94 in 100 find a photo at that
/// share, of names that no caption has 13; the cut by z that lets pass 93 of the former lets pass 96 of the latter.
pub const DEFAULT_MIN_SHARE: f64 = 0.03;

/// A query: pictures to find, and how many of them.
///
/// ```no_run
/// use coca_index::{Filter, Index, Query};
/// use coca_model::Coca;
///
/// let coca = Coca::open("models/vit-b-32")?;
/// let index = Index::open("photos/.coca")?;
/// let query = Query::near(coca.encode_text("a red bicycle")?)
///     .filter(Filter::default().path("2026/**")?)
///     .dedup(0.97)
///     .top_k(20);
/// for hit in index.search(&query)?.hits {
///     println!("{:.2}  {}", hit.score, hit.file.display());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Query {
    pub(crate) ranking: Ranking,
    pub(crate) top_k: usize,
    pub(crate) min_z: Option<f64>,
    pub(crate) background: Option<(Background, f64)>,
    pub(crate) filter: Filter,
    pub(crate) dedup: Option<f32>,
    pub(crate) without: Vec<u128>,
}

/// The embedding or words that pictures are compared with.
#[derive(Debug, Clone)]
pub(crate) enum Ranking {
    Image(Embedding),
    Caption(String),
    Both(Embedding, String),
}

impl Query {
    /// Ranks pictures by the cosine of their embeddings with `embedding`.
    pub fn near(embedding: Embedding) -> Self {
        Self::new(Ranking::Image(embedding))
    }

    /// Ranks pictures by the words of `text` in their captions (BM25).
    pub fn in_captions(text: &str) -> Self {
        Self::new(Ranking::Caption(text.to_owned()))
    }

    /// Fuses both rankings by reciprocal ranks.
    pub fn near_or_in_captions(embedding: Embedding, text: &str) -> Self {
        Self::new(Ranking::Both(embedding, text.to_owned()))
    }

    fn new(ranking: Ranking) -> Self {
        Self {
            ranking,
            top_k: 10,
            min_z: None,
            background: None,
            filter: Filter::default(),
            dedup: None,
            without: Vec::new(),
        }
    }

    /// Gives at most so many pictures, 10 by default.
    pub fn top_k(mut self, top_k: usize) -> Self {
        self.top_k = top_k;
        self
    }

    /// Leaves out pictures whose cosine is less than so many standard deviations above the mean over the index; what was found by
    /// its caption stays. By default nothing is left out.
    pub fn min_z(mut self, z: f64) -> Self {
        self.min_z = Some(z);
        self
    }

    /// Leaves out pictures for which the query's share among the texts of `background` is less than `share`, 0 to 1; what was found
    /// by its caption stays. [`DEFAULT_MIN_SHARE`] is a good one for queries of words.
    pub fn against(mut self, background: Background, share: f64) -> Self {
        self.background = Some((background, share));
        self
    }

    /// Gives only pictures that meet conditions.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Leaves out pictures whose cosine with one that is given is at least so much.
    pub fn dedup(mut self, cosine: f32) -> Self {
        self.dedup = Some(cosine);
        self
    }

    /// Leaves out files with this [content](Picture::content): a picture that is a part of the query is no answer to it.
    pub fn without_content(mut self, content: u128) -> Self {
        self.without.push(content);
        self
    }
}

/// A picture that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Its description.
    pub picture: Picture,
    /// Where it is, beside the index as that was opened.
    pub file: PathBuf,
    /// Cosine of its embedding with the query's, -1 to 1; of a query for captions alone, BM25 of its caption.
    pub score: f64,
    /// Standard deviations by which the cosine is above the mean over the index; `None` for captions alone, and where all
    /// pictures are alike.
    pub z: Option<f64>,
    /// The query's share among the texts of [`Query::against`], 0 to 1; `None` without them.
    pub share: Option<f64>,
}

/// The answer to a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Pictures that were found, best first.
    pub hits: Vec<Hit>,
    /// The best picture that was left out by [`Query::min_z`] or [`Query::against`] when nothing was found.
    pub nearest: Option<Hit>,
}

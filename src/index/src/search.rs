//! Answering queries.

use coca_model::Embedding;

use crate::{
    Answer, Error, Hit, Index, Query,
    captions::CaptionRanking,
    fusion::fuse,
    quantized::product,
    query::Ranking,
    rows::RowSet,
    scan::{Found, Moments, Scan, Wanted},
    snapshot::Snapshot,
};

/// The shortest ranking that is fused with another one.
const MIN_FUSED: usize = 200;
/// The fewest pictures that are looked at where some may be left out.
const MIN_LOOKED_AT: usize = 64;
/// The factor by which more pictures are looked at when too many of them were duplicates.
const WIDEN: usize = 4;

/// A row that was looked at.
#[derive(Debug, Clone, Copy)]
struct Scored {
    row: u64,
    score: f64,
    z: Option<f64>,
    share: Option<f64>,
}

impl Index {
    /// Answers a query.
    ///
    /// By embeddings, the answer is exact: that of multiplying the query with every embedding in f32.
    ///
    /// # Errors
    /// [`Error::OtherModel`] for the embedding of another model, [`Error::Io`] and [`Error::Database`] when the disk fails.
    pub fn search(&self, query: &Query) -> Result<Answer, Error> {
        let snapshot = self.snapshot()?;
        let (allowed, live) = (allowed(&snapshot, query)?, snapshot.live()?);
        let search = Search { index: self, allowed, live, snapshot, query };
        match &query.ranking {
            Ranking::Image(embedding) => search.by_image(embedding),
            Ranking::Caption(text) => search.by_caption(text),
            Ranking::Both(embedding, text) => search.by_both(embedding, text),
        }
    }
}

/// The rows that meet the conditions of `query`; `None` for all.
fn allowed(snapshot: &Snapshot, query: &Query) -> Result<Option<RowSet>, Error> {
    if query.filter.is_empty() && query.without.is_empty() {
        return Ok(None);
    }
    let rows = snapshot.vectors.rows();
    let mut allowed = match query.filter.is_empty() {
        true => RowSet::all(rows),
        false => {
            let mut allowed = RowSet::none(rows);
            snapshot.view.for_each(|row, picture| {
                if query.filter.accepts(&picture) {
                    allowed.insert(row as usize);
                }
            })?;
            allowed
        }
    };
    for &content in &query.without {
        for row in snapshot.view.with_content(content)? {
            allowed.remove(row as usize);
        }
    }
    Ok(Some(allowed))
}

struct Search<'a> {
    index: &'a Index,
    snapshot: Snapshot,
    query: &'a Query,
    allowed: Option<RowSet>,
    /// The rows of pictures.
    live: RowSet,
}

impl Search<'_> {
    fn by_image(&self, embedding: &Embedding) -> Result<Answer, Error> {
        let query = self.query;
        let mut wanted = match (query.dedup, &query.background) {
            (None, None) => query.top_k,
            _ => query.top_k.max(MIN_LOOKED_AT),
        };
        let mut before = 0;
        loop {
            let Found { rows, moments } = self.scan(embedding, wanted)?;
            let scored = self.score(embedding, &rows, moments)?;
            let fitting: Vec<Scored> =
                scored.iter().copied().filter(|row| self.fits(row)).collect();
            let kept = self.without_duplicates(&fitting)?;
            // Further down pictures fit less and less: where none of many more did, none will.
            if kept.len() >= query.top_k || rows.len() < wanted || fitting.len() == before {
                let nearest = scored.first().filter(|_| kept.is_empty());
                return Ok(Answer {
                    hits: self.hits(kept)?,
                    nearest: self.hits(nearest.copied())?.pop(),
                });
            }
            before = fitting.len();
            wanted = wanted.saturating_mul(WIDEN);
        }
    }

    fn by_caption(&self, text: &str) -> Result<Answer, Error> {
        let ranked = self.rank_captions(text)?.into_iter();
        let scored: Vec<Scored> =
            ranked.map(|(row, score)| Scored { row, score, z: None, share: None }).collect();
        Ok(Answer { hits: self.hits(self.without_duplicates(&scored)?)?, nearest: None })
    }

    fn by_both(&self, embedding: &Embedding, text: &str) -> Result<Answer, Error> {
        let length = self.query.top_k.saturating_mul(WIDEN).max(MIN_FUSED);
        let Found { rows, moments } = self.scan(embedding, length)?;
        let near = self.score(embedding, &rows, moments)?;
        let fitting: Vec<u64> =
            near.iter().filter(|row| self.fits(row)).map(|row| row.row).collect();
        let captions = self.rank_captions(text)?.into_iter().map(|(row, _)| row);
        let captions: Vec<u64> = captions.take(length).collect();
        let mut fused = Vec::new();
        let mut elements = Vec::new();
        for row in fuse([&fitting, &captions]) {
            self.snapshot.vectors.read(row, &mut elements)?;
            fused.push((row, product(embedding.as_slice(), &elements)));
        }
        let scored = self.score(embedding, &fused, moments)?;
        let hits = self.hits(self.without_duplicates(&scored)?)?;
        let nearest = near.first().copied().filter(|_| hits.is_empty());
        Ok(Answer { hits, nearest: self.hits(nearest)?.pop() })
    }

    fn scan(&self, embedding: &Embedding, wanted: usize) -> Result<Found, Error> {
        let Snapshot { facts, vectors, .. } = &self.snapshot;
        let (allowed, live) = (self.allowed.as_ref(), &self.live);
        self.index.require_model(facts, embedding.model())?;
        let (expected, found) = (embedding.as_slice().len(), facts.width);
        if found != expected {
            return Err(Error::Damaged {
                path: vectors.path().to_path_buf(),
                key: "width".to_owned(),
                expected: format!("{expected} as the model has"),
                found: found.to_string(),
            });
        }
        let (cpu, pool) = (self.index.cpu, self.index.pool.as_ref());
        let scan = Scan { vectors, live, allowed, from: 0, cpu, pool };
        scan.run(embedding.as_slice(), Wanted::Best(wanted))
    }

    fn rank_captions(&self, text: &str) -> Result<Vec<(u64, f64)>, Error> {
        let mut ranking = CaptionRanking::new(text);
        self.snapshot.view.for_each(|row, picture| {
            let allowed = self.allowed.as_ref().is_none_or(|rows| rows.contains(row as usize));
            if let Some(caption) = picture.caption.filter(|_| allowed) {
                ranking.add(row, &caption);
            }
        })?;
        Ok(ranking.rank())
    }

    /// All that there is to know of rows with these cosines.
    fn score(
        &self,
        embedding: &Embedding,
        rows: &[(u64, f64)],
        moments: Moments,
    ) -> Result<Vec<Scored>, Error> {
        let background = self.query.background.as_ref();
        let alternatives =
            background.map(|(background, _)| background.alternatives_to(embedding.as_slice()));
        let mut scored = Vec::new();
        let mut elements = Vec::new();
        for &(row, score) in rows {
            let share = match &alternatives {
                None => None,
                Some(alternatives) => {
                    self.snapshot.vectors.read(row, &mut elements)?;
                    Some(alternatives.share(&elements))
                }
            };
            scored.push(Scored { row, score, z: moments.z(score), share });
        }
        Ok(scored)
    }

    /// Without a deviation, z tells nothing.
    fn fits(&self, row: &Scored) -> bool {
        let least = self.query.background.as_ref().map(|(_, share)| *share);
        let at_least = |value: Option<f64>, least: Option<f64>| match (value, least) {
            (Some(value), Some(least)) => value >= least,
            _ => true,
        };
        at_least(row.z, self.query.min_z) && at_least(row.share, least)
    }

    /// At most as many as are wanted, none of which is nearly the same as one before it.
    fn without_duplicates(&self, scored: &[Scored]) -> Result<Vec<Scored>, Error> {
        let Some(cosine) = self.query.dedup else {
            return Ok(scored.iter().take(self.query.top_k).copied().collect());
        };
        let mut kept: Vec<Scored> = Vec::new();
        let mut embeddings: Vec<Vec<f32>> = Vec::new();
        for &row in scored {
            if kept.len() == self.query.top_k {
                break;
            }
            let mut elements = Vec::new();
            self.snapshot.vectors.read(row.row, &mut elements)?;
            if embeddings.iter().all(|other| product(other, &elements) < f64::from(cosine)) {
                kept.push(row);
                embeddings.push(elements);
            }
        }
        Ok(kept)
    }

    fn hits(&self, scored: impl IntoIterator<Item = Scored>) -> Result<Vec<Hit>, Error> {
        let mut hits = Vec::new();
        for Scored { row, score, z, share } in scored {
            if let Some(picture) = self.snapshot.view.picture(row)? {
                let file = self.index.file(&picture);
                hits.push(Hit { picture, file, score, z, share });
            }
        }
        Ok(hits)
    }
}

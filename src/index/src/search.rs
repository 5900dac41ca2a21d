//! Answering queries.

use coca_model::Embedding;

use crate::{
    Answer, Error, Hit, Index, Query,
    captions::CaptionRanking,
    fusion::fuse,
    index::Snapshot,
    quantized::product,
    query::Ranking,
    rows::RowSet,
    scan::{Found, Moments, Scan, Wanted},
};

/// The shortest ranking that is fused with another one.
const MIN_FUSED: usize = 200;
/// How many times more pictures are looked at when too many of them were duplicates.
const WIDEN: usize = 4;

/// A row, its score and its z.
type Scored = (u64, f64, Option<f64>);

impl Index {
    /// Answers a query.
    ///
    /// By embeddings, the answer is exact: that of multiplying the query with every embedding in f32.
    ///
    /// # Errors
    /// [`Error::OtherModel`] for the embedding of another model, [`Error::Io`] and [`Error::Database`] when the disk fails.
    pub fn search(&self, query: &Query) -> Result<Answer, Error> {
        let snapshot = self.snapshot()?;
        let search = Search { index: self, allowed: allowed(&snapshot, query)?, snapshot, query };
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
}

impl Search<'_> {
    fn by_image(&self, embedding: &Embedding) -> Result<Answer, Error> {
        let mut wanted = self.query.top_k;
        loop {
            let Found { rows, moments } = self.scan(embedding, wanted)?;
            let all = rows.len() < wanted;
            let scored: Vec<Scored> =
                rows.into_iter().map(|(row, cosine)| (row, cosine, moments.z(cosine))).collect();
            let passing = scored.iter().take_while(|(.., z)| self.passes(*z)).count();
            let kept = self.without_duplicates(&scored[..passing])?;
            if kept.len() >= self.query.top_k || all || passing < scored.len() {
                let nearest = scored.first().filter(|_| kept.is_empty());
                return Ok(Answer {
                    hits: self.hits(kept)?,
                    nearest: self.hits(nearest.copied())?.pop(),
                });
            }
            wanted = wanted.saturating_mul(WIDEN);
        }
    }

    fn by_caption(&self, text: &str) -> Result<Answer, Error> {
        let ranked = self.rank_captions(text)?.into_iter();
        let scored: Vec<Scored> = ranked.map(|(row, score)| (row, score, None)).collect();
        Ok(Answer { hits: self.hits(self.without_duplicates(&scored)?)?, nearest: None })
    }

    fn by_both(&self, embedding: &Embedding, text: &str) -> Result<Answer, Error> {
        let length = self.query.top_k.saturating_mul(WIDEN).max(MIN_FUSED);
        let Found { rows, moments } = self.scan(embedding, length)?;
        let near = rows.iter().take_while(|(_, cosine)| self.passes(moments.z(*cosine)));
        let near: Vec<u64> = near.map(|(row, _)| *row).collect();
        let captions = self.rank_captions(text)?.into_iter().map(|(row, _)| row);
        let captions: Vec<u64> = captions.take(length).collect();
        let fused = fuse([&near, &captions]).into_iter();
        let scored: Result<Vec<Scored>, Error> =
            fused.map(|row| self.score(embedding, row, moments)).collect();
        let hits = self.hits(self.without_duplicates(&scored?)?)?;
        let nearest = rows.first().filter(|_| hits.is_empty());
        let nearest = nearest.map(|&(row, cosine)| (row, cosine, moments.z(cosine)));
        Ok(Answer { hits, nearest: self.hits(nearest)?.pop() })
    }

    fn scan(&self, embedding: &Embedding, wanted: usize) -> Result<Found, Error> {
        let Snapshot { facts, vectors, live, .. } = &self.snapshot;
        self.index.require_model(facts, embedding.model())?;
        let (cpu, pool) = (self.index.cpu, self.index.pool.as_ref());
        let scan = Scan { vectors, live, allowed: self.allowed.as_ref(), from: 0, cpu, pool };
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

    fn score(&self, embedding: &Embedding, row: u64, moments: Moments) -> Result<Scored, Error> {
        let mut elements = Vec::new();
        self.snapshot.vectors.read(row, &mut elements)?;
        let cosine = product(embedding.as_slice(), &elements);
        Ok((row, cosine, moments.z(cosine)))
    }

    /// Without a deviation, nothing tells a good score from a bad one.
    fn passes(&self, z: Option<f64>) -> bool {
        match (self.query.min_z, z) {
            (Some(least), Some(z)) => z >= least,
            _ => true,
        }
    }

    /// At most as many as are wanted, none of which is nearly the same as one before it.
    fn without_duplicates(&self, scored: &[Scored]) -> Result<Vec<Scored>, Error> {
        let Some(cosine) = self.query.dedup else {
            return Ok(scored.iter().take(self.query.top_k).copied().collect());
        };
        let mut kept: Vec<Scored> = Vec::new();
        let mut embeddings: Vec<Vec<f32>> = Vec::new();
        for &scored in scored {
            if kept.len() == self.query.top_k {
                break;
            }
            let mut elements = Vec::new();
            self.snapshot.vectors.read(scored.0, &mut elements)?;
            if embeddings.iter().all(|other| product(other, &elements) < f64::from(cosine)) {
                kept.push(scored);
                embeddings.push(elements);
            }
        }
        Ok(kept)
    }

    fn hits(&self, scored: impl IntoIterator<Item = Scored>) -> Result<Vec<Hit>, Error> {
        let mut hits = Vec::new();
        for (row, score, z) in scored {
            if let Some(picture) = self.snapshot.view.picture(row)? {
                let file = self.index.file(&picture);
                hits.push(Hit { picture, file, score, z, row });
            }
        }
        Ok(hits)
    }
}

//! `coca index`: an index over folders of pictures.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use coca_edge::{
    Coca, Engine, Labels, host,
    index::{FOLDER_NAME, Follower, IndexOptions, IndexWriter, Indexer, Progress, Summary},
};

use super::{Global, Outcome, Usage, labels, messages, pictures, progress};

/// Time between two looks at folders of which the system reports no change.
const RESCAN: Duration = Duration::from_secs(600);

/// Make folders of pictures searchable, or bring their index up to date
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folders of pictures; their subfolders are indexed too
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// The folder of the index [default: PATH/.coca, for each PATH]
    #[arg(long, value_name = "FOLDER")]
    index: Option<PathBuf>,
    /// Write a caption for each picture too
    #[arg(long)]
    captions: bool,
    /// Label pictures: a text file with one label a line
    #[arg(long, value_name = "FILE", conflicts_with = "table")]
    labels_file: Option<PathBuf>,
    /// Label pictures: a table that `coca labels build` made
    #[arg(long, value_name = "TABLE")]
    table: Option<PathBuf>,
    /// Leave out files and folders that match; may be given more than once
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Index hidden files and folders too
    #[arg(long)]
    include_hidden: bool,
    /// Stay, and index pictures as they come
    #[arg(long)]
    follow: bool,
    /// Forget pictures whose files are gone
    #[arg(long)]
    prune: bool,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let threads = global.threads.map_or_else(host::physical_cores, usize::from);
    // One thread an engine: pictures are encoded side by side.
    let engine = Engine::builder().threads(1).build()?;
    let coca = Coca::new(global.open_bundle()?, &engine)?;
    if arguments.captions {
        coca.check_memory_for_captions()?;
    }
    let options = IndexOptions {
        exclude: arguments.exclude.clone(),
        include_hidden: arguments.include_hidden,
        captions: arguments.captions,
        labels: arguments.labels(global, &coca)?,
        threads,
    };
    let indexer = Indexer::new(&coca, options)?;
    let follower = arguments.follow.then(|| Follower::start(&arguments.paths)).transpose()?;
    let mut indexes = arguments.open_indexes(&coca)?;
    let mut failed = false;
    for (writer, paths) in &mut indexes {
        let tell = pictures::tell_skipped;
        failed |= update(global, arguments.prune, &indexer, writer, paths, tell)?.failed > 0;
    }
    while let Some(follower) = &follower {
        let changed = follower.changed(RESCAN);
        for (writer, paths) in &mut indexes {
            let inside = changed.iter().filter(|folder| is_below(folder, paths));
            let folders: Vec<PathBuf> = inside.cloned().collect();
            if !folders.is_empty() {
                update(global, arguments.prune, &indexer, writer, &folders, |_| ())?;
            }
        }
    }
    Ok(if failed { Outcome::SomeFailed } else { Outcome::Done })
}

impl Arguments {
    fn labels(&self, global: &Global, coca: &Coca) -> anyhow::Result<Option<Labels>> {
        match (&self.labels_file, &self.table) {
            (Some(file), _) => labels::from_file(global, coca, file).map(Some),
            (None, Some(table)) => Ok(Some(coca.load_labels(table)?)),
            (None, None) => Ok(None),
        }
    }

    /// The indexes, each with the folders that belong to it.
    fn open_indexes(&self, coca: &Coca) -> anyhow::Result<Vec<(IndexWriter, Vec<PathBuf>)>> {
        if let Some(index) = &self.index {
            return Ok(vec![(IndexWriter::open_for(index, coca)?, self.paths.clone())]);
        }
        let open = |path: &PathBuf| {
            if path.is_file() {
                let file = path.display();
                return Err(Usage(format!("{file}: expected a folder, or --index FOLDER")).into());
            }
            // A folder that is not there is not made.
            std::fs::read_dir(path)
                .map_err(|error| anyhow::Error::new(error).context(path.display().to_string()))?;
            Ok((IndexWriter::open_for(path.join(FOLDER_NAME), coca)?, vec![path.clone()]))
        };
        self.paths.iter().map(open).collect()
    }
}

/// Whether `folder`, which the system names as it likes, is one of `paths` or in one.
fn is_below(folder: &Path, paths: &[PathBuf]) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    paths.iter().any(|path| real(folder).starts_with(real(path)))
}

fn update(
    global: &Global,
    prune: bool,
    indexer: &Indexer<'_>,
    writer: &mut IndexWriter,
    folders: &[PathBuf],
    tell_skipped: impl Fn(&BTreeMap<String, usize>),
) -> anyhow::Result<Summary> {
    let bar = progress::bar(global, usize::MAX, "pictures");
    let summary = indexer.run(writer, folders, |news| match news {
        Progress::Found(total) => bar.set_length(total as u64),
        Progress::Skipped(skipped) => bar.suspend(|| tell_skipped(skipped)),
        Progress::Failed(error) => {
            bar.suspend(|| messages::fail(error));
            bar.inc(1);
        }
        _ => bar.inc(1),
    });
    bar.finish_and_clear();
    let summary = summary?;
    let gone = if prune { indexer.prune(writer, folders)? } else { 0 };
    let changed = summary.encoded + summary.recognised + summary.failed + gone > 0;
    if !global.quiet && changed {
        let Summary { encoded, recognised, unchanged, failed, .. } = summary;
        let index = writer.folder().display();
        messages::say(format_args!(
            "{index}: {encoded} encoded, {recognised} moved or copied, {unchanged} unchanged, {gone} gone, {failed} failed"
        ));
    }
    Ok(summary)
}

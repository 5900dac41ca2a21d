//! `coca embed`: embeddings of pictures and texts in the joint space.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use coca_edge::{Coca, host::OutputFile};
use indicatif::ProgressBar;
use serde::Serialize;

use super::{
    Global, Outcome, labels, messages, output,
    pictures::{self, Folders, Images},
};

/// Give the embeddings of pictures or texts
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Pictures: files, folders (every picture in them and their subfolders, sorted) or - for standard input
    #[arg(value_name = "IMAGE", required_unless_present = "text", conflicts_with = "text")]
    images: Vec<PathBuf>,
    #[command(flatten)]
    folders: Folders,
    /// A text; may be given more than once
    #[arg(long, value_name = "T")]
    text: Vec<String>,
    /// How to print embeddings
    #[arg(long, default_value = "jsonl")]
    format: Format,
    /// Where to write them [default: standard output]
    #[arg(long, short, value_name = "F")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A JSON object a line
    Jsonl,
    /// A NumPy array f32 [inputs, embedding]; an input that failed is a row of NaN
    Npy,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer<'a> {
    Image { source: &'a str, embedding: &'a [f32] },
    Text { text: &'a str, embedding: &'a [f32] },
    Failure(output::Failure<'a>),
}

/// Writes rows as they come, or gathers them for one array.
struct Writer {
    to: Destination,
    format: Format,
    rows: Vec<f32>,
    width: usize,
}

enum Destination {
    Stdout,
    File { file: BufWriter<OutputFile>, path: PathBuf },
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Outcome> {
    if let Some(file) = &arguments.output {
        output::refuse_input(file, arguments.images.iter().map(PathBuf::as_path))?;
    }
    let coca = global.open_model()?;
    let mut writer = Writer::new(arguments, &coca)?;
    let outcome = if arguments.text.is_empty() {
        let images = Images { images: arguments.images.clone(), folders: arguments.folders };
        embed_images(global, &coca, &images, &mut writer)?
    } else {
        embed_texts(&coca, &arguments.text, &mut writer)?
    };
    writer.finish()?;
    Ok(outcome)
}

fn embed_images(
    global: &Global,
    coca: &Coca,
    images: &Images,
    writer: &mut Writer,
) -> anyhow::Result<Outcome> {
    pictures::for_each(global, coca, images, |bar, source, picture| match picture {
        Ok(picture) => {
            let embedding = picture.embedding().as_slice();
            writer.write(bar, &Answer::Image { source, embedding })
        }
        Err(error) => {
            let error = error.to_string();
            if writer.format == Format::Npy {
                bar.suspend(|| messages::fail(&error));
            }
            writer.write(bar, &Answer::Failure(output::Failure { source, error }))
        }
    })
}

fn embed_texts(coca: &Coca, texts: &[String], writer: &mut Writer) -> anyhow::Result<Outcome> {
    for text in texts {
        labels::warn_if_cut(text, coca)?;
        let embedding = coca.encode_text(text)?;
        let embedding = embedding.as_slice();
        writer.write(&ProgressBar::hidden(), &Answer::Text { text, embedding })?;
    }
    Ok(Outcome::Done)
}

impl Destination {
    fn create(path: Option<&PathBuf>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self::Stdout) };
        let file = OutputFile::create(path).map_err(|error| unwritable(path, error))?;
        Ok(Self::File { file: BufWriter::new(file), path: path.clone() })
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::Stdout => Ok(output::write(bytes)?),
            Self::File { file, path } => {
                file.write_all(bytes).map_err(|error| unwritable(path, error))
            }
        }
    }

    fn finish(self) -> anyhow::Result<()> {
        let Self::File { file, path } = self else { return Ok(()) };
        let file = file.into_inner().map_err(io::IntoInnerError::into_error);
        let written = file.and_then(|mut file| {
            file.sync()?;
            file.commit()
        });
        written.map_err(|error| unwritable(&path, error))
    }
}

fn unwritable(path: &Path, error: io::Error) -> anyhow::Error {
    anyhow::Error::new(error).context(format!("{}: cannot be written", path.display()))
}

impl Writer {
    fn new(arguments: &Arguments, coca: &Coca) -> anyhow::Result<Self> {
        let to = Destination::create(arguments.output.as_ref())?;
        let width = coca.bundle().config().dimensions.embedding;
        Ok(Self { to, format: arguments.format, rows: Vec::new(), width })
    }

    fn write(&mut self, bar: &ProgressBar, answer: &Answer<'_>) -> anyhow::Result<()> {
        match self.format {
            Format::Jsonl => {
                let line = output::json(answer)? + "\n";
                bar.suspend(|| self.to.write(line.as_bytes()))?;
            }
            Format::Npy => match answer {
                Answer::Image { embedding, .. } | Answer::Text { embedding, .. } => {
                    self.rows.extend_from_slice(embedding);
                }
                Answer::Failure(_) => self.rows.resize(self.rows.len() + self.width, f32::NAN),
            },
        }
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<()> {
        if self.format == Format::Npy {
            let mut array = npy_header(self.rows.len() / self.width, self.width);
            array.extend(self.rows.iter().flat_map(|value| value.to_le_bytes()));
            self.to.write(&array)?;
        }
        self.to.finish()
    }
}

/// The header of a NumPy file, format 1.0, of f32 `[rows, columns]`, padded so that the elements are aligned to 64 bytes.
fn npy_header(rows: usize, columns: usize) -> Vec<u8> {
    let mut header = b"\x93NUMPY\x01\x00\x00\x00".to_vec();
    let text =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    header.extend(text.bytes());
    header.resize((header.len() + 1).next_multiple_of(64) - 1, b' ');
    header.push(b'\n');
    let length = (header.len() - 10) as u16;
    header[8..10].copy_from_slice(&length.to_le_bytes());
    header
}

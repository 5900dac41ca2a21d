//! `coca watch`: live labels and captions of a camera.

mod ending;
mod flags;
mod keys;
mod options;
mod secrets;

use std::{
    fmt::Write as _,
    io::{self, IsTerminal},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use coca_edge::{
    camera::{self, Capture, PipeInput, RetryPolicy, SourceSpec},
    display::own_name,
    host::printable,
    watch::{EventKind, LineWriter, Report, ServiceManager, Step, Watch},
};
use ending::Ending;
use flags::with_flags;
pub(super) use options::Arguments;
use secrets::Secrets;

use super::{
    Global, Outcome, messages,
    output::{self, Format},
};

/// Time for the last lines to be written when everything else is over.
const LAST_LINES_TIMEOUT: Duration = Duration::from_millis(300);

pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Outcome> {
    if arguments.list {
        return list();
    }
    let secrets = Secrets::read()?;
    let source = arguments.source(&secrets)?;
    let key = arguments.key_presses(&source);
    let ending = Ending::on_signals()?;
    let coca = Arc::new(global.open_model()?);
    let labels = arguments.labels(global, &coca)?;
    let options = arguments.watch_options(&coca, &secrets)?;
    let settings = arguments.settings();
    let name = source.to_string();
    let open = move || source.open(&settings);
    let capture = Capture::start(name.clone(), RetryPolicy::default(), open)?;
    let mut service = ServiceManager::from_environment();
    let kernel = coca.load_image_encoder()?.kernel;
    let threads = coca.engine().threads();
    let mut watch =
        Watch::start(coca, Some(labels), &name, capture, options).map_err(with_flags)?;
    if !global.quiet {
        let shown = watch.displays().iter().fold(String::new(), |text, name| text + ", " + name);
        messages::say(format_args!("{name}: {threads} threads, {kernel}{shown}"));
        for address in watch.displays().iter().filter_map(|name| page_address(name)) {
            messages::say(format_args!("the page: {address}"));
        }
    }
    let mut lines = LineWriter::start("standard output", io::stdout())?;
    let start = Instant::now();
    let mut is_over = false;
    service.ready();
    let outcome = loop {
        service.alive();
        if ending.is_wanted() {
            break Ok(());
        }
        if ending.caption_wanted() || key.try_iter().count() > 0 {
            watch.request_caption();
        }
        if arguments.duration().is_some_and(|duration| start.elapsed() >= duration) {
            break Ok(());
        }
        match watch.step() {
            Ok(Step::Report(report)) => lines.write(arguments.line(&report)?),
            Ok(Step::Idle) => {}
            Ok(Step::End) => {
                is_over = true;
                break Ok(());
            }
            Err(error) => break Err(error),
        }
        let summary = watch.summary();
        let is_enough = arguments.frames.is_some_and(|frames| summary.counters.labelled >= frames);
        if !global.quiet {
            ending.remember(summary);
        }
        if is_enough {
            break Ok(());
        }
    };
    service.stopping();
    lines.finish(LAST_LINES_TIMEOUT);
    ending.tell();
    match outcome {
        Ok(()) if is_over && watch.summary().counters.captured == 0 => {
            anyhow::bail!("--source {name}: ended without a frame")
        }
        Ok(()) => Ok(Outcome::Done),
        Err(error) => {
            let error = with_flags(error);
            let option = match error.to_string().starts_with(&name) {
                true => "--source".to_owned(),
                false => format!("--source {name}"),
            };
            Err(error.context(option))
        }
    }
}

fn list() -> anyhow::Result<Outcome> {
    let cameras = camera::cameras().context("--list")?;
    let mut lines = Vec::new();
    for camera in &cameras {
        lines.push(format!("{}  {}", camera.device, camera.name));
        lines.extend(camera.formats.iter().map(|format| format!("  {format}")));
    }
    if cameras.is_empty() {
        lines.push("no camera found".to_owned());
    }
    output::print_report(lines)?;
    Ok(Outcome::Done)
}

impl Arguments {
    fn line(&self, report: &Report) -> anyhow::Result<String> {
        if self.format == Format::Jsonl {
            return Ok(output::json(report)?);
        }
        let mut line = format!("frame {}, {:.0} ms:", report.frame, report.latency_ms);
        for label in &report.labels {
            let mark = if label.active { "*" } else { "" };
            let _ = write!(line, "  {}{mark} {:.2}", label.label, label.score);
        }
        let mut lines = vec![line];
        for event in &report.events {
            let verb = match event.event {
                EventKind::Entered => "entered",
                EventKind::Left => "left",
            };
            lines.push(format!("  {} {verb}", event.label));
        }
        if let Some(caption) = &report.caption {
            lines.push(format!("  frame {}: {}", caption.frame, caption.text));
        }
        Ok(lines.iter().map(|line| printable(line)).collect::<Vec<_>>().join("\n"))
    }

    /// A message for every line that is typed, if that asks for captions.
    fn key_presses(&self, source: &SourceSpec) -> std::sync::mpsc::Receiver<()> {
        let is_free = !reads_stdin(source) && io::stdin().is_terminal();
        match is_free && self.captions_on_key() {
            true => keys::presses(),
            false => std::sync::mpsc::channel().1,
        }
    }
}

/// The address to open of a display that is a web page; one for all of this machine's addresses has its name.
fn page_address(display: &str) -> Option<String> {
    let address: SocketAddr = display.strip_prefix("web:")?.parse().ok()?;
    if !address.ip().is_unspecified() {
        return Some(format!("http://{address}/"));
    }
    let name = own_name().map_or_else(|| "localhost".to_owned(), |name| format!("{name}.local"));
    Some(format!("http://{name}:{}/", address.port()))
}

fn reads_stdin(source: &SourceSpec) -> bool {
    matches!(source, SourceSpec::Pipe(pipe) if pipe.input == PipeInput::Stdin)
}

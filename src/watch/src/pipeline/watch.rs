//! From the newest frame to its report, again and again.

use std::{sync::Arc, time::Duration};

use coca_model::{Coca, FrameEncoder, Labels, tasks};

use super::{
    Action, Error, Event, Report, Summary, TrackerOptions, WatchOptions,
    actions::Actions,
    caption_writer::{CaptionWriter, Moment},
    displays::Displays,
    live_labels::LiveLabels,
    pacer::Pacer,
    report::milliseconds,
    statistics::Statistics,
};
use crate::{
    Counters, FrameCaption,
    camera::{Capture, Frame, Taken},
    display::{DisplaySpec, Request},
};

/// Longest time that a step waits before it returns to its caller.
const TICK: Duration = Duration::from_millis(100);

/// Outcome of [`Watch::step`].
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A frame was labelled.
    Report(Report),
    /// No frame within a tenth of a second, or one that was not to be labelled.
    Idle,
    /// The source has ended.
    End,
}

/// A camera being labelled and captioned.
///
/// See the [module](super) for an example.
pub struct Watch {
    source: String,
    capture: Capture,
    frame: Frame,
    pacer: Pacer,
    encoder: FrameEncoder,
    labels: LiveLabels,
    captions: Option<CaptionWriter>,
    actions: Actions,
    displays: Displays,
    statistics: Statistics,
    /// A caption that no report has told yet.
    caption: Option<FrameCaption>,
}

impl Watch {
    /// Starts labelling what `capture` delivers with `labels`, if there are any.
    ///
    /// # Errors
    /// When the model cannot do what the options ask for, an option is out of its range, or a display cannot be opened.
    pub fn start(
        coca: Arc<Coca>,
        labels: Option<Labels>,
        source: &str,
        capture: Capture,
        options: WatchOptions,
    ) -> Result<Self, Error> {
        let names = labels.as_ref().map_or(&[][..], Labels::names);
        warn_unknown_labels(names, &options);
        let mut labels = LiveLabels::new(labels, options.tracker)?;
        let captions = match options.captions.is_any() {
            true => Some(CaptionWriter::start(
                Arc::clone(&coca),
                options.captions,
                options.caption_options,
            )?),
            false => None,
        };
        coca.load_image_encoder()?;
        let labels_act = !options.actions.is_empty();
        let mut displays = options.displays;
        for display in &mut displays {
            if let DisplaySpec::Web(web) = display {
                web.labels_act = labels_act;
            }
        }
        let displays = Displays::open(&displays, options.orientation)?;
        if !displays.is_empty() {
            displays.set_vocabulary(labels.names());
            labels.make_replaceable(Arc::clone(&coca), options.templates, options.none)?;
        }
        Ok(Self {
            source: source.to_owned(),
            capture,
            frame: Frame::default(),
            pacer: Pacer::new(options.every, options.max_fps, options.max_temperature)?,
            encoder: FrameEncoder::new(coca, options.orientation),
            labels,
            captions,
            actions: Actions::new(options.actions),
            displays,
            statistics: Statistics::default(),
            caption: None,
        })
    }

    /// Names of the displays as they were opened: a web page's with its port.
    #[must_use]
    pub fn displays(&self) -> &[String] {
        self.displays.names()
    }

    /// Asks for a caption of the next frame.
    pub fn request_caption(&mut self) {
        if let Some(captions) = &mut self.captions {
            captions.request();
        }
    }

    /// Labels the newest frame, once there is one and it is due. Returns within a tenth of a second if there is none.
    ///
    /// # Errors
    /// When the source can give no more frames, or the model fails.
    pub fn step(&mut self) -> Result<Step, Error> {
        self.poll_workers();
        if !self.pacer.wait(TICK) {
            return Ok(Step::Idle);
        }
        match self.capture.take(&mut self.frame, TICK)? {
            Taken::Closed => return Ok(Step::End),
            Taken::TimedOut => {
                self.show_status();
                return Ok(Step::Idle);
            }
            Taken::Frame => {}
        }
        if !self.pacer.accept(self.frame.number) {
            return Ok(Step::Idle);
        }
        self.label_frame()
    }

    /// Totals and typical latency so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            duration: self.statistics.duration(),
            counters: self.counters(),
            latency: self.statistics.median_latency(),
            memory: coca_host::resident_memory(),
        }
    }

    fn counters(&self) -> Counters {
        self.capture.counters() + self.statistics.counters
    }

    fn label_frame(&mut self) -> Result<Step, Error> {
        // Frames that are dropped while this one is labelled count for the next report.
        let dropped = self.capture.counters().dropped;
        let image = match self
            .frame
            .view()
            .map_err(tasks::Error::from)
            .and_then(|view| self.encoder.encode(view))
        {
            Ok(image) => image,
            Err(tasks::Error::Vision(error)) => {
                self.statistics.counters.damaged += 1;
                let number = self.frame.number;
                match self.statistics.counters.damaged {
                    1 => log::warn!("frame {number}: {error}; such frames are dropped"),
                    _ => log::info!("frame {number}: {error}"),
                }
                return Ok(Step::Idle);
            }
            Err(error) => return Err(error.into()),
        };
        let events = self.labels.update(image.embedding())?;
        let latency = self.frame.captured.elapsed();
        self.statistics.add(latency);
        self.actions.react(&events, self.frame.number);
        if let Some(captions) = &mut self.captions {
            captions.consider(image, &events, Moment::of(&self.frame));
        }
        let report = self.report(events, latency, dropped);
        self.show(&report, latency);
        Ok(Step::Report(report))
    }

    fn report(&mut self, events: Vec<Event>, latency: Duration, dropped: u64) -> Report {
        Report {
            source: self.source.clone(),
            frame: self.frame.number,
            time: self.frame.time,
            labels: self.labels.best(),
            events,
            caption: self.caption.take(),
            latency_ms: milliseconds(latency),
            fps: (self.statistics.rate() * 10.0).round() / 10.0,
            dropped,
            damaged: self.counters().damaged,
            temperature: self.pacer.throttle().temperature(),
        }
    }

    /// Takes over what other threads, programs and viewers did since the last step.
    fn poll_workers(&mut self) {
        self.pacer.poll_temperature();
        self.actions.reap();
        for request in self.displays.requests() {
            match request {
                Request::Labels(names) => self.labels.replace(names),
                Request::Caption => {
                    if let Some(captions) = &mut self.captions {
                        captions.request();
                    }
                }
            }
        }
        if self.labels.poll() {
            self.displays.set_vocabulary(self.labels.names());
        }
        if let Some(caption) = self.captions.as_mut().and_then(CaptionWriter::finished) {
            self.statistics.counters.captions += 1;
            self.displays.update(|view| view.caption = Some(caption.clone()));
            self.caption = Some(caption);
        }
    }

    fn show(&mut self, report: &Report, latency: Duration) {
        if self.displays.is_empty() {
            return;
        }
        self.displays.update(|view| {
            view.labels.clone_from(&report.labels);
            view.status.latency = Some(latency);
            view.status.frame = report.frame;
        });
        self.show_status();
        self.displays.show(&mut self.frame);
    }

    fn show_status(&self) {
        if self.displays.is_empty() {
            return;
        }
        let capture = self.capture.status();
        self.displays.update(|view| {
            let status = &mut view.status;
            status.source.clone_from(&self.source);
            status.counters = capture.counters + self.statistics.counters;
            status.frames_per_second = self.statistics.rate() as f32;
            status.temperature = self.pacer.throttle().temperature();
            status.threads = self.encoder.coca().engine().threads();
            let hot = self.pacer.throttle().state();
            status.message = capture.trouble.or_else(|| hot.map(|state| state.to_string()));
        });
    }
}

/// Logs labels that the options mention but that are not looked for.
fn warn_unknown_labels(names: &[String], options: &WatchOptions) {
    let TrackerOptions { allow, deny, .. } = &options.tracker;
    let actions = options.actions.iter().map(Action::label);
    let mentioned = allow.iter().chain(deny).chain(&options.captions.labels).map(String::as_str);
    for label in mentioned.chain(actions) {
        if !names.iter().any(|name| name == label) {
            log::warn!("{label}: not among the labels, so it will never be seen");
        }
    }
}

//! From the newest frame to its report, again and again.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use coca_model::{CaptionOptions, Coca, Labels};
use coca_text::Templates;
use coca_vision::{FramePreprocessor, Turn};

use super::{
    Action, Error, Event, Report, Steady, SteadyLabel, SteadyOptions, Summary,
    actions::Actions,
    captions::{CaptionTriggers, Captions, FrameCaption},
    relabel::Relabelling,
    report::{Statistics, milliseconds},
    screens::Screens,
    thermal::Thermometer,
};
use crate::{
    camera::{Capture, Frame, Taken},
    display::{DisplaySpec, Request, ShownCaption, ShownLabel},
};

/// How long a step waits at most before it returns to its caller.
const TICK: Duration = Duration::from_millis(100);

/// What to do with a camera's frames.
#[derive(Clone, Debug)]
pub struct WatchOptions {
    /// How scores become steady labels.
    pub steady: SteadyOptions,
    /// Every so many frames one is labelled, at least 1.
    pub every: u64,
    /// The most frames labelled a second, above 0.
    pub max_fps: Option<f32>,
    /// Above this the rate is lowered, in °C.
    pub max_temperature: Option<f32>,
    /// When captions are due.
    pub captions: CaptionTriggers,
    /// How captions are written.
    pub caption_options: CaptionOptions,
    /// What labels that a display's user asks for are put into; `None` is the model's own.
    pub templates: Option<Templates>,
    /// Commands for labels.
    pub actions: Vec<Action>,
    /// What shows the results.
    pub displays: Vec<DisplaySpec>,
    /// How the camera's picture has to be turned.
    pub turn: Turn,
}

impl Default for WatchOptions {
    /// Every frame is labelled as fast as it goes; no captions, commands or displays.
    fn default() -> Self {
        Self {
            steady: SteadyOptions::default(),
            every: 1,
            max_fps: None,
            max_temperature: None,
            captions: CaptionTriggers::default(),
            caption_options: CaptionOptions::default(),
            templates: None,
            actions: Vec::new(),
            displays: Vec::new(),
            turn: Turn::default(),
        }
    }
}

/// What a [step](Watch::step) came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A frame was labelled.
    Report(Report),
    /// No frame for a tenth of a second, or one that was not to be labelled.
    Idle,
    /// The source has ended.
    End,
}

/// A camera being labelled and captioned.
pub struct Watch {
    coca: Arc<Coca>,
    labels: Option<Labels>,
    source: String,
    capture: Capture,
    preprocessor: FramePreprocessor,
    steady: Steady,
    captions: Option<Captions>,
    relabelling: Option<Relabelling>,
    requests: Receiver<Request>,
    actions: Actions,
    screens: Screens,
    thermometer: Thermometer,
    statistics: Statistics,
    every: u64,
    least_interval: Duration,
    /// A buffer, and the last frame's number and the time at which its labelling began.
    frame: Frame,
    last: Option<(u64, Instant)>,
    started: Instant,
    summary: Summary,
    /// What has not been reported yet.
    new_caption: Option<FrameCaption>,
    new_events: Vec<Event>,
    message: Option<String>,
}

impl Watch {
    /// Labels what `capture` sees with `labels`, if there are any.
    ///
    /// # Errors
    /// When the model cannot do what is asked, an option is out of its range, or a display cannot be opened.
    pub fn start(
        coca: Arc<Coca>,
        labels: Option<Labels>,
        source: &str,
        capture: Capture,
        options: WatchOptions,
    ) -> Result<Self, Error> {
        let names = labels.as_ref().map_or(&[][..], Labels::names);
        warn_of_strangers(names, &options);
        let steady = Steady::new(options.steady, names)?;
        let captions = match options.captions.is_any() {
            true => {
                Some(Captions::start(Arc::clone(&coca), options.captions, options.caption_options)?)
            }
            false => None,
        };
        coca.load_image_encoder()?;
        let (sender, requests) = channel();
        let screens = Screens::open(&options.displays, options.turn, &sender)?;
        screens.set_vocabulary(names);
        let relabelling = match (screens.is_empty(), options.templates) {
            (true, _) => None,
            (false, Some(templates)) => Some(Relabelling::start(Arc::clone(&coca), templates)?),
            (false, None) => Some(Relabelling::start(Arc::clone(&coca), coca.default_template()?)?),
        };
        Ok(Self {
            preprocessor: FramePreprocessor::new(coca.preprocessor().clone(), options.turn),
            coca,
            labels,
            source: source.to_owned(),
            capture,
            steady,
            captions,
            relabelling,
            requests,
            actions: Actions::new(options.actions),
            screens,
            thermometer: Thermometer::new(options.max_temperature),
            statistics: Statistics::default(),
            every: options.every.max(1),
            least_interval: interval(options.max_fps)?,
            frame: Frame::default(),
            last: None,
            started: Instant::now(),
            summary: Summary::default(),
            new_caption: None,
            new_events: Vec::new(),
            message: None,
        })
    }

    /// The displays' names, as they were opened: a web page's with its port.
    #[must_use]
    pub fn displays(&self) -> &[String] {
        self.screens.names()
    }

    /// Asks for a caption of the next frame.
    pub fn request_caption(&mut self) {
        if let Some(captions) = &mut self.captions {
            captions.request();
        }
    }

    /// Labels the newest frame, once one is there and due. Returns within a tenth of a second if there is none.
    ///
    /// # Errors
    /// When the source can give no more frames, or the model fails.
    pub fn step(&mut self) -> Result<Step, Error> {
        self.keep_house();
        let pause = self.least_interval.max(self.thermometer.pause());
        let waited = self.last.map_or(Duration::MAX, |(_, at)| at.elapsed());
        if waited < pause {
            thread::sleep(TICK.min(pause - waited));
            if pause - waited > TICK {
                return Ok(Step::Idle);
            }
        }
        match self.capture.take(&mut self.frame, TICK)? {
            Taken::Closed => return Ok(Step::End),
            Taken::Nothing => {
                self.show_status();
                return Ok(Step::Idle);
            }
            Taken::Frame => {}
        }
        let number = self.frame.number;
        if self.last.is_some_and(|(last, _)| number < last + self.every) {
            return Ok(Step::Idle);
        }
        self.last = Some((number, Instant::now()));
        self.label_frame()
    }

    /// What was done so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let status = self.capture.status();
        Summary {
            duration: self.started.elapsed(),
            captured: status.frames,
            dropped: status.dropped,
            damaged: status.damaged + self.summary.damaged,
            reopened: status.reopened,
            latency: self.statistics.median_latency(),
            memory: coca_host::resident_memory(),
            ..self.summary
        }
    }

    fn label_frame(&mut self) -> Result<Step, Error> {
        let frame = &self.frame;
        // What was dropped before this frame, not while it is being labelled.
        let status = self.capture.status();
        let pixels = match frame.view().and_then(|view| self.preprocessor.preprocess(view)) {
            Ok(pixels) => pixels.clone(),
            Err(error) => {
                self.summary.damaged += 1;
                match self.summary.damaged {
                    1 => log::warn!("frame {}: {error}; such frames are dropped", frame.number),
                    _ => log::info!("frame {}: {error}", frame.number),
                }
                return Ok(Step::Idle);
            }
        };
        let picture = self.coca.encode_pixels(pixels)?;
        let mut events = std::mem::take(&mut self.new_events);
        if let Some(labels) = &self.labels {
            events.extend(self.steady.update(labels.scores(picture.embedding())?));
        }
        let latency = frame.captured.elapsed();
        self.statistics.add(latency);
        self.summary.labelled += 1;
        self.actions.react(&events, frame.number);
        if let Some(captions) = &mut self.captions {
            captions.consider(picture, &events, (frame.number, frame.captured, frame.time));
        }
        let report = Report {
            source: self.source.clone(),
            frame: frame.number,
            time: frame.time,
            labels: self.steady.best(),
            events,
            caption: self.new_caption.take(),
            latency_ms: milliseconds(latency),
            fps: (self.statistics.rate() * 10.0).round() / 10.0,
            dropped: status.dropped,
            damaged: status.damaged + self.summary.damaged,
            temperature: self.thermometer.temperature(),
        };
        if !self.screens.is_empty() {
            self.show(&report, latency);
        }
        Ok(Step::Report(report))
    }

    /// What has to be done whether or not frames come.
    fn keep_house(&mut self) {
        if let Some(message) = self.thermometer.update() {
            log::warn!("{message}");
            self.message = (!self.thermometer.pause().is_zero()).then_some(message);
        }
        self.actions.react(&[], 0);
        for request in self.requests.try_iter() {
            match (request, &mut self.relabelling, &mut self.captions) {
                (Request::Labels(names), Some(relabelling), _) => relabelling.request(names),
                (Request::Caption, _, Some(captions)) => captions.request(),
                _ => {}
            }
        }
        if let Some(labels) = self.relabelling.as_mut().and_then(Relabelling::ready) {
            self.screens.set_vocabulary(labels.names());
            self.new_events.extend(self.steady.replace_labels(labels.names()));
            self.labels = Some(labels);
        }
        if let Some(caption) = self.captions.as_mut().and_then(Captions::finished) {
            self.summary.captions += 1;
            self.screens.update(|view| {
                view.caption = Some(ShownCaption {
                    text: caption.text.clone(),
                    frame: caption.frame,
                    at: caption.at,
                });
            });
            self.new_caption = Some(caption);
        }
    }

    fn show(&mut self, report: &Report, latency: Duration) {
        let shown = |label: &SteadyLabel| ShownLabel {
            name: label.label.clone(),
            score: label.score,
            active: label.active,
        };
        self.screens.update(|view| {
            view.labels = report.labels.iter().map(shown).collect();
            view.status.latency = Some(latency);
            view.status.frame = report.frame;
        });
        self.show_status();
        self.screens.show(&mut self.frame);
    }

    fn show_status(&self) {
        if self.screens.is_empty() {
            return;
        }
        let capture = self.capture.status();
        self.screens.update(|view| {
            let status = &mut view.status;
            status.captured = capture.frames;
            status.labelled = self.summary.labelled;
            status.damaged = capture.damaged + self.summary.damaged;
            status.reopened = capture.reopened;
            status.source.clear();
            status.source.push_str(&self.source);
            status.dropped = capture.dropped;
            status.frames_per_second = self.statistics.rate() as f32;
            status.temperature = self.thermometer.temperature();
            status.threads = self.coca.engine().threads();
            status.message = capture.trouble.or_else(|| self.message.clone());
        });
    }
}

/// Tells of labels that the user speaks of but that are not among those to choose from.
fn warn_of_strangers(names: &[String], options: &WatchOptions) {
    let SteadyOptions { allow, deny, .. } = &options.steady;
    let actions = options.actions.iter().map(Action::label);
    let mentioned = allow.iter().chain(deny).chain(&options.captions.labels).map(String::as_str);
    for label in mentioned.chain(actions) {
        if !names.iter().any(|name| name == label) {
            log::warn!("{label}: not among the labels, so it will never be seen");
        }
    }
}

/// The least time from one frame to the next.
fn interval(max_fps: Option<f32>) -> Result<Duration, Error> {
    match max_fps {
        None => Ok(Duration::ZERO),
        Some(fps) if (0.001..=1000.0).contains(&fps) => Ok(Duration::from_secs_f32(1.0 / fps)),
        Some(fps) => Err(Error::Option {
            option: "max-fps",
            expected: "0.001 to 1000".to_owned(),
            found: fps.to_string(),
        }),
    }
}

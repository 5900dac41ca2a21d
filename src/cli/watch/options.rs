//! Options of `coca watch`.

use std::{str::FromStr, time::Duration};

use anyhow::Context;
use clap::ValueEnum;
use coca_edge::{
    CaptionOptions, Coca, Labels,
    camera::{CameraSpec, SourceSettings, SourceSpec, parse_size},
    display::{DisplaySpec, Token},
    vision::Orientation,
    watch::{Action, CaptionTriggers, TrackerOptions, WatchOptions},
};

use super::{
    flags::with_flags,
    secrets::{Secrets, secret},
};
use crate::cli::{
    Global,
    labels::{LabelChoice, NONE, NoneChoice, TemplateChoice},
    numbers::{at_least, below_one, between},
    output::Format,
};

/// Label and caption what a camera sees, live
///
/// SIGINT (Ctrl-C) and SIGTERM end it within a second; SIGUSR1 asks for a caption.
#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    /// Where frames come from: auto, /dev/videoN, camera:NAME, dir:PATH?fps=5, a picture, test (a moving
    /// pattern), http://HOST/PATH (MJPEG), - or cmd:COMMAND (MJPEG through a pipe). A pipe may bring raw
    /// frames: FORMAT:WxH:- or FORMAT:WxH:cmd:COMMAND, where FORMAT is yuv420, yuyv, nv12, rgb, bgr or grey. A
    /// Raspberry Pi's camera module: yuv420:640x480:cmd:rpicam-vid -t 0 --codec yuv420 --width 640
    /// --height 480 -o -. An address with a password stands on no command line in COCA_SOURCE, in the environment or
    /// in systemd's credential coca-watch [default: auto]
    #[arg(long, value_name = "S")]
    source: Option<SourceSpec>,
    /// Show the cameras, their formats and rates
    #[arg(long)]
    pub(super) list: bool,
    /// Columns and rows to ask the camera for
    #[arg(long, value_name = "WxH", value_parser = size)]
    size: Option<(u32, u32)>,
    /// Frames a second to ask the camera for
    #[arg(long, value_name = "N", value_parser = between(0.01_f32, 240.0))]
    fps: Option<f32>,
    /// Mirror the picture
    #[arg(long, value_name = "AXIS")]
    flip: Option<Flip>,
    /// Rotate the picture clockwise, after --flip
    #[arg(long, value_name = "DEGREES")]
    rotate: Option<Rotation>,
    #[command(flatten)]
    labels: LabelChoice,
    #[command(flatten)]
    templates: TemplateChoice,
    #[command(flatten)]
    none: NoneChoice,
    /// No label for everything else, though a page or a trigger acts on labels of your own
    #[arg(long, conflicts_with = "none")]
    no_none: bool,
    /// How many labels to show, best first
    #[arg(long, short = 'k', value_name = "K", default_value_t = 5, value_parser = at_least(1_usize))]
    top_k: usize,
    /// Leave out labels that score less, 0 to 1
    #[arg(long, value_name = "T", default_value_t = 0.0, value_parser = between(0.0_f32, 1.0))]
    threshold: f32,
    /// How much of the old score stays with each frame: 0 (nothing) to less than 1
    #[arg(long, value_name = "S", default_value_t = 0.6, value_parser = below_one)]
    smoothing: f32,
    /// A label enters when its smoothed score reaches this
    #[arg(long, value_name = "T", default_value_t = 0.5, value_parser = between(0.0_f32, 1.0))]
    high: f32,
    /// A label leaves when its smoothed score falls below this [default: 0.6 × --high]
    #[arg(long, value_name = "T", value_parser = between(0.0_f32, 1.0))]
    low: Option<f32>,
    /// Frames in a row that it takes before a label enters or leaves
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least(1_u32))]
    consecutive: u32,
    /// Show only these labels
    #[arg(long, value_name = "A,B,C", value_delimiter = ',')]
    allow: Vec<String>,
    /// Never show these labels, though they take part in the choice
    #[arg(long, value_name = "A,B,C", value_delimiter = ',')]
    deny: Vec<String>,
    /// Label one frame of N
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least(1_u64))]
    every: u64,
    /// Label at most so many frames a second
    #[arg(long, value_name = "N", value_parser = between(0.01_f32, 240.0))]
    max_fps: Option<f32>,
    /// When to write a caption: scene (a new scene: another picture by a cosine below 0.8; scene=0.9 is
    /// more sensitive), label (any that enters), label=NAME, request (Enter, SIGUSR1, the web page), never.
    /// May be given more than once [default: scene and request, if the model captions]
    #[arg(long, value_name = "WHEN")]
    caption_on: Vec<CaptionOn>,
    /// Write a caption every so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = between(0.1_f32, 1e7))]
    caption_every: Option<f32>,
    /// Run a command when a label enters, at most every 5 seconds. No shell reads it; it finds COCA_LABEL,
    /// COCA_SCORE and COCA_FRAME in its environment
    #[arg(long, value_name = "LABEL=COMMAND")]
    on_label: Vec<Action>,
    /// What shows the results; may be given more than once
    #[arg(long, value_name = "D")]
    display: Vec<DisplaySpec>,
    /// The secret that every request to a web display must bring: http://ADDRESS/?token=SECRET. It stands on no command line in
    /// COCA_TOKEN, as COCA_SOURCE does
    #[arg(long, value_name = "SECRET", value_parser = secret)]
    token: Option<Token>,
    /// How to print results
    #[arg(long, default_value = "text")]
    pub(super) format: Format,
    /// End after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = between(0.1_f32, 1e7))]
    duration: Option<f32>,
    /// End after so many labelled frames
    #[arg(long, value_name = "N", value_parser = at_least(1_u64))]
    pub(super) frames: Option<u64>,
    /// Leave the processor to others first: 0 to 19, as nice does
    #[arg(long, value_name = "N", value_parser = between(0_u8, 19))]
    nice: Option<u8>,
    /// Lower the rate while the board is hotter than so many °C
    #[arg(long, value_name = "C", value_parser = between(20.0_f32, 120.0))]
    max_temperature: Option<f32>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Flip {
    /// Left and right
    Horizontal,
    /// Top and bottom
    Vertical,
}

#[derive(Clone, Copy, ValueEnum)]
enum Rotation {
    #[value(name = "90")]
    Quarter,
    #[value(name = "180")]
    Half,
    #[value(name = "270")]
    ThreeQuarters,
}

#[derive(Clone, Debug, PartialEq)]
enum CaptionOn {
    Never,
    Scene(f32),
    AnyLabel,
    Label(String),
    Request,
}

/// The cosine to the last captioned picture below which a scene is new.
const NEW_SCENE: f32 = 0.8;

impl FromStr for CaptionOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "never" => Ok(Self::Never),
            None if text == "scene" => Ok(Self::Scene(NEW_SCENE)),
            None if text == "label" => Ok(Self::AnyLabel),
            None if text == "request" => Ok(Self::Request),
            Some(("scene", cosine)) => between(0.0, 1.0)(cosine).map(Self::Scene),
            Some(("label", name)) if !name.trim().is_empty() => {
                Ok(Self::Label(name.trim().to_owned()))
            }
            _ => Err("expected scene, scene=0.8, label, label=NAME, request or never".to_owned()),
        }
    }
}

impl Arguments {
    pub(super) fn settings(&self) -> SourceSettings {
        SourceSettings { size: self.size, fps: self.fps }
    }

    pub(super) fn duration(&self) -> Option<Duration> {
        self.duration.map(Duration::from_secs_f32)
    }

    pub(super) fn labels(&self, global: &Global, coca: &Coca) -> anyhow::Result<Labels> {
        let labels = self.labels.labels(global, coca, &self.templates)?;
        let labels = self.none.add_to(labels, coca)?;
        let has_one = labels.none().is_some() || labels.names().iter().any(|name| name == NONE);
        match self.acts_on_own_labels() && !has_one && labels.uses_names() {
            true => Ok(labels.with_none(NONE, coca.cohort()?)?),
            false => Ok(labels),
        }
    }

    /// Whether more than lines depend on labels that the user chose, so that it matters if none fits.
    fn acts_on_own_labels(&self) -> bool {
        let has_page = self.display.iter().any(|display| matches!(display, DisplaySpec::Web(_)));
        let is_trigger =
            |when: &CaptionOn| matches!(when, CaptionOn::AnyLabel | CaptionOn::Label(_));
        let acts = !self.on_label.is_empty() || self.caption_on.iter().any(is_trigger);
        !self.no_none && !self.labels.is_built_in() && (has_page || acts)
    }

    pub(super) fn source(&self, secrets: &Secrets) -> anyhow::Result<SourceSpec> {
        match &self.source {
            Some(source) => Ok(source.clone()),
            None => Ok(secrets.source()?.unwrap_or(SourceSpec::Camera(CameraSpec::Auto))),
        }
    }

    pub(super) fn watch_options(
        &self,
        coca: &Coca,
        secrets: &Secrets,
    ) -> anyhow::Result<WatchOptions> {
        let set = |names: &[String]| names.iter().map(|name| name.trim().to_owned()).collect();
        let options = WatchOptions {
            tracker: TrackerOptions {
                top_k: self.top_k,
                threshold: self.threshold,
                smoothing: self.smoothing,
                high: self.high,
                low: self.low.unwrap_or(0.6 * self.high),
                consecutive: self.consecutive,
                allow: set(&self.allow),
                deny: set(&self.deny),
            },
            every: self.every,
            max_fps: self.max_fps,
            max_temperature: self.max_temperature,
            captions: self.captions(coca),
            caption_options: CaptionOptions::default(),
            templates: Some(self.templates.templates(coca)?),
            none: match self.no_none {
                true => None,
                false => Some(self.none.name()?.unwrap_or(NONE).to_owned()),
            },
            actions: self.on_label.clone(),
            displays: self.displays(secrets)?,
            orientation: self.orientation(),
        };
        options.tracker.validate().map_err(with_flags)?;
        Ok(options)
    }

    /// The displays; a web page without a token of its own gets the common one.
    fn displays(&self, secrets: &Secrets) -> anyhow::Result<Vec<DisplaySpec>> {
        let token = match &self.token {
            Some(token) => Some(token.clone()),
            None => secrets.token()?,
        };
        let mut displays = self.display.clone();
        for display in &mut displays {
            if let DisplaySpec::Web(web) = display {
                web.token = web.token.take().or_else(|| token.clone());
            }
        }
        Ok(displays)
    }

    fn orientation(&self) -> Orientation {
        let orientation = match self.flip {
            None => Orientation::default(),
            Some(Flip::Horizontal) => Orientation::default().mirrored(),
            Some(Flip::Vertical) => Orientation::default().flipped(),
        };
        orientation.rotated(match self.rotate {
            None => 0,
            Some(Rotation::Quarter) => 1,
            Some(Rotation::Half) => 2,
            Some(Rotation::ThreeQuarters) => 3,
        })
    }

    fn captions(&self, coca: &Coca) -> CaptionTriggers {
        let every = self.caption_every.map(Duration::from_secs_f32);
        let is_told = !self.caption_on.is_empty() || every.is_some();
        if !is_told && coca.caption_settings(&CaptionOptions::default()).is_ok() {
            return CaptionTriggers {
                scene: Some(NEW_SCENE),
                request: true,
                ..CaptionTriggers::default()
            };
        }
        let mut triggers = CaptionTriggers { every, ..CaptionTriggers::default() };
        for when in &self.caption_on {
            match when {
                CaptionOn::Never => triggers = CaptionTriggers::default(),
                CaptionOn::Scene(cosine) => triggers.scene = Some(*cosine),
                CaptionOn::AnyLabel => triggers.any_label = true,
                CaptionOn::Label(name) => triggers.labels.push(name.clone()),
                CaptionOn::Request => triggers.request = true,
            }
        }
        triggers
    }

    pub(super) fn captions_on_key(&self) -> bool {
        self.caption_on.is_empty() || self.caption_on.contains(&CaptionOn::Request)
    }

    /// To be called before any thread is started: under Linux each thread inherits it from the one that starts it.
    pub(in crate::cli) fn lower_priority(&self) -> anyhow::Result<()> {
        let Some(nice) = self.nice else { return Ok(()) };
        rustix::process::nice(nice.into()).with_context(|| format!("--nice {nice}"))?;
        Ok(())
    }
}

fn size(text: &str) -> Result<(u32, u32), String> {
    parse_size(text).ok_or_else(|| "expected columns and rows, as in 640x480".to_owned())
}

//! Cameras under Linux: nokhwa finds them, the v4l crate beneath it brings their frames.
//!
//! nokhwa 0.10 cannot bring them safely: its `frame()` blocks for ever when a camera stalls, ignores how many bytes of a
//! buffer are used and which are flagged as damaged, and cannot open a device that was left at a fractional rate.

use std::{path::Path, time::Duration};

use nokhwa::utils::{ApiBackend, CameraIndex};
use v4l::{
    Device, Format, FourCC, Fraction,
    buffer::{Flags, Type},
    capability,
    frameinterval::FrameIntervalEnum,
    framesize::FrameSizeEnum,
    io::{mmap::Stream, traits::CaptureStream},
    video::{Capture, capture::Parameters},
};

use super::{
    CameraInfo, Error, FrameSource, SourceSettings, SourceSpec,
    choice::{Offer, choose},
    rows,
};
use crate::{
    camera::{Frame, Read},
    vision::{Colours, PixelFormat},
};

/// How long the driver may take for a frame.
const PATIENCE: Duration = Duration::from_secs(4);
/// Buffers that the driver fills in turn.
const BUFFERS: u32 = 4;
/// V4L2's names of the formats.
const NAMES: [([u8; 4], PixelFormat); 7] = [
    (*b"NV12", PixelFormat::Nv12),
    (*b"YU12", PixelFormat::Yuv420),
    (*b"YUYV", PixelFormat::Yuyv),
    (*b"RGB3", PixelFormat::Rgb),
    (*b"GREY", PixelFormat::Grey),
    (*b"MJPG", PixelFormat::Mjpeg),
    (*b"JPEG", PixelFormat::Mjpeg),
];

/// A device that captures.
struct Node {
    number: usize,
    name: String,
    device: Device,
}

impl Node {
    fn path(&self) -> String {
        format!("/dev/video{}", self.number)
    }

    /// `None` for what cannot be opened or does not capture: outputs, metadata, decoders.
    fn open(number: usize, name: String) -> Option<Self> {
        let device = Device::new(number).ok()?;
        let capabilities = device.query_caps().ok()?.capabilities;
        let needed = capability::Flags::VIDEO_CAPTURE | capability::Flags::STREAMING;
        capabilities.contains(needed).then_some(Self { number, name, device })
    }

    fn offers(&self) -> Vec<Offer> {
        let mut offers = Vec::new();
        for description in self.device.enum_formats().unwrap_or_default() {
            let Some(format) = known(description.fourcc) else { continue };
            for size in self.device.enum_framesizes(description.fourcc).unwrap_or_default() {
                for size in sizes(&size.size) {
                    let fastest = self.fastest(description.fourcc, size);
                    offers.push(Offer { format, size, fastest });
                }
            }
        }
        offers
    }

    fn fastest(&self, fourcc: FourCC, (width, height): (u32, u32)) -> Option<f32> {
        let intervals = self.device.enum_frameintervals(fourcc, width, height).ok()?;
        let rate = |interval: &Fraction| interval.denominator as f32 / interval.numerator as f32;
        let rates = intervals.iter().map(|interval| match &interval.interval {
            FrameIntervalEnum::Discrete(interval) => rate(interval),
            FrameIntervalEnum::Stepwise(range) => rate(&range.min),
        });
        rates.filter(|rate| rate.is_finite()).reduce(f32::max)
    }
}

fn known(fourcc: FourCC) -> Option<PixelFormat> {
    NAMES.iter().find(|(name, _)| *name == fourcc.repr).map(|(_, format)| *format)
}

/// Usual sizes within a range, or the one size that there is.
fn sizes(sizes: &FrameSizeEnum) -> Vec<(u32, u32)> {
    match sizes {
        FrameSizeEnum::Discrete(size) => vec![(size.width, size.height)],
        FrameSizeEnum::Stepwise(range) => {
            let usual = [(320, 240), (640, 360), (640, 480), (1280, 720), (1920, 1080)];
            let fits = |(width, height): &(u32, u32)| {
                (range.min_width..=range.max_width).contains(width)
                    && (range.min_height..=range.max_height).contains(height)
            };
            let mut sizes: Vec<_> = usual.into_iter().filter(fits).collect();
            if sizes.is_empty() {
                sizes.push((range.max_width, range.max_height));
            }
            sizes
        }
    }
}

fn nodes() -> Result<Vec<Node>, Error> {
    let found = nokhwa::query(ApiBackend::Video4Linux).map_err(|error| Error::BrokenDown {
        source_name: "cameras".to_owned(),
        reason: error.to_string(),
    })?;
    let mut nodes: Vec<Node> = found
        .iter()
        .filter_map(|camera| match camera.index() {
            CameraIndex::Index(number) => Node::open(*number as usize, camera.human_name()),
            CameraIndex::String(_) => None,
        })
        .collect();
    nodes.sort_by_key(|node| node.number);
    Ok(nodes)
}

pub(super) fn cameras() -> Result<Vec<CameraInfo>, Error> {
    let info = |node: &Node| CameraInfo {
        device: node.path(),
        name: node.name.clone(),
        formats: node
            .offers()
            .iter()
            .map(|Offer { format, size: (width, height), fastest }| match fastest {
                Some(fastest) => format!("{format} {width}×{height}, up to {fastest} a second"),
                None => format!("{format} {width}×{height}"),
            })
            .collect(),
    };
    Ok(nodes()?.iter().map(info).collect())
}

pub(super) fn open(
    spec: &SourceSpec,
    settings: &SourceSettings,
) -> Result<Box<dyn FrameSource>, Error> {
    let mut nodes = nodes()?;
    let names: Vec<_> = nodes.iter().map(|node| format!("{} {}", node.path(), node.name)).collect();
    let is_wanted = |node: &Node| match spec {
        SourceSpec::Camera(name) => node.name.to_lowercase().contains(&name.to_lowercase()),
        SourceSpec::Device(path) => real(path) == Path::new(&node.path()),
        _ => true,
    };
    let Some(at) = nodes.iter().position(is_wanted) else {
        let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(Error::NoSuchCamera { wanted: spec.to_string(), found });
    };
    Ok(Box::new(Camera::start(nodes.swap_remove(at), settings)?))
}

/// Follows links such as those in `/dev/v4l/by-id`.
fn real(path: &Path) -> std::path::PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// A camera that streams.
struct Camera {
    stream: Stream<'static>,
    path: String,
    format: PixelFormat,
    size: (u32, u32),
    stride: u32,
    interval: Duration,
}

impl Camera {
    fn start(node: Node, settings: &SourceSettings) -> Result<Self, Error> {
        let path = node.path();
        let no_format = |found: String| Error::NoFormat { device: path.clone(), found };
        let Some(offer) = choose(&node.offers(), settings) else {
            let formats = node.device.enum_formats().unwrap_or_default();
            let names: Vec<_> = formats.iter().map(|format| format.fourcc.to_string()).collect();
            return Err(no_format(names.join(", ")));
        };
        let mut accepted = None;
        for (name, _) in NAMES.iter().filter(|(_, format)| *format == offer.format) {
            let wanted = Format::new(offer.size.0, offer.size.1, FourCC::new(name));
            let set = node.device.set_format(&wanted).map_err(Error::io(&path))?;
            if set.fourcc == wanted.fourcc {
                accepted = Some(set);
                break;
            }
        }
        let accepted = accepted.ok_or_else(|| no_format(format!("no {}", offer.format)))?;
        if let Some(fps) = settings.fps {
            let interval = Fraction::new(1000, (fps * 1000.0) as u32);
            if let Err(error) = node.device.set_params(&Parameters::new(interval)) {
                log::info!("{path}: keeps its own rate: {error}");
            }
        }
        // Any fraction will do, and so will none.
        let interval = node.device.params().map_or(Duration::ZERO, |parameters| {
            let Fraction { numerator, denominator } = parameters.interval;
            Duration::from_secs(numerator.into()) / denominator.max(1)
        });
        let mut stream = Stream::with_buffers(&node.device, Type::VideoCapture, BUFFERS)
            .map_err(Error::io(&path))?;
        stream.set_timeout(PATIENCE.max(3 * interval));
        let size = (accepted.width, accepted.height);
        log::info!("{path}: {} {}×{}", offer.format, size.0, size.1);
        Ok(Self { stream, path, format: offer.format, size, stride: accepted.stride, interval })
    }
}

impl FrameSource for Camera {
    fn read(&mut self, frame: &mut Frame) -> Result<Read, Error> {
        let (buffer, meta) = self.stream.next().map_err(Error::io(&self.path))?;
        frame.stamp();
        // A driver that does not say how many bytes it used has used them all.
        let used = match meta.bytesused as usize {
            0 => buffer.len(),
            used => used.min(buffer.len()),
        };
        if meta.flags.contains(Flags::ERROR) {
            return Ok(Read::Damaged);
        }
        (frame.format, frame.size, frame.colours) = (self.format, self.size, Colours::Bt601);
        rows::pack(&buffer[..used], self.format, self.size, self.stride, &mut frame.bytes);
        Ok(Read::Frame)
    }

    fn interval(&self) -> Duration {
        self.interval
    }
}

//! Cameras under Linux: nokhwa finds them, the v4l crate beneath it brings their frames.
//!
//! nokhwa 0.10 cannot bring them safely: its `frame()` blocks for ever when a camera stalls, ignores how many bytes of a
//! buffer are used and which are flagged as damaged, and cannot open a device that was left at a fractional rate.
//!
//! v4l 0.14 has faults of its own that are kept away here: it panics at files in `/dev` that are named like cameras, at
//! names that are not UTF-8, and when a driver refuses to stop.

use std::{collections::BTreeSet, io, path::Path, time::Duration};

use coca_host::catch_panic;
use coca_vision::{PixelFormat, YuvMatrix};
use nokhwa::utils::ApiBackend;
use rustix::{
    io::Errno,
    time::{ClockId, clock_gettime},
};
use v4l::{
    Device, Format, FourCC, Fraction,
    buffer::{Flags, Metadata, Type},
    capability,
    frameinterval::FrameIntervalEnum,
    framesize::FrameSizeEnum,
    io::{
        mmap::Stream,
        traits::{CaptureStream, Stream as _},
    },
    video::{Capture, capture::Parameters},
};

use super::{
    CameraInfo, CameraSpec, Error, FrameSource, SourceSettings,
    choice::{Offer, choose},
    rows,
};
use crate::camera::{Frame, Read};

/// Time for the driver to deliver a frame, unless it is a slow camera.
const FRAME_TIMEOUT: Duration = Duration::from_secs(4);
/// Buffers that the driver fills in turn.
const BUFFERS: u32 = 4;
/// Longest time from one frame to the next that is believed.
const MAX_INTERVAL: Duration = Duration::from_secs(60);
/// Age from which on a frame's time stamp is taken to be of another clock.
const MAX_AGE: Duration = Duration::from_secs(10);
/// Drivers of a Raspberry Pi whose devices capture nothing by themselves.
const PROCESSORS: [&str; 4] = ["bcm2835-codec", "bcm2835-isp", "pispbe", "rp1-cfe"];
/// V4L2's names of the formats.
const NAMES: [([u8; 4], PixelFormat); 8] = [
    (*b"NV12", PixelFormat::Nv12),
    (*b"YU12", PixelFormat::Yuv420),
    (*b"YUYV", PixelFormat::Yuyv),
    (*b"RGB3", PixelFormat::Rgb),
    (*b"BGR3", PixelFormat::Bgr),
    (*b"GREY", PixelFormat::Grey),
    (*b"MJPG", PixelFormat::Mjpeg),
    (*b"JPEG", PixelFormat::Mjpeg),
];

/// A device that captures.
struct Node {
    number: usize,
    driver: String,
    name: String,
    bus: String,
    device: Device,
}

impl Node {
    fn path(&self) -> String {
        format!("/dev/video{}", self.number)
    }

    /// `None` for what cannot be opened or does not capture: outputs, metadata, decoders.
    fn open(number: usize) -> Option<Self> {
        let device = Device::new(number).ok()?;
        let told = catch_panic(|| device.query_caps()).ok()?.ok()?;
        let needed = capability::Flags::VIDEO_CAPTURE | capability::Flags::STREAMING;
        let v4l::Capabilities { driver, card: name, bus, capabilities, .. } = told;
        capabilities.contains(needed).then_some(Self { number, driver, name, bus, device })
    }

    /// The device behind a path, which may be a link such as those in `/dev/v4l/by-id`.
    fn at(path: &Path) -> Option<Self> {
        let path = path.canonicalize().ok()?;
        Self::open(path.file_name()?.to_str()?.strip_prefix("video")?.parse().ok()?)
    }

    fn offers(&self) -> Vec<Offer> {
        let mut offers = Vec::new();
        // A device that does not tell its formats offers none.
        for description in self.device.enum_formats().unwrap_or_default() {
            let Some(format) = known(description.fourcc) else { continue };
            for size in self.sizes(description.fourcc) {
                let fastest = self.fastest(description.fourcc, size);
                offers.push(Offer { format, size, fastest });
            }
        }
        offers
    }

    /// The sizes that the driver tells, or else the one that is set.
    fn sizes(&self, fourcc: FourCC) -> Vec<(u32, u32)> {
        let told = self.device.enum_framesizes(fourcc).unwrap_or_default();
        if told.is_empty() {
            let set = self.device.format().ok();
            return set.map(|format| (format.width, format.height)).into_iter().collect();
        }
        told.iter().flat_map(|size| sizes(&size.size)).collect()
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

/// Every device that captures, by its number.
fn nodes() -> Result<Vec<Node>, Error> {
    let failed = |reason| Error::BrokenDown { source_name: "cameras".to_owned(), reason };
    let found = catch_panic(|| nokhwa::query(ApiBackend::Video4Linux)).map_err(failed)?;
    let found = found.map_err(|error| failed(error.to_string()))?;
    // Files such as `/dev/video-dec0` count as another camera 0.
    let numbers: BTreeSet<u32> =
        found.iter().filter_map(|camera| camera.index().as_index().ok()).collect();
    Ok(numbers.into_iter().filter_map(|number| Node::open(number as usize)).collect())
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
    spec: &CameraSpec,
    settings: &SourceSettings,
) -> Result<Box<dyn FrameSource>, Error> {
    let found = match spec {
        CameraSpec::Device(path) => Node::at(path),
        CameraSpec::Name(name) => {
            let name = name.to_lowercase();
            nodes()?.into_iter().find(|node| node.name.to_lowercase().contains(&name))
        }
        CameraSpec::Auto => first_camera(nodes()?),
    };
    let Some(node) = found else {
        let names: Vec<_> =
            nodes()?.iter().map(|node| format!("{} {}", node.path(), node.name)).collect();
        let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(Error::NoSuchCamera { wanted: spec.to_string(), found });
    };
    Ok(Box::new(Camera::start(node, settings)?))
}

/// The first that is a camera as far as one can tell, one on USB if there is any.
fn first_camera(mut nodes: Vec<Node>) -> Option<Node> {
    nodes.retain(|node| !PROCESSORS.contains(&node.driver.as_str()) && !node.offers().is_empty());
    let usb = nodes.iter().position(|node| node.bus.starts_with("usb"));
    nodes.into_iter().nth(usb.unwrap_or(0))
}

/// A camera that streams.
struct Camera {
    /// `None` only while it is dropped.
    stream: Option<Stream<'static>>,
    path: String,
    format: PixelFormat,
    size: (u32, u32),
    stride: u32,
    interval: Duration,
    /// Time for the driver to deliver a frame.
    timeout: Duration,
}

impl Camera {
    fn start(node: Node, settings: &SourceSettings) -> Result<Self, Error> {
        let path = node.path();
        let no_format = |found: String| Error::NoFormat { device: path.clone(), found };
        let Some(offer) = choose(&node.offers(), settings) else {
            let formats = node.device.enum_formats().map_err(Error::io(&path))?;
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
            let interval = Duration::from_secs(numerator.into()) / denominator.max(1);
            interval.min(MAX_INTERVAL)
        });
        let mut stream = Stream::with_buffers(&node.device, Type::VideoCapture, BUFFERS)
            .map_err(Error::io(&path))?;
        let timeout = FRAME_TIMEOUT.max(3 * interval);
        stream.set_timeout(timeout);
        let size = (accepted.width, accepted.height);
        log::info!("{path}: {} {}×{}", offer.format, size.0, size.1);
        let (stream, stride) = (Some(stream), accepted.stride);
        Ok(Self { stream, path, format: offer.format, size, stride, interval, timeout })
    }
}

impl FrameSource for Camera {
    fn read(&mut self, frame: &mut Frame) -> Result<Read, Error> {
        let Some(stream) = &mut self.stream else { return Ok(Read::End) };
        let (buffer, meta) = stream.next().map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => {
                Error::Stalled { source_name: self.path.clone(), waited: self.timeout }
            }
            _ => Error::io(&self.path)(error),
        })?;
        // Without a usable time stamp the frame is as old as its arrival.
        frame.stamp_aged(age(meta).unwrap_or(Duration::ZERO));
        // A driver that does not say how many bytes it used has used them all.
        let used = match meta.bytesused as usize {
            0 => buffer.len(),
            used => used.min(buffer.len()),
        };
        if meta.flags.contains(Flags::ERROR) {
            return Ok(Read::Damaged);
        }
        (frame.format, frame.size, frame.yuv_matrix) = (self.format, self.size, YuvMatrix::Bt601);
        rows::pack(&buffer[..used], self.format, self.size, self.stride, &mut frame.bytes);
        Ok(Read::Frame)
    }

    fn interval(&self) -> Duration {
        self.interval
    }
}

/// Age of a frame by the driver's time stamp; `None` if that is not of the monotonic clock.
fn age(meta: &Metadata) -> Option<Duration> {
    if meta.flags & Flags::TIMESTAMP_MASK != Flags::TIMESTAMP_MONOTONIC {
        return None;
    }
    let now = clock_gettime(ClockId::Monotonic);
    let now = Duration::new(now.tv_sec.try_into().ok()?, now.tv_nsec.try_into().ok()?);
    let seconds = Duration::from_secs(meta.timestamp.sec.try_into().ok()?);
    let taken = seconds + Duration::from_micros(meta.timestamp.usec.try_into().ok()?);
    now.checked_sub(taken).filter(|age| *age <= MAX_AGE)
}

impl Drop for Camera {
    /// A stream of v4l's panics if the driver refuses to stop, and again if it then keeps its buffers: the program would be
    /// aborted. Such a stream is left as it is. A device that is gone is none.
    fn drop(&mut self) {
        let Some(mut stream) = self.stream.take() else { return };
        if let Err(error) = stream.stop()
            && error.raw_os_error() != Some(Errno::NODEV.raw_os_error())
        {
            log::warn!("{}: does not stop: {error}", self.path);
            std::mem::forget(stream);
        }
    }
}

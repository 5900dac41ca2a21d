//! Cameras, their formats, and camera modules that need a pipe.

use super::{Board, Check, Finding, Make};
use crate::camera::{CameraInfo, Error};

const NODES: &str = "sys/class/video4linux";

/// A video device of the kernel.
struct Node {
    /// `/dev/video0`
    device: String,
    name: String,
}

/// Kind of a video device, by its driver's name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Camera,
    /// A Raspberry Pi's camera module, which only libcamera can read.
    PiModule,
    /// A Jetson's camera module, which only NVIDIA's own source can read.
    JetsonModule,
    /// Something that decodes, encodes or scales.
    NoCamera,
}

/// Command for a Raspberry Pi's camera module.
const PI_PIPE: &str = "coca watch --source 'yuv420:640x480:cmd:rpicam-vid -t 0 --nopreview --codec yuv420 --width 640 --height 480 -o -'";
/// Command for a Jetson's camera module. NVIDIA's source writes messages to standard output, so frames take descriptor 3.
const JETSON_PIPE: &str = "coca watch --source \"yuv420:640x480:cmd:sh -c 'exec gst-launch-1.0 -q nvarguscamerasrc ! nvvidconv ! \
                           video/x-raw,format=I420,width=640,height=480 ! fdsink fd=3 3>&1 1>&2'\"";

pub(super) fn examine(board: &Board) -> Vec<Finding> {
    let nodes: Vec<_> = nodes(board).map(|node| (kind(&node.name), node)).collect();
    let of = |wanted| nodes.iter().filter(move |(kind, _)| *kind == wanted).map(|(_, node)| node);
    let mut findings: Vec<_> = of(Kind::Camera).map(|node| camera(board, node)).collect();
    findings.extend(of(Kind::PiModule).next().map(|node| pi_module(board, node)));
    findings.extend(of(Kind::JetsonModule).next().map(|node| {
        let found = format!("a camera module, {}", node.name);
        Finding::hint(Check::Camera, found, format!("it comes in through a pipe: {JETSON_PIPE}"))
    }));
    if findings.is_empty() {
        findings.push(none(board));
    }
    findings
}

fn nodes(board: &Board) -> impl Iterator<Item = Node> {
    let names = board.names(NODES, "video").into_iter();
    names.filter_map(|video| {
        let file = |name| format!("{NODES}/{video}/{name}");
        // A webcam's second node brings no pictures.
        let is_first = board.value::<u32>(&file("index")).unwrap_or(0) == 0;
        // A node that vanishes meanwhile has no name.
        let name = board.read(&file("name")).unwrap_or_default();
        is_first.then(|| Node { device: format!("/dev/{video}"), name })
    })
}

fn kind(name: &str) -> Kind {
    let starts = |names: &[&str]| names.iter().any(|start| name.starts_with(start));
    if starts(&["unicam", "rp1-cfe"]) {
        Kind::PiModule
    } else if starts(&["vi-output"]) {
        Kind::JetsonModule
    } else if starts(&[
        "bcm2835-",
        "rpivid",
        "rpi-hevc",
        "pispbe",
        "hantro",
        "rkvdec",
        "rockchip,",
        "cedrus",
    ]) {
        Kind::NoCamera
    } else {
        Kind::Camera
    }
}

fn camera(board: &Board, Node { device, name }: &Node) -> Finding {
    let found = format!("{device} {name}");
    let cameras = match &board.cameras {
        Ok(cameras) => cameras,
        Err(Error::NoCameras { .. }) => {
            let advice = format!(
                "this program was built without cameras: install the package, build with --features camera, or use a \
                 pipe: coca watch --source 'cmd:ffmpeg -v error -f v4l2 -i {device} -f mjpeg -'"
            );
            return Finding::to_do(Check::Camera, found, advice);
        }
        Err(error) => {
            let advice = format!("cameras cannot be listed: {error}; see dmesg");
            return Finding::to_do(Check::Camera, found, advice);
        }
    };
    match cameras.iter().find(|camera| camera.device == *device) {
        Some(CameraInfo { formats, .. }) if formats.is_empty() => {
            let advice = "it offers no format that is known here (YUYV, MJPEG, NV12, YU12, RGB3, GREY): v4l2-ctl \
                          --list-formats-ext names its own, and ffmpeg can convert through a pipe";
            Finding::to_do(Check::Camera, found, advice)
        }
        Some(CameraInfo { formats, .. }) => {
            Finding::fine(Check::Camera, format!("{found}: {}", formats.join("; ")))
        }
        None => {
            let advice = "it could not be asked for its formats: see permissions, and whether another program uses it (fuser -v \
                          /dev/video*)";
            Finding::to_do(Check::Camera, found, advice)
        }
    }
}

fn pi_module(board: &Board, node: &Node) -> Finding {
    let found = format!("a camera module, {}", node.name);
    let tool = ["rpicam-vid", "libcamera-vid"].into_iter().find(|tool| board.has_program(tool));
    match tool {
        Some(tool) => {
            let pipe = PI_PIPE.replace("rpicam-vid", tool);
            Finding::hint(Check::Camera, found, format!("it comes in through a pipe: {pipe}"))
        }
        None => {
            let advice =
                format!("it needs rpicam-vid: sudo apt install rpicam-apps-lite; then {PI_PIPE}");
            Finding::to_do(Check::Camera, found, advice)
        }
    }
}

fn none(board: &Board) -> Finding {
    let advice = match board.make() {
        Make::RaspberryPi => {
            "USB: plug it in and see whether dmesg names it. Camera module: switch the board off, seat the ribbon cable at both \
             ends, and try rpicam-hello --list-cameras"
        }
        Make::Jetson => {
            "USB: plug it in and see whether dmesg names it. Camera module: choose it in sudo \
             /opt/nvidia/jetson-io/jetson-io.py and start the board again"
        }
        Make::Other => {
            let advice = "files and folders need none; for coca watch plug one in and see whether dmesg names it, or take \
                          --source dir:PHOTOS, an address http://… or test";
            return Finding::hint(Check::Camera, "no camera", advice);
        }
    };
    Finding::to_do(Check::Camera, "no camera", advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Verdict, board::tests::MadeUp};

    fn with(nodes: &[(&str, &str)]) -> MadeUp {
        let board = MadeUp::new(&[("proc/device-tree/model", "Raspberry Pi 4 Model B")]);
        for (video, name) in nodes {
            board.write(&format!("{NODES}/{video}/name"), name);
        }
        board
    }

    fn webcam(formats: &[&str]) -> CameraInfo {
        CameraInfo {
            device: "/dev/video0".to_owned(),
            name: "HD Webcam".to_owned(),
            formats: formats.iter().map(|&format| format.to_owned()).collect(),
        }
    }

    #[test]
    fn a_webcam_is_shown_with_its_formats_and_once() {
        let mut board = with(&[("video0", "HD Webcam\n"), ("video1", "HD Webcam\n")]);
        board.write(&format!("{NODES}/video1/index"), "1\n");
        board.board.cameras =
            Ok(vec![webcam(&["yuyv 640×480, up to 30 a second", "mjpeg 1280×720"])]);
        let findings = examine(&board.board);
        assert_eq!(findings.len(), 1);
        assert_eq!(
            findings[0].found,
            "/dev/video0 HD Webcam: yuyv 640×480, up to 30 a second; mjpeg 1280×720"
        );
        assert_eq!(findings[0].verdict, Verdict::Fine);
    }

    #[test]
    fn a_webcam_that_cannot_be_used_says_why() {
        let MadeUp { mut board, folder: _folder } = with(&[("video0", "HD Webcam")]);
        for (cameras, expected) in [
            (Err(Error::NoCameras { source_name: "cameras".to_owned() }), "built without cameras"),
            (
                Err(Error::BrokenDown {
                    source_name: "cameras".to_owned(),
                    reason: "v4l2".to_owned(),
                }),
                "v4l2",
            ),
            (Ok(vec![]), "permissions"),
            (Ok(vec![webcam(&[])]), "no format"),
        ] {
            board.cameras = cameras;
            let finding = examine(&board).remove(0);
            assert!(finding.is_to_do());
            assert!(finding.verdict.advice().unwrap().contains(expected), "{finding:?}");
        }
    }

    #[test]
    fn a_camera_module_comes_in_through_a_pipe() {
        let board = with(&[("video0", "unicam-image"), ("video10", "bcm2835-codec-decode")]);
        let finding = examine(&board.board).remove(0);
        assert!(finding.is_to_do() && finding.verdict.advice().unwrap().contains("apt install"));
        board.write("usr/bin/libcamera-vid", "");
        let finding = examine(&board.board).remove(0);
        assert!(matches!(finding.verdict, Verdict::Hint(_)));
        assert!(finding.verdict.advice().unwrap().contains("cmd:libcamera-vid -t 0"));
    }

    #[test]
    fn the_pipes_are_sources_that_coca_watch_understands() {
        use crate::camera::{PipeInput, SourceSpec};
        for pipe in [PI_PIPE, JETSON_PIPE] {
            let words = shlex::split(pipe).unwrap();
            let source: SourceSpec = words[3].parse().unwrap();
            let SourceSpec::Pipe(pipe) = source else { panic!("{pipe}") };
            let PipeInput::Command(command) = pipe.input else { panic!("{pipe:?}") };
            assert!(shlex::split(&command).is_some(), "{command}");
        }
    }

    #[test]
    fn a_pc_without_a_camera_labels_files() {
        let board = MadeUp::new(&[]);
        let finding = examine(&board.board).remove(0);
        assert!(
            matches!(&finding.verdict, Verdict::Hint(advice) if advice.contains("files and folders need none"))
        );
    }

    #[test]
    fn decoders_are_no_cameras_and_without_any_there_is_something_to_do() {
        let board = with(&[("video10", "bcm2835-codec-decode"), ("video19", "rpivid")]);
        let finding = examine(&board.board).remove(0);
        assert_eq!((finding.found.as_str(), finding.is_to_do()), ("no camera", true));
        assert!(finding.verdict.advice().unwrap().contains("ribbon cable"));
    }
}

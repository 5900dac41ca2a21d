//! Permissions of cameras, framebuffers and panels.

use std::os::unix::fs::MetadataExt;

use super::{Board, Check, Finding};

/// Devices by their prefix, the option that needs them, and whether that is the usual case.
const DEVICES: [(&str, &str, bool); 4] = [
    ("video", "--source /dev/video…", true),
    ("fb", "--display fb:…", false),
    ("spidev", "--display spi:…", false),
    ("gpiochip", "--display spi:…", false),
];

pub(super) fn examine(board: &Board) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut open = Vec::new();
    for (prefix, needed_for, is_usual) in DEVICES {
        for name in board.names("dev", prefix) {
            let device = format!("/dev/{name}");
            if (board.may_open)(&board.path(&format!("dev/{name}"))) {
                open.push(device);
                continue;
            }
            let (found, advice) = refused(board, &name, needed_for);
            findings.push(match is_usual {
                true => Finding::to_do(Check::Permissions, found, advice),
                false => Finding::hint(Check::Permissions, found, advice),
            });
        }
    }
    if findings.is_empty() {
        let found = match open.as_slice() {
            [] => "no camera, framebuffer or SPI device to open".to_owned(),
            open => format!("may open {}", open.join(" ")),
        };
        findings.push(Finding::fine(Check::Permissions, found));
    }
    findings
}

fn refused(board: &Board, name: &str, needed_for: &str) -> (String, String) {
    let metadata = board.path(&format!("dev/{name}")).metadata();
    let group = metadata.ok().filter(|device| device.mode() & 0o060 == 0o060);
    let group = group.and_then(|device| group_name(board, device.gid()));
    match group {
        Some(group) => (
            format!("/dev/{name} ({needed_for}) is for the group {group}"),
            format!("sudo usermod -aG {group} $USER, then log in again"),
        ),
        None => (
            format!("/dev/{name} ({needed_for}) is for its owner alone"),
            format!(
                "sudo chgrp video /dev/{name}; sudo chmod g+rw /dev/{name}; a udev rule makes it last"
            ),
        ),
    }
}

fn group_name(board: &Board, id: u32) -> Option<String> {
    board.read("etc/group")?.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::doctor::{Verdict, board::tests::MadeUp};

    /// Nobody may open its devices; they belong to a group called camera-people.
    fn closed(devices: &[&str], mode: u32) -> MadeUp {
        let mut board = MadeUp::new(&[]);
        board.board.may_open = |_| false;
        for device in devices {
            board.write(&format!("dev/{device}"), "");
            let path = board.board.path(&format!("dev/{device}"));
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let group = path.metadata().unwrap().gid();
            board.write("etc/group", &format!("root:x:99999:\ncamera-people:x:{group}:\n"));
        }
        board
    }

    #[test]
    fn what_may_be_opened_is_fine() {
        let MadeUp { board, folder: _folder } = MadeUp::new(&[("dev/video0", ""), ("dev/fb0", "")]);
        let finding = examine(&board).remove(0);
        assert_eq!(finding.found, "may open /dev/video0 /dev/fb0");
        assert_eq!(finding.verdict, Verdict::Fine);
        assert_eq!(examine(&MadeUp::new(&[]).board)[0].verdict, Verdict::Fine);
    }

    #[test]
    fn a_camera_of_another_group_says_which_to_join() {
        let findings = examine(&closed(&["video0", "fb0"], 0o660).board);
        assert!(findings[0].is_to_do());
        assert_eq!(
            findings[0].verdict.advice(),
            Some("sudo usermod -aG camera-people $USER, then log in again")
        );
        assert!(matches!(findings[1].verdict, Verdict::Hint(_)));
    }

    #[test]
    fn a_device_of_its_owner_alone_wants_another_remedy() {
        let finding = examine(&closed(&["video0"], 0o600).board).remove(0);
        assert!(finding.verdict.advice().unwrap().contains("chgrp video"));
    }
}

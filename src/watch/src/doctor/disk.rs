//! Free space: a full card stops logs, pictures and updates.

use std::io::ErrorKind;

use super::{Board, Check, Finding};

/// Free bytes below which something has to be done.
const MIN_FREE: u64 = 200 << 20;

pub(super) fn examine(board: &Board) -> Vec<Finding> {
    let space = match &board.disk {
        Ok(space) => space,
        Err(error) if error.kind() == ErrorKind::Unsupported => return Vec::new(),
        Err(error) => {
            let found = format!("free space unknown: {error}");
            return vec![Finding::hint(Check::Disk, found, "df -h shows it")];
        }
    };
    let gigabytes = |bytes: u64| bytes as f64 / 1e9;
    let found =
        format!("{:.1} GB of {:.1} GB free here", gigabytes(space.free), gigabytes(space.total));
    vec![if space.free < MIN_FREE {
        let advice = "make room: sudo apt clean; sudo journalctl --vacuum-size=50M; and look for what is large with \
                      du -xh / 2>/dev/null | sort -h | tail";
        Finding::to_do(Check::Disk, found, advice)
    } else {
        Finding::fine(Check::Disk, found)
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{DiskSpace, board::tests::MadeUp};

    #[test]
    fn a_full_card_is_something_to_do() {
        let MadeUp { mut board, folder: _folder } = MadeUp::new(&[]);
        assert!(!examine(&board)[0].is_to_do());
        board.disk = Ok(DiskSpace { total: 32 << 30, free: 100 << 20 });
        assert!(examine(&board)[0].is_to_do());
        assert_eq!(examine(&board)[0].found, "0.1 GB of 34.4 GB free here");
    }

    #[test]
    fn a_system_that_does_not_tell_is_left_alone() {
        let MadeUp { mut board, folder: _folder } = MadeUp::new(&[]);
        board.disk = Err(std::io::ErrorKind::Unsupported.into());
        assert_eq!(examine(&board), []);
        board.disk = Err(ErrorKind::PermissionDenied.into());
        assert!(examine(&board)[0].found.starts_with("free space unknown: permission denied"));
    }
}

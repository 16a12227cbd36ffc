use super::*;
use std::fs;
use std::io::Write;
use std::time::Duration;

/// Everything up to the next `Nothing`.
fn drain(follower: &mut Follower) -> Vec<(Piece, String)> {
    let mut pieces = Vec::new();
    let mut bytes = Vec::new();
    loop {
        let piece = follower.read(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        match piece {
            Piece::Nothing => return pieces,
            Piece::Bytes => pieces.push((piece, text)),
            Piece::Opened { .. } | Piece::Restarted | Piece::Ended => {
                pieces.push((piece, String::new()));
            }
        }
    }
}

fn bytes(text: &str) -> (Piece, String) {
    (Piece::Bytes, text.to_owned())
}

fn only(piece: Piece) -> (Piece, String) {
    (piece, String::new())
}

const OPENED: Piece = Piece::Opened { resumed: false };

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_file_may_come_late_and_grow() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("imu.csv");
    let mut follower = Follower::file(&path, None);
    assert_eq!(drain(&mut follower), []);
    append(&path, "a");
    assert_eq!(drain(&mut follower), [only(OPENED), bytes("a")]);
    append(&path, "bc");
    assert_eq!(drain(&mut follower), [bytes("bc")]);
    assert_eq!(follower.offset(), Some(3));
}

#[test]
fn a_rotated_file_is_read_to_its_end_before_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("imu.csv");
    append(&path, "old");
    let mut follower = Follower::file(&path, None);
    drain(&mut follower);
    append(&path, " end");
    fs::rename(&path, dir.path().join("imu.csv.1")).unwrap();
    assert_eq!(drain(&mut follower), [bytes(" end")]);
    append(&path, "new");
    assert_eq!(drain(&mut follower), [only(Piece::Restarted), only(OPENED), bytes("new")]);
}

#[test]
fn a_truncated_file_is_read_from_its_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("imu.csv");
    append(&path, "long text");
    let mut follower = Follower::file(&path, None);
    drain(&mut follower);
    fs::write(&path, "new").unwrap();
    assert_eq!(drain(&mut follower), [only(Piece::Restarted), bytes("new")]);
}

#[test]
fn the_same_file_goes_on_where_it_was_left_and_another_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("imu.csv");
    append(&path, "one\ntwo\n");
    let mut follower = Follower::file(&path, None);
    drain(&mut follower);
    let position = follower.position(4, 1).unwrap();
    assert!(position.is_some());
    append(&path, "three\n");
    let mut again = Follower::file(&path, position);
    let resumed = Piece::Opened { resumed: true };
    assert_eq!(drain(&mut again), [only(resumed), bytes("two\nthree\n")]);
    assert_eq!(again.head(4).unwrap(), b"one\n");
    fs::write(&path, "ONE\ntwo\nthree\n").unwrap();
    let mut other = Follower::file(&path, position);
    assert_eq!(drain(&mut other)[0], only(OPENED));
    fs::write(&path, "on").unwrap();
    let mut shorter = Follower::file(&path, position);
    assert_eq!(drain(&mut shorter)[0], only(OPENED));
}

#[test]
fn a_fifo_outlives_its_writers_and_is_never_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("imu.fifo");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let mut follower = Follower::file(&path, None);
    assert_eq!(drain(&mut follower), [only(OPENED)]);
    for round in 0..3 {
        let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
        writer.write_all(b"first").unwrap();
        assert_eq!(drain(&mut follower), [bytes("first")], "{round}");
        writer.write_all(b"second").unwrap();
        assert!(!follower.waits_for_writer());
        drop(writer);
        assert_eq!(drain(&mut follower), [bytes("second"), only(Piece::Restarted)], "{round}");
        assert_eq!(drain(&mut follower), []);
        assert!(follower.waits_for_writer());
    }
    assert_eq!(follower.offset(), None);
    assert_eq!(follower.position(0, 0).unwrap(), None);
}

#[test]
fn a_stream_ends_once_it_is_read() {
    let mut follower = Follower::stream(io::Cursor::new(vec![b'x'; 3 * PIECE_BYTES + 1])).unwrap();
    let (mut total, mut piece) = (0, Vec::new());
    loop {
        match follower.read(&mut piece).unwrap() {
            Piece::Bytes => total += piece.len(),
            Piece::Ended => break,
            Piece::Nothing => std::thread::park_timeout(Duration::from_millis(1)),
            Piece::Opened { .. } | Piece::Restarted => panic!("a stream only ends"),
        }
    }
    assert_eq!(total, 3 * PIECE_BYTES + 1);
}

#[test]
fn a_folder_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut follower = Follower::file(dir.path(), None);
    let (mut piece, mut errors) = (Vec::new(), 0);
    (0..3).for_each(|_| errors += usize::from(follower.read(&mut piece).is_err()));
    assert!(errors >= 2);
}

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
            Piece::Opened(_)
            | Piece::Restarted
            | Piece::Shortened
            | Piece::Rewritten
            | Piece::Ended => pieces.push((piece, String::new())),
        }
    }
}

fn bytes(text: &str) -> (Piece, String) {
    (Piece::Bytes, text.to_owned())
}

fn only(piece: Piece) -> (Piece, String) {
    (piece, String::new())
}

const OPENED: Piece = Piece::Opened(Opened::New);

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
    assert_eq!(drain(&mut follower), [only(Piece::Shortened), bytes("new")]);
}

#[test]
fn the_same_file_goes_on_where_it_was_left_and_another_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("imu.csv");
    append(&path, "one\ntwo\n");
    let mut follower = Follower::file(&path, None);
    drain(&mut follower);
    let position = follower.position(4).unwrap();
    assert!(position.is_some());
    append(&path, "three\n");
    let mut again = Follower::file(&path, position.clone());
    let resumed = Piece::Opened(Opened::Resumed);
    assert_eq!(drain(&mut again), [only(resumed), bytes("two\nthree\n")]);
    assert_eq!(again.head(4).unwrap(), b"one\n");
    fs::write(&path, "ONE\ntwo\nthree\n").unwrap();
    let rewritten = only(Piece::Opened(Opened::Rewritten));
    let mut other = Follower::file(&path, position.clone());
    assert_eq!(drain(&mut other)[0], rewritten, "its head differs");
    fs::write(&path, "one\ntwo\n").unwrap();
    let later = Follower::file(&path, None);
    let later = after(later).position(8).unwrap();
    fs::write(&path, "one\nTWO\nthree\n").unwrap();
    assert_eq!(drain(&mut Follower::file(&path, later))[0], rewritten, "what was read differs");
    fs::write(&path, "on").unwrap();
    let mut shorter = Follower::file(&path, position.clone());
    assert_eq!(drain(&mut shorter)[0], rewritten);
    fs::remove_file(&path).unwrap();
    append(&dir.path().join("keeps the inode"), "x");
    append(&path, "another\n");
    assert_eq!(drain(&mut Follower::file(&path, position))[0], only(Piece::Opened(Opened::Other)));
}

fn after(mut follower: Follower) -> Follower {
    drain(&mut follower);
    follower
}

#[test]
fn a_file_written_anew_in_place_is_read_from_its_start_whatever_its_length() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("labels.csv");
    append(&path, "0,10,move\n10,20,move\n");
    let mut follower = Follower::file(&path, None);
    drain(&mut follower);
    for text in ["0,10,rest\n10,20,move\n", "0,10,rest\n10,20,rest\n20,30,move\n"] {
        fs::write(&path, text).unwrap();
        assert_eq!(drain(&mut follower), [only(Piece::Rewritten), bytes(text)]);
        append(&path, "30,40,move\n");
        assert_eq!(drain(&mut follower), [bytes("30,40,move\n")], "it grows as before");
    }
    assert_eq!(drain(&mut follower), []);
}

#[test]
fn of_a_long_file_the_beginning_and_what_was_read_last_are_compared() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("imu.csv");
    let mut text = "line\n".repeat(40_000);
    append(&path, &text);
    let mut follower = Follower::file(&path, None);
    drain(&mut follower);
    text.replace_range(text.len() - 5.., "LINE\n");
    text.push_str("more\n");
    fs::write(&path, &text).unwrap();
    assert_eq!(drain(&mut follower)[0], only(Piece::Rewritten));
    text.replace_range(100_000..100_004, "LINE");
    fs::write(&path, &text).unwrap();
    let mut kept = Follower::file(&path, None).keep(1 << 20);
    drain(&mut kept);
    assert_eq!(drain(&mut follower), [], "not noticed");
    text.replace_range(100_000..100_004, "line");
    fs::write(&path, &text).unwrap();
    assert_eq!(drain(&mut kept)[0], only(Piece::Rewritten), "noticed");
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
    assert_eq!(follower.position(0).unwrap(), None);
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
            Piece::Opened(_) | Piece::Restarted | Piece::Shortened | Piece::Rewritten => {
                panic!("a stream only ends")
            }
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

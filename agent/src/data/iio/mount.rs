//! How a chip sits in its device: the mount matrix.

use std::path::Path;

use super::{channel, sysfs};

/// Attribute of a channel, of its kind, or of a whole device.
const ATTRIBUTE: &str = "mount_matrix";
/// Largest entry of a matrix: a rotation has none above 1; some boards mirror or scale a little.
const ENTRY_MAX: f64 = 100.0;

/// Turns a vector from the axes of the chip to those of the device: row by row.
pub(super) type Matrix = [[f64; 3]; 3];

/// The matrix of a chip that sits straight.
pub(super) const IDENTITY: Matrix = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

/// The matrix that `device` has for `channel`; that of a chip that sits straight where it has none.
///
/// # Errors
/// The file that cannot be read, what it says, and what to do.
pub(super) fn read(device: &Path, channel: &str) -> Result<Matrix, String> {
    for name in channel::names(channel, ATTRIBUTE) {
        let path = device.join(name);
        let advice = "set source.mount_matrix to false to take the axes of the chip as they are";
        let text = sysfs::optional(sysfs::read(&path));
        let text = text.map_err(|error| sysfs::problem(&path, "read", &error));
        let Some(text) = text.map_err(|problem| format!("{problem}; {advice}"))? else { continue };
        return parse(&text).ok_or_else(|| {
            let text = sysfs::quoted(&text);
            let form = "is no matrix such as \"0, 1, 0; -1, 0, 0; 0, 0, 1\"";
            format!("{}: {text:?} {form}; {advice}", path.display())
        });
    }
    Ok(IDENTITY)
}

/// Three rows of three numbers, rows parted by `;` and numbers by `,`; no row may be all zero.
fn parse(text: &str) -> Option<Matrix> {
    let mut matrix = [[0.0; 3]; 3];
    let mut rows = text.split(';');
    for row in &mut matrix {
        let mut entries = rows.next()?.split(',');
        for entry in row.iter_mut() {
            let number: f64 = entries.next()?.trim().parse().ok()?;
            *entry = Some(number).filter(|number| number.abs() <= ENTRY_MAX)?;
        }
        let empty = row.iter().all(|&entry| entry == 0.0);
        if empty || entries.next().is_some() {
            return None;
        }
    }
    rows.next().is_none().then_some(matrix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_matrix_is_read_from_the_most_special_file_that_there_is() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        assert_eq!(read(dir.path(), "accel_x").unwrap(), IDENTITY);
        write("mount_matrix", "0, 1, 0; -1, 0, 0; 0, 0, 1\n");
        let turned = [[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]];
        assert_eq!(read(dir.path(), "accel_x").unwrap(), turned);
        write("in_accel_mount_matrix", "1,0,0;0,0.6,-0.8;0,0.8,0.6");
        let tilted = [[1.0, 0.0, 0.0], [0.0, 0.6, -0.8], [0.0, 0.8, 0.6]];
        assert_eq!(read(dir.path(), "accel_x").unwrap(), tilted);
        assert_eq!(read(dir.path(), "magn_x").unwrap(), turned);
    }

    #[test]
    fn a_matrix_that_cannot_be_read_is_told_and_not_guessed() {
        let dir = tempfile::tempdir().unwrap();
        let zeros = "0, 0, 0; 0, 0, 0; 0, 0, 0";
        for wrong in ["", "1, 0; 0, 1", "1,0,0;0,1,0;0,0,1;0,0,1", "1,0,0,0;0,1,0;0,0,1", zeros]
            .into_iter()
            .chain(["1,0,0;0,nan,0;0,0,1", "1,0,0;0,1e9,0;0,0,1", "straight"])
        {
            fs::write(dir.path().join("mount_matrix"), wrong).unwrap();
            let error = read(dir.path(), "accel_x").unwrap_err();
            assert!(error.contains("mount_matrix: ") && error.contains("to false"), "{error}");
        }
    }
}

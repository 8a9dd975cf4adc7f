//! A Debian package: an `ar` of two tars, deb(5). Written here, because it is forty lines and the same input must give the
//! same bytes.

use anyhow::{Result, ensure};

use super::archive::{File, tar_gz};

/// A package of control files and of files below `/`.
///
/// # Errors
/// When a file does not fit the formats.
pub(super) fn package(control: &[File], files: &[File], stamp: u64) -> Result<Vec<u8>> {
    let mut deb = b"!<arch>\n".to_vec();
    member(&mut deb, "debian-binary", b"2.0\n", stamp)?;
    member(&mut deb, "control.tar.gz", &tar_gz(control, ".", stamp)?, stamp)?;
    member(&mut deb, "data.tar.gz", &tar_gz(files, ".", stamp)?, stamp)?;
    Ok(deb)
}

/// One member: a header of 60 bytes, the contents, and a newline where their number is odd.
fn member(deb: &mut Vec<u8>, name: &str, contents: &[u8], stamp: u64) -> Result<()> {
    let header = format!(
        "{name:<16}{stamp:<12}{:<6}{:<6}{:<8}{:<10}`\n",
        0,
        0,
        "100644",
        contents.len()
    );
    ensure!(header.len() == 60, "{name}: does not fit an ar header");
    deb.extend_from_slice(header.as_bytes());
    deb.extend_from_slice(contents);
    if contents.len() % 2 == 1 {
        deb.push(b'\n');
    }
    Ok(())
}

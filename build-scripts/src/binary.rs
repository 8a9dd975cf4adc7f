//! What a finished program asks of the board that runs it, read from its ELF.
//!
//! Owns: static or not, glibc versions, size. Must not know: how it was built.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use object::read::elf::{ElfFile, FileHeader};

use crate::target::{Glibc, Target};

/// What an ELF program needs to start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Needs {
    /// `PT_INTERP`: the dynamic loader.
    pub(crate) interpreter: bool,
    /// `DT_NEEDED`: shared libraries.
    pub(crate) libraries: Vec<String>,
    /// The newest `GLIBC_x.y` among its symbols.
    pub(crate) glibc: Option<Glibc>,
    /// Length of the file.
    pub(crate) bytes: u64,
}

/// Reads a program.
///
/// # Errors
/// When it cannot be read or is no ELF.
pub(crate) fn needs(file: &Path) -> Result<Needs> {
    let data = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let kind = object::FileKind::parse(&*data).with_context(|| format!("{}", file.display()))?;
    let needs = match kind {
        object::FileKind::Elf32 => read::<object::elf::FileHeader32<object::Endianness>>(&data),
        _ => read::<object::elf::FileHeader64<object::Endianness>>(&data),
    };
    needs.with_context(|| format!("{} is no readable ELF program", file.display()))
}

fn read<Header: FileHeader<Endian = object::Endianness>>(data: &[u8]) -> Result<Needs> {
    use object::read::elf::{Dyn as _, ProgramHeader as _};
    let elf: ElfFile<'_, Header> = ElfFile::parse(data)?;
    let endian = elf.endian();
    let segments = elf.elf_program_headers();
    let interpreter = segments.iter().any(|s| s.p_type(endian) == object::elf::PT_INTERP);
    let mut libraries = Vec::new();
    let sections = elf.elf_section_table();
    if let Some((entries, link)) = sections.dynamic(endian, data)? {
        let strings = sections.strings(endian, data, link)?;
        for entry in entries {
            if entry.tag(endian) == object::elf::DT_NEEDED {
                libraries.push(String::from_utf8_lossy(entry.string(endian, strings)?).into_owned());
            }
        }
    }
    let mut glibc = None;
    if let Some((mut needs, link)) = sections.gnu_verneed(endian, data)? {
        let strings = sections.strings(endian, data, link)?;
        while let Some((_, mut versions)) = needs.next()? {
            while let Some(version) = versions.next()? {
                let name = String::from_utf8_lossy(version.name(endian, strings)?).into_owned();
                glibc = glibc.max(name.strip_prefix("GLIBC_").and_then(Glibc::parse));
            }
        }
    }
    let bytes = u64::try_from(data.len())?;
    Ok(Needs {
        interpreter,
        libraries,
        glibc,
        bytes,
    })
}

/// Holds a program against what its target promises.
///
/// # Errors
/// When it is over its size, not static where it must be, or asks for a newer glibc than the board has.
pub(crate) fn hold(file: &Path, target: &Target) -> Result<Needs> {
    let needs = needs(file)?;
    let name = &target.name;
    let budget = target.file.budget.binary_bytes;
    ensure!(
        needs.bytes <= budget,
        "{name}: the program has {} bytes, its budget is {budget}",
        needs.bytes
    );
    match target.file.build.glibc {
        None => ensure!(
            !needs.interpreter && needs.libraries.is_empty(),
            "{name}: expected a static program, got one with interpreter: {}, libraries: {:?}",
            needs.interpreter,
            needs.libraries
        ),
        Some(floor) => ensure!(
            needs.glibc <= Some(floor),
            "{name}: its board has glibc {floor}, the program asks for {}",
            needs.glibc.map(|version| version.to_string()).unwrap_or_default()
        ),
    }
    Ok(needs)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]
    use super::*;

    #[test]
    fn reads_this_very_program() {
        let needs = needs(&std::env::current_exe().unwrap()).unwrap();
        assert!(needs.interpreter);
        assert!(
            needs.libraries.iter().any(|library| library.starts_with("libc.so")),
            "{needs:?}"
        );
        assert!(needs.glibc >= Glibc::parse("2.17"), "{needs:?}");
    }
}

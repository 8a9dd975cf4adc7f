//! Whether a program runs in an empty root: its machine, and that it asks for no loader.
//!
//! Source: System V ABI, ELF-64 object file format (file header, program headers).

/// Longest table of program headers that is read, entries.
const MAX_SEGMENTS: u16 = 128;
const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;
const PT_INTERP: u32 = 3;

/// Why a program cannot be the only one in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotUsable {
    /// No 64-bit little-endian ELF.
    #[error("no 64-bit Linux program")]
    NotElf,
    /// Another machine.
    #[error("its machine is {0}, expected x86-64 (62) or aarch64 (183)")]
    Machine(u16),
    /// It asks for a loader.
    #[error(
        "it is linked dynamically and would find no libraries in the image; build it static: \
         `cargo xtask build --target cloud-amd64`"
    )]
    Dynamic,
}

/// The architecture as OCI names it (`amd64`, `arm64`) of a static program.
///
/// # Errors
/// When it is none, is for another machine, or needs a loader.
pub fn static_architecture(program: &[u8]) -> Result<&'static str, NotUsable> {
    let short = |at: usize| {
        let bytes = program.get(at..)?.first_chunk::<2>()?;
        Some(u16::from_le_bytes(*bytes))
    };
    let elf64_little = program.starts_with(b"\x7fELF\x02\x01");
    let fields = (
        short(18),
        program.get(32..).and_then(|b| b.first_chunk::<8>()),
        short(54),
        short(56),
    );
    let (true, (Some(machine), Some(offset), Some(size), Some(count))) = (elf64_little, fields) else {
        return Err(NotUsable::NotElf);
    };
    let architecture = match machine {
        EM_X86_64 => "amd64",
        EM_AARCH64 => "arm64",
        other => return Err(NotUsable::Machine(other)),
    };
    let offset = usize::try_from(u64::from_le_bytes(*offset)).map_err(|_| NotUsable::NotElf)?;
    if count > MAX_SEGMENTS {
        return Err(NotUsable::NotElf);
    }
    for index in 0..usize::from(count) {
        let at = usize::from(size)
            .checked_mul(index)
            .and_then(|skip| skip.checked_add(offset));
        let kind = at.and_then(|at| program.get(at..)?.first_chunk::<4>());
        match kind.map(|kind| u32::from_le_bytes(*kind)) {
            None => return Err(NotUsable::NotElf),
            Some(PT_INTERP) => return Err(NotUsable::Dynamic),
            Some(_) => {}
        }
    }
    Ok(architecture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_program_is_refused_at_every_length() {
        let mut program = b"\x7fELF\x02\x01".to_vec();
        program.resize(64 + 56, 0);
        program[18] = 62;
        program[32] = 64;
        program[54] = 56;
        program[56] = 1;
        assert_eq!(static_architecture(&program), Ok("amd64"));
        for end in 0..64 + 4 {
            assert_eq!(
                static_architecture(&program[..end]),
                Err(NotUsable::NotElf),
                "{end} bytes"
            );
        }
        program[64] = 3;
        assert_eq!(static_architecture(&program), Err(NotUsable::Dynamic));
        program[18] = 40;
        assert_eq!(static_architecture(&program), Err(NotUsable::Machine(40)));
        program[32..40].fill(0xff);
        program[18] = 183;
        assert_eq!(static_architecture(&program), Err(NotUsable::NotElf));
    }
}

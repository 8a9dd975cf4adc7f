//! Which file of a vendor's library this process has open: a bare name says nothing of where the loader found it.

use std::path::{Path, PathBuf};

/// The file with this beginning of its name among those mapped into this process; none where it is not open.
pub(super) fn mapped(name: &str) -> Option<PathBuf> {
    find(&std::fs::read_to_string("/proc/self/maps").ok()?, name)
}

fn find(maps: &str, name: &str) -> Option<PathBuf> {
    let path = |line: &str| line.find('/').and_then(|at| line.get(at..)).map(PathBuf::from);
    let is_it = |path: &PathBuf| {
        let file = Path::file_name(path).and_then(|file| file.to_str());
        file.is_some_and(|file| file.starts_with(name))
    };
    maps.lines().filter_map(path).find(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_file_is_found_by_its_name_and_not_by_its_folder() {
        let maps = "7f00-7f01 r-xp 00000000 08:01 12 /opt/libnvinfer.so/other.so\n\
                    7f02-7f03 r-xp 00000000 08:01 13 /usr/lib/libnvinfer.so.10.3.0\n\
                    7f04-7f05 rw-p 00000000 00:00 0 [heap]\n";
        assert_eq!(
            find(maps, "libnvinfer.so"),
            Some(PathBuf::from("/usr/lib/libnvinfer.so.10.3.0"))
        );
        assert_eq!(find(maps, "libcudnn"), None);
    }
}

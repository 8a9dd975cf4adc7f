//! How a bundle set names its files, so that whoever writes a set and whoever picks a part of it agree.

/// The file that makes a folder a set: it lists the cuts.
pub const SET: &str = "set.json";
/// The manifest of the whole model in one part, for inputs that cross no cut.
pub const WHOLE: &str = "manifest-whole.json";

/// The manifest of one cut, by the cut's id.
pub fn manifest_file_of(cut: &str) -> String {
    format!("manifest-{cut}.json")
}

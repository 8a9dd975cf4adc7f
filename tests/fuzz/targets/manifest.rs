//! Manifests: what is accepted can be written, and reads back as the same.

#![no_main]

use kerf_wire::Manifest;
use kerf_wire::codec::Codec;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(manifest) = Manifest::parse(bytes) else { return };
    let text = manifest.to_json().expect("a manifest that was read can be written");
    let again = Manifest::parse(text.as_bytes()).expect("and read again");
    assert_eq!(manifest, again);
    for entry in manifest.cuts.iter().flat_map(|cut| cut.codecs.values()) {
        // Tables come from the same file: they are refused or hold together, and never take the program down.
        drop(Codec::of_manifest(entry));
    }
});

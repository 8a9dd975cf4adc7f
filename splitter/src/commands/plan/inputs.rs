//! The files and figures that a plan is made from: profiles, links, the photo.

use kerf_wire::Profile;
use kerf_wire::profile::LinkProfile;

use super::Args;
use crate::commands::profile::read_profile;
use crate::exit::Failure;
use crate::plan::case::{Link, Store};
use crate::plan::of_graph::Photo;

/// What a frame has beside its tensors: who sent it, of which model and cut, each tensor's shape.
const FRAME_HEADER_BYTES: f64 = 240.0;
/// What the other end of a measured link answers with.
const PROBE_ANSWER_BYTES: f64 = 64.0;

/// The profiles in the order of flow.
pub(super) fn profiles(args: &Args) -> Result<Vec<Profile>, Failure> {
    let paths = std::iter::once(&args.edge).chain(&args.via).chain(&args.cloud);
    paths.map(|path| read_profile(path)).collect()
}

/// Links as measured, or as given by hand.
pub(super) fn links(
    args: &Args,
    profiles: &[Profile],
    machines: usize,
    notes: &mut Vec<String>,
) -> Result<Vec<Link>, Failure> {
    let answer_bytes = profiles.first().and_then(|profile| profile.answer_bytes).unwrap_or(0);
    if args.link.is_empty() {
        return links_by_hand(args, machines);
    }
    if args.link.len() != machines - 1 {
        return Err(Failure::usage(format!(
            "{machines} machines have {} links, got {} documents",
            machines - 1,
            args.link.len()
        )));
    }
    let mut links = Vec::new();
    for path in &args.link {
        let bytes = std::fs::read(path).map_err(|why| Failure::usage(format!("{}: {why}", path.display())))?;
        let measured =
            LinkProfile::parse(&bytes).map_err(|why| Failure::usage(format!("{}: {why}", path.display())))?;
        if measured.far.is_empty() {
            notes.push(format!(
                "the link to {} was measured from this end alone: the broker's way to the other end is not in it",
                measured.broker
            ));
        }
        links.push(measured_link(args, &measured, answer_bytes));
    }
    Ok(links)
}

fn measured_link(args: &Args, measured: &LinkProfile, answer_bytes: u64) -> Link {
    // Both were measured on messages of their own: what a frame and an answer have beyond those.
    let header_ms = FRAME_HEADER_BYTES * 8.0 / measured.uplink_kbit_s;
    let answer_ms = (answer_bytes as f64 - PROBE_ANSWER_BYTES).max(0.0) * 8.0 / measured.downlink_kbit_s;
    let store = measured.store.as_ref().map(|store| Store {
        above_bytes: store.above_bytes,
        fixed_ms: store.put_ms + store.fetch_ms,
        ns_byte: store.put_ns_byte + store.fetch_ns_byte,
    });
    Link {
        frame_ms: measured.frame_ms + header_ms + answer_ms,
        noise: args.uplink_noise.max(measured.noise),
        send_watts: args.send_watts,
        price_gb: args.price_gb,
        price_frame: args.price_million_frames * 1e-6,
        store,
        ..Link::new(measured.uplink_kbit_s, measured.rtt_ms.median)
    }
}

fn links_by_hand(args: &Args, machines: usize) -> Result<Vec<Link>, Failure> {
    let wanted = machines - 1;
    if args.uplink_kbit_s.len() != wanted || args.rtt_ms.len() != wanted {
        return Err(Failure::usage(format!(
            "{machines} machines have {wanted} links: expected as many --uplink-kbit-s and --rtt-ms, got {} and {}",
            args.uplink_kbit_s.len(),
            args.rtt_ms.len()
        )));
    }
    let positive = |n: &f64| n.is_finite() && *n > 0.0;
    if !args.uplink_kbit_s.iter().all(positive) || !args.rtt_ms.iter().all(|rtt| rtt.is_finite() && *rtt >= 0.0) {
        return Err(Failure::usage("--uplink-kbit-s must be above 0, --rtt-ms not below"));
    }
    let link = |(kbit_s, rtt_ms): (&f64, &f64)| Link {
        frame_ms: args.frame_ms,
        noise: args.uplink_noise,
        send_watts: args.send_watts,
        price_gb: args.price_gb,
        price_frame: args.price_million_frames * 1e-6,
        ..Link::new(*kbit_s, *rtt_ms)
    };
    Ok(args.uplink_kbit_s.iter().zip(&args.rtt_ms).map(link).collect())
}

/// The photo as it comes: by hand, or as the device was profiled with pictures.
pub(super) fn photo(args: &Args, profiles: &[Profile], machines: usize) -> Result<Option<Photo>, Failure> {
    let measured: Vec<_> = profiles
        .iter()
        .map_while(|profile| profile.input.as_ref().filter(|input| input.is_picture))
        .collect();
    let Some(bytes) = args.photo_bytes.or(measured.first().map(|input| input.file_bytes)) else {
        return Ok(None);
    };
    let read_ms = match (args.read_ms.len(), args.cloud_speed) {
        (0, _) if measured.len() == machines => measured.iter().map(|input| input.read_ms.median).collect(),
        (0, Some(factor)) if measured.len() + 1 == machines => {
            let each = measured.iter().map(|input| input.read_ms.median);
            let device_ms = measured.first().map_or(0.0, |input| input.read_ms.median);
            each.chain(std::iter::once(device_ms / factor)).collect()
        }
        (0, _) => vec![0.0; machines],
        (n, _) if n == machines => args.read_ms.clone(),
        (n, _) => {
            return Err(Failure::usage(format!(
                "--read-ms has {n} figures for {machines} machines"
            )));
        }
    };
    Ok(Some(Photo { bytes, read_ms }))
}

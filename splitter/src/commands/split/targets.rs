//! `kerf split --target`, `--format`: what is in the way is said before anything is written.

use super::{Args, FileLayout};
use crate::commands::convert;
use crate::convert::Request;
use crate::cut::{Cut, Partition};
use crate::emit::EmitError;
use crate::exit::Failure;
use crate::graph::Graph;

/// Refuses what converted parts do not go with.
pub(super) fn goes_with(args: &Args) -> Result<(), Failure> {
    if args.convert.is_empty() {
        return Ok(());
    }
    if args.all {
        return Err(Failure::usage(
            "a set holds parts as they were cut: convert one of its cuts by itself",
        ));
    }
    if args.layout == FileLayout::Reference {
        return Err(Failure::usage(
            "--target and --format go with a bundle, not with --layout reference",
        ));
    }
    Ok(())
}

/// What is to be converted: parts that are there, with operators that their backends take, by converters that are there.
pub(super) fn check(args: &Args, graph: &Graph, cuts: &[Cut]) -> Result<Vec<Request>, Failure> {
    let requests = args.convert.requests()?;
    if requests.is_empty() {
        return Ok(requests);
    }
    let partition = Partition::new(graph, cuts.to_vec()).map_err(EmitError::from)?;
    for request in &requests {
        let part = partition.parts.get(request.part).ok_or_else(|| {
            let parts = partition.parts.len();
            Failure::usage(format!("there is no part {}: this split has {parts}", request.part))
        })?;
        convert::check_operators(graph, part.nodes.iter().copied(), request, &args.convert)?;
    }
    convert::ready(&requests)?;
    Ok(requests)
}

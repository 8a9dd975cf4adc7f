//! `--at VALUE…`: one `--at` is one cut, several make a chain.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::find_values;
use crate::cut::{Cut, Cutter, Illegal, nearest_legal};
use crate::exit::{Exit, Failure};
use crate::graph::Graph;

/// The cuts of a chain, each a list of value names.
#[derive(Debug, Clone, Default)]
pub struct Chain(pub Vec<Vec<String>>);

const AT: &str = "at";

impl Chain {
    /// The cuts of this graph, each legal.
    ///
    /// # Errors
    /// A wrong name ends with 2, an illegal cut with 11, the reason and the nearest legal cuts.
    pub fn cuts(&self, graph: &Graph) -> Result<Vec<Cut>, Failure> {
        let cutter = Cutter::new(graph);
        let cut = |names: &Vec<String>| {
            let at = find_values(graph, names)?;
            cutter.cut(&at).map_err(|why| {
                let near = nearest_legal(&cutter, &at);
                not_legal(graph, names, &why, &near)
            })
        };
        self.0.iter().map(cut).collect()
    }
}

fn not_legal(graph: &Graph, names: &[String], why: &Illegal, near: &[Cut]) -> Failure {
    let option = |cut: &Cut| format!("--at {}", cut.names(graph).join(" "));
    let near: Vec<String> = near.iter().map(option).collect();
    let hint = if near.is_empty() {
        String::new()
    } else {
        format!("; legal near it: {}", near.join(", or "))
    };
    Failure::new(
        Exit::NoCut,
        anyhow::anyhow!("no legal cut at {}: {why}{hint}", names.join(" ")),
    )
}

impl FromArgMatches for Chain {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let occurrences = matches.get_occurrences::<String>(AT);
        let all = occurrences.map(|all| all.map(|one| one.cloned().collect()).collect());
        Ok(Self(all.unwrap_or_default()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Chain {
    fn augment_args(command: Command) -> Command {
        command.arg(
            Arg::new(AT)
                .long(AT)
                .value_name("VALUE")
                .num_args(1..)
                .action(ArgAction::Append)
                .help("Cut at these values; repeat it for a chain of parts, none gives one part"),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

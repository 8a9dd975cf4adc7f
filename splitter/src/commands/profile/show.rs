//! A profile for people: its figures in lines, its nodes as a table.

use kerf_wire::Profile;

use super::super::table::{bytes, ms, table};
use crate::graph::Graph;
use crate::profile::Attribution;

/// A row a node.
pub(super) fn layers_table(graph: &Graph, attribution: &Attribution) -> String {
    let total: f64 = attribution.ms.iter().sum();
    let rows: Vec<[String; 6]> = graph
        .node_ids()
        .filter(|id| !graph.node(*id).is_constant)
        .map(|id| {
            let node = graph.node(id);
            let spent = attribution.ms[id.index()];
            let name = node
                .makes()
                .next()
                .map_or_else(|| node.label(), |v| graph.value(v).name.clone());
            let share = if total > 0.0 { spent / total * 100.0 } else { 0.0 };
            [
                name,
                node.op.clone(),
                ms(spent),
                ms(attribution.noise_ms[id.index()]),
                format!("{share:.1} %"),
                node.macs.map_or_else(|| "?".to_owned(), |n| n.to_string()),
            ]
        })
        .collect();
    table(["VALUE", "OP", "MS", "±", "SHARE", "MACS"], &rows, 2)
}

/// The figures of the whole model, in lines.
pub(super) fn summary(profile: &Profile, attribution: &Attribution) -> String {
    let run = &profile.run_ms;
    let mut lines = vec![
        format!(
            "{} on {} ({} {}): {} ms a run (median of {}; 95 %: {} … {}; p95 {}), first run {} ms, load {} ms",
            profile.model.name,
            profile.machine.name,
            profile.machine.backend,
            profile.machine.device,
            ms(run.median),
            run.runs,
            ms(run.low),
            ms(run.high),
            ms(run.p95),
            ms(profile.first_run_ms),
            ms(profile.load_ms),
        ),
        kernels_line(profile, attribution),
    ];
    lines.extend(codecs_line(profile));
    if let Some(most) = profile.memory_bytes {
        lines.push(format!("peak memory {}", bytes(most)));
    }
    if let Some(energy) = &profile.energy {
        lines.push(format!(
            "{:.4} J a run ({}), {:.1} W while waiting",
            energy.run_joules, energy.source, energy.idle_watts
        ));
    }
    if profile.machine.background_load.is_some_and(|load| load > 0.5) {
        let load = profile.machine.background_load.unwrap_or_default();
        lines.push(format!(
            "this machine was busy ({load:.1} processes a CPU): measure again when it is quiet"
        ));
    }
    lines.join("\n") + "\n"
}

fn kernels_line(profile: &Profile, attribution: &Attribution) -> String {
    if attribution.is_guess {
        return "the engine has no kernel times: the run is spread over the nodes by MACs and bytes, a guess"
            .to_owned();
    }
    format!(
        "{} kernels: {} ms found by name, {} ms by their neighbour; the run less its kernels is {} ms, spread in proportion",
        profile.kernels.len(),
        ms(attribution.by_name_ms),
        ms(attribution.by_position_ms),
        ms(attribution.residual_ms),
    )
}

fn codecs_line(profile: &Profile) -> Option<String> {
    let each = profile.codecs.iter().map(|(name, cost)| {
        let mb_s = |ns_byte: f64| 1e3 / ns_byte.max(1e-6);
        format!(
            "{name} {:.2} of raw ({:.0}, {:.0})",
            cost.ratio,
            mb_s(cost.encode_ns_byte),
            mb_s(cost.decode_ns_byte)
        )
    });
    let each: Vec<String> = each.collect();
    let on = if profile.input.is_some() {
        ""
    } else {
        " on made-up inputs"
    };
    (!each.is_empty()).then(|| format!("codecs{on}, (encode, decode MB/s of raw): {}", each.join("; ")))
}

//! From a case and a goal to a plan: the best choice, what it is compared with, and whether it is worth a cut.

use std::collections::BTreeMap;

use super::baseline::{Baseline, Compared, PHOTO, baselines, single_cuts};
use super::case::Case;
use super::choose::{self, Constraints};
use super::document::{
    Alternative, Assumptions, Candidate, FORMAT, Front, Gain, Placement, Plan, PlannedCut, PlannedModel,
};
use super::goal::Goal;
use super::network::{Network, PlanError};
use super::outcome::{Choice, Outcome, half_interval_of_difference};
use super::{ranges, verdict};

/// What is asked of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// What is to be best.
    pub goal: Goal,
    /// What must be kept to.
    pub constraints: Constraints,
    /// A second goal, for a front.
    pub against: Option<Goal>,
    /// The model, where there is one.
    pub model: Option<PlannedModel>,
    /// What a reader should know about the figures.
    pub notes: Vec<String>,
}

impl Question {
    /// Only a goal.
    pub fn goal(goal: Goal) -> Self {
        Self {
            goal,
            constraints: Constraints::default(),
            against: None,
            model: None,
            notes: Vec::new(),
        }
    }
}

/// The plan for a case.
///
/// # Errors
/// When nothing fits the pins and constraints.
pub fn plan(case: &Case, question: &Question) -> Result<Plan, PlanError> {
    let network = case.network();
    let goal = question.goal;
    let compared = baselines(case, &network, goal);
    let decision = decide(case, &network, question, &compared)?;
    let taken = &decision.taken;
    let cuts = cuts(case, &network, taken);
    let placement = placement(case, &network, taken);
    let mut plan = Plan {
        format: FORMAT,
        tool: concat!("kerf ", env!("CARGO_PKG_VERSION")).into(),
        model: question.model.clone(),
        goal,
        verdict: String::new(),
        placement,
        proven: decision.proven,
        cuts,
        predicted: Outcome::of(case, &network, taken),
        gain: decision.gain,
        best_cut: decision
            .not_taken
            .map(|choice| alternative(case, &network, None, &choice)),
        baselines: compared
            .iter()
            .map(|c| alternative(case, &network, Some(c.baseline), &c.choice))
            .collect(),
        uplink_kbit_s_ranges: ranges::over_uplink(case, goal)?,
        rtt_ms_ranges: ranges::over_rtt(case, goal)?,
        front: front(case, &network, question)?,
        candidates: Vec::new(),
        assumptions: assumptions(case, question),
    };
    plan.candidates = candidates(case, &network, &compared, taken);
    plan.verdict = verdict::sentence(&plan);
    Ok(plan)
}

struct Decision {
    taken: Choice,
    proven: bool,
    gain: Option<Gain>,
    not_taken: Option<Choice>,
}

/// A cut is taken only where it is better than the best way not to cut by more than the figures can be wrong.
fn decide(case: &Case, network: &Network, question: &Question, compared: &[Compared]) -> Result<Decision, PlanError> {
    let goal = question.goal;
    let best = choose::best(case, network, goal, &question.constraints)?;
    let whole = compared
        .iter()
        .filter(|c| c.baseline.is_whole() && choose::fits(case, network, &question.constraints, &c.choice))
        .min_by(|a, b| a.outcome.of_goal(goal).total_cmp(&b.outcome.of_goal(goal)));
    let Some(whole) = whole else {
        return Ok(Decision {
            taken: best.choice,
            proven: best.proven,
            gain: None,
            not_taken: None,
        });
    };
    if placement(case, network, &best.choice) != Placement::Split {
        let not_taken = compared
            .iter()
            .find(|c| c.baseline == Baseline::BestSingle)
            .map(|c| c.choice.clone());
        return Ok(Decision {
            taken: best.choice,
            proven: best.proven,
            gain: None,
            not_taken,
        });
    }
    let amount = whole.outcome.of_goal(goal) - Outcome::of(case, network, &best.choice).of_goal(goal);
    let half_ms = half_interval_of_difference(case, network, &whole.choice, &best.choice);
    let half = half_of_goal(case, goal, half_ms);
    let gain = Gain {
        over: whole.baseline,
        amount,
        interval: [amount - half, amount + half],
    };
    let worth_it = gain.interval[0] > 0.0;
    let (taken, not_taken) = if worth_it {
        (best.choice, None)
    } else {
        (whole.choice.clone(), Some(best.choice))
    };
    Ok(Decision {
        taken,
        proven: best.proven,
        gain: Some(gain),
        not_taken,
    })
}

/// What an uncertain time makes uncertain under another goal.
fn half_of_goal(case: &Case, goal: Goal, half_ms: f64) -> f64 {
    match goal {
        Goal::Latency | Goal::Throughput => half_ms,
        Goal::Energy => half_ms * 1e-3 * case.tiers.first().map_or(0.0, |t| t.active_watts),
        Goal::Money => half_ms / 3.6e6 * case.tiers.last().map_or(0.0, |t| t.price_hour),
        Goal::Bytes => 0.0,
    }
}

/// Where a choice puts the network. The sensor and the reading of the photo are no part of the network.
pub(super) fn placement(case: &Case, network: &Network, choice: &Choice) -> Placement {
    let photo = case.values.iter().position(|value| value.name == PHOTO);
    let reader = photo.and_then(|photo| case.values[photo].readers.first().copied());
    let own = (0..case.nodes.len()).filter(|&node| node != 0 && Some(node) != reader);
    let mut used: Vec<usize> = own.map(|node| choice.tiers[node]).collect();
    used.sort_unstable();
    used.dedup();
    match (used.as_slice(), photo) {
        ([] | [0], _) => Placement::EdgeOnly,
        ([_], Some(photo)) if network.crossings(&choice.tiers).first() == Some(&vec![photo]) => Placement::CloudPhoto,
        ([_], _) => Placement::CloudRaw,
        _ => Placement::Split,
    }
}

/// What crosses each link that is used.
pub(super) fn cuts(case: &Case, network: &Network, choice: &Choice) -> Vec<PlannedCut> {
    let crossings = network.crossings(&choice.tiers).into_iter().enumerate();
    crossings
        .take(network.answer_tier(&choice.tiers))
        .map(|(link, values)| planned_cut(case, choice, link, &values))
        .collect()
}

fn planned_cut(case: &Case, choice: &Choice, link: usize, values: &[usize]) -> PlannedCut {
    let encoding = |value: usize| &case.values[value].encodings[choice.encodings[value][link]];
    let codecs: BTreeMap<String, String> = values
        .iter()
        .filter(|&&value| encoding(value).codec != "raw")
        .map(|&value| (case.values[value].name.clone(), encoding(value).codec.clone()))
        .collect();
    PlannedCut {
        values: values.iter().map(|&value| case.values[value].name.clone()).collect(),
        codecs,
        tables: BTreeMap::new(),
        payload_bytes: values.iter().map(|&value| encoding(value).bytes).sum(),
    }
}

fn alternative(case: &Case, network: &Network, baseline: Option<Baseline>, choice: &Choice) -> Alternative {
    Alternative {
        baseline,
        cuts: cuts(case, network, choice),
        outcome: Outcome::of(case, network, choice),
    }
}

/// The ways that a report's sliders choose among, each once.
fn candidates(case: &Case, network: &Network, compared: &[Compared], taken: &Choice) -> Vec<Candidate> {
    if case.tiers.len() != 2 {
        return Vec::new();
    }
    let encodings = &taken.encodings;
    let with = |tiers: Vec<usize>| Choice {
        tiers,
        encodings: encodings.clone(),
    };
    let whole = compared
        .iter()
        .filter(|c| c.baseline.is_whole())
        .map(|c| with(c.choice.tiers.clone()));
    let singles = single_cuts(case, network).into_iter().map(|(_, tiers)| with(tiers));
    let elsewhere = ranges::choices(case).into_iter().map(with);
    let mut candidates: Vec<Candidate> = Vec::new();
    for choice in whole
        .chain(singles)
        .chain(std::iter::once(taken.clone()))
        .chain(elsewhere)
    {
        let outcome = Outcome::of(case, network, &choice);
        let crossing = cuts(case, network, &choice);
        let values: Vec<String> = crossing.iter().flat_map(|cut| cut.values.iter().cloned()).collect();
        if candidates.iter().any(|c| c.values == values) {
            continue;
        }
        candidates.push(Candidate {
            placement: placement(case, network, &choice),
            values,
            codecs: crossing.into_iter().flat_map(|cut| cut.codecs).collect(),
            device_ms: outcome.stage_ms[0],
            cloud_ms: outcome.stage_ms[1],
            payload_bytes: outcome.payload_bytes,
        });
    }
    candidates
}

fn front(case: &Case, network: &Network, question: &Question) -> Result<Option<Front>, PlanError> {
    let Some(against) = question.against else {
        return Ok(None);
    };
    let points = choose::front(case, network, question.goal, against)?;
    let points = points
        .iter()
        .map(|(choice, _, _)| alternative(case, network, None, choice))
        .collect();
    Ok(Some(Front { against, points }))
}

fn assumptions(case: &Case, question: &Question) -> Assumptions {
    let each = |figure: fn(&super::case::Link) -> f64| case.links.iter().map(figure).collect();
    Assumptions {
        tiers: case.tiers.iter().map(|tier| tier.name.clone()).collect(),
        uplink_kbit_s: each(|link| link.uplink_kbit_s),
        rtt_ms: each(|link| link.rtt_ms),
        frame_ms: each(|link| link.frame_ms),
        start_ms: case.tiers.iter().skip(1).map(|tier| tier.start_ms).collect(),
        notes: question.notes.clone(),
    }
}

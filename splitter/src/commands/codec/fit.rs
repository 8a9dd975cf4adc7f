//! `kerf codec fit`: tables for a bundle's crossing values, into its manifest.

use std::path::PathBuf;

use kerf_runtime::bundle::{Bundle, MANIFEST};
use kerf_wire::Manifest;
use kerf_wire::codec::Codec;
use kerf_wire::manifest::Coarser;

use super::{json, parse_loss, percent, trial};
use crate::codec::{Data, DataArgs, Fitted, Score, coarser, fit};
use crate::commands::print;
use crate::emit;
use crate::exit::{Exit, Failure, OrExit as _};

/// Fit tables for a bundle's crossing values and write the cheapest codec whose loss is allowed into the manifest.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kerf codec fit bundle --data photos\n  \
    kerf codec fit bundle --data photos --crops 500 --max-loss 0.02\n  \
    kerf codec fit bundle --data held-out.npz --max-loss 0.005\n  \
    kerf codec fit bundle --data photos --coarser-loss 0.05      coarser while the link is behind\n\n\
    Half of the files are fitted on, the other half judges. A signature that is there is dropped: sign last.")]
pub struct Args {
    /// The bundle's folder.
    pub bundle: PathBuf,
    /// The inputs.
    #[command(flatten)]
    pub data: DataArgs,
    /// Largest share of inputs whose best class may change; where the model is no classifier, how far its first output
    /// may move on average, relative to its norm.
    #[arg(long, default_value = "0.01", value_parser = parse_loss)]
    pub max_loss: f64,
    /// Also allow coarser steps, up to this loss, in the frames that a stage makes while its link is behind.
    #[arg(long, value_name = "SHARE", value_parser = parse_loss)]
    pub coarser_loss: Option<f64>,
    /// The engines, in the order to try; those of the manifest unless given.
    #[arg(long, value_name = "NAME")]
    pub backend: Vec<String>,
    /// Say what would be written, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if args.coarser_loss.is_some_and(|loss| loss <= args.max_loss) {
        return Err(Failure::usage(
            "--coarser-loss is what is allowed beyond --max-loss: give more",
        ));
    }
    let bundle = Bundle::open(&args.bundle)?;
    let mut manifest = bundle.manifest().clone();
    if manifest.cuts.is_empty() {
        return Err(Failure::usage(
            "the bundle has one part: nothing crosses, there is nothing to fit",
        ));
    }
    let specs = bundle
        .reaching(0)?
        .iter()
        .map(|name| bundle.spec(name))
        .collect::<Result<Vec<_>, _>>()?;
    let data = Data::read(&args.data, &specs, manifest.preprocess.as_ref())?;
    let mut text = String::new();
    for index in 0..manifest.cuts.len() {
        let mut trial = trial(&bundle, index, &args.backend, &data)?;
        let raw = trial.score(&vec![Codec::RAW; trial.values().len()])?;
        let fitted = fit(&mut trial, args.max_loss)?;
        text.push_str(&report(trial.values(), &fitted, raw.payload_bytes, data.judge.len()));
        let behind = match args.coarser_loss {
            Some(max_loss) => coarser(&mut trial, &fitted, max_loss)?,
            None => None,
        };
        if let Some((quarters, score)) = &behind {
            text.push_str(&report_behind(*quarters, score));
        }
        enter(
            &mut manifest,
            index,
            trial.values(),
            &fitted,
            behind.map(|(quarters, _)| quarters),
        );
    }
    if !args.dry_run {
        emit::replace_file(&args.bundle.join(MANIFEST), json(&manifest)?.as_bytes())?;
        let signature = args.bundle.join("manifest.sig");
        if signature.exists() {
            std::fs::remove_file(&signature).or_exit(Exit::Usage)?;
            let file = signature.display();
            log::warn!("event=signature-dropped file={file} the manifest has changed: sign again");
        }
    }
    print(&text)
}

fn enter(manifest: &mut Manifest, index: usize, values: &[String], fitted: &Fitted, behind: Option<i8>) {
    let Some(cut) = manifest.cuts.get_mut(index) else {
        return;
    };
    for (value, codec) in values.iter().zip(&fitted.codecs) {
        if *codec == Codec::RAW {
            cut.codecs.remove(value);
        } else {
            let mut entry = codec.to_manifest();
            entry.coarser = behind.filter(|_| codec.table.is_some()).map(Coarser::Coarseness);
            cut.codecs.insert(value.clone(), entry);
        }
    }
}

fn report(values: &[String], fitted: &Fitted, raw_bytes: f64, judged: usize) -> String {
    let score = &fitted.score;
    let names: Vec<String> = fitted.codecs.iter().map(|codec| codec.id.to_string()).collect();
    let loss = kept(score);
    format!(
        "{}: {}; {:.0} bytes a frame instead of {raw_bytes:.0} ({:.2} bits an element), {loss} of {judged} inputs\n",
        values.join(", "),
        names.join(", "),
        score.payload_bytes,
        score.bits,
    )
}

fn report_behind(quarters: i8, score: &Score) -> String {
    format!(
        "while the link is behind: steps {:.1} times as large, {:.0} bytes a frame ({:.2} bits an element), {}\n",
        2.0_f64.powf(f64::from(quarters) / 4.0),
        score.payload_bytes,
        score.bits,
        kept(score)
    )
}

/// What the codecs leave of the answers.
fn kept(score: &Score) -> String {
    match score.agreement {
        Some(agreement) => format!("the best class stays on {}", percent(agreement)),
        None => format!("the output moves by {}", percent(score.output_error)),
    }
}

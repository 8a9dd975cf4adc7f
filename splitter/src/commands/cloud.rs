//! `kerf cloud`: what takes a bundle to a cloud.

use std::path::PathBuf;

use kerf_runtime::bundle::Bundle;

use crate::cloud::CloudError;
use crate::cloud::image::{self, Image};
use crate::cloud::manifests::{self, Settings};
use crate::cloud::parts::Parts;
use crate::cloud::scalar::{Broker, Bucket, Cluster, ImageName, Name, Quantity, name_from};
use crate::commands::print;
use crate::exit::{Exit, Failure, OrExit as _};

/// Take a bundle to a cloud: a container image, and descriptions for OSCAR and Kubernetes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Write FDL files for OSCAR, manifests for Kubernetes and KEDA, and a Dockerfile
    Bundle(BundleArgs),
    /// Write a container image without Docker: the static `kerf-stage`, the bundle, nothing else
    Image(ImageArgs),
}

/// Arguments of `kerf cloud bundle`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kerf cloud bundle bundle --image ghcr.io/me/tail:1 -o cloud
  kerf cloud bundle bundle --image ghcr.io/me/tail:1 --oscar my-cluster --cpu 2 --memory 2Gi -o cloud
  kubectl apply -k cloud/kubernetes")]
struct BundleArgs {
    /// The bundle whose last part runs in the cloud; or a set (`kerf split --all`): jobs then take the part their frame names
    bundle: PathBuf,
    /// The folder to write; it must not be there
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// The container image's name
    #[arg(long, value_name = "IMAGE")]
    image: ImageName,
    /// The service's name [default: the model's, with -tail]
    #[arg(long, value_name = "NAME")]
    name: Option<Name>,
    /// The OSCAR cluster's id in FDL files
    #[arg(long, value_name = "CLUSTER", default_value = "oscar-cluster")]
    oscar: Cluster,
    /// The bucket of OSCAR's jobs [default: the service's name]
    #[arg(long, value_name = "BUCKET")]
    bucket: Option<Bucket>,
    /// The MQTT workers' broker
    #[arg(long, value_name = "URL", default_value = "mqtt://mosquitto.default.svc:1883")]
    broker: Broker,
    /// Processor for one replica or job
    #[arg(long, value_name = "QUANTITY", default_value = "1")]
    cpu: Quantity,
    /// Memory for one replica or job
    #[arg(long, value_name = "QUANTITY", default_value = "1Gi")]
    memory: Quantity,
    /// Fewest replicas
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    min_replicas: u32,
    /// Most replicas
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    max_replicas: u32,
}

/// Arguments of `kerf cloud image`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kerf cloud image bundle --program kerf-stage -o image.tar
  kerf cloud image bundle --program kerf-stage-amd64 --program kerf-stage-arm64 --tag 1.0 -o image
  skopeo copy oci-archive:image.tar docker://ghcr.io/me/tail:1

The same bundle and programs give the same digest on every machine. The program must be static:
`cargo xtask build --target cloud-amd64` and `cloud-arm64` make it so.")]
struct ImageArgs {
    /// The bundle whose last part the image runs
    bundle: PathBuf,
    /// Static `kerf-stage`, one an architecture
    #[arg(long = "program", value_name = "FILE", required = true)]
    programs: Vec<PathBuf>,
    /// The folder (OCI layout) or .tar file to write; it must not be there
    #[arg(short, long, value_name = "PATH")]
    output: PathBuf,
    /// The image's tag in the layout
    #[arg(long, value_name = "TAG", default_value = "latest", value_parser = tag)]
    tag: String,
}

/// Does what was asked for.
///
/// # Errors
/// 2 where a target is there, a word is wrong or a program is not static; 20 where the bundle is refused.
pub fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Bundle(args) => write_bundle(args),
        Command::Image(args) => write_image(args),
    }
}

fn write_bundle(args: BundleArgs) -> Result<(), Failure> {
    let parts = Parts::open(&args.bundle)?;
    if args.min_replicas > args.max_replicas {
        return Err(Failure::usage("--min-replicas is more than --max-replicas"));
    }
    let name = args.name.or_else(|| {
        let room: String = parts.model.chars().take(34).collect();
        name_from(&format!("{room}-tail"))
    });
    let name =
        name.ok_or_else(|| Failure::usage("the model has no name to make a service's from: --name is needed"))?;
    let bucket = match args.bucket {
        Some(bucket) => bucket,
        None => name.to_string().parse().map_err(CloudError::from)?,
    };
    let settings = Settings {
        name,
        image: args.image,
        cluster: args.oscar,
        bucket,
        broker: args.broker,
        cpu: args.cpu,
        memory: args.memory,
        replicas: (args.min_replicas, args.max_replicas),
    };
    for file in manifests::write(&parts, &settings, &args.output)? {
        print(&format!("{}\n", args.output.join(file).display()))?;
    }
    Ok(())
}

fn write_image(args: ImageArgs) -> Result<(), Failure> {
    let bundle = Bundle::open(&args.bundle)?;
    let image = Image {
        bundle: &bundle,
        programs: args.programs,
        tag: args.tag,
    };
    let written = image::write(&image, &args.output)?;
    let line = serde_json::to_string(&written).or_exit(Exit::Bug)?;
    print(&format!("{line}\n"))
}

/// A tag as the distribution specification has it.
fn tag(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if begins && text.len() <= 128 && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err("1 to 128 letters, digits, '.', '_' and '-', not beginning with '.' or '-'".to_owned())
}

impl From<CloudError> for Failure {
    fn from(error: CloudError) -> Self {
        match error {
            CloudError::Bundle(error) => error.into(),
            CloudError::File { ref why, .. } if why.kind() == std::io::ErrorKind::StorageFull => {
                Self::new(Exit::DiskFull, error)
            }
            _ => Self::new(Exit::Usage, error),
        }
    }
}

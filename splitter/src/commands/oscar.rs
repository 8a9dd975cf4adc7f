//! `kerf oscar`: services, inputs, jobs and logs of an OSCAR cluster.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::commands::print;
use crate::exit::{Exit, Failure, OrExit as _};
use crate::oscar::{Client, Credentials, Options, OscarError, Service, fdl};

mod invoke;

/// Talk to an OSCAR cluster: what mc, oscar-cli and kubectl are needed for elsewhere.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kerf oscar apply tail/fdl.yaml
  kerf oscar invoke split-tail head.kf
  kerf oscar logs split-tail

Credentials come from a TOML file (--credentials) with `endpoint`, and `user` and `password` or `token`,
or from KERF_OSCAR_ENDPOINT, KERF_OSCAR_USER, KERF_OSCAR_PASSWORD and KERF_OSCAR_TOKEN;
never from the command line, where every user of the machine could read them.")]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

/// How to reach the cluster.
#[derive(Debug, clap::Args)]
struct Connection {
    /// Address of the cluster, e.g. https://oscar.example.org [default: the credentials file's, or KERF_OSCAR_ENDPOINT]
    #[arg(long, global = true, value_name = "URL")]
    endpoint: Option<String>,
    /// TOML file with endpoint, user and password, or token
    #[arg(long, global = true, env = "KERF_OSCAR_CREDENTIALS", value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// Trust the authority in this PEM file instead of the public ones
    #[arg(long, global = true, env = "KERF_OSCAR_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Do not check the cluster's certificate
    #[arg(long, global = true)]
    insecure: bool,
    /// Longest time for one request, seconds
    #[arg(long, global = true, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Create the services of an FDL file, or update those that are there
    Apply {
        /// The FDL file; scripts that it names lie beside it
        fdl: PathBuf,
    },
    /// Run inputs through a service and write the results
    Invoke(invoke::Args),
    /// List a service's jobs, or show what one of them wrote
    Logs {
        /// The service
        service: String,
        /// The job; without it all are listed
        job: Option<String>,
    },
    /// Show the cluster and its services, or one service and its container
    Status {
        /// The service; without it all are listed
        service: Option<String>,
    },
    /// Remove a service, or only its jobs; its buckets stay
    Remove {
        /// The service
        service: String,
        /// Remove its finished jobs, not the service
        #[arg(long)]
        jobs: bool,
        /// With --jobs: those that run or wait as well
        #[arg(long, requires = "jobs")]
        all: bool,
    },
}

/// Does what was asked for.
///
/// # Errors
/// 2 for a wrong setting or name, 41 where OSCAR does not authorise us, 42 where it is not there, 31 where a job failed.
pub fn run(args: Args) -> Result<(), Failure> {
    let client = connect(&args.connection)?;
    match args.command {
        Command::Apply { fdl } => apply(&client, &fdl),
        Command::Invoke(args) => invoke::run(&client, &args),
        Command::Logs { service, job } => logs(&client, &service, job.as_deref()),
        Command::Status { service } => status(&client, service.as_deref()),
        Command::Remove { service, jobs, all } => {
            if jobs {
                client.remove_jobs(&service, all)?;
                return print(&format!("{service}: jobs removed\n"));
            }
            client.remove(&service)?;
            print(&format!("{service}: removed\n"))
        }
    }
}

fn connect(connection: &Connection) -> Result<Client, Failure> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (found, credentials) = Credentials::find(connection.credentials.as_deref(), &variable)?;
    let endpoint = connection.endpoint.clone().or(found);
    let endpoint = endpoint.ok_or_else(|| Failure::usage("no endpoint: --endpoint URL is needed"))?;
    let options = Options {
        endpoint,
        ca: connection.ca.clone(),
        insecure: connection.insecure,
        timeout: Duration::from_secs(connection.timeout),
    };
    Ok(Client::connect(&options, credentials)?)
}

fn apply(client: &Client, file: &Path) -> Result<(), Failure> {
    for service in fdl::read(file)? {
        let created = client.apply(&service)?;
        let what = if created { "created" } else { "updated" };
        print(&format!("{}: {what}\n", service.name))?;
    }
    Ok(())
}

fn logs(client: &Client, service: &str, job: Option<&str>) -> Result<(), Failure> {
    if let Some(job) = job {
        return print(&client.job_log(service, job)?);
    }
    let jobs = client.jobs(service)?;
    if jobs.is_empty() {
        log::info!("{service} has no jobs");
    }
    for (name, job) in jobs {
        let time = |time: Option<String>| time.unwrap_or_else(|| "-".to_owned());
        print(&format!(
            "{name}  {:10}  created {}  started {}  finished {}\n",
            job.status,
            time(job.creation_time),
            time(job.start_time),
            time(job.finish_time)
        ))?;
    }
    Ok(())
}

fn status(client: &Client, service: Option<&str>) -> Result<(), Failure> {
    let Some(name) = service else {
        let info = client.info()?;
        let text = |key: &str| info.get(key).and_then(|v| v.as_str()).unwrap_or("?").to_owned();
        print(&format!(
            "OSCAR {}, Kubernetes {}\n",
            text("version"),
            text("kubernetes_version")
        ))?;
        for service in client.services()? {
            print(&format!("{}  {}  {}\n", service.name, service.image, kind(&service)))?;
        }
        return Ok(());
    };
    let service = client.service(name)?;
    let deployment = match client.deployment(name) {
        Ok(deployment) => deployment,
        Err(OscarError::Missing { .. }) => serde_json::Value::Null,
        Err(why) => return Err(why.into()),
    };
    let document = serde_json::json!({"service": service, "deployment": deployment});
    let text = serde_json::to_string_pretty(&document).or_exit(Exit::Bug)?;
    print(&format!("{text}\n"))
}

fn kind(service: &Service) -> &'static str {
    match (&service.expose, service.input.is_empty()) {
        (Some(_), _) => "exposed",
        (None, false) => "jobs on objects",
        (None, true) => "on call",
    }
}

impl From<OscarError> for Failure {
    fn from(error: OscarError) -> Self {
        let exit = match &error {
            OscarError::Setting(_)
            | OscarError::File { .. }
            | OscarError::Missing { .. }
            | OscarError::Status { status: 400..=499, .. } => Exit::Usage,
            OscarError::Unauthorised { .. } => Exit::NotAuthorised,
            OscarError::NoResult { .. } => Exit::RunFailed,
            _ => Exit::StoreUnreachable,
        };
        Self::new(exit, error)
    }
}

//! `kerf-stage check`: which backends are here, and is this bundle intact?

use clap::Args;
use kerf_runtime::backend;
use kerf_runtime::config::TrustConfig;
use kerf_runtime::exit::Failure;

/// List the backends of this program with device, version and library, or what is missing and how to get it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kerf-stage check
  kerf-stage check --backend tract
  kerf-stage check --bundle bundle")]
pub(crate) struct Check {
    /// Fail with 30 unless this backend is ready
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// Also verify every file of this bundle
    #[arg(long, value_name = "DIR")]
    bundle: Option<std::path::PathBuf>,
    #[command(flatten)]
    trust: TrustConfig,
}

impl Check {
    pub(crate) fn run(self) -> Result<(), Failure> {
        for backend in backend::all() {
            match backend.check() {
                Ok(info) => {
                    let library = info.library.map(|l| format!("  {}", l.display()));
                    println!(
                        "{:<16} ready    {}  {}{}",
                        backend.name(),
                        info.device,
                        info.version,
                        library.unwrap_or_default()
                    );
                }
                Err(error) => println!("{:<16} missing  {error}", backend.name()),
            }
        }
        if let Some(dir) = &self.bundle {
            let bundle = self.trust.trust().open(dir)?;
            bundle.verify_all()?;
            println!("bundle {} intact, {} parts", bundle.id(), bundle.manifest().parts.len());
        }
        if let Some(name) = &self.backend {
            backend::named(name)?.check()?;
        }
        Ok(())
    }
}

//! The files of a package: program, unit, configuration, udev rules, Debian's control files.
//!
//! Owns: their text and their places. Must not know: how they are wrapped.

use std::fs;

use anyhow::{Context as _, Result};

use super::archive::File;
use crate::repo;
use crate::target::Target;

/// What an archive holds, flat: `flash` unpacks it into a release folder.
pub(super) fn plain(target: &Target, program: &[u8], sbom: &str) -> Result<Vec<File>> {
    let mut files = vec![
        File::program("kerf-stage", program),
        File::text("kerf-stage.service", unit(target, "/opt/kerf/current/kerf-stage")),
        File::text("stage.toml", configuration(target, Own::default())),
        File::text("README.md", page(target)?),
        File::text("sbom.cdx.json", sbom),
    ];
    files.extend(udev(target).map(|rules| File::text("60-kerf.rules", rules)));
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        files.push(File::text(
            licence,
            fs::read(repo::root().join(licence)).context(licence)?,
        ));
    }
    Ok(files)
}

/// What a Debian package installs.
pub(super) fn debian(target: &Target, program: &[u8], sbom: &str) -> Result<Vec<File>> {
    let mut files = vec![
        File::folder("etc/kerf/keys"),
        File::text("etc/kerf/stage.toml", configuration(target, Own::default())),
        File::text(
            "lib/systemd/system/kerf-stage.service",
            unit(target, "/usr/bin/kerf-stage"),
        ),
        File::program("usr/bin/kerf-stage", program),
        File::text("usr/share/doc/kerf-stage/README.md", page(target)?),
        File::text("usr/share/doc/kerf-stage/copyright", copyright()?),
        File::text("usr/share/doc/kerf-stage/sbom.cdx.json", sbom),
    ];
    files.extend(udev(target).map(|rules| File::text("lib/udev/rules.d/60-kerf.rules", rules)));
    Ok(files)
}

/// Debian's control files.
pub(super) fn control(target: &Target, version: &str, architecture: &str, files: &[File]) -> Vec<File> {
    let bytes: usize = files
        .iter()
        .filter_map(|file| file.contents.as_ref())
        .map(Vec::len)
        .sum();
    let depends = target
        .file
        .build
        .glibc
        .map(|glibc| format!("libc6 (>= {glibc}), "))
        .unwrap_or_default();
    let control = format!(
        "Package: kerf-stage\nVersion: {version}\nArchitecture: {architecture}\n\
         Maintainer: The Kerf authors <kerf@users.noreply.github.com>\nInstalled-Size: {}\nDepends: {depends}adduser\n\
         Section: science\nPriority: optional\nHomepage: https://github.com/kerf-ai/kerf\n\
         Description: runs one part of a cut neural network ({})\n Takes a bundle made by kerf, runs its head, a middle part or its tail,\n \
         and passes tensors on over MQTT and S3.\n",
        bytes.div_ceil(1024),
        target.name
    );
    vec![
        File::text("control", control),
        File::text("conffiles", "/etc/kerf/stage.toml\n"),
        File::program("postinst", POSTINST),
        File::program("prerm", PRERM),
        File::program("postrm", POSTRM),
    ]
}

/// Runs as a user of its own; nothing is started before there is a bundle.
const POSTINST: &str = r#"#!/bin/sh
set -e
if [ "$1" = configure ]; then
    adduser --system --group --quiet --no-create-home --home /var/lib/kerf kerf
    install -d -o kerf -g kerf -m 0750 /var/lib/kerf
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
        systemctl enable --quiet kerf-stage.service
        systemctl restart kerf-stage.service || true
    fi
fi
"#;

const PRERM: &str = r#"#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl disable --quiet --now kerf-stage.service || true
fi
"#;

/// A purge takes the state away; the spool may hold frames, so a mere removal does not.
const POSTRM: &str = r#"#!/bin/sh
set -e
if [ "$1" = purge ]; then
    rm -rf /var/lib/kerf
    rmdir /etc/kerf/keys /etc/kerf 2>/dev/null || true
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
"#;

/// The systemd unit, with the program at `program`.
fn unit(target: &Target, program: &str) -> String {
    let service = &target.file.run.service;
    let allowed = service
        .devices
        .iter()
        .map(|device| format!("DeviceAllow={device} rw\n"));
    let groups = (!service.groups.is_empty()).then(|| format!("SupplementaryGroups={}\n", service.groups.join(" ")));
    let devices: String = allowed.chain(groups).collect();
    // A stick on USB changes its device file when its firmware is loaded: the policy stays open for those boards.
    let policy = if service.devices.is_empty() && !service.groups.is_empty() {
        "auto"
    } else {
        "closed"
    };
    format!(
        "[Unit]\nDescription=Kerf stage: runs one part of a cut neural network\nWants=network-online.target\n\
         After=network-online.target\nConditionPathExists=/var/lib/kerf/bundle/manifest.json\n\n\
         [Service]\nType=exec\nUser=kerf\nGroup=kerf\nExecStart={program} run --config /etc/kerf/stage.toml\n\
         # A wrong command line, model or bundle does not get better by starting again.\n\
         Restart=always\nRestartSec=2\nRestartPreventExitStatus=2 10 20\nTimeoutStartSec={}\n\
         StateDirectory=kerf\nStateDirectoryMode=0750\nDevicePolicy={policy}\n{devices}\
         NoNewPrivileges=yes\nProtectSystem=strict\nProtectHome=yes\nPrivateTmp=yes\nProtectKernelTunables=yes\n\
         ProtectKernelModules=yes\nProtectControlGroups=yes\nRestrictSUIDSGID=yes\nLockPersonality=yes\n\
         RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK\nSystemCallArchitectures=native\n\n\
         [Install]\nWantedBy=multi-user.target\n",
        service.start_seconds_max
    )
}

/// What an owner says of a stage before it is there; the rest stands in the written file.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Own<'a> {
    /// The part that it runs.
    pub(crate) part: u8,
    /// The broker's URL; this machine's where none is said.
    pub(crate) broker: Option<&'a str>,
}

/// The configuration that a board starts with; what only the owner knows is commented out.
pub(crate) fn configuration(target: &Target, own: Own<'_>) -> String {
    let run = &target.file.run;
    let quoted: Vec<String> = run.backends.iter().map(|name| format!("{name:?}")).collect();
    let precision = run
        .precision
        .as_ref()
        .map(|precision| format!("precision = {precision:?}\n"));
    let library = run.library.as_ref().map(|library| {
        format!(
            "# Needs {0} {1} ({2}); name it where it is not on the loader's path:\n# library = \"/…/{0}\"\n",
            library.file, library.version, library.package
        )
    });
    let backend: String = std::iter::once(format!(
        "names = [{}]\ncache_dir = \"/var/lib/kerf/cache\"\n",
        quoted.join(", ")
    ))
    .chain(precision)
    .chain(library)
    .collect();
    format!(
        "# kerf-stage on {}. Flags and KERF_* variables win over this file; `kerf-stage run --help` explains every key.\n\n\
         [stage]\nbundle = \"/var/lib/kerf/bundle\"\npart = {}\n# device = \"cam-1\"\n\n{}\
         [backend]\n{backend}\n\
         [broker]\nurl = {:?}\n\n\
         [spool]\ndir = \"/var/lib/kerf/spool\"\n\n\
         # Only bundles signed by one of these keys are taken, and none older than what has run.\n\
         [trust]\nkeys = \"/etc/kerf/keys\"\nfloor = \"/var/lib/kerf/floor\"\n\n\
         # [service]\n# metrics = \"127.0.0.1:9464\"\n",
        target.name,
        own.part,
        if own.part == 0 { INPUT } else { "" },
        own.broker.unwrap_or("mqtt://localhost:1883"),
    )
}

/// A first part's inputs, in its configuration.
const INPUT: &str = "\
# Where pictures come from: one of these.
[input]
messages = true
# watch = \"/var/lib/kerf/in\"
# camera = \"/dev/video0\"

";

/// Rules for accelerators on USB: who may open them. Vendor and product as the vendors' own rules name them.
fn udev(target: &Target) -> Option<String> {
    let rule = |vendor: &str, product: &str, group: &str| {
        format!(
            "SUBSYSTEM==\"usb\", ATTRS{{idVendor}}==\"{vendor}\", ATTRS{{idProduct}}==\"{product}\", GROUP=\"{group}\", MODE=\"0660\"\n"
        )
    };
    let group = target.file.run.service.groups.first()?;
    let features = &target.file.build.features;
    if features.iter().any(|f| f == "openvino-myriad") {
        // Before its firmware is loaded, and after.
        Some(rule("03e7", "2485", group) + &rule("03e7", "f63b", group))
    } else if features.iter().any(|f| f == "edgetpu") && target.file.run.service.devices.is_empty() {
        Some(rule("1a6e", "089a", group) + &rule("18d1", "9302", group))
    } else if features.iter().any(|f| f == "edgetpu") {
        Some(format!("SUBSYSTEM==\"apex\", GROUP=\"{group}\", MODE=\"0660\"\n"))
    } else {
        None
    }
}

fn page(target: &Target) -> Result<String> {
    let path = repo::root().join("targets").join(&target.name).join("README.md");
    fs::read_to_string(&path).with_context(|| format!("{}", path.display()))
}

fn copyright() -> Result<String> {
    let mit = fs::read_to_string(repo::root().join("LICENSE-MIT")).context("LICENSE-MIT")?;
    Ok(format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: kerf\n\n\
         Files: *\nCopyright: The Kerf authors\nLicense: MIT or Apache-2.0\n\nThe crates inside and their licences: sbom.cdx.json.\n\n{mit}"
    ))
}

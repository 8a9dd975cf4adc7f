//! A store whose buckets are host names (virtual-host addressing), with keys and by a grant, on real servers.
//!
//! Such a name must resolve, so the stages run where /etc/hosts is another file: in a mount namespace of their own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what failed by panicking"
)]

use std::path::Path;
use std::process::Command;

use kerf_tests::mosquitto::Mosquitto;
use kerf_tests::process::Running;
use kerf_tests::s3::{ACCESS_KEY, BUCKET, DOMAIN, Kind, S3Server, SECRET_KEY};
use kerf_tests::stages::{lenet_bundle, picture};
use kerf_tests::{kerf_stage, succeed};

/// The same command, where this file is /etc/hosts.
fn with_hosts(command: &Command, hosts: &Path) -> Command {
    let mut inside = Command::new("unshare");
    inside
        .args(["-m", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""])
        .arg(hosts);
    inside.arg(command.get_program()).args(command.get_args());
    inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    inside
}

fn suite(kind: Kind) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // The bucket's name alone: an address with the bucket in its path leads nowhere.
    std::fs::write(at("hosts"), format!("127.0.0.1 localhost {BUCKET}.{DOMAIN}\n")).unwrap();
    let allowed = with_hosts(&Command::new("true"), &at("hosts")).status();
    if !allowed.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: /etc/hosts cannot be another file here; it needs root");
        return;
    }
    let Some(server) = S3Server::start_by_name(kind) else {
        return;
    };
    let broker = Mosquitto::start("");
    let bundle = lenet_bundle(&at("bundle"));
    let store = format!("http://{DOMAIN}:{}", server.port());
    std::fs::write(at("store.keys"), format!("{ACCESS_KEY}\n{SECRET_KEY}\n")).unwrap();
    std::fs::create_dir(at("in")).unwrap();
    for n in 0..12 {
        std::fs::write(at("in").join(format!("{n:02}.npy")), picture(n)).unwrap();
    }
    let by_name = |command: &mut Command| {
        command.args(["--store", &store, "--store-virtual-host", "true", "--store-keys-file"]);
        command.arg(at("store.keys"));
    };
    let run = |part: &str, device: &str| {
        let mut stage = kerf_stage();
        stage.args(["run", "--part", part, "--device", device, "--broker", &broker.url()]);
        stage.args(["--inline-bytes", "100", "--bundle"]).arg(&bundle);
        stage
    };
    let mut tail = run("1", "cloud");
    by_name(&mut tail);
    let mut tail = Running::start(&mut with_hosts(&tail, &at("hosts")));
    tail.wait_for("event=ready");
    let mut head = run("0", "cam");
    by_name(head.arg("--input").arg(at("in")));
    let printed = succeed(&mut with_hosts(&head, &at("hosts")));
    assert_eq!(printed.lines().count(), 12, "{printed}");
    let mut grant = kerf_stage();
    grant
        .args(["grant", "--device", "cam", "--hours", "1", "-o"])
        .arg(at("cam.grant"));
    by_name(&mut grant);
    succeed(&mut with_hosts(&grant, &at("hosts")));
    let mut head = run("0", "cam");
    head.arg("--input")
        .arg(at("in"))
        .arg("--store-grant")
        .arg(at("cam.grant"));
    let printed = succeed(&mut with_hosts(&head, &at("hosts")));
    assert_eq!(printed.lines().count(), 12, "{printed}");
}

#[test]
fn seaweedfs_by_the_buckets_own_name() {
    suite(Kind::SeaweedFs);
}

#[test]
fn rclones_server_by_the_buckets_own_name() {
    suite(Kind::Rclone);
}

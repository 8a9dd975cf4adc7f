//! Certificates for servers of the tests, made by openssl.

use std::path::Path;
use std::process::Command;

use crate::succeed;

/// An authority (`ca.pem`), and a server's certificate by it (`broker.pem`, `broker.key`) for this name and these days.
///
/// # Panics
/// When the folder cannot be written.
pub fn make(folder: &Path, name: &str, days: &str) {
    let openssl = |args: &[&str]| succeed(Command::new("openssl").current_dir(folder).args(args));
    let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let ca = [
        "req", "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=test",
    ];
    openssl(&[&ca[..], &ec[..]].concat());
    let subject = format!("/CN={name}");
    let request = [
        "req",
        "-keyout",
        "broker.key",
        "-out",
        "broker.csr",
        "-subj",
        subject.as_str(),
    ];
    openssl(&[&request[..], &ec[..]].concat());
    std::fs::write(folder.join("names"), format!("subjectAltName=DNS:{name}\n")).expect("the names are written");
    let sign = "x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -out broker.pem -days";
    openssl(&sign.split(' ').chain([days]).collect::<Vec<_>>());
}

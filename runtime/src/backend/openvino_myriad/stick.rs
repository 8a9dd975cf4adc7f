//! Why no Neural Compute Stick 2 is seen: the library only says that a device is not there.

use std::path::Path;

/// USB's number of Movidius, which is on every stick, before and after its firmware is loaded.
const VENDOR: &str = "03e7";
/// Where OpenVINO's plugin finds USB.
const LIBUSB: [&str; 3] = [
    "/lib/x86_64-linux-gnu/libusb-1.0.so.0",
    "/lib/aarch64-linux-gnu/libusb-1.0.so.0",
    "/lib/arm-linux-gnueabihf/libusb-1.0.so.0",
];

/// The most likely cause, and what to do about it.
pub(super) fn why_not() -> String {
    diagnose(
        Path::new("/sys/bus/usb/devices"),
        Path::new("/dev/bus/usb"),
        LIBUSB.iter().any(|file| Path::new(file).exists()),
    )
}

fn diagnose(devices: &Path, nodes: &Path, has_libusb: bool) -> String {
    if !has_libusb {
        return "libusb-1.0.so.0 is missing: `apt install libusb-1.0-0`".to_owned();
    }
    let read = |path: &Path| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).ok();
    let entries = std::fs::read_dir(devices).into_iter().flatten().flatten();
    let mut sticks = entries.filter(|entry| read(&entry.path().join("idVendor")).as_deref() == Some(VENDOR));
    let Some(stick) = sticks.next() else {
        return format!("no Neural Compute Stick 2 is plugged in (no USB device of vendor {VENDOR})");
    };
    let number = |name: &str| read(&stick.path().join(name))?.parse::<u32>().ok();
    let node = number("busnum").zip(number("devnum"));
    let node = node.map(|(bus, device)| nodes.join(format!("{bus:03}/{device:03}")));
    let opens = |node: &std::path::PathBuf| std::fs::OpenOptions::new().read(true).write(true).open(node).is_ok();
    if node.as_ref().is_some_and(|node| !opens(node)) {
        return format!(
            "a stick is plugged in, and this user may not open it: install the udev rule \
             SUBSYSTEM==\"usb\", ATTRS{{idVendor}}==\"{VENDOR}\", MODE=\"0666\" in /etc/udev/rules.d/97-myriad-usbboot.rules, \
             then unplug it"
        );
    }
    "a stick is plugged in and does not answer: unplug it, use a port or hub with its own power, and only one program at \
     a time"
        .to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn each_cause_has_its_own_sentence() {
        let dir = tempfile::tempdir().unwrap();
        let (devices, nodes) = (dir.path().join("devices"), dir.path().join("nodes"));
        std::fs::create_dir_all(devices.join("1-1")).unwrap();
        std::fs::write(devices.join("1-1/idVendor"), "1d6b\n").unwrap();
        assert!(diagnose(&devices, &nodes, false).contains("libusb-1.0-0"));
        assert!(diagnose(&devices, &nodes, true).contains("no Neural Compute Stick 2 is plugged in"));
        std::fs::write(devices.join("1-1/idVendor"), "03e7\n").unwrap();
        std::fs::write(devices.join("1-1/busnum"), "1\n").unwrap();
        std::fs::write(devices.join("1-1/devnum"), "7\n").unwrap();
        assert!(diagnose(&devices, &nodes, true).contains("97-myriad-usbboot.rules"));
        std::fs::create_dir_all(nodes.join("001")).unwrap();
        std::fs::write(nodes.join("001/007"), "").unwrap();
        assert!(diagnose(&devices, &nodes, true).contains("does not answer"));
    }
}

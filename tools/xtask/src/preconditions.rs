//! What the machine has to offer before the checks can pass, each told in plain words with what to do.
//!
//! Installs the toolchain's own components where rustup is there; asks for everything else, because packages
//! and limits of the machine are its owner's.

#[cfg(test)]
mod tests;

use std::fs;
use std::process::Command;

/// glommio 0.9 refuses to start an executor below this (`sys/uring.rs`, `MIN_MEMLOCK_LIMIT`).
const MEMLOCK_BYTES_MIN: u64 = 512 * 1024;

/// Checks everything and reports all that is missing at once.
///
/// # Errors
/// One line for each precondition that does not hold.
pub(crate) fn check() -> Result<(), String> {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let missing: Vec<String> = [
        component("fmt", "rustfmt"),
        component("clippy", "clippy"),
        compiler(),
        git(),
        memlock(&limits),
        python(),
        ring(),
    ]
    .into_iter()
    .filter_map(Result::err)
    .collect();
    if missing.is_empty() { Ok(()) } else { Err(missing.join("\n")) }
}

fn component(command: &str, name: &str) -> Result<(), String> {
    let present = || answers("cargo", &[command, "--version"]);
    if present() || (answers("rustup", &["component", "add", name]) && present()) {
        return Ok(());
    }
    Err(format!("`cargo {command}` is missing and rustup could not add it: `rustup component add {name}`"))
}

/// zstd and glommio's liburing are C code, and liburing's configure script asks for gcc by this name.
fn compiler() -> Result<(), String> {
    let program = std::env::var("CC").unwrap_or_else(|_| "gcc".to_owned());
    if answers(&program, &["--version"]) {
        return Ok(());
    }
    Err(format!(
        "the C compiler `{program}` is missing, which zstd and liburing need: `apt-get install gcc libc6-dev`, or set CC"
    ))
}

/// glommio's build script calls git, and stops when there is none.
fn git() -> Result<(), String> {
    if answers("git", &["--version"]) {
        return Ok(());
    }
    Err("`git` is missing, which the build script of glommio and `cargo xtask tidy` call: `apt-get install git`".to_owned())
}

/// Tests run AWS's own clients, which are Python programs, in a virtual environment.
fn python() -> Result<(), String> {
    if answers("python3", &["-c", "import venv, ensurepip"]) {
        return Ok(());
    }
    Err("`python3` with venv is missing, in which the tests run boto3 and the aws CLI: `apt-get install python3-venv`"
        .to_owned())
}

fn memlock(limits: &str) -> Result<(), String> {
    let soft =
        limits.lines().find_map(|line| line.strip_prefix("Max locked memory")?.split_whitespace().next());
    match soft {
        Some("unlimited") | None => Ok(()),
        Some(bytes) if bytes.parse().is_ok_and(|bytes: u64| bytes >= MEMLOCK_BYTES_MIN) => Ok(()),
        Some(bytes) => Err(format!(
            "RLIMIT_MEMLOCK is {bytes} bytes and the server's rings need {MEMLOCK_BYTES_MIN}: `ulimit -l 8192`, or `memlock` in \
             /etc/security/limits.conf, or `--ulimit memlock=-1` for a container"
        )),
    }
}

/// Makes a ring, because only the kernel knows what a sysctl, a seccomp filter and its own age allow
/// together.
fn ring() -> Result<(), String> {
    let Err(error) = io_uring::IoUring::new(8) else { return Ok(()) };
    let switch = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    let advice = if matches!(switch.trim(), "1" | "2") {
        "it is switched off: `sysctl kernel.io_uring_disabled=0`"
    } else if error.kind() == std::io::ErrorKind::PermissionDenied {
        "a seccomp filter refuses it, as in Docker: `--security-opt seccomp=unconfined`, or allow io_uring_setup, _enter and _register"
    } else {
        "Linux 5.19 or newer is needed"
    };
    Err(format!("io_uring does not work here ({error}): {advice}"))
}

fn answers(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

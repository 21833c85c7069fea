//! Kernel, io_uring, limits, cores and ports.

use std::net::TcpListener;

use rustix::process::{Resource, getrlimit};
use tidemill_server::config::Config;
use tidemill_storage::local::LocalEnv;

use super::finding::Finding;
use crate::quantity::show_bytes;

/// The oldest kernel that the server is tested on; what it needs of io_uring came with 5.15.
const KERNEL_MIN: (u32, u32) = (5, 15);
/// glommio 0.9 refuses to start an executor below this.
const MEMLOCK_BYTES_MIN: u64 = 512 << 10;
const OPEN_FILES_MIN: u64 = 4_096;

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = vec![kernel(), ring(), memlock(), open_files(), cores(config)];
    findings.extend(ports(config));
    findings
}

fn kernel() -> Finding {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= KERNEL_MIN {
        return Finding::ok("kernel", format!("Linux {release}"));
    }
    let (major, minor) = KERNEL_MIN;
    Finding::fail("kernel", format!("Linux {release}"), format!("install Linux {major}.{minor} or newer"))
}

/// Makes a ring, because only the kernel knows what a sysctl, a seccomp filter and its own age allow together.
fn ring() -> Finding {
    let Err(error) = LocalEnv::new() else { return Finding::ok("io_uring", "works") };
    let switch = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    let advice = if matches!(switch.trim(), "1" | "2") {
        "it is switched off: `sysctl kernel.io_uring_disabled=0`"
    } else if error.kind() == std::io::ErrorKind::PermissionDenied {
        "a seccomp filter refuses it, as Docker's does: `--security-opt seccomp=unconfined`, or a profile that allows io_uring_setup, \
         io_uring_enter and io_uring_register"
    } else {
        "Linux 5.15 or newer is needed, and enough locked memory"
    };
    Finding::fail("io_uring", error.to_string(), advice)
}

fn memlock() -> Finding {
    match getrlimit(Resource::Memlock).current {
        None => Finding::ok("locked memory", "no limit"),
        Some(bytes) if bytes >= MEMLOCK_BYTES_MIN => {
            Finding::ok("locked memory", format!("{} allowed", show_bytes(bytes)))
        }
        Some(bytes) => Finding::fail(
            "locked memory",
            format!("{} allowed, {} needed for the rings", show_bytes(bytes), show_bytes(MEMLOCK_BYTES_MIN)),
            "`ulimit -l 8192`, `memlock` in /etc/security/limits.conf, LimitMEMLOCK= in a systemd unit, or `--ulimit memlock=-1` for \
             a container",
        ),
    }
}

fn open_files() -> Finding {
    match getrlimit(Resource::Nofile).current {
        None => Finding::ok("open files", "no limit"),
        Some(files) if files >= OPEN_FILES_MIN => Finding::ok("open files", format!("{files} allowed")),
        Some(files) => Finding::warn(
            "open files",
            format!("{files} allowed, so there are fewer connections than that"),
            "`ulimit -n 65536`, or LimitNOFILE= in a systemd unit",
        ),
    }
}

fn cores(config: &Config) -> Finding {
    // What the process may run on, which taskset and cgroups narrow.
    let usable = rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count());
    let wanted = config.server.cores.unwrap_or(usable);
    let found = format!("{usable} usable, {wanted} wanted");
    if wanted > usable {
        return Finding::fail(
            "cores",
            found,
            "lower server.cores, or give the process more cores (taskset, cpuset)",
        );
    }
    if usable == 1 {
        let advice = "the server shares its only core with everything else; two or more are better";
        return Finding::warn("cores", found, advice);
    }
    Finding::ok("cores", found)
}

fn ports(config: &Config) -> Vec<Finding> {
    let listen = &config.listen;
    let named = [
        ("native port", listen.native_port, "native_port"),
        ("HTTP port", listen.http_port, "http_port"),
        ("admin port", listen.admin_port, "admin_port"),
    ];
    let one = |(what, port, knob): (&'static str, u16, &str)| {
        let address = std::net::SocketAddr::new(listen.host, port);
        match TcpListener::bind(address) {
            Ok(_) => Finding::ok(what, format!("{address} is free")),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                let advice =
                    format!("a server may be running already; otherwise choose another with listen.{knob}");
                Finding::warn(what, format!("{address} is in use"), advice)
            }
            Err(error) => Finding::fail(
                what,
                format!("{address}: {error}"),
                format!("change listen.host or listen.{knob}"),
            ),
        }
    };
    named.into_iter().map(one).collect()
}

//! Where a figure comes from: without its machine it says nothing.

use serde::{Deserialize, Serialize};

/// The machine that the generator ran on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MachineReport {
    /// The processor's model.
    pub processor: String,
    /// Cores of the machine.
    pub cores: u64,
    /// Cores that the generator may use.
    pub generator_cores: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Name and release of the kernel.
    pub kernel: String,
    /// Runnable threads of the whole machine on average over the last minute, before the report was made.
    pub load_average: f64,
}

impl MachineReport {
    /// This machine, as far as it tells.
    pub(crate) fn read() -> Self {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let processors = text("/proc/cpuinfo");
        let value = |name: &str| {
            let line = processors.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
        };
        let memory = text("/proc/meminfo");
        let kilobytes = memory
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:")?.trim().split(' ').next()?.parse::<u64>().ok());
        let uname = rustix::system::uname();
        Self {
            processor: value("model name").unwrap_or_else(|| "unknown".to_owned()),
            cores: processors.lines().filter(|line| line.starts_with("processor")).count() as u64,
            generator_cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64,
            memory_bytes: kilobytes.unwrap_or(0) << 10,
            kernel: format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy()),
            load_average: text("/proc/loadavg")
                .split(' ')
                .next()
                .and_then(|load| load.parse().ok())
                .unwrap_or(0.0),
        }
    }
}

//! The threads of a running process, and the cores they may run on.

use std::path::Path;

use serde::Serialize;

use crate::failure::{CommandError, Exit, Outcome};
use crate::output::{Output, Table};

/// One thread, as /proc shows it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Thread {
    thread: u32,
    name: String,
    /// As the kernel writes it: `0`, `0-3`, `0,2`.
    allowed_cores: String,
    /// It may run on one core only.
    is_pinned: bool,
    last_core: Option<u32>,
}

/// Prints the threads of a process.
pub(super) fn show(pid: u32, output: Output) -> Outcome {
    let folder = Path::new("/proc").join(pid.to_string()).join("task");
    let entries = std::fs::read_dir(&folder).map_err(|error| {
        CommandError::because(Exit::NotFound, format!("no process {pid} to look at"), &error)
    })?;
    // A thread that ends meanwhile is left out.
    let mut threads: Vec<Thread> = entries.filter_map(|entry| read(&entry.ok()?.path())).collect();
    threads.sort_by_key(|thread| thread.thread);
    output.print(&threads, |threads| {
        let mut table = Table::new([">THREAD", "NAME", "PINNED", "MAY RUN ON", ">LAST ON"]);
        for thread in threads {
            table.row([
                thread.thread.to_string(),
                thread.name.clone(),
                if thread.is_pinned { "yes" } else { "no" }.to_owned(),
                thread.allowed_cores.clone(),
                thread.last_core.map_or_else(String::new, |core| core.to_string()),
            ]);
        }
        table.render()
    })
}

fn read(folder: &Path) -> Option<Thread> {
    let status = std::fs::read_to_string(folder.join("status")).ok()?;
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    parse(folder.file_name()?.to_str()?.parse().ok()?, &status, &stat)
}

/// Reads `status` for the name and the allowed cores, and `stat` for the core it was on last (proc(5), field 39).
fn parse(thread: u32, status: &str, stat: &str) -> Option<Thread> {
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
    };
    let allowed_cores = field("Cpus_allowed_list:")?;
    // The name in parentheses may hold blanks; field 3 follows the last of them.
    let last_core = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(36)?.parse().ok());
    let is_pinned = allowed_cores.parse::<u32>().is_ok();
    Some(Thread { thread, name: field("Name:")?, allowed_cores, is_pinned, last_core })
}

#[cfg(test)]
mod tests;

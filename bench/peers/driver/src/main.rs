//! One workload for several servers, each through the client that its users have: `tidemill-peers SYSTEM ADDRESS --NAME VALUE…`.
//!
//! Owns what happens between the first record and the line of JSON with the figures, the same for all of them. Promises that a figure counts only what the server
//! has acknowledged. Leaves out starting servers and making a table: the scripts around it do that.

mod arguments;
mod drive;
mod peer;
mod process;

use std::error::Error;
use std::process::ExitCode;

use crate::arguments::{Plan, System};
use crate::drive::{Figures, drive};

/// What any of the clients says when it fails.
type Fault = Box<dyn Error>;

fn main() -> ExitCode {
    let found = Plan::parse(std::env::args().skip(1)).map_err(Fault::from).and_then(|plan| run(&plan));
    match found.and_then(|figures| Ok(serde_json::to_string(&figures)?)) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("tidemill-peers: {}", chain(&*fault));
            ExitCode::FAILURE
        }
    }
}

/// All of it on one thread: the run gives the client one core.
fn run(plan: &Plan) -> Result<Figures, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = tokio::task::LocalSet::new();
    let figures = tasks.block_on(&runtime, async {
        match plan.system {
            System::Redis => drive(plan, peer::redis::connect(plan).await?).await,
            System::Nats => drive(plan, peer::nats::connect(plan).await?).await,
            System::RabbitMq => drive(plan, peer::rabbitmq::connect(plan).await?).await,
            System::Tidemill => drive(plan, peer::tidemill::connect(plan).await?).await,
        }
    });
    // Clients leave tasks behind that wait for their servers.
    runtime.shutdown_background();
    figures
}

fn chain(fault: &dyn Error) -> String {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

//! The command line is well formed and says how it is used.

use clap::CommandFactory;

use super::Arguments;

#[test]
fn the_definitions_hold() {
    Arguments::command().debug_assert();
}

#[test]
fn every_command_says_what_it_does_and_shows_examples() {
    let command = Arguments::command();
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "completions") {
        assert!(sub.get_about().is_some(), "{} has no description", sub.get_name());
        let leaves: Vec<_> = sub.get_subcommands().collect();
        for leaf in if leaves.is_empty() { vec![sub] } else { leaves } {
            let after = leaf.get_after_long_help().or(leaf.get_after_help()).map(ToString::to_string);
            let example = format!("tidemill {}", sub.get_name());
            assert!(
                after.is_some_and(|text| text.contains(&example)),
                "{} {} has no example",
                sub.get_name(),
                leaf.get_name()
            );
        }
    }
}

/// Prose is wrapped to the terminal; an example that is wrapped can neither be read nor copied.
#[test]
fn examples_fit_a_terminal_of_80_columns() {
    const COLUMNS: usize = 80;
    let mut commands = vec![Arguments::command()];
    while let Some(command) = commands.pop() {
        let help = command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string);
        for line in help.unwrap_or_default().lines().filter(|line| line.starts_with("  tidemill ")) {
            assert!(line.chars().count() <= COLUMNS, "{line}");
        }
        commands.extend(command.get_subcommands().cloned());
    }
}

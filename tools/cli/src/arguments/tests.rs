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

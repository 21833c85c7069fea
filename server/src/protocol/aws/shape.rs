//! The words of the generated tables: what an operation takes and gives, and what must hold of every value in it.

use std::sync::OnceLock;

use regex::Regex;

/// An operation of a service.
#[derive(Debug)]
pub(super) struct Operation {
    /// As the target names it.
    pub(super) name: &'static str,
    /// What it takes.
    pub(super) input: &'static Shape,
    /// What it gives; nothing if there is none.
    pub(super) output: Option<&'static Shape>,
    /// The errors that its callers know.
    pub(super) errors: &'static [&'static str],
}

/// A type with its constraints.
#[derive(Debug)]
pub(super) struct Shape {
    /// As the model names it.
    pub(super) name: &'static str,
    /// What its values are.
    pub(super) kind: Kind,
}

/// What values are.
#[derive(Debug)]
pub(super) enum Kind {
    /// Named members, in the order of their names.
    Structure(&'static [Member]),
    /// Values of one shape.
    List(&'static Shape, Bounds),
    /// Values of one shape under keys of another.
    Map(&'static Shape, &'static Shape, Bounds),
    /// A text, measured in characters.
    Text(Bounds, Option<Pattern>),
    /// One of these texts.
    Enumeration(&'static [&'static str]),
    /// Bytes.
    Blob(Bounds),
    /// A whole number of 32 bits.
    Integer(Bounds),
    /// A whole number of 64 bits.
    Long(Bounds),
    /// A truth value.
    Boolean,
    /// A moment.
    Timestamp,
}

/// A member of a structure.
#[derive(Debug)]
pub(super) struct Member {
    /// As it is written.
    pub(super) name: &'static str,
    /// What its values are.
    pub(super) shape: &'static Shape,
    /// Whether it has to be there.
    pub(super) required: bool,
    /// How it is written in the query protocol, for services that speak it.
    pub(super) naming: Option<Naming>,
}

/// How a member is written in the query protocol: in names of parameters, and as elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Naming {
    /// What both begin with; of a flat list that is its items' name.
    pub(super) name: &'static str,
    /// How what is in it is named.
    pub(super) parts: Parts,
}

/// How the parts of a member are named in the query protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "codegen makes every form that models have, and no service here has those that are not flat"
    )
)]
pub(super) enum Parts {
    /// It has none, or members with names of their own: `Name`, `Name.Member`.
    Whole,
    /// A flat list: `Name.1`, or an element `Name` for each item.
    Items,
    /// A list: `Name.member.1`, or an element `Name` with an element of this name for each item.
    Listed(&'static str),
    /// A flat map: `Name.1.Key` and `Name.1.Value`, or an element `Name` with both for each pair.
    Pairs {
        /// The key's name.
        key: &'static str,
        /// The value's name.
        value: &'static str,
    },
    /// A map: `Name.entry.1.key` and `Name.entry.1.value`, or an element `Name` with an element `entry` for each pair.
    Entries {
        /// The key's name.
        key: &'static str,
        /// The value's name.
        value: &'static str,
    },
}

/// An error of a service, as older clients know it.
#[derive(Debug)]
pub(super) struct ErrorCode {
    /// As the model names it.
    pub(super) name: &'static str,
    /// As the query protocol names it.
    pub(super) code: &'static str,
    /// The HTTP status that it has there.
    pub(super) status: u16,
}

/// Least and greatest number, or length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The least that is allowed.
    pub(super) min: Option<i64>,
    /// The most that is allowed.
    pub(super) max: Option<i64>,
}

/// What a whole text has to match; compiled when it is first asked for.
#[derive(Debug)]
pub(super) struct Pattern {
    /// As the model has it, for messages.
    pub(super) text: &'static str,
    /// The same in the words of the `regex` crate.
    expression: &'static str,
    compiled: OnceLock<Regex>,
}

impl Operation {
    /// The operation of this name, in a table that is sorted by name.
    pub(super) fn find(table: &'static [Self], name: &str) -> Option<&'static Self> {
        let at = table.binary_search_by(|known| known.name.cmp(name)).ok()?;
        table.get(at)
    }
}

impl ErrorCode {
    /// The error of this name, in a table that is sorted by name.
    pub(super) fn find(table: &'static [Self], name: &str) -> Option<&'static Self> {
        let at = table.binary_search_by(|known| known.name.cmp(name)).ok()?;
        table.get(at)
    }
}

impl Shape {
    /// The members of a structure; none of anything else.
    pub(super) fn members(&self) -> &'static [Member] {
        match self.kind {
            Kind::Structure(members) => members,
            _ => &[],
        }
    }

    /// The member of this name, for structures are small and sorted by name.
    pub(super) fn member(&self, name: &str) -> Option<&'static Member> {
        let members = self.members();
        let at = members.binary_search_by(|known| known.name.cmp(name)).ok()?;
        members.get(at)
    }
}

impl Pattern {
    /// A pattern of the model and its expression, both checked when the tables were generated.
    pub(super) const fn new(text: &'static str, expression: &'static str) -> Self {
        Self { text, expression, compiled: OnceLock::new() }
    }

    /// Whether the whole text matches.
    pub(super) fn matches(&self, text: &str) -> bool {
        let compiled = self.compiled.get_or_init(|| {
            Regex::new(self.expression).expect("a test compiles every expression of the tables")
        });
        compiled.is_match(text)
    }
}

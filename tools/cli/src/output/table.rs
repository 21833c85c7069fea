//! Tables as `ls` and `kubectl` print them: a line of names, columns two blanks apart, no borders to cut away.

/// A table under construction.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table. A name that begins with `>` heads a column of numbers, which end at the same place.
    pub(crate) fn new<const N: usize>(header: [&'static str; N]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        assert_eq!(N, self.header.len(), "a row has a cell for each column");
        self.rows.push(cells.into());
    }

    /// The lines, without blanks at their ends.
    pub(crate) fn render(&self) -> String {
        let names: Vec<&str> = self.header.iter().map(|name| name.trim_start_matches('>')).collect();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain(names.get(column).map(|name| name.chars().count())).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..names.len()).map(width).collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut line = String::new();
            for ((cell, width), name) in cells.zip(&widths).zip(&self.header) {
                let gap = if line.is_empty() { "" } else { "  " };
                let (width, is_number) = (*width, name.starts_with('>'));
                line +=
                    &if is_number { format!("{gap}{cell:>width$}") } else { format!("{gap}{cell:<width$}") };
            }
            line.truncate(line.trim_end().len());
            line
        };
        let header = line(&mut names.iter().copied());
        let rows = self.rows.iter().map(|row| line(&mut row.iter().map(String::as_str)));
        std::iter::once(header).chain(rows).collect::<Vec<_>>().join("\n")
    }
}

//! Columns that line up.

use crate::words::plain;

/// Rows below their heads, each column as wide as its widest cell, two spaces between columns,
/// no spaces at line ends, a line break after each row. Cells are made harmless first.
pub fn table<const COLUMNS: usize>(heads: [&str; COLUMNS], rows: &[[String; COLUMNS]]) -> String {
    let rows: Vec<[String; COLUMNS]> =
        rows.iter().map(|row| row.each_ref().map(|cell| plain(cell))).collect();
    let mut widths = heads.map(width);
    for row in &rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    let mut text = line(&heads, &widths);
    for row in &rows {
        text.push_str(&line(&row.each_ref().map(String::as_str), &widths));
    }
    text
}

fn line(cells: &[&str], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        line.push_str(&format!("{cell:<width$}  "));
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["mill", "idle", ""], ["router-2", "ünder way", "x"]]
            .map(|row| row.map(str::to_owned));
        let expected = "\
ID        STATE      NOTE
mill      idle
router-2  ünder way  x
";
        assert_eq!(table(["ID", "STATE", "NOTE"], &rows), expected);
    }

    #[test]
    fn no_rows_still_show_the_heads() {
        assert_eq!(table(["ID", "STATE"], &[]), "ID  STATE\n");
    }
}

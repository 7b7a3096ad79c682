//! Lists on a terminal: a table for people, or JSON for scripts.

use serde_json::Value;

use super::printable;

/// The most characters of a cell. Every id has room in it.
const WIDEST: usize = 64;

/// Prints `columns` of the items as a table, or all that there is of them `as_json`.
pub(super) fn show_list(as_json: bool, items: &[Value], columns: &[&str]) {
    if as_json {
        say!("{:#}", Value::Array(items.to_vec()));
        return;
    }
    for line in table(items, columns) {
        say!("{line}");
    }
}

fn table(items: &[Value], columns: &[&str]) -> Vec<String> {
    let head = columns.iter().map(|column| column.to_uppercase()).collect();
    let mut rows: Vec<Vec<String>> = vec![head];
    rows.extend(items.iter().map(|item| {
        let cells = columns.iter().map(|column| cell(&item[*column]));
        cells.collect()
    }));
    let width = |column: usize| {
        let lengths = rows.iter().map(|row| row[column].chars().count());
        lengths.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// What a table shows of a value; of a long list also how long it is.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => cut(text),
        Value::Array(list) => {
            let items: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            let text = items.join(",");
            match text.chars().count() > WIDEST {
                false => cut(&text),
                true => cut(&format!("{} in all: {text}", list.len())),
            }
        }
        other => cut(&other.to_string()),
    }
}

fn cut(text: &str) -> String {
    let text = printable(text);
    match text.chars().nth(WIDEST) {
        None => text,
        Some(_) => text.chars().take(WIDEST - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_is_cut_and_a_long_list_is_counted() {
        let numbers: Vec<String> = (0..6_000).map(|n| format!("+1555{n:07}")).collect();
        let items = [
            json!({"id": "a", "name": "x".repeat(70_000), "numbers": numbers}),
            json!({"id": "b", "name": "ü\u{7}".repeat(64), "numbers": ["+1", "+2"]}),
        ];
        let lines = table(&items, &["id", "name", "numbers", "parent"]);
        let x = "x".repeat(63);
        assert!(lines[1].starts_with(&format!("a   {x}…  6000 in all: +15550000000,")));
        assert!(lines[1].ends_with('…'), "{}", lines[1]);
        let u = "ü".repeat(64);
        assert_eq!(lines[2], format!("b   {u}  +1,+2"));
        assert!(lines[0].starts_with("ID  NAME "), "{}", lines[0]);
    }
}

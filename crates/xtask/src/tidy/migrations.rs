//! Migrations only add: while nodes are brought to a new release one after another, those of the old one go on with the new tables.

use std::path::PathBuf;

use super::text;

const FOLDER: &str = "crates/store/migrations";

/// What no statement says, and what it would do to a node of the release before.
const NEVER: [(&str, &str); 7] = [
    ("DROP", "the release before still reads it"),
    ("RENAME", "the release before knows it by its old name"),
    ("TRUNCATE", "the release before still reads it"),
    ("DELETE FROM", "the release before still reads it"),
    ("ALTER COLUMN", "the release before writes it as it was; add another one"),
    ("ADD CONSTRAINT", "the release before may write what is refused then"),
    ("CREATE UNIQUE INDEX", "the release before may write what is refused then; that of a new table is `UNIQUE` in the table"),
];

pub(super) fn check(files: &[PathBuf]) -> Vec<String> {
    let migrations: Vec<_> = files.iter().filter(|path| path.starts_with(FOLDER)).collect();
    if migrations.is_empty() {
        return vec![format!("{FOLDER}: the migrations were not found")];
    }
    let mut found = Vec::new();
    for path in migrations {
        found.extend(complaints(&text(path)).iter().map(|complaint| format!("{}: {complaint}", path.display())));
    }
    found
}

/// Of all statements of a migration.
fn complaints(sql: &str) -> Vec<String> {
    let lines: Vec<_> = sql.lines().filter_map(|line| line.split("--").next()).collect();
    lines.join("\n").split(';').flat_map(of_statement).collect()
}

fn of_statement(statement: &str) -> Vec<String> {
    let words = statement.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|word| !word.is_empty());
    let words: Vec<_> = words.map(str::to_uppercase).collect();
    // So that each word has a space on either side.
    let statement = format!(" {} ", words.join(" "));
    let said = NEVER.iter().filter(|(word, _)| statement.contains(&format!(" {word} ")));
    let mut complaints: Vec<_> = said.map(|(word, why)| format!("`{word}`: {why}")).collect();
    let lacks_default = |column: &str| format!("{column} ").contains(" NOT NULL ") && !column.contains(" DEFAULT ");
    if statement.starts_with(" ALTER TABLE ") && statement.split(" ADD ").skip(1).any(lacks_default) {
        complaints.push("a column that is `NOT NULL` without `DEFAULT`: the release before does not write it".to_owned());
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::complaints;

    #[test]
    fn what_adds_passes() {
        let adds = "-- No DROP TABLE a;\nCREATE TABLE a (b TEXT NOT NULL REFERENCES c (d) ON DELETE CASCADE, dropped_at BIGINT); -- RENAME\n\
                    ALTER TABLE a ADD COLUMN e BIGINT;\nALTER TABLE a ADD COLUMN f BIGINT NOT NULL DEFAULT 0;\n\
                    CREATE INDEX a_by_e ON a (e) WHERE e IS NOT NULL;\nINSERT INTO a (b) SELECT d FROM c WHERE d IS NOT NULL;\n";
        assert_eq!(complaints(adds), [""; 0]);
    }

    #[test]
    fn what_a_node_of_the_release_before_would_miss_does_not() {
        for takes in [
            "DROP TABLE a;",
            "CREATE TABLE b (c TEXT);\nalter table a\n    drop column b;",
            "ALTER TABLE a RENAME COLUMN b TO c;",
            "TRUNCATE a;",
            "DELETE FROM a WHERE b IS NULL;",
            "ALTER TABLE a ALTER COLUMN b SET NOT NULL;",
            "ALTER TABLE a ADD CONSTRAINT c CHECK (b > 0);",
            "CREATE UNIQUE INDEX a_by_b ON a (b);",
            "ALTER TABLE a ADD COLUMN b TEXT NOT\nNULL;",
            "ALTER TABLE a ADD b TEXT NOT NULL, ADD c TEXT NOT NULL DEFAULT '';",
        ] {
            assert_eq!(complaints(takes).len(), 1, "{takes}");
        }
    }
}

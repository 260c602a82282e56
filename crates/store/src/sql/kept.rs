//! What a tenant keeps in documents.

/// How many of a tenant's rows in a table there are, and the bytes of their values. No value is read for it, however long it is.
macro_rules! kept {
    ($table:literal, $bytes:literal, $more:literal) => {
        concat!(
            "SELECT COUNT(*) AS documents, CAST(COALESCE(SUM(",
            $bytes,
            $more,
            "), 0) AS BIGINT) AS bytes FROM ",
            $table,
            " WHERE tenant = $1"
        )
    };
}

/// Of each table a statement that counts the rows of the name $2, and one that counts all rows of all of them. The last text is what is kept with a
/// row and no part of what is put there.
macro_rules! statements {
    ($($name:ident: $table:literal, $key:literal, $bytes:literal, $more:literal;)+) => {
        $(pub(crate) const $name: &str = concat!(kept!($table, $bytes, ""), " AND ", $key, " = $2");)+
        pub(crate) const ALL: &str = concat!(
            "SELECT CAST(SUM(kept.documents) AS BIGINT), CAST(SUM(kept.bytes) AS BIGINT) FROM (",
            $(kept!($table, $bytes, $more), " UNION ALL ",)+
            "SELECT 0, 0) AS kept"
        );
    };
}

statements! {
    CONNECTOR: "connectors", "name", "octet_length(document)", "";
    FLOW: "flow_versions", "flow", "octet_length(document)", "";
    CONNECTION: "connections", "name", "octet_length(document) + octet_length(sealed)",
        " + COALESCE(octet_length(token), 0) + COALESCE(octet_length(status_detail), 0)";
    SECRET: "secrets", "name", "octet_length(sealed)", "";
    SUBJECT: "subjects", "id", "octet_length(document)", "";
    TOKEN: "tokens", "id", "octet_length(record)", "";
}

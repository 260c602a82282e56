//! `sqlx::migrate!` reads a folder, and cargo does not see new files in it by itself.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}

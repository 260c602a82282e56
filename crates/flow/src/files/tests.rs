//! Files of a run on a real disk: found by name, bounded, and gone in time.

use bytes::Bytes;
use serde_json::json;
use snaphook_egress::Sink as _;
use snaphook_model::{TenantDocument, TenantName};
use tempfile::TempDir;

use super::*;

/// A node's space of so many bytes, and a tenant whose responses may have so many.
fn rig(node: u64, response: u64) -> (TempDir, Arc<FileSpace>, Arc<Tenant>) {
    let directory = TempDir::new().unwrap();
    let space = Arc::new(FileSpace::open(&directory.path().join("files"), node).unwrap());
    (directory, space, tenant("acme", response))
}

fn tenant(name: &str, response: u64) -> Arc<Tenant> {
    let document: TenantDocument = serde_json::from_value(json!({"limits": {"response_body_bytes": response}})).unwrap();
    Arc::new(Tenant::new(TenantName::new(name).unwrap(), document).unwrap())
}

/// Saves bytes in a run.
async fn write(files: &RunFiles, body: impl Into<Bytes>, content_type: Option<&str>) -> Result<SavedFile, Fault> {
    let mut incoming = files.incoming();
    incoming.write(body.into()).await?;
    incoming.finish(content_type).await
}

fn on_disk(directory: &TempDir) -> usize {
    std::fs::read_dir(directory.path().join("files/open")).unwrap().count()
}

#[tokio::test]
async fn files_are_found_by_name_and_gone_with_their_run() {
    let (directory, space, tenant) = rig(1 << 20, 1000);
    let mut files = RunFiles::new(&space, &tenant);
    let saved = write(&files, Bytes::from_static(b"content"), Some("image/png")).await.unwrap();
    files.keep("../a b.png".to_owned(), saved).await;
    let empty = write(&files, Bytes::new(), Some("text/\u{e9}")).await.unwrap();
    files.keep("empty".to_owned(), empty).await;
    let file = files.get("../a b.png").unwrap();
    assert_eq!((file.bytes, file.content_type.as_str()), (7, "image/png"));
    assert_eq!(std::fs::read(file.path()).unwrap(), b"content");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file.path()).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(files.get("empty").unwrap().content_type, "application/octet-stream");
    let unknown = files.get("zz").unwrap_err();
    assert_eq!(unknown.code, Code::FileUnknown);
    assert_eq!(unknown.detail, "`zz` is not a saved file; this run has saved `../a b.png`, `empty`");
    assert_eq!((on_disk(&directory), space.taken_bytes()), (2, 7));
    files.close().await;
    assert_eq!((on_disk(&directory), space.taken_bytes()), (0, 0));
}

#[tokio::test]
async fn a_name_that_is_saved_again_means_the_new_file() {
    let (directory, space, tenant) = rig(1 << 20, 1000);
    let mut files = RunFiles::new(&space, &tenant);
    for content in ["first", "second"] {
        let saved = write(&files, content, None).await.unwrap();
        files.keep("f".to_owned(), saved).await;
    }
    assert_eq!(std::fs::read(files.get("f").unwrap().path()).unwrap(), b"second");
    assert_eq!((on_disk(&directory), space.taken_bytes()), (1, 6));
}

#[tokio::test]
async fn what_is_not_finished_leaves_nothing() {
    let (directory, space, tenant) = rig(1 << 20, 1000);
    let files = RunFiles::new(&space, &tenant);
    let mut incoming = files.incoming();
    incoming.write(Bytes::from_static(b"begun")).await.unwrap();
    assert_eq!((on_disk(&directory), space.taken_bytes()), (1, 5));
    drop(incoming);
    assert_eq!((on_disk(&directory), space.taken_bytes()), (0, 0));
}

#[tokio::test]
async fn a_run_a_tenant_and_a_node_have_bounds_of_their_own() {
    let (_directory, space, tenant_a) = rig(4000, 200);
    let mut files = RunFiles::new(&space, &tenant_a);
    let saved = write(&files, vec![1; 500], None).await.unwrap();
    files.keep("f".to_owned(), saved).await;
    let of_run = write(&files, vec![1; 301], None).await.unwrap_err();
    assert_eq!((of_run.code, of_run.limit, of_run.used), (Code::ResponseSize, Some(800), Some(801)));
    let other_run = RunFiles::new(&space, &tenant_a);
    let of_tenant = write(&other_run, vec![1; 501], None).await.unwrap_err();
    assert_eq!((of_tenant.code, of_tenant.limit, of_tenant.used), (Code::Overloaded, Some(1000), Some(1001)));

    // Others have a quarter of what is left each, down to the last byte.
    let mut held = Vec::new();
    while space.taken_bytes() < 4000 {
        let files = RunFiles::new(&space, &tenant(&format!("t{}", held.len()), 1000));
        let most = ((4000 - space.taken_bytes()) / 4).max(1);
        assert!(most == 1 || write(&files, vec![1; most as usize + 1], None).await.is_err());
        held.push(write(&files, vec![1; most as usize], None).await.expect("whoever comes finds room"));
    }
    let of_node = write(&RunFiles::new(&space, &tenant("late", 1000)), vec![1; 1], None).await.unwrap_err();
    assert_eq!((of_node.code, of_node.limit, of_node.used), (Code::Overloaded, Some(4000), Some(4001)));
    // What others give back can be had.
    held.pop();
    write(&RunFiles::new(&space, &tenant("late", 1000)), vec![1; 1], None).await.unwrap();
}

#[test]
fn a_start_removes_what_a_killed_process_left() {
    let directory = TempDir::new().unwrap();
    let files = directory.path().join("files");
    std::fs::create_dir_all(files.join("open")).unwrap();
    std::fs::write(files.join("open/1"), "left").unwrap();
    std::fs::create_dir_all(files.join("kept/acme/run")).unwrap();
    let _space = FileSpace::open(&files, 1000).unwrap();
    assert_eq!(on_disk(&directory), 0);
    // What belongs to runs that wait is theirs.
    assert!(files.join("kept/acme/run").is_dir());
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&files).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn names_are_no_paths_but_have_bounds() {
    for good in ["f.png", "../../etc/passwd", "ümlaut \"quoted\".pdf", &"x".repeat(255)] {
        check_name(good).unwrap();
    }
    for bad in ["", "a\nb", "a\0b", &"x".repeat(256)] {
        assert!(check_name(bad).unwrap_err().starts_with("the name of a file"));
    }
}

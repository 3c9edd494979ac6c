//! The library that stands between a process and the C library: compiled where there is a compiler.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The compiled library; `None`, and a message, where it cannot be made.
pub(super) fn library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    LIBRARY.get_or_init(compile).as_deref()
}

fn compile() -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/faults/shim/shim.c");
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("withy-shim.so");
    let unfinished = to.with_extension(format!("{}.so", std::process::id()));
    for compiler in ["cc", "gcc", "clang"] {
        let done = Command::new(compiler)
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&unfinished, &source])
            .args(["-ldl", "-lpthread"])
            .output();
        let Ok(done) = done else { continue };
        if !cfg!(target_os = "linux") {
            break;
        }
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "the shim compiles: {said}");
        std::fs::rename(&unfinished, &to).expect("it is put in place");
        return Some(to);
    }
    // Past the capture of output: whoever runs the tests is told what was not tested.
    let text = "skipped: power cuts and failing calls need Linux and a C compiler\n";
    let _ = std::io::stderr().write_all(text.as_bytes());
    None
}

/// A process of this program that runs one test with the library in front of it.
pub(super) fn process(library: &Path, test: &str, under: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env("LD_PRELOAD", library)
        .env("WITHY_SHIM_UNDER", under)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

//! Runs the tests of the Python package, `tests/*.py`, with pytest.
//!
//! They need the packages that scripts/test.sh installs if it can. Without them the test is skipped, or
//! fails where `CI` is `true`.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

#[path = "../../driftless-serve/tests/common/server.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "the tests of the server use the rest"
)]
mod server;

use std::path::Path;
use std::process::Command;

#[test]
fn python_package_works() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = own.join("../../target/test-python");
    if !packages.is_dir() {
        let missing = format!("Python packages in {}", packages.display());
        let ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!ci, "{missing} are missing");
        eprintln!("skipped: {missing} are missing");
        return;
    }
    // Beside this test lies the module that cargo has built for it.
    let built = std::env::current_exe().unwrap();
    let module = format!(
        "{}_driftless{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    );
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("driftless");
    std::fs::create_dir(&package).unwrap();
    for entry in std::fs::read_dir(own.join("python/driftless")).unwrap() {
        let from = entry.unwrap().path();
        if from.is_file() {
            std::fs::copy(&from, package.join(from.file_name().unwrap())).unwrap();
        }
    }
    std::fs::copy(
        built.with_file_name(module),
        package.join("_driftless.abi3.so"),
    )
    .unwrap();
    let mut options = server::options();
    let steer = ("steer".to_owned(), server::checkpoint("steer"));
    options.worlds.push(steer);
    let server = server::Running::start(options);
    let paths = std::env::join_paths([folder.path(), &packages]).unwrap();
    let output = Command::new("python3")
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "-c"])
        .args([own.join("pyproject.toml"), own.join("tests")])
        .env("PYTHONPATH", paths)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("DRIFTLESS_TEST_SERVER", format!("ws://{}", server.address))
        // Where the included worlds are.
        .current_dir(own.join("../.."))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn package_has_all_included_worlds() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let included = own.join("python/driftless/included");
    for world in std::fs::read_dir(own.join("../../checkpoints")).unwrap() {
        let world = world.unwrap().path();
        if !world.join("dynamics.safetensors").is_file() {
            continue;
        }
        let packed = included.join(world.file_name().unwrap());
        for file in std::fs::read_dir(&world).unwrap() {
            let name = file.unwrap().file_name();
            // Clips made from words are not part of the package.
            let is_clip = name.to_string_lossy().starts_with("clip");
            let has_it = packed.join(&name).is_file();
            assert!(is_clip || has_it, "{} lacks {name:?}", packed.display());
        }
    }
}

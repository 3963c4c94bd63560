//! Worlds, adapters and displays that fail.

use super::*;

#[test]
fn failed_world_can_be_restarted() {
    let Some(display) = Display::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (world, record) = (
        folder.path().join("world"),
        folder.path().join("played.npz"),
    );
    let shot = folder.path().join("shot.png");
    std::fs::create_dir(&world).unwrap();
    for file in std::fs::read_dir(pong()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), world.join(file.file_name())).unwrap();
    }
    let weights = world.join("dynamics.safetensors");
    let whole = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    let args = [
        "play",
        "--checkpoint",
        path_str(&world),
        "--record",
        path_str(&record),
    ];

    let window = display.open(&args);
    window.wait_for("the failure", &shot, shows_failure);
    let (status, stderr) = window.close();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(
        error_line(&stderr).contains("dynamics.safetensors"),
        "{stderr}"
    );
    assert!(!record.exists());

    let window = display.open(&args);
    window.wait_for("the failure", &shot, shows_failure);
    std::fs::write(&weights, &whole).unwrap();
    window.press("Return");
    window.wait_for("the viewport", &shot, |shot| viewport(shot).is_some());
    window.wait_for_changes(3, &shot);
    let (status, stderr) = window.close();
    assert!(status.success(), "{status}: {stderr}");
    assert!(Episode::read(&record).unwrap().frames() > 1);
}

#[test]
fn missing_adapter_is_reported() {
    let Some(display) = Display::start() else {
        return;
    };
    let world = pong();
    // No Vulkan driver is found, and OpenGL is disabled.
    let no_drivers = [
        ("VK_DRIVER_FILES", "/nonexistent.json"),
        ("VK_ICD_FILENAMES", "/nonexistent.json"),
        ("WGPU_BACKEND", "vulkan"),
    ];
    let (status, stderr) =
        display.run_to_exit(&["play", "--checkpoint", path_str(&world)], &no_drivers);
    assert_eq!(status.code(), Some(1), "{stderr}");
    let error = error_line(&stderr);
    assert!(
        error.contains("no graphics adapter") && error.contains("--headless"),
        "{stderr}"
    );
}

#[test]
fn missing_display_is_reported() {
    for display in [None, Some(":64999")] {
        let world = pong();
        let mut command = Command::new(env!("CARGO_BIN_EXE_driftless"));
        command.args(["play", "--checkpoint", path_str(&world)]);
        for variable in ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"] {
            command.env_remove(variable);
        }
        command.envs(display.map(|name| ("DISPLAY", name)));
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{display:?}: {stderr}");
        assert!(
            stderr.contains("no display") && stderr.contains("--headless"),
            "{stderr}"
        );
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
#[cfg(unix)]
fn killed_recording_is_recovered_and_replays() {
    let Some(display) = Display::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("played.npz");
    let shot = folder.path().join("shot.png");
    let world = pong();
    let args = ["play", "--checkpoint", path_str(&world), "--device", "cpu"];
    let window = display.open(&[&args[..], &["--record", path_str(&record)]].concat());
    window.wait_for("the viewport", &shot, |shot| viewport(shot).is_some());
    wait("the title", || {
        window.title().starts_with("● Recording Pong").then_some(())
    });
    window.wait_for_changes(3, &shot);
    window.kill();
    assert!(!record.exists());

    let (status, stdout) = display.command(&["recover"]);
    assert!(
        status.success() && stdout.contains("frames of Pong in "),
        "{stdout}"
    );
    assert!(Episode::read(&record).unwrap().frames() > 3);
    let (status, stdout) = display.command(&["replay", path_str(&record), "--device", "cpu"]);
    assert!(
        status.success() && stdout.contains("are identical"),
        "{stdout}"
    );
    let (_, stdout) = display.command(&["recover"]);
    assert_eq!(stdout, "no unfinished recordings\n");
}

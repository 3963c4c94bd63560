//! Pace, pairing and the numbering of episodes, on sources made up here.

use super::*;

fn names(values: &[&str]) -> Vec<Taken> {
    values.iter().map(|&v| Taken::Name(v.into())).collect()
}

/// An episode of frames 0, 1, 2, ... of one grey pixel each.
fn made(steps: &[&str], every: usize, terminal: bool) -> Episode {
    let mut film = Film::new([1, 1], every);
    for value in 0..=steps.len() {
        film.push([1, 1], &[value as u8; 3]);
    }
    let recording = Recording {
        steps: names(steps),
        rewards: (0..steps.len()).map(|t| t as f32).collect(),
        terminal,
    };
    episode(film, &recording, every, &mut ActionMap::plain()).unwrap()
}

#[test]
fn a_step_leads_to_the_frame_after_it_and_the_first_action_is_idle() {
    let episode = made(&["left", "noop", "right"], 1, false);
    assert_eq!(episode.actions, [0, 1, 0, 2]);
    assert_eq!(episode.rewards, [0.0, 0.0, 1.0, 2.0]);
    assert_eq!(episode.frame(2), [2, 2, 2]);
}

#[test]
fn of_dropped_frames_the_action_is_merged_and_the_reward_summed() {
    let steps = ["left", "left", "right", "noop", "right", "noop", "left"];
    let episode = made(&steps, 3, true);
    assert_eq!(episode.images, [[0; 3], [3; 3], [6; 3]].concat());
    assert_eq!(episode.actions, [0, 1, 2]);
    assert_eq!(episode.rewards, [0.0, 3.0, 12.0]);
    assert!(
        episode.extras.is_empty(),
        "the frame at which it ended is dropped"
    );
    assert!(
        made(&steps[..6], 3, true)
            .extras
            .contains_key("is_terminal")
    );
}

#[test]
fn a_row_s_action_led_to_its_frame_or_to_the_next() {
    assert_eq!(between(vec![1, 2, 3], Pairing::LedTo), [2, 3]);
    assert_eq!(between(vec![1, 2, 3], Pairing::TakenAt), [1, 2]);
    assert!(between(Vec::<u8>::new(), Pairing::LedTo).is_empty());
}

#[test]
fn steps_that_do_not_fit_between_the_frames_are_refused() {
    let mut film = Film::new([1, 1], 1);
    film.push([1, 1], &[0; 3]);
    let recording = Recording {
        steps: names(&["left"]),
        rewards: Vec::new(),
        terminal: false,
    };
    let said = episode(film, &recording, 1, &mut ActionMap::plain()).unwrap_err();
    assert!(said.contains("1 actions between 1 frames"), "{said}");
}

#[test]
fn only_a_whole_part_of_the_source_s_pace_can_be_had() {
    let options = |fps| Options {
        format: Format::Vpt,
        source: "videos".into(),
        out: "data".into(),
        name: None,
        size: [64, 64],
        fps,
        every: None,
        source_fps: None,
        actions: None,
        image_key: None,
        pairing: None,
        skip_bad: false,
    };
    assert_eq!(every(20.0, &options(None)).unwrap(), 1);
    assert_eq!(every(20.0, &options(Some(10.0))).unwrap(), 2);
    assert_eq!(every(59.94, &options(Some(15.0))).unwrap(), 4);
    for (wanted, nearest) in [(15.0, "20.000 or 10.000"), (30.0, "20.000")] {
        let said = every(20.0, &options(Some(wanted))).unwrap_err().to_string();
        assert!(said.contains(nearest), "{said}");
    }
}

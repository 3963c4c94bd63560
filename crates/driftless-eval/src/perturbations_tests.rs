use std::path::Path;

use driftless_data::metrics::psnr;

use super::*;
use crate::objects::Game;

fn real_episode() -> Episode {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/pong/episode_00000.npz");
    Episode::read(&path).unwrap()
}

#[test]
fn perturbations_do_what_their_names_say() {
    let episode = real_episode();
    let all = perturbations(&episode, 12..212, 1);
    let at_edge = |t: usize| {
        let player = episode.extras["player_y"].values[t];
        !(2.7..=60.3).contains(&player)
    };
    assert_eq!(all.len(), 8);
    for perturbation in &all {
        let queries: Vec<FrameQuery> = perturbation.queries().collect();
        assert!(queries.len() > 20, "{}", perturbation.name);
        assert!(queries.windows(2).all(|pair| pair[0].frame < pair[1].frame));
        assert!(queries.iter().all(|a| (12..212).contains(&a.frame)));
        for a in queries {
            let (own, action) = (episode.frame(a.frame), episode.action(a.frame));
            let ball = Game::Pong.find(own).ball();
            let found = || Game::Pong.find(a.image).ball();
            let shifted = |by: f32| {
                let (ball, found) = (ball.unwrap(), found().unwrap());
                (found.x - ball.x - by).abs() < 0.3 && (found.y - ball.y).abs() < 0.3
            };
            let close = |low: f64, high: f64| {
                let psnr = psnr(own, a.image).unwrap();
                (low..high).contains(&psnr)
            };
            let other = a.action != action && a.image == own;
            let as_named = match perturbation.name.as_str() {
                "another action, paddle in full view" => other && !at_edge(a.frame),
                "another action, paddle cut by an edge" => other && at_edge(a.frame),
                "the frame before once more" => a.image == episode.frame(a.frame - 1),
                "ball taken away" => ball.is_some() && found().is_none(),
                "ball 2 px to the right" => shifted(2.0),
                "ball 4 px to the right" => shifted(4.0),
                // 20 log₁₀(255 / size), and what is cut off at 0 and 255.
                "pixel noise of 2/255" => close(41.7, 42.5),
                "pixel noise of 8/255" => close(29.7, 30.5),
                _ => false,
            };
            assert!(
                as_named,
                "{} in frame {}: {:?}",
                perturbation.name,
                a.frame,
                psnr(own, a.image)
            );
            let same_action = a.action == action;
            assert!(same_action || perturbation.name.contains("action"));
        }
    }
    let again = perturbations(&episode, 12..212, 1);
    for (a, b) in all.iter().zip(&again) {
        assert!(a.queries().eq(b.queries()), "{}", a.name);
    }
}

#[test]
fn unknown_games_have_no_ball_perturbations() {
    let mut episode = real_episode();
    episode.extras.clear();
    let names: Vec<String> = perturbations(&episode, 12..40, 1)
        .into_iter()
        .map(|c| c.name)
        .collect();
    assert_eq!(names.len(), 4);
    assert!(names.iter().all(|name| !name.contains("ball")), "{names:?}");
}

#[test]
fn frames_are_compared_in_pairs() {
    let surprise = |frame: usize, bits: f64| FrameSurprise {
        frame,
        action: 0,
        bits_per_dimension: bits,
        excess: bits / 10.0,
        nats: 0.0,
        standard_error: None,
    };
    let real = [(10, 1.0), (11, 2.0), (12, 4.0), (13, 9.0)].map(|(t, b)| surprise(t, b));
    let wrong = [(10, 2.0), (12, 3.0), (13, 12.0)].map(|(t, b)| surprise(t, b));
    let comparison = PerturbationReport::new("wrong".to_owned(), &real, wrong.to_vec());
    let values = |mean: MeanBits| {
        (
            mean.bits_per_dimension.unwrap(),
            mean.standard_error.unwrap(),
        )
    };
    assert!((values(comparison.real).0 - 14.0 / 3.0).abs() < 1e-12);
    assert!((values(comparison.changed).0 - 17.0 / 3.0).abs() < 1e-12);
    // Differences 1, −1 and 3.
    let (mean, error) = values(comparison.difference);
    assert!((mean - 1.0).abs() < 1e-12 && (error - (8.0f64 / 6.0).sqrt()).abs() < 1e-12);
    assert_eq!(comparison.real_likelier, Some(2.0 / 3.0));
    // Only 12 is above the real 9. Of 200 real frames, the two most surprising ones do not count.
    assert_eq!(comparison.noticed, Some(1.0 / 3.0));
    let many: Vec<FrameSurprise> = (0..200).map(|t| surprise(t, t as f64)).collect();
    let wrong = [(10, 197.0), (11, 198.0), (12, 11.0)].map(|(t, b)| surprise(t, b));
    let comparison = PerturbationReport::new("wrong".to_owned(), &many, wrong.to_vec());
    assert_eq!(comparison.noticed, Some(1.0 / 3.0));
    let none = PerturbationReport::new("none".to_owned(), &real, vec![]);
    assert_eq!(
        (none.difference.bits_per_dimension, none.real_likelier),
        (None, None)
    );
}

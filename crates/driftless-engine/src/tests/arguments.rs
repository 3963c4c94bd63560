//! Invalid arguments.

use super::sampling::engines;
use super::*;

#[test]
fn invalid_arguments_change_nothing() {
    let config = small_config();
    let good = SamplerParams::default();
    for mut engine in engines(&config) {
        let error = engine.step(0, &good).unwrap_err().to_string();
        assert!(error.contains("reset"), "{error}");
        engine.reset(&clip(&config, 2), &good).unwrap();
        let before = engine.snapshot().unwrap();
        let wrong = [
            ("steps", SamplerParams { steps: 0, ..good }),
            (
                "steps",
                SamplerParams {
                    steps: 1025,
                    ..good
                },
            ),
            (
                "context_signal",
                SamplerParams {
                    context_signal: 0.0,
                    ..good
                },
            ),
            (
                "context_signal",
                SamplerParams {
                    context_signal: 1.1,
                    ..good
                },
            ),
            (
                "context_signal",
                SamplerParams {
                    context_signal: f32::NAN,
                    ..good
                },
            ),
            ("context is 0", SamplerParams { context: 0, ..good }),
            (
                "temperature",
                SamplerParams {
                    temperature: -0.1,
                    ..good
                },
            ),
            (
                "temperature",
                SamplerParams {
                    temperature: f32::INFINITY,
                    ..good
                },
            ),
        ];
        for (name, params) in wrong {
            let error = engine.step(0, &params).unwrap_err().to_string();
            assert!(
                error.contains(name) && error.contains("expected"),
                "{error}"
            );
            let error = engine
                .reset(&clip(&config, 2), &params)
                .unwrap_err()
                .to_string();
            assert!(error.contains(name), "{error}");
        }
        let error = engine.step(3, &good).unwrap_err().to_string();
        assert!(error.contains("action 3, expected 0 to 2"), "{error}");
        let mut clips = [
            clip(&config, 2),
            clip(&config, 2),
            clip(&config, 2),
            clip(&config, 0),
        ];
        clips[0].images.pop();
        clips[1].actions.pop();
        clips[2].actions[0] = 3.into();
        for clip in clips {
            let error = engine.reset(&clip, &good).unwrap_err().to_string();
            assert!(error.contains("expected"), "{error}");
        }
        assert!(engine.encode(&[0; 5]).is_err() && engine.reconstruct(&[0; 5]).is_err());
        assert_eq!(engine.snapshot().unwrap(), before);
    }
}

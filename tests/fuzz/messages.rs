//! What players of a server send.

use rand::Rng as _;

use driftless_data::fs;
use driftless_engine::SamplerParams;
use driftless_engine::testing::small_config;
use driftless_serve::Settings;
use driftless_serve::protocol::Request;

use crate::mutate;
use crate::run::fuzz;

const MESSAGES: [&str; 6] = [
    r#"{"type":"hello","version":2,"token":"correct-horse-battery"}"#,
    r#"{"type":"join","world":"pong","clip":2,"seed":7,"settings":{"steps":4},"pictures":"png"}"#,
    r#"{"type":"hold","action":2,"axes":[0.5,-1],"input":17}"#,
    r#"{"type":"settings","values":{"solver":"euler","churn":0.5,"shift":1.5}}"#,
    r#"{"type":"seek","branch":1,"index":120}"#,
    r#"{"type":"latency","ms":41.5}"#,
];

#[test]
fn messages_of_players() {
    let settings = Settings::new(&small_config(), 16);
    fuzz(
        "messages of players",
        3000,
        |place, rng| {
            let message = MESSAGES[rng.random_range(0..MESSAGES.len())];
            std::fs::write(place.join("message.json"), mutate::text(message, rng)).unwrap();
        },
        |place| {
            let text = fs::read_text(&place.join("message.json")).map_err(|e| e.to_string())?;
            let request = Request::parse(&text).map_err(|e| e.to_string())?;
            match request {
                Request::Join {
                    settings: values, ..
                }
                | Request::Settings { values } => settings
                    .changed(SamplerParams::default(), &values)
                    .map(drop),
                _ => Ok(()),
            }
        },
    );
}

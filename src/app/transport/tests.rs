//! The page with a small network whose weights are random, driven by the names of its controls.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use candle_core::{Device, Var};
use eframe::egui::{Vec2, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;

use driftless_data::cells::Compound;
use driftless_data::fs::write_json;
use driftless_data::layout::checkpoint::CONFIG;
use driftless_flow::prediction::Prediction;
use driftless_flow::solver::Method;
use driftless_model::params::{Init, Params};
use driftless_transport::config::{
    FORMAT_VERSION, FlowShape, KIND, KnownCompound, NetworkShape, Normalization, Sampling, WEIGHTS,
};
use driftless_transport::{
    Controls, Route, Source, TransportConfig, TransportNetwork, Transporter,
};

use super::look::between;
use super::view::Direction;
use super::wish::{dose_warning, matching};
use super::*;

mod layout;
mod worker;

const TIMEOUT: Duration = Duration::from_secs(60);
const WINDOW: Vec2 = vec2(1080.0, 792.0);

fn config() -> TransportConfig {
    let compound = |name: &str, mechanism: Option<&str>, trained: bool| KnownCompound {
        compound: Compound {
            name: name.into(),
            descriptor: vec![name.len() as f32, f32::from(u8::from(trained))],
            mechanism: mechanism.map(str::to_owned),
        },
        trained,
    };
    TransportConfig {
        format: FORMAT_VERSION,
        kind: KIND.into(),
        name: "Test cells".into(),
        image: [8, 12],
        channels: vec!["DNA".into(), "actin".into()],
        dose_unit: "µM".into(),
        doses: [0.1, 10.0],
        compounds: vec![
            compound("taxol", Some("tubulin stabiliser"), true),
            compound("colchicine", Some("tubulin destabiliser"), true),
            compound("unheard", None, false),
        ],
        plates: vec!["P1".into(), "P2".into()],
        normalization: Normalization {
            mean: vec![60.0, 70.0],
            std: vec![25.0, 35.0],
        },
        network: NetworkShape {
            patch: 4,
            overlap: 1,
            width: 16,
            depth: 1,
            heads: 2,
            mlp: 12,
        },
        flow: FlowShape {
            source: Source::Control,
            prediction: Prediction::V,
            source_noise: 0.5,
        },
        sampling: Sampling {
            route: Route::Forward,
            method: Method::Heun,
            steps: 4,
            guidance: 1.0,
            source_noise: 0.0,
        },
    }
}

/// The network with its weights; those of the output are of a size that changes pictures.
fn network(config: &TransportConfig) -> (TransportNetwork, BTreeMap<String, Var>) {
    config.check().unwrap();
    let params = Params::seeded(1, &Device::Cpu);
    let network = TransportNetwork::new(&params, config).unwrap();
    let vars = params.finish().unwrap();
    let out = &vars["window.out.weight"];
    let random = Params::seeded(2, &Device::Cpu);
    let random = random.get("random", out.dims(), Init::Normal(0.15));
    out.set(&random.unwrap()).unwrap();
    (network, vars)
}

/// Two cells of one plate, and one of the other.
fn controls() -> Controls {
    controls_of(&config())
}

fn controls_of(config: &TransportConfig) -> Controls {
    let picture = |start: usize| {
        let len = config.picture_len();
        (0..len).map(move |i| 40 + ((start + i * 7) % 90) as u8)
    };
    Controls {
        images: [0, 30, 60].into_iter().flat_map(picture).collect(),
        plates: vec![0, 1, 0],
    }
}

fn bench() -> Bench {
    bench_of(config())
}

fn bench_of(config: TransportConfig) -> Bench {
    let (network, _) = network(&config);
    let controls = controls_of(&config);
    let transporter = Transporter::new(config, network).unwrap();
    Bench::new(transporter, controls)
}

/// Writes the network and its cells into a checkpoint folder.
pub(in crate::app) fn write_checkpoint(folder: &Path) {
    let config = config();
    let (_, vars) = network(&config);
    let weights: HashMap<_, _> = vars
        .into_iter()
        .map(|(name, var)| (name, var.into_inner()))
        .collect();
    candle_core::safetensors::save(&weights, folder.join(WEIGHTS)).unwrap();
    write_json(&folder.join(CONFIG), &config).unwrap();
    controls().write(folder, &config).unwrap();
}

fn page(home: &Path, config: TransportConfig) -> TransportPage {
    let home = Some(home.to_path_buf());
    let load = || Ok(bench_of(config));
    TransportPage::with(Path::new("here"), home, Arc::new(|| {}), load).unwrap()
}

/// The page in a window without a graphics adapter.
struct TestPage {
    harness: Harness<'static, TransportPage>,
    written: Vec<Result<PathBuf>>,
}

impl TestPage {
    fn new(home: &Path) -> Self {
        Self::with(home, config(), WINDOW, 60)
    }

    /// The page of another network, in a window of a size that is drawn so often a second.
    fn with(home: &Path, config: TransportConfig, size: Vec2, rate: u16) -> Self {
        let draw = |ui: &mut Ui, page: &mut TransportPage| {
            page.ui(ui, true);
        };
        let harness = Harness::builder()
            .with_size(size)
            .with_step_dt(1.0 / f32::from(rate))
            .build_ui_state(draw, page(home, config));
        let mut page = Self {
            harness,
            written: Vec::new(),
        };
        page.settle();
        page
    }

    fn view(&mut self) -> &mut View {
        self.harness.state_mut().view.as_mut().unwrap()
    }

    /// Draws until the pictures are those of the wish.
    fn settle(&mut self) -> Morph {
        let since = Instant::now();
        loop {
            self.step();
            let view = self.harness.state().view.as_ref();
            let morph = view.and_then(|view| {
                let morph = view.morph.as_ref()?;
                (morph.wish == view.wish && !morph.draft).then(|| morph.clone())
            });
            if let Some(morph) = morph {
                self.step();
                return morph;
            }
            let failure = &self.harness.state().failure;
            assert!(since.elapsed() < TIMEOUT, "timed out: {failure:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn step(&mut self) {
        let written = self.harness.state_mut().poll();
        self.written.extend(written);
        self.harness.step();
    }

    fn click(&mut self, label: &str) {
        self.harness.get_by_label(label).click();
        self.step();
        self.step();
    }

    fn says(&self, part: &str) -> bool {
        self.harness
            .query_all_by_label_contains(part)
            .next()
            .is_some()
    }

    fn file(&mut self) -> PathBuf {
        let since = Instant::now();
        while self.written.is_empty() {
            self.step();
            assert!(since.elapsed() < TIMEOUT, "timed out");
            std::thread::sleep(Duration::from_millis(1));
        }
        self.written.remove(0).unwrap()
    }
}

#[test]
fn drug_change_asks_for_another_picture() {
    let home = tempfile::tempdir().unwrap();
    let mut page = TestPage::new(home.path());
    let first = page.settle();
    assert_eq!((first.wish.compound, first.states.len()), (Some(0), 5));
    assert_eq!(first.states[0], first.control);
    assert_ne!(first.states[4], first.control);
    page.harness.get_by_label_contains("colchicine").click();
    page.step();
    page.step();
    let second = page.settle();
    assert_eq!(second.wish.compound, Some(1));
    assert_eq!(second.control, first.control);
    assert_ne!(second.states[4], first.states[4]);
    assert!(page.says("colchicine, 10 µM, plate P1"));
    page.harness.get_by_label_contains("unheard").click();
    page.step();
    page.step();
    page.settle();
    assert!(page.says("The training has not seen unheard"));
}

#[test]
fn search_finds_names_and_mechanisms() {
    let config = config();
    assert_eq!(matching(&config, " TUBULIN stab"), [0, 1]);
    assert_eq!(matching(&config, "colch destab"), [1]);
    assert_eq!(matching(&config, ""), [0, 1, 2]);
    assert!(matching(&config, "aspirin").is_empty());
    let home = tempfile::tempdir().unwrap();
    let mut page = TestPage::new(home.path());
    page.view().search = "colch".into();
    page.step();
    let listed = page.harness.query_by_label_contains("tubulin stabiliser");
    assert!(listed.is_none());
    page.harness.get_by_label("Search drugs").focus();
    page.step();
    page.harness.key_press(Key::Enter);
    page.step();
    assert_eq!(page.settle().wish.compound, Some(1));
    // The keyboard goes on from there.
    assert!(page.harness.get_by_label("Search drugs").is_focused());
}

#[test]
fn dose_outside_of_training_is_said() {
    let config = config();
    assert_eq!(dose_warning(&config, 10.0), None);
    let near = dose_warning(&config, 12.0).unwrap();
    assert!(
        near.contains("0.1 to 10 µM: played all the same."),
        "{near}"
    );
    let far = dose_warning(&config, 80.0).unwrap();
    assert!(far.ends_with("and counts as 22 µM."), "{far}");
    assert!(
        dose_warning(&config, 0.01)
            .unwrap()
            .contains("counts as 0.046")
    );
    let home = tempfile::tempdir().unwrap();
    let mut page = TestPage::new(home.path());
    assert!(!page.says("Outside of the training range"));
    page.view().wish.dose = 80.0;
    let morph = page.settle();
    assert_eq!(morph.wish.dose, 80.0);
    assert!(page.says("Outside of the training range"));
    page.harness.get_by_label_contains("No drug").click();
    page.step();
    page.step();
    assert!(!page.says("Outside of the training range"));
}

#[test]
fn dose_slider_moves_with_the_keyboard() {
    let home = tempfile::tempdir().unwrap();
    let mut page = TestPage::new(home.path());
    page.harness.get_by_label("Dose").focus();
    page.step();
    page.harness.key_press(Key::ArrowLeft);
    page.step();
    let morph = page.settle();
    assert!(morph.wish.dose < 10.0, "{}", morph.wish.dose);
}

#[test]
fn reverse_returns() {
    let home = tempfile::tempdir().unwrap();
    let mut page = TestPage::new(home.path());
    page.view().wish.params.steps = 20;
    let there = page.settle();
    page.click("Reverse");
    let back = page.settle();
    assert_eq!(page.view().tau, 0.0);
    assert_eq!(back.states.last(), there.states.last());
    let missed = look::rms(&back.states[0], &back.control);
    let moved = look::rms(&there.states[10], &there.control);
    assert!(missed < 0.01 && moved > 5.0 * missed, "{missed} {moved}");
    assert!(page.says("differs from the control by 0.00"));
    page.click("Reverse");
    assert_eq!((page.view().tau, page.view().wish.reverse), (1.0, false));
}

#[test]
fn channels_and_greys_change_the_picture() {
    let home = tempfile::tempdir().unwrap();
    let mut page = TestPage::new(home.path());
    let shown = |page: &TestPage| page.harness.state().picture().unwrap();
    let both = shown(&page);
    assert!(both.pixels.iter().any(|p| p.r() > 0 && p.b() > 0));
    page.click("actin");
    let dna = shown(&page);
    assert!(dna.pixels.iter().all(|p| p.r() == 0));
    assert!(dna.pixels.iter().any(|p| p.b() > 0));
    page.click("Greys");
    let grey = shown(&page);
    let same = |p: &Color32| p.r() == p.g() && p.g() == p.b();
    assert!(grey.pixels.iter().all(same));
    assert!(
        grey.pixels
            .iter()
            .zip(&dna.pixels)
            .all(|(g, d)| g.b() == d.b())
    );
    page.click("DNA");
    assert!(shown(&page).pixels.iter().all(|p| p.r() == 0));
}

#[test]
fn plates_and_cells_are_chosen() {
    let home = tempfile::tempdir().unwrap();
    let mut page = TestPage::new(home.path());
    let first = page.settle();
    assert!(page.says("cell 1 of 2, plate P1"));
    page.click("Another cell");
    let second = page.settle();
    assert_ne!(second.control, first.control);
    page.click("Another cell");
    assert_eq!(page.settle().control, first.control);
    page.view().wish.source = Some(1);
    let other = page.settle();
    assert_ne!(other.control, first.control);
    assert!(page.says("The control is of another plate"));
    // The plate of the control is the treated cell's again.
    page.view().wish.plate = 1;
    page.step();
    assert_eq!(page.view().wish.source, None);
}

#[test]
fn keys_move_and_toggle() {
    let home = tempfile::tempdir().unwrap();
    let mut page = TestPage::new(home.path());
    let state = page.harness.state_mut();
    for key in [Key::ArrowLeft, Key::ArrowLeft, Key::N, Key::G, Key::Num2] {
        assert!(state.key(key), "{key:?}");
    }
    for key in [Key::Num3, Key::X] {
        assert!(!state.key(key), "{key:?}");
    }
    let view = page.view();
    assert!((view.tau - 0.9).abs() < 1e-5);
    assert_eq!((view.wish.cell, view.look.greys), (1, true));
    assert_eq!(view.look.shown, [true, false]);
    assert!(view.key(Key::R) && view.wish.reverse);
    // The film runs there and back.
    assert!(view.key(Key::Space));
    view.advance(100.0);
    assert_eq!((view.tau, view.plays), (1.0, Some(Direction::Back)));
    view.advance(0.5);
    assert!(view.tau < 1.0);
    view.toggle_film();
    assert_eq!(view.plays, None);
}

#[test]
fn states_of_the_strip_are_chosen() {
    let home = tempfile::tempdir().unwrap();
    let mut page = TestPage::new(home.path());
    page.click("State at τ = 0.25");
    assert_eq!(page.view().tau, 0.25);
    let view = page.view();
    assert_eq!(
        view.shown().unwrap(),
        view.morph.as_ref().unwrap().states[1]
    );
    assert!(page.says("neither hours nor dose"));
    let halfway = between(&[vec![0, 100], vec![50, 0]], 0.5);
    assert_eq!(halfway, [25, 50]);
}

#[test]
fn film_and_series_are_written() {
    let home = tempfile::tempdir().unwrap();
    let mut page = TestPage::new(home.path());
    page.click("GIF");
    let gif = page.file();
    assert!(gif.ends_with("saved/Test-cells-taxol-10.gif"), "{gif:?}");
    page.click("Doses as PNG");
    let png = page.file();
    assert!(png.ends_with("saved/Test-cells-taxol-doses.png"), "{png:?}");
    let sheet = image::open(&png).unwrap().into_rgb8();
    // The control and eight doses, each 12×8 pixels enlarged 20 times; no truth is known.
    assert_eq!(sheet.dimensions(), (9 * 246 + 6, 27 + 166 + 6));
    let film = image::codecs::gif::GifDecoder::new(std::io::BufReader::new(
        std::fs::File::open(&gif).unwrap(),
    ))
    .unwrap();
    let frames = image::AnimationDecoder::into_frames(film)
        .collect_frames()
        .unwrap();
    assert_eq!(frames.len(), 2 * 25 + 16);
    // Nothing but the two files: they appear under their names when they are whole.
    let files = home.path().join("saved").read_dir().unwrap().count();
    assert_eq!(files, 2);
    page.click("Doses as PNG");
    assert!(page.file().ends_with("saved/Test-cells-taxol-doses-2.png"));
}

//! A BERT that reads prompts (Devlin et al., arXiv 1810.04805), such as MiniLM's: a folder in the form of
//! Hugging Face, with `config.json`, `tokenizer.json` and `model.safetensors`.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use tokenizers::Tokenizer;

use driftless_data::PathError as _;
use driftless_data::fs::read_text;

use crate::text_encoder::{EncodedText, TextEncoder, TextEncoderInfo};
use crate::{Error, Result};

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const WEIGHTS: &str = "model.safetensors";

/// A BERT with its tokenizer.
pub struct Bert {
    tokenizer: Tokenizer,
    model: BertModel,
    info: TextEncoderInfo,
    /// Most tokens that it has positions for.
    positions: usize,
    device: Device,
}

impl Bert {
    /// Reads a folder.
    ///
    /// # Errors
    /// Returns an error that names the file if one is missing, damaged or not that of a BERT, or if they do not
    /// match each other.
    pub fn read(folder: &Path, device: &Device) -> Result<Self> {
        let paths = [CONFIG, TOKENIZER, WEIGHTS].map(|file| folder.join(file));
        if let Some(missing) = paths.iter().find(|path| !path.is_file()) {
            let what = format!(
                "is missing: a text encoder is a BERT in the form of Hugging Face, a folder with {CONFIG}, \
                 {TOKENIZER} and {WEIGHTS}"
            );
            return Err(wrong(missing, what));
        }
        let [config_path, tokenizer_path, weights_path] = paths;
        let config = read_config(&config_path)?;
        let text = read_text(&tokenizer_path)?;
        let mut tokenizer: Tokenizer = text
            .parse()
            .map_err(|e| wrong(&tokenizer_path, format!("is no tokenizer: {e}")))?;
        let words = tokenizer.get_vocab_size(true);
        if words > config.vocab_size {
            let what = format!(
                "has {words} tokens, expected {} as in {CONFIG}",
                config.vocab_size
            );
            return Err(wrong(&tokenizer_path, what));
        }
        // Prompts are cut and padded here.
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|e| wrong(&tokenizer_path, e.to_string()))?;
        let io = |e| driftless_data::Error::io(&weights_path, e);
        let bytes = std::fs::read(&weights_path).map_err(io)?;
        let of_weights = |e: candle_core::Error| {
            let what = format!("does not fit {CONFIG}, expected the weights of a BERT: {e}");
            wrong(&weights_path, what)
        };
        let tensors = candle_core::safetensors::load_buffer(&bytes, device).map_err(of_weights)?;
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&bytes), text.as_bytes());
        let variables = VarBuilder::from_tensors(tensors, DType::F32, device);
        Ok(Self {
            tokenizer,
            model: BertModel::load(variables, &config).map_err(of_weights)?,
            info: TextEncoderInfo {
                width: config.hidden_size,
                checksum: format!("{checksum:08x}"),
            },
            positions: config.max_position_embeddings,
            device: device.clone(),
        })
    }
}

impl TextEncoder for Bert {
    fn info(&self) -> &TextEncoderInfo {
        &self.info
    }

    fn encode(&self, text: &str, most: usize) -> Result<EncodedText> {
        let unreadable = |e| Error::Argument(format!("the prompt cannot be read: {e}"));
        let encoding = self.tokenizer.encode(text, true).map_err(unreadable)?;
        let (mut ids, words) = (encoding.get_ids().to_vec(), encoding.get_word_ids());
        let most = most.min(self.positions);
        let mut left_out = 0;
        if let [.., end] = ids[..]
            && ids.len() > most
        {
            // The token that ends a text stays.
            ids.truncate(most.saturating_sub(1));
            let mut cut: Vec<u32> = words[ids.len()..].iter().flatten().copied().collect();
            cut.dedup();
            left_out = cut.len();
            ids.push(end);
        }
        let ids = Tensor::new(ids, &self.device)?.unsqueeze(0)?;
        let states = self.model.forward(&ids, &ids.zeros_like()?, None)?;
        Ok(EncodedText {
            states: states.flatten_all()?.to_vec1()?,
            left_out,
        })
    }
}

/// Reads the shape of a BERT.
fn read_config(path: &Path) -> Result<Config> {
    let config: Config = serde_json::from_str(&read_text(path)?)
        .map_err(|e| wrong(path, format!("is not that of a BERT: {e}")))?;
    let within = |value: usize, most: usize| (1..=most).contains(&value);
    let rules = [
        ("hidden_size", within(config.hidden_size, 4096), "1 to 4096"),
        (
            "num_attention_heads",
            config.num_attention_heads > 0
                && config
                    .hidden_size
                    .is_multiple_of(config.num_attention_heads),
            "a divisor of hidden_size",
        ),
        (
            "num_hidden_layers",
            within(config.num_hidden_layers, 64),
            "1 to 64",
        ),
        (
            "max_position_embeddings",
            within(config.max_position_embeddings, 1 << 16),
            "1 to 65536",
        ),
    ];
    match rules.iter().find(|(_, valid, _)| !valid) {
        Some((key, _, expected)) => Err(wrong(
            path,
            format!("{key} is out of its range, expected {expected}"),
        )),
        None => Ok(config),
    }
}

fn wrong(path: &Path, what: String) -> Error {
    driftless_data::Error::invalid(PathBuf::from(path), what).into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const CONFIG_TEXT: &str = r#"{"model_type": "bert", "hidden_act": "gelu", "hidden_size": 8,
        "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12, "vocab_size": 9,
        "max_position_embeddings": 16, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "pad_token_id": 0,
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.02}"#;
    /// Pads to twelve tokens, as published tokenizers pad to a fixed length.
    const TOKENIZER_TEXT: &str = r###"{"version": "1.0", "truncation": null, "added_tokens": [], "decoder": null,
        "padding": {"strategy": {"Fixed": 12}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]}}},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": {"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "[UNK]": 3,
            "turn": 4, "left": 5, "##ward": 6, "red": 7, ";": 8}}}"###;

    /// The names and shapes of the weights, in alphabetical order.
    fn shapes() -> Vec<(String, Vec<usize>)> {
        let mut shapes = Vec::new();
        let mut add = |name: String, shape: &[usize]| shapes.push((name, shape.to_vec()));
        for (name, rows) in [("position", 16), ("token_type", 2), ("word", 9)] {
            add(format!("embeddings.{name}_embeddings.weight"), &[rows, 8]);
        }
        let mut norms = vec!["embeddings".to_owned()];
        for layer in 0..2 {
            let layer = format!("encoder.layer.{layer}");
            for (name, outputs, inputs) in [
                ("attention.self.query", 8, 8),
                ("attention.self.key", 8, 8),
                ("attention.self.value", 8, 8),
                ("attention.output.dense", 8, 8),
                ("intermediate.dense", 12, 8),
                ("output.dense", 8, 12),
            ] {
                add(format!("{layer}.{name}.weight"), &[outputs, inputs]);
                add(format!("{layer}.{name}.bias"), &[outputs]);
            }
            norms.extend(["attention.output", "output"].map(|part| format!("{layer}.{part}")));
        }
        for norm in norms {
            for part in ["weight", "bias"] {
                add(format!("{norm}.LayerNorm.{part}"), &[8]);
            }
        }
        shapes.sort();
        shapes
    }

    /// A folder with a small BERT. Number i of the k-th weight is sin(0.37 (i + 1) + k)/2, and 1 more in the gain
    /// of a norm.
    fn small_bert(folder: &Path) {
        let tensors = shapes().into_iter().enumerate().map(|(k, (name, shape))| {
            let gain = f64::from(u8::from(name.ends_with("LayerNorm.weight")));
            let number = |i: usize| gain + 0.5 * (0.37 * (i + 1) as f64 + k as f64).sin();
            let numbers = (0..shape.iter().product()).map(|i| number(i) as f32);
            let tensor = Tensor::from_vec(numbers.collect(), shape, &Device::Cpu).unwrap();
            (name, tensor)
        });
        let tensors: HashMap<String, Tensor> = tensors.collect();
        candle_core::safetensors::save(&tensors, folder.join(WEIGHTS)).unwrap();
        std::fs::write(folder.join(CONFIG), CONFIG_TEXT).unwrap();
        std::fs::write(folder.join(TOKENIZER), TOKENIZER_TEXT).unwrap();
    }

    /// The states of the first and the last token of "Turn leftward; blue", from `BertModel` of transformers
    /// 5.24.0 on PyTorch 2.15.0, with the same weights and tokens.
    const STATES: [[f32; 8]; 2] = [
        [
            1.889_676_6,
            -0.748_171_45,
            0.518_109_74,
            0.109_229_066,
            -0.231_485_4,
            -0.990_553_86,
            0.419_647_54,
            -0.900_928_7,
        ],
        [
            2.100_212_8,
            -0.724_788_6,
            0.294_219_23,
            -0.030_095_074,
            -0.263_941_4,
            -1.057_590_7,
            0.354_606_2,
            -0.482_685_03,
        ],
    ];

    #[test]
    fn states_are_those_of_transformers() {
        let folder = tempfile::tempdir().unwrap();
        small_bert(folder.path());
        let bert = Bert::read(folder.path(), &Device::Cpu).unwrap();
        assert_eq!(bert.info().width, 8);
        let read = bert.encode("Turn leftward; blue", 32).unwrap();
        // [CLS] turn left ##ward ; [UNK] [SEP], without padding.
        assert_eq!((read.states.len(), read.left_out), (7 * 8, 0));
        let ends = [&read.states[..8], &read.states[6 * 8..]];
        for (found, expected) in ends.concat().iter().zip(STATES.concat()) {
            assert!(
                (found - expected).abs() < 1e-5,
                "{found}, expected {expected}"
            );
        }
        let cut = bert.encode("Turn leftward; blue", 4).unwrap();
        assert_eq!((cut.states.len(), cut.left_out), (4 * 8, 3));
        let short = bert.encode("turn left", 32).unwrap();
        assert_eq!(short, bert.encode("turn left", 4).unwrap());
    }

    #[test]
    fn checksum_tells_encoders_apart() {
        let folder = tempfile::tempdir().unwrap();
        small_bert(folder.path());
        let info = || {
            Bert::read(folder.path(), &Device::Cpu)
                .unwrap()
                .info()
                .clone()
        };
        let before = info();
        assert_eq!(before, info());
        let path = folder.path().join(TOKENIZER);
        std::fs::write(path, TOKENIZER_TEXT.replace("red", "blue")).unwrap();
        assert_ne!(before, info());
    }

    #[test]
    fn other_folders_are_refused_by_file() {
        let folder = tempfile::tempdir().unwrap();
        let refuse = || {
            let error = Bert::read(folder.path(), &Device::Cpu).err().unwrap();
            let text = error.to_string();
            assert_eq!(text.lines().count(), 1, "{text}");
            text
        };
        let error = refuse();
        assert!(error.contains("config.json: is missing"), "{error}");
        // What is changed where, the file that is named, and what is said of it.
        for (file, from, to, named, said) in [
            (
                CONFIG,
                "hidden_size",
                "hidden",
                CONFIG,
                "is not that of a BERT",
            ),
            (
                CONFIG,
                "heads\": 2",
                "heads\": 0",
                CONFIG,
                "num_attention_heads is out",
            ),
            (
                CONFIG,
                "b_size\": 9",
                "b_size\": 4",
                TOKENIZER,
                "has 9 tokens, expected 4",
            ),
            (
                TOKENIZER,
                "WordPiece",
                "Pieces",
                TOKENIZER,
                "is no tokenizer",
            ),
            (
                CONFIG,
                "layers\": 2",
                "layers\": 3",
                WEIGHTS,
                "does not fit config.json",
            ),
        ] {
            small_bert(folder.path());
            let path = folder.path().join(file);
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(from));
            std::fs::write(&path, text.replace(from, to)).unwrap();
            let error = refuse();
            assert!(error.contains(named) && error.contains(said), "{error}");
        }
        small_bert(folder.path());
        std::fs::write(folder.path().join(WEIGHTS), b"PK").unwrap();
        let error = refuse();
        assert!(error.contains("model.safetensors"), "{error}");
    }
}

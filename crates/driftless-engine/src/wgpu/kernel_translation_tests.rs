//! Every shader in every variant, translated to what the drivers of each platform read: SPIR-V (Vulkan),
//! MSL (Metal), HLSL (DirectX 12) and GLSL. SPIR-V goes through `spirv-val` and GLSL through
//! `glslangValidator` where they are installed, which CI requires.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use naga::back::{glsl, hlsl, msl, pipeline_constants, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage};

use super::*;

/// A shader's text with the constants of one pipeline.
struct Variant {
    name: String,
    wgsl: String,
    constants: Vec<(&'static str, f64)>,
    /// Whether it uses 16-bit floats, which naga's GLSL lacks.
    beyond_glsl: bool,
}

/// All variants of the engine's kernels, each once.
fn kernel_variants() -> Vec<Variant> {
    let mut variants: Vec<Variant> = Vec::new();
    for kernel in Kernel::all() {
        for head_size in [4, 8, 32, 64] {
            for (half, subgroups) in [(false, false), (true, false), (false, true)] {
                let options = SourceOptions {
                    head_size,
                    half,
                    subgroups,
                };
                let wgsl = source(kernel, options).unwrap();
                if !variants.iter().any(|known| known.wgsl == wgsl) {
                    variants.push(Variant {
                        name: format!("{kernel:?}, {options:?}"),
                        beyond_glsl: wgsl.contains("f16"),
                        wgsl,
                        constants: kernel.constants(),
                    });
                }
            }
        }
    }
    variants
}

/// The shaders that are not kernels.
fn other_variants() -> [Variant; 2] {
    let variant = |name: &str, wgsl: &str, constants| Variant {
        name: name.to_owned(),
        wgsl: wgsl.to_owned(),
        constants,
        beyond_glsl: false,
    };
    [
        variant(
            "frame_texture.wgsl",
            include_str!("../../../../shaders/frame_texture.wgsl"),
            vec![("IMAGE", 64.0), ("WIDTH", 60.0), ("HEIGHT", 80.0)],
        ),
        variant(
            "present.wgsl",
            include_str!("../../../../shaders/present.wgsl"),
            Vec::new(),
        ),
    ]
}

/// A variant as wgpu translates it: parsed, validated, with its constants put in.
struct Translation {
    name: String,
    module: Module,
    info: ModuleInfo,
    entry_points: Vec<(ShaderStage, String)>,
}

fn validate(module: &Module) -> ModuleInfo {
    let capabilities = Capabilities::SHADER_FLOAT16 | Capabilities::SUBGROUP;
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    validator.subgroup_stages(naga::valid::ShaderStages::all());
    validator.subgroup_operations(naga::valid::SubgroupOperationSet::all());
    let validated = validator.validate(module);
    validated.unwrap_or_else(|e| panic!("{}", e.into_inner()))
}

fn translation(variant: &Variant) -> Translation {
    let text = &variant.wgsl;
    let parsed = naga::front::wgsl::parse_str(text);
    let parsed = parsed.unwrap_or_else(|e| panic!("{}: {}", variant.name, e.emit_to_string(text)));
    let info = validate(&parsed);
    let constants = variant.constants.iter();
    let constants = constants.map(|(name, value)| ((*name).to_owned(), *value));
    let constants = constants.collect();
    let (module, info) =
        pipeline_constants::process_overrides(&parsed, &info, None, &constants).unwrap();
    let (module, info) = (module.into_owned(), info.into_owned());
    let entry_points = module.entry_points.iter();
    Translation {
        name: variant.name.clone(),
        entry_points: entry_points.map(|p| (p.stage, p.name.clone())).collect(),
        module,
        info,
    }
}

fn all() -> Vec<Translation> {
    let variants = kernel_variants().into_iter().chain(other_variants());
    variants.map(|variant| translation(&variant)).collect()
}

/// Runs a validator on `input`, as a file where it reads no standard input; panics if it finds fault.
/// Returns false if it is not installed.
fn accepts(program: &str, arguments: &[&str], input: &[u8], what: &str) -> bool {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        let ci = std::env::var("CI").as_deref() == Ok("true");
        assert!(!ci, "{program} is not installed");
        eprintln!("skipped: {program} is not installed");
        return false;
    };
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success(), "{program}, {what}: {text}");
    true
}

#[test]
fn every_shader_file_is_translated() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shaders");
    let variants: Vec<Variant> = kernel_variants()
        .into_iter()
        .chain(other_variants())
        .collect();
    let mut files = 0;
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            // Its first line, a comment, tells which variants contain it.
            let text = std::fs::read_to_string(&path).unwrap();
            let line = text.lines().next().unwrap();
            assert!(
                variants.iter().any(|variant| variant.wgsl.contains(line)),
                "{}",
                path.display()
            );
            files += 1;
        }
    }
    assert_eq!(files, 16);
}

#[test]
fn spirv_is_valid() {
    for shader in all() {
        // As wgpu's Vulkan backend sets them, without and with the driver's own bounds checks.
        for (checks, version, environment) in [
            (BoundsCheckPolicy::Restrict, (1, 3), "vulkan1.1"),
            (BoundsCheckPolicy::Unchecked, (1, 5), "vulkan1.2"),
        ] {
            let options = spv::Options {
                lang_version: version,
                flags: spv::WriterFlags::LABEL_VARYINGS | spv::WriterFlags::FORCE_POINT_SIZE,
                fake_missing_bindings: true,
                bounds_check_policies: BoundsCheckPolicies {
                    index: BoundsCheckPolicy::Restrict,
                    buffer: checks,
                    image_load: checks,
                    binding_array: BoundsCheckPolicy::Unchecked,
                },
                zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
                ..Default::default()
            };
            let words = spv::write_vec(&shader.module, &shader.info, &options, None);
            let words = words.unwrap_or_else(|e| panic!("{}: {e}", shader.name));
            let arguments = ["--target-env", environment, "-"];
            let bytes: &[u8] = bytemuck::cast_slice(&words);
            if !accepts("spirv-val", &arguments, bytes, &shader.name) {
                return;
            }
        }
    }
}

#[test]
fn metal_gets_its_language() {
    for shader in all() {
        let bindings = shader.module.global_variables.iter();
        let slots = bindings.filter_map(|(_, variable)| {
            let binding = variable.binding?;
            let slot = binding.binding as u8;
            let target = match variable.space {
                AddressSpace::Handle if binding.binding == 2 => msl::BindTarget {
                    sampler: Some(msl::BindSamplerTarget::Resource(slot)),
                    ..Default::default()
                },
                AddressSpace::Handle => msl::BindTarget {
                    texture: Some(slot),
                    mutable: true,
                    ..Default::default()
                },
                _ => msl::BindTarget {
                    buffer: Some(slot),
                    mutable: true,
                    ..Default::default()
                },
            };
            Some((binding, target))
        });
        let resources = msl::EntryPointResources {
            resources: slots.collect(),
            immediates_buffer: None,
            sizes_buffer: Some(16),
        };
        let entries = shader.entry_points.iter();
        let options = msl::Options {
            // The oldest with 16-bit floats in buffers and subgroups that wgpu asks for.
            lang_version: (2, 1),
            per_entry_point_map: entries
                .map(|(_, name)| (name.clone(), resources.clone()))
                .collect(),
            fake_missing_bindings: false,
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        };
        let pipeline = msl::PipelineOptions::default();
        let written = msl::write_string(&shader.module, &shader.info, &options, &pipeline);
        let (text, names) = written.unwrap_or_else(|e| panic!("{}: {e}", shader.name));
        for name in &names.entry_point_names {
            let name = name
                .as_ref()
                .unwrap_or_else(|e| panic!("{}: {e}", shader.name));
            assert!(text.contains(&format!(" {name}(")), "{}", shader.name);
        }
    }
}

#[test]
fn directx_gets_its_language() {
    for shader in all() {
        let (mut binding_map, mut offsets) = (hlsl::BindingMap::new(), Vec::new());
        for (_, variable) in shader.module.global_variables.iter() {
            let Some(binding) = variable.binding else {
                continue;
            };
            // The kernels' arguments lie at a dynamic offset.
            let dynamic = variable.name.as_deref() == Some("args");
            if dynamic {
                offsets.push(binding.group);
            }
            let target = hlsl::BindTarget {
                space: binding.group as u8,
                register: binding.binding,
                binding_array_size: None,
                dynamic_storage_buffer_offsets_index: dynamic.then_some(0),
                restrict_indexing: true,
            };
            binding_map.insert(binding, target);
        }
        let offsets = offsets.into_iter().map(|group| {
            let target = hlsl::OffsetsBindTarget {
                space: 1,
                register: 0,
                size: 1,
            };
            (group, target)
        });
        let options = hlsl::Options {
            shader_model: hlsl::ShaderModel::V6_2,
            binding_map,
            fake_missing_bindings: false,
            dynamic_storage_buffer_offsets_targets: offsets.collect(),
            zero_initialize_workgroup_memory: false,
            sampler_buffer_binding_map: [(
                hlsl::SamplerIndexBufferKey { group: 0 },
                hlsl::BindTarget::default(),
            )]
            .into(),
            ..Default::default()
        };
        let pipeline = hlsl::PipelineOptions::default();
        let mut text = String::new();
        let mut writer = hlsl::Writer::new(&mut text, &options, &pipeline);
        let written = writer.write(&shader.module, &shader.info, None);
        let names = written.unwrap_or_else(|e| panic!("{}: {e}", shader.name));
        for name in names.entry_point_names {
            let name = name.unwrap_or_else(|e| panic!("{}: {e}", shader.name));
            assert!(text.contains(&format!(" {name}(")), "{}", shader.name);
        }
    }
}

/// The window draws through OpenGL where there is no Vulkan, and OpenGL may come to compute one day. naga
/// writes no 16-bit floats into GLSL ES, so those variants must be refused, not wrong.
#[test]
fn glsl_is_valid() {
    let variants = kernel_variants().into_iter().chain(other_variants());
    for variant in variants {
        let shader = translation(&variant);
        for (stage, entry_point) in &shader.entry_points {
            let (options, stage_name) = (glsl::Options::default(), stage_name(*stage));
            let pipeline = glsl::PipelineOptions {
                shader_stage: *stage,
                entry_point: entry_point.clone(),
                multiview: None,
            };
            let mut text = String::new();
            let policies = BoundsCheckPolicies::default();
            let writer = glsl::Writer::new(
                &mut text,
                &shader.module,
                &shader.info,
                &options,
                &pipeline,
                policies,
            );
            let written = writer.and_then(|mut writer| writer.write().map(|_| ()));
            if variant.beyond_glsl {
                assert!(written.is_err(), "{}: GLSL ES has it now?", shader.name);
                continue;
            }
            written.unwrap_or_else(|e| panic!("{}: {e}", shader.name));
            let arguments = ["--stdin", "-S", stage_name];
            if !accepts(
                "glslangValidator",
                &arguments,
                text.as_bytes(),
                &shader.name,
            ) {
                return;
            }
        }
    }
}

fn stage_name(stage: ShaderStage) -> &'static str {
    match stage {
        ShaderStage::Vertex => "vert",
        ShaderStage::Fragment => "frag",
        ShaderStage::Compute => "comp",
        other => panic!("{other:?}"),
    }
}

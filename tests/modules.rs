//! No circles between the modules of a crate. Cargo checks that between crates; here the `use` lines
//! are read.
//!
//! Counted is a `use` of a name that a module defines itself. One that the module only passes on by
//! `pub use` counts as a use of the module that it comes from, so that a facade may list its children.
//! Code under `#[cfg(test)]` is not read.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure fails the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The names of modules, from the crate's root on; empty for the root.
type ModulePath = Vec<String>;

/// The `use` lines of one module.
#[derive(Debug, Default)]
struct Module {
    /// Full paths, from the crate's root on.
    uses: Vec<ModulePath>,
    /// The same of `pub use`, by the name that is passed on.
    passed_on: BTreeMap<String, ModulePath>,
}

type Modules = BTreeMap<ModulePath, Module>;

/// Reads a module from its text, and those that it declares from their files.
struct Reader {
    modules: Modules,
}

impl Reader {
    fn read_file(&mut self, at: &ModulePath, file: &Path, folder: &Path) {
        let text = std::fs::read_to_string(file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        self.read(at, &without_tests(&lines), file, folder);
    }

    fn read(&mut self, at: &ModulePath, lines: &[&str], file: &Path, folder: &Path) {
        self.modules.entry(at.clone()).or_default();
        let (mut declared, mut i) = (Vec::new(), 0);
        let mut uses = Vec::new();
        while i < lines.len() {
            let line = without_visibility(lines[i].trim());
            if let Some(name) = line.strip_prefix("mod ") {
                let name = name.trim_end_matches([';', '{', ' ']).to_owned();
                let path = [at.as_slice(), std::slice::from_ref(&name)].concat();
                if line.ends_with('{') {
                    let end = end_of_item(lines, i);
                    self.read(&path, &lines[i + 1..end], file, folder);
                    i = end;
                } else {
                    let before = i.checked_sub(1).map_or("", |before| lines[before].trim());
                    let named = before.strip_prefix("#[path = \"");
                    let named = named.map(|rest| rest.trim_end_matches("\"]"));
                    self.read_child(&path, file, folder, named);
                }
                declared.push(name);
            } else if line.starts_with("use ") {
                let end = (i..lines.len()).find(|&end| lines[end].trim_end().ends_with(';'));
                let end = end.unwrap();
                let text = without_visibility(&lines[i..=end].concat()).to_owned();
                let passes_on = lines[i].trim().starts_with("pub");
                let tree = text.trim_start_matches("use ").trim_end_matches(';');
                uses.extend(paths(tree).into_iter().map(|path| (path, passes_on)));
                i = end;
            }
            i += 1;
        }
        for (path, passes_on) in uses {
            if let Some(path) = full(at, &path, &declared) {
                self.add(at, path, passes_on);
            }
        }
    }

    fn read_child(&mut self, at: &ModulePath, file: &Path, folder: &Path, named: Option<&str>) {
        let name = at.last().unwrap();
        let candidates: Vec<PathBuf> = match named {
            Some(named) => vec![file.parent().unwrap().join(named)],
            None => vec![
                folder.join(format!("{name}.rs")),
                folder.join(name).join("mod.rs"),
            ],
        };
        let found = candidates.into_iter().find(|file| file.exists());
        let file = found.unwrap_or_else(|| panic!("{}: no file", at.join("::")));
        let own = if file.ends_with("mod.rs") {
            file.parent().unwrap().to_path_buf()
        } else {
            file.with_extension("")
        };
        self.read_file(at, &file, &own);
    }

    fn add(&mut self, at: &ModulePath, path: ModulePath, passes_on: bool) {
        let module = self.modules.get_mut(at).unwrap();
        if passes_on {
            let name = path.last().unwrap().clone();
            module.passed_on.insert(name, path);
        } else {
            module.uses.push(path);
        }
    }
}

/// The index of the last line of the item that starts in line `from`.
fn end_of_item(lines: &[&str], from: usize) -> usize {
    let indent = lines[from].len() - lines[from].trim_start().len();
    let ends = |line: &str| {
        let inside = line.len() - line.trim_start().len() > indent;
        !inside && (line.trim_end().ends_with('}') || line.trim_end().ends_with(';'))
    };
    let end = (from..lines.len()).find(|&end| ends(lines[end]));
    end.unwrap_or(lines.len() - 1)
}

/// Leaves out comments, and items under `#[cfg(test)]`.
fn without_tests<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let (mut kept, mut i) = (Vec::new(), 0);
    while i < lines.len() {
        let line = lines[i].trim();
        if line == "#[cfg(test)]" {
            i += 1;
            while lines[i].trim().starts_with("#[") {
                i += 1;
            }
            i = end_of_item(lines, i);
        } else if !line.starts_with("//") {
            kept.push(lines[i]);
        }
        i += 1;
    }
    kept
}

fn without_visibility(line: &str) -> &str {
    let line = line.trim_start();
    let Some(rest) = line.strip_prefix("pub") else {
        return line;
    };
    let rest = match rest.strip_prefix('(') {
        Some(rest) => rest.split_once(')').map_or("", |(_, rest)| rest),
        None => rest,
    };
    rest.trim_start()
}

/// The paths of a `use` tree: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim();
    let Some((head, inner)) = tree.split_once('{') else {
        let name = tree.split_once(" as ").map_or(tree, |(name, _)| name);
        return vec![
            name.split("::")
                .map(|part| part.trim().to_owned())
                .collect(),
        ];
    };
    let head: Vec<String> = head
        .split("::")
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect();
    let inner = inner.rsplit_once('}').map_or(inner, |(inner, _)| inner);
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for letter in inner.chars() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if letter == ',' && depth == 0 {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts
        .flat_map(|part| paths(part))
        .map(|path| [head.as_slice(), &path].concat())
        .collect()
}

/// The full path of a `use` in module `at`; `None` if it leads out of the crate.
fn full(at: &ModulePath, path: &[String], declared: &[String]) -> Option<ModulePath> {
    let supers = path.iter().take_while(|part| *part == "super").count();
    match path.first().map(String::as_str)? {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some([at, &path[1..]].concat()),
        "super" => Some([&at[..at.len() - supers], &path[supers..]].concat()),
        first if declared.iter().any(|name| name == first) => Some([at, path].concat()),
        _ => None,
    }
}

/// The module that defines what `path` names.
fn definer(modules: &Modules, path: &[String], passes: usize) -> ModulePath {
    let len = (0..=path.len())
        .rev()
        .find(|&len| modules.contains_key(&path[..len]))
        .unwrap();
    let (module, rest) = path.split_at(len);
    let passed_on = rest
        .first()
        .and_then(|name| modules[module].passed_on.get(name));
    match passed_on {
        Some(from) if passes > 0 => {
            definer(modules, &[from.as_slice(), &rest[1..]].concat(), passes - 1)
        }
        _ => module.to_vec(),
    }
}

/// Which modules each module uses.
fn uses(modules: &Modules) -> BTreeMap<&ModulePath, BTreeSet<ModulePath>> {
    let used = modules.iter().map(|(at, module)| {
        let definers = module.uses.iter().map(|path| definer(modules, path, 8));
        (at, definers.filter(|other| other != at).collect())
    });
    used.collect()
}

/// A circle of modules, each of which uses the next, if there is one.
fn circle(modules: &Modules) -> Option<Vec<ModulePath>> {
    let uses = uses(modules);
    let mut done = BTreeSet::new();
    for start in uses.keys() {
        let mut trail: Vec<(&ModulePath, Vec<&ModulePath>)> = Vec::new();
        let next = |module: &&ModulePath| uses[*module].iter().collect::<Vec<_>>();
        if !done.contains(*start) {
            trail.push((start, next(start)));
        }
        while let Some((_, open)) = trail.last_mut() {
            let Some(module) = open.pop() else {
                done.insert(trail.pop()?.0.clone());
                continue;
            };
            if let Some(from) = trail.iter().position(|(other, _)| *other == module) {
                return Some(
                    trail[from..]
                        .iter()
                        .map(|(name, _)| (*name).clone())
                        .collect(),
                );
            }
            if !done.contains(module) {
                let (module, _) = uses.get_key_value(module)?;
                trail.push((module, next(module)));
            }
        }
    }
    None
}

fn modules(root: &Path) -> Modules {
    let mut reader = Reader {
        modules: Modules::new(),
    };
    reader.read_file(&Vec::new(), root, root.parent().unwrap());
    reader.modules
}

/// The circle in words.
fn in_words(circle: &[ModulePath]) -> String {
    let names: Vec<String> = circle.iter().map(|path| path.join("::")).collect();
    names.join(" → ")
}

#[test]
fn modules_use_each_other_in_one_direction() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crates = std::fs::read_dir(workspace.join("crates")).unwrap();
    let mut folders: Vec<PathBuf> = crates.map(|entry| entry.unwrap().path()).collect();
    folders.push(workspace.to_path_buf());
    let mut read = 0;
    for folder in folders {
        let modules = modules(&folder.join("src/lib.rs"));
        read += modules.len();
        let circle = circle(&modules).map(|circle| in_words(&circle));
        assert_eq!(circle, None, "{}: a circle of modules", folder.display());
    }
    assert!(read > 200, "only {read} modules were found");
}

#[test]
fn a_circle_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "lib.rs",
        "mod a;\npub mod b;\npub use a::One;\n\npub struct Root;\n",
    );
    write(
        "a.rs",
        "use std::fmt;\nuse super::{\n    b::{Two, Three as Four},\n    Root,\n};\n",
    );
    let tests = "#[cfg(test)]\nmod tests {\n    use crate::a::One;\n}\n";
    write("b.rs", tests);
    let found = || circle(&modules(&folder.path().join("lib.rs")));
    assert_eq!(found(), None);
    // `One` comes from `a`, although the root passes it on.
    write("b.rs", &format!("use crate::One;\n{tests}"));
    let found = found().unwrap();
    assert_eq!(in_words(&found), "a → b");
}

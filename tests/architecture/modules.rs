//! Modules: those of one folder must not import each other in a circle.
//!
//! An import is resolved to the module that defines the item, through re-exports. Between a module and
//! the modules inside it both directions are allowed: they are one thing, cut into files. So are they
//! for `error`, whose variants name what went wrong. Test modules may import what they like.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use syn::{Attribute, Item, ItemUse, UseTree, visit::Visit};

use super::workspace;

/// A module's path from the crate's root: `["camera", "source"]`.
type ModulePath = Vec<String>;

/// What a module defines and imports.
#[derive(Default)]
struct Module {
    items: BTreeSet<String>,
    /// Names that `use` brings in, and the paths that they stand for.
    names: BTreeMap<String, Vec<String>>,
    /// The paths of `use …::*`.
    globs: Vec<Vec<String>>,
    /// Every path that begins with `crate`, `super` or `self`.
    paths: BTreeSet<Vec<String>>,
}

/// The modules of one crate.
#[derive(Default)]
struct Crate {
    modules: BTreeMap<ModulePath, Module>,
}

impl Crate {
    fn read(root: &Path) -> Self {
        let mut read = Self::default();
        read.read_file(root, root.parent().unwrap(), Vec::new());
        read
    }

    /// Reads a module's file, whose modules have their files in `folder`.
    fn read_file(&mut self, file: &Path, folder: &Path, path: ModulePath) {
        let parsed = syn::parse_file(&std::fs::read_to_string(file).unwrap())
            .unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        self.read_items(parsed.items, folder, path);
    }

    fn read_items(&mut self, items: Vec<Item>, folder: &Path, path: ModulePath) {
        let mut module = Module::default();
        for item in items {
            match item {
                Item::Mod(inner) if is_test(&inner.attrs) => {}
                Item::Mod(inner) => {
                    let name = inner.ident.to_string();
                    let (inside, mut child) = (folder.join(&name), path.clone());
                    child.push(name.clone());
                    match inner.content {
                        Some((_, items)) => self.read_items(items, &inside, child),
                        None => self.read_file(&file_of(folder, &name), &inside, child),
                    }
                }
                Item::Use(import) if !is_test(&import.attrs) => module.import(&import),
                item => module.define(&item),
            }
        }
        self.modules.insert(path, module);
    }

    /// The module that defines what `path`, written in `from`, stands for; nothing for another crate's.
    fn resolve(&self, from: &[String], path: &[String], depth: usize) -> Option<ModulePath> {
        let (first, mut rest) = path.split_first()?;
        let mut at: ModulePath = match first.as_str() {
            "crate" => Vec::new(),
            "self" => from.to_vec(),
            "super" => from.split_last()?.1.to_vec(),
            name => {
                let mut child = from.to_vec();
                child.push(name.to_owned());
                if !self.modules.contains_key(&child) {
                    return None;
                }
                child
            }
        };
        while let Some((name, after)) = rest.split_first() {
            let mut child = at.clone();
            child.push(name.clone());
            if name == "super" {
                at.pop();
            } else if self.modules.contains_key(&child) {
                at = child;
            } else {
                return if depth == 0 { Some(at) } else { self.definer(&at, name, depth - 1) };
            }
            rest = after;
        }
        Some(at)
    }

    /// The module that defines the item which is called `name` in the module `at`.
    fn definer(&self, at: &[String], name: &str, depth: usize) -> Option<ModulePath> {
        let module = self.modules.get(at)?;
        if module.items.contains(name) {
            return Some(at.to_vec());
        }
        if let Some(path) = module.names.get(name) {
            return self.resolve(at, path, depth);
        }
        let globs = module.globs.iter().filter_map(|path| self.resolve(at, path, depth));
        globs
            .filter(|glob| glob.as_slice() != at)
            .find(|glob| self.modules[glob].items.contains(name))
            .or_else(|| Some(at.to_vec()))
    }

    /// For each folder: which of its modules imports which.
    fn imports(&self) -> BTreeMap<ModulePath, BTreeMap<&str, BTreeSet<String>>> {
        let mut imports: BTreeMap<ModulePath, BTreeMap<&str, BTreeSet<String>>> = BTreeMap::new();
        for (from, module) in &self.modules {
            for target in module.paths.iter().filter_map(|path| self.resolve(from, path, 9)) {
                let shared = from.iter().zip(&target).take_while(|(a, b)| a == b).count();
                if let (Some(importer), Some(imported)) = (from.get(shared), target.get(shared))
                    && imported != "error"
                {
                    let folder = imports.entry(from[..shared].to_vec()).or_default();
                    folder.entry(importer).or_default().insert(imported.clone());
                }
            }
        }
        imports
    }
}

impl Module {
    fn import(&mut self, import: &ItemUse) {
        for (path, name) in leaves(&import.tree) {
            match name {
                Some(name) => drop(self.names.insert(name, path.clone())),
                None => self.globs.push(path.clone()),
            }
            self.paths.insert(path);
        }
    }

    fn define(&mut self, item: &Item) {
        let name = match item {
            Item::Const(item) => Some(&item.ident),
            Item::Enum(item) => Some(&item.ident),
            Item::Fn(item) => Some(&item.sig.ident),
            Item::Macro(item) => item.ident.as_ref(),
            Item::Static(item) => Some(&item.ident),
            Item::Struct(item) => Some(&item.ident),
            Item::Trait(item) => Some(&item.ident),
            Item::Type(item) => Some(&item.ident),
            _ => None,
        };
        self.items.extend(name.map(ToString::to_string));
        self.visit_item(item);
    }
}

impl<'a> Visit<'a> for Module {
    fn visit_item_use(&mut self, import: &'a ItemUse) {
        self.paths.extend(leaves(&import.tree).into_iter().map(|(path, _)| path));
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        if matches!(segments[0].as_str(), "crate" | "super" | "self") && segments.len() > 1 {
            self.paths.insert(segments);
        }
        syn::visit::visit_path(self, path);
    }
}

/// Every path of a `use` and the name that it gets here; none for `*`.
fn leaves(tree: &UseTree) -> Vec<(Vec<String>, Option<String>)> {
    match tree {
        UseTree::Path(path) => {
            let below = |(mut rest, name): (Vec<String>, _)| {
                rest.insert(0, path.ident.to_string());
                (rest, name)
            };
            leaves(&path.tree).into_iter().map(below).collect()
        }
        UseTree::Name(name) if name.ident == "self" => vec![(Vec::new(), None)],
        UseTree::Name(name) => vec![(vec![name.ident.to_string()], Some(name.ident.to_string()))],
        UseTree::Rename(name) if name.ident == "self" => {
            vec![(Vec::new(), Some(name.rename.to_string()))]
        }
        UseTree::Rename(name) => {
            vec![(vec![name.ident.to_string()], Some(name.rename.to_string()))]
        }
        UseTree::Glob(_) => vec![(Vec::new(), None)],
        UseTree::Group(group) => group.items.iter().flat_map(leaves).collect(),
    }
}

/// `name.rs` or `name/mod.rs`.
fn file_of(folder: &Path, name: &str) -> PathBuf {
    let flat = folder.join(format!("{name}.rs"));
    if flat.exists() { flat } else { folder.join(name).join("mod.rs") }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
    })
}

/// The imports that go round in a circle: both ends can reach each other.
fn circular(imports: &BTreeMap<&str, BTreeSet<String>>) -> Vec<(String, String)> {
    let reachable = |start: &str| {
        let (mut found, mut next) = (BTreeSet::new(), vec![start]);
        while let Some(at) = next.pop() {
            for imported in imports.get(at).into_iter().flatten() {
                if found.insert(imported.as_str()) {
                    next.push(imported);
                }
            }
        }
        found
    };
    let mut circular = Vec::new();
    for (&importer, imported) in imports {
        for imported in imported.iter().filter(|imported| reachable(imported).contains(importer)) {
            circular.push((importer.to_owned(), imported.clone()));
        }
    }
    circular
}

#[test]
fn modules_of_a_folder_do_not_import_each_other_in_a_circle() {
    let mut found = Vec::new();
    for package in workspace().values() {
        for root in package.roots() {
            for (folder, imports) in Crate::read(root).imports() {
                let folder = folder.iter().fold(package.name.clone(), |at, name| at + "::" + name);
                for (importer, imported) in circular(&imports) {
                    found.push(format!("{folder}: {importer} imports {imported}"));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_circle_is_found_through_re_exports() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("lib.rs");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let found = || circular(&Crate::read(&root).imports()[&Vec::new()]);
    write("lib.rs", "mod high; mod low; pub use high::High;");
    write("high.rs", "use crate::low::Low; pub struct High(Low);");
    write("low.rs", "pub struct Low; #[cfg(test)] mod tests { use crate::High; }");
    assert_eq!(found(), []);
    write("low.rs", "pub struct Low; fn raise() -> crate::High { todo!() }");
    assert_eq!(found(), [("high".into(), "low".into()), ("low".into(), "high".into())]);
}

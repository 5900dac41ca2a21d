//! Crates: which may depend on which, and what each has to say of itself.

use std::collections::BTreeSet;

use super::workspace;

/// Each crate and the crates of this workspace that it may depend on, lowest first. A crate that is not
/// in here, or a dependency that is not, is a decision about the architecture: say why in ARCHITECTURE.md.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("coca-host", &[]),
    ("coca-kernels", &[]),
    ("coca-onnx", &[]),
    ("coca-engine", &["coca-host", "coca-kernels", "coca-onnx"]),
    ("coca-vision", &["coca-host", "coca-kernels"]),
    ("coca-text", &[]),
    ("coca-pocket-vision", &[]),
    ("coca-pocket", &["coca-pocket-vision"]),
    (
        "coca-model",
        &[
            "coca-engine",
            "coca-host",
            "coca-kernels",
            "coca-onnx",
            "coca-pocket",
            "coca-text",
            "coca-vision",
        ],
    ),
    ("coca-index", &["coca-engine", "coca-host", "coca-kernels", "coca-model", "coca-vision"]),
    ("coca-watch", &["coca-engine", "coca-host", "coca-model", "coca-text", "coca-vision"]),
    (
        "coca-edge",
        &[
            "coca-engine",
            "coca-host",
            "coca-index",
            "coca-kernels",
            "coca-model",
            "coca-text",
            "coca-vision",
            "coca-watch",
        ],
    ),
    (
        "coca-quantize",
        &[
            "coca-engine",
            "coca-host",
            "coca-kernels",
            "coca-model",
            "coca-onnx",
            "coca-text",
            "coca-vision",
        ],
    ),
];

/// Only for tests: coca-edge's run models that coca-quantize made.
const TESTS_MAY_DEPEND_ON: &[(&str, &str)] = &[("coca-edge", "coca-quantize")];

#[test]
fn every_crate_depends_only_on_crates_below_it() {
    for package in workspace().values() {
        let (_, allowed) = MAY_DEPEND_ON
            .iter()
            .find(|(name, _)| *name == package.name)
            .unwrap_or_else(|| panic!("{} has no place in the table of crates", package.name));
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some())
        {
            let of_tests = dependency.kind.as_deref() == Some("dev")
                && TESTS_MAY_DEPEND_ON.contains(&(&package.name, &dependency.name));
            assert!(
                of_tests || allowed.contains(&dependency.name.as_str()),
                "{} must not depend on {}",
                package.name,
                dependency.name
            );
        }
    }
}

#[test]
fn the_table_of_crates_has_no_circle() {
    let mut below = BTreeSet::new();
    for (name, allowed) in MAY_DEPEND_ON {
        for dependency in *allowed {
            assert!(below.contains(dependency), "{name} stands above {dependency}");
        }
        below.insert(name);
    }
}

#[test]
fn only_coca_kernels_may_contain_unsafe_code() {
    for package in workspace().values().filter(|package| package.name != "coca-kernels") {
        for root in package.roots() {
            let file = syn::parse_file(&std::fs::read_to_string(root).unwrap()).unwrap();
            let forbids = file.attrs.iter().any(|attribute| {
                attribute.path().is_ident("forbid")
                    && attribute.parse_args::<syn::Ident>().is_ok_and(|lint| lint == "unsafe_code")
            });
            assert!(forbids, "{} lacks #![forbid(unsafe_code)]", root.display());
        }
    }
}

#[test]
fn every_crate_can_be_published() {
    for package in workspace().values() {
        let name = &package.name;
        let said = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
        assert!(said(&package.description), "{name} has no description");
        assert!(said(&package.readme), "{name} has no readme");
        assert_eq!(package.rust_version.as_deref(), Some("1.91"), "{name}");
        assert!((1..=5).contains(&package.keywords.len()), "{name}: {:?}", package.keywords);
        assert!(
            package.keywords.iter().all(|word| word.len() <= 20),
            "{name}: {:?}",
            package.keywords
        );
        assert!(!package.categories.is_empty(), "{name} has no categories");
    }
}

#[test]
fn weights_have_a_licence_of_their_own() {
    for package in workspace().values() {
        let (name, folder) = (&package.name, package.folder());
        if name.starts_with("coca-pocket") {
            assert_eq!(package.license, None, "{name}");
            assert!(package.license_file.is_some(), "{name}");
            let terms = std::fs::read_to_string(folder.join("LICENSE")).unwrap();
            assert!(terms.contains("non-commercial"), "{name}");
        } else {
            assert_eq!(package.license.as_deref(), Some("MIT OR Apache-2.0"), "{name}");
            assert!(folder.join("LICENSE-MIT").exists(), "{name} lacks LICENSE-MIT");
            assert!(folder.join("LICENSE-APACHE").exists(), "{name} lacks LICENSE-APACHE");
        }
    }
}

//! The tests that SECURITY.md names are there.

use std::{fs, path::Path};

#[test]
fn every_test_that_security_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let section = page.split("### Tests that hold it").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let items = section.split("\n- **").skip(1);
    let (mut named, mut missing) = (0, Vec::new());
    for item in items {
        let mut file = String::new();
        // A path, and then the names of tests in that file.
        for quoted in item.split('`').skip(1).step_by(2) {
            if quoted.ends_with(".rs") {
                file = fs::read_to_string(root.join(quoted)).unwrap_or_default();
            } else if file.contains(&format!("fn {quoted}(")) {
                named += 1;
            } else {
                missing.push(quoted);
            }
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
    assert!(named > 30, "{named}");
}

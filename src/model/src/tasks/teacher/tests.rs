//! Teaching with made-up embeddings.

use std::{cell::Cell, sync::LazyLock};

use coca_engine::Engine;

use super::*;
use crate::tasks::table_tests::saved_and_loaded;

static POCKET: LazyLock<Coca> =
    LazyLock::new(|| Coca::pocket_with(&Engine::builder().threads(1).build().unwrap()).unwrap());

/// The embedding of direction `direction`, and a little of `noise`.
fn image(direction: usize, noise: usize) -> Embedding {
    let mut elements = vec![0.0_f32; POCKET.bundle().config().dimensions.embedding];
    elements[direction] += 0.9;
    elements[100 + noise % 100] += 0.4;
    elements[50 + noise % 7] += 0.2;
    let length = elements.iter().map(|x| x * x).sum::<f32>().sqrt();
    elements.iter_mut().for_each(|x| *x /= length);
    Embedding::new(elements, POCKET.bundle().fingerprint())
}

/// Three labels whose names say nothing of where their pictures lie.
fn teacher(pictures: usize) -> Teacher {
    let mut teacher = Teacher::empty(&POCKET);
    for (direction, label) in ["zub", "vok", "mip"].into_iter().enumerate() {
        for number in 0..pictures {
            let source = format!("{label}/{number}.jpg");
            teacher.add(label, source, image(direction, 11 * direction + number)).unwrap();
        }
    }
    teacher
}

#[test]
fn pictures_teach_what_names_do_not_say() {
    for method in [Method::Auto, Method::Gda, Method::Tip, Method::Prototype] {
        let (labels, report) = teacher(4).fit(method).unwrap();
        assert_eq!(labels.names(), ["zub", "vok", "mip"]);
        assert_eq!(report.accuracy, 1.0, "{method:?} {report:?}");
        assert!(report.uses_pictures);
        for (direction, name) in ["zub", "vok", "mip"].into_iter().enumerate() {
            let best = labels.classify(image(direction, 77), 1).unwrap().remove(0);
            assert_eq!(best.label, name, "{method:?}");
        }
    }
}

#[test]
fn a_name_that_the_model_cannot_tell_from_a_label_is_refused() {
    let mut teacher = teacher(2);
    for name in ["Zub", "ZUB"] {
        let error = teacher.add(name, "a.jpg", image(0, 1)).unwrap_err();
        assert!(matches!(error, Error::SameLabel { label, .. } if label == "zub"), "{name}");
    }
    let error = teacher.check_names(["vok", "cat", "Cat"]).unwrap_err();
    assert!(matches!(error, Error::SameLabel { name, label } if name == "Cat" && label == "cat"));
    assert_eq!(teacher.check_names(["cat", "mip"]).unwrap(), [""; 0]);
    let long = "very ".repeat(100);
    assert_eq!(teacher.check_names([long.as_str()]).unwrap(), [long]);
    assert_eq!(teacher.names(), ["zub", "vok", "mip"]);
}

#[test]
fn a_further_name_is_tokenized_once_however_many_labels_there_are() {
    let tokenized = Cell::new(0);
    let tokenize = |name: &str| {
        tokenized.set(tokenized.get() + 1);
        POCKET.text_tokens(name)
    };
    let mut names: Vec<String> = (0..40).map(|number| format!("label {number}")).collect();
    let mut distinct = DistinctNames::default();
    for number in 40..240 {
        let name = format!("label {number}");
        distinct.add(&name, &names, tokenize).unwrap();
        names.push(name);
    }
    assert_eq!(tokenized.get(), 240);
    let error = distinct.add("Label 7", &names, tokenize).unwrap_err();
    assert!(matches!(error, Error::SameLabel { label, .. } if label == "label 7"));
}

#[test]
fn a_name_that_was_removed_can_be_taught_in_other_letters() {
    let mut teacher = teacher(1);
    teacher.add_label("cat").unwrap();
    teacher.remove("cat").unwrap();
    assert_eq!(teacher.add_label("Cat").unwrap(), 3);
    assert_eq!(teacher.names_alone().embeddings().nrows(), 4);
}

#[test]
fn one_picture_of_each_label_is_enough_where_names_say_nothing() {
    let (labels, report) = teacher(1).fit(Method::Auto).unwrap();
    assert!(report.uses_pictures, "{report:?}");
    assert_eq!(labels.classify(image(1, 40), 1).unwrap()[0].label, "vok");
}

#[test]
fn pictures_of_anything_else_teach_a_label_that_wins_far_from_all_others() {
    let mut teacher = teacher(5);
    for number in 0..8 {
        teacher.add_none("none", format!("none/{number}.jpg"), image(20 + number, number)).unwrap();
    }
    let (labels, report) = teacher.fit(Method::Auto).unwrap();
    let none = report.none.unwrap();
    assert_eq!((none.recall, none.lost, none.pictures), (1.0, 0.0, 8));
    assert_eq!(labels.classify(image(40, 3), 1).unwrap()[0].label, "none");
    assert_eq!(labels.classify(image(2, 61), 1).unwrap()[0].label, "mip");
    assert_eq!(labels.pictures()["none"].len(), 8);
}

#[test]
fn a_taught_table_comes_back_with_every_bit_and_can_be_taught_further() {
    for method in [Method::Gda, Method::Tip] {
        let mut teacher = teacher(3);
        teacher.add_none("other", "x.jpg", image(30, 1)).unwrap();
        let (labels, _) = teacher.fit(method).unwrap();
        let back = saved_and_loaded(&labels);
        assert_eq!(back, labels);
        assert_eq!(back.method(), method);
        let again = Teacher::new(&POCKET, back);
        assert_eq!(again.counts(), [3, 3, 3]);
        assert_eq!(again.fit(method).unwrap().0, labels);
    }
}

#[test]
fn labels_are_added_and_removed_with_their_pictures() {
    let mut teacher = teacher(2);
    teacher.add("gop", "gop.jpg", image(9, 5)).unwrap();
    teacher.remove("zub").unwrap();
    assert_eq!(teacher.names(), ["vok", "mip", "gop"]);
    assert_eq!(teacher.counts(), [2, 2, 1]);
    let (labels, _) = teacher.fit(Method::Auto).unwrap();
    assert_eq!(labels.classify(image(1, 30), 1).unwrap()[0].label, "vok");
    assert!(matches!(teacher.remove("zub"), Err(Error::NoSuchLabel { name, .. }) if name == "zub"));
}

#[test]
fn names_that_fit_every_picture_are_kept_beside_pictures_that_mislead() {
    let coca = &*POCKET;
    let labels = coca.labels(["cat", "rocket", "mug"]).unwrap();
    let mut teacher = Teacher::new(coca, labels.clone());
    for (row, label) in labels.embeddings().rows().into_iter().zip(["cat", "rocket", "mug"]) {
        for number in 0..3 {
            let embedding = Embedding::new(row.to_vec(), coca.bundle().fingerprint());
            teacher.add(label, format!("{number}"), &embedding).unwrap();
        }
    }
    let (_, report) = teacher.fit(Method::Auto).unwrap();
    assert_eq!((report.names_alone, report.accuracy), (1.0, 1.0));
    assert!(report.uses_names);
}

#[test]
fn the_report_tells_moments_imbalance_and_confusions() {
    let mut teacher = teacher(2);
    for number in 0..6 {
        teacher.add("zub", format!("burst/{number}.jpg"), image(0, 3)).unwrap();
    }
    // Three pictures of vok that look like mip.
    for number in 0..3 {
        teacher.add("vok", format!("wrong/{number}.jpg"), image(2, 20 + number)).unwrap();
    }
    let (_, report) = teacher.fit(Method::Auto).unwrap();
    assert_eq!(report.imbalance, Some(4.0));
    let burst = report.same_moment.iter().find(|group| group.label == "zub").unwrap();
    assert!(burst.pictures.len() >= 6, "{burst:?}");
    let taken = |label: &str| report.confusions.iter().any(|c| c.label == label && c.collide);
    assert!(taken("vok") || taken("mip"), "{:?}", report.confusions);
    assert!(report.threshold.is_some());
}

#[test]
fn what_cannot_be_taught_is_refused() {
    let nothing = Teacher::empty(&POCKET).fit(Method::Auto);
    assert!(matches!(nothing, Err(Error::NoLabels)));
    let names_alone = Teacher::new(&POCKET, POCKET.labels(["cat"]).unwrap()).fit(Method::Auto);
    assert!(matches!(names_alone, Err(Error::NoPictures)));
    let mut teacher = teacher(1);
    assert!(matches!(teacher.add_none("zub", "x", image(3, 1)), Err(Error::LabelExists { .. })));
    teacher.add_none("none", "x", image(3, 1)).unwrap();
    assert!(matches!(teacher.add("none", "y", image(4, 1)), Err(Error::NoneExists { .. })));
    let foreign = Embedding::new(vec![1.0; 256], crate::bundle::Fingerprint([9; 32]));
    assert!(matches!(teacher.add("zub", "z", &foreign), Err(Error::OtherModel { .. })));
}

#[test]
fn labels_that_know_pictures_alone_get_no_none_from_names() {
    let (labels, report) = teacher(4).fit(Method::Auto).unwrap();
    assert!(!report.uses_names, "{report:?}");
    let none = labels.with_none("none", POCKET.cohort().unwrap());
    assert!(matches!(none, Err(Error::NamesUnused)));
}

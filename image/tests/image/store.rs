use bulkhead_image::{Error, ErrorKind, ImageStore, ListFilter, NewImage, Reference};
use serde_json::json;

use crate::archive::{add, add_child, config, layer};
use crate::sink::fresh;

fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

#[test]
fn an_image_is_found_by_every_name_docker_takes() {
    let (_directory, store, sink) = fresh();
    let digest = format!("busybox@sha256:{}", "ab".repeat(32));
    let id = add(&store, &sink, &["a"], json!({}), &["busybox", "quay.io/x/y:1", &digest]);
    let hex = id.hex();
    for text in [
        "busybox",
        "busybox:latest",
        "docker.io/library/busybox",
        "library/busybox:latest",
        "quay.io/x/y:1",
        &digest,
        &format!("busybox:other@sha256:{}", "ab".repeat(32)),
        &hex,
        &hex[..12],
        &hex[..1],
        &format!("sha256:{hex}"),
        &format!("sha256:{}", &hex[..7]),
    ] {
        assert_eq!(store.resolve(text).unwrap(), id, "{text}");
    }
    for (text, words) in [
        ("alpine", "No such image: alpine:latest"),
        ("quay.io/x/y", "No such image: quay.io/x/y:latest"),
        (&"0".repeat(64), &format!("No such image: sha256:{}", "0".repeat(64))),
        (
            "Busybox",
            "invalid reference format: repository name (library/Busybox) must be lowercase",
        ),
        ("a b", "invalid reference format"),
    ] {
        assert_eq!(store.resolve(text).unwrap_err().to_string(), words);
    }
}

#[test]
fn a_name_wins_over_the_beginning_of_an_id_and_two_ids_are_ambiguous() {
    let (_directory, store, sink) = fresh();
    let mut seen = std::collections::BTreeMap::new();
    let (first, second) = (0..)
        .find_map(|number| {
            let id = add(&store, &sink, &[], json!({"author": number.to_string()}), &[]);
            seen.insert(id.hex()[..1].to_owned(), id).map(|before| (before, id))
        })
        .unwrap();
    let digit = &first.hex()[..1];
    let error = store.resolve(digit).unwrap_err();
    assert!(matches!(error, Error::Ambiguous(_)), "{error}");
    // `f` alone can also be a repository.
    store.tag(&second, &name(digit)).unwrap();
    assert_eq!(store.resolve(digit).unwrap(), second);
}

#[test]
fn a_tag_moves_and_the_former_image_stays_without() {
    let (_directory, store, sink) = fresh();
    let old = add(&store, &sink, &["old"], json!({}), &["app"]);
    let new = add(&store, &sink, &["new"], json!({}), &["app"]);
    assert_eq!(store.resolve("app").unwrap(), new);
    assert!(store.image(&old).unwrap().repo_tags.is_empty());
    store.tag(&old, &name("app:v1")).unwrap();
    store.tag(&old, &name("app:v1")).unwrap();
    assert_eq!(store.image(&old).unwrap().repo_tags, ["app:v1"]);
    let missing = bulkhead_image::Digest::of(b"none");
    assert_eq!(store.tag(&missing, &name("x")).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn everything_is_there_after_reopening() {
    let (directory, store, sink) = fresh();
    let id = add(&store, &sink, &["a", "b"], json!({"config": {"Labels": {"a": "b"}}}), &["app:1"]);
    let before = store.image(&id).unwrap();
    let bytes = store.config_bytes(&id).unwrap();
    drop(store);
    let store = ImageStore::open(directory.path()).unwrap();
    assert_eq!(store.image(&id).unwrap(), before);
    assert_eq!(store.config_bytes(&id).unwrap(), bytes);
    assert_eq!(bulkhead_image::Digest::of(&bytes), id);
    assert_eq!(before.size, 2);
    assert_eq!(store.count().unwrap(), 1);
}

#[test]
fn an_image_without_its_layers_is_not_added() {
    let (_directory, store, _sink) = fresh();
    let layer = layer("x");
    let config = config(&[&layer], json!({}));
    let new = NewImage { config: &config, parent: None, names: &[name("app")] };
    assert!(matches!(store.add(&new), Err(Error::Archive(_))));
    assert_eq!(store.count().unwrap(), 0);
    assert!(store.resolve("app").is_err());
}

#[test]
fn leftovers_of_a_crash_are_swept_and_damage_is_found() {
    let (directory, store, sink) = fresh();
    let id = add(&store, &sink, &[], json!({}), &["app"]);
    drop(store);
    let blobs = directory.path().join("blobs/sha256");
    let orphan = blobs.join("ab".repeat(32));
    std::fs::write(&orphan, "orphan").unwrap();
    let temporary = blobs.join(format!("{}.tmp", "cd".repeat(32)));
    std::fs::write(&temporary, "half").unwrap();
    let store = ImageStore::open(directory.path()).unwrap();
    assert!(!orphan.exists() && !temporary.exists());
    std::fs::write(blobs.join(id.hex()), "{}").unwrap();
    assert!(matches!(store.image(&id), Err(Error::Damaged(_))));
    assert_eq!(add(&store, &sink, &[], json!({}), &["app"]), id);
    assert!(store.image(&id).is_ok(), "adding it again mends it");
}

#[test]
fn lists_are_filtered_as_docker_does() {
    let (_directory, store, sink) = fresh();
    let made = |day: u32| json!({"created": format!("2024-01-{day:02}T00:00:00Z")});
    let base = add(&store, &sink, &["base"], made(1), &["debian:12", "quay.io/debian:12"]);
    let middle = add_child(&store, &sink, &["base", "m"], made(2), &[], Some(base));
    let labelled =
        json!({"created": "2024-01-03T00:00:00Z", "config": {"Labels": {"a": "1", "b": ""}}});
    let app = add_child(&store, &sink, &["base", "m", "app"], labelled, &["app:1"], Some(middle));
    let dangling = add(&store, &sink, &["x"], made(4), &[]);

    let ids = |filter: ListFilter| -> Vec<_> {
        store.list(&filter).unwrap().into_iter().map(|image| image.id).collect()
    };
    let all = ListFilter { all: true, ..ListFilter::default() };
    assert_eq!(ids(ListFilter::default()), [dangling, app, base]);
    assert_eq!(ids(all.clone()), [dangling, app, middle, base]);
    let is_dangling = |value| ListFilter { dangling: Some(value), ..ListFilter::default() };
    assert_eq!(ids(is_dangling(true)), [dangling]);
    assert_eq!(ids(is_dangling(false)), [app, base]);
    let labels = |labels: &[&str]| ListFilter {
        labels: labels.iter().map(|&label| label.to_owned()).collect(),
        ..ListFilter::default()
    };
    assert_eq!(ids(labels(&["a"])), [app]);
    assert_eq!(ids(labels(&["a=1", "b="])), [app]);
    assert!(ids(labels(&["a=2"])).is_empty());
    let before = ListFilter { before: Some("app:1".into()), ..ListFilter::default() };
    assert_eq!(ids(before), [base]);
    let since = ListFilter { since: Some("debian:12".into()), ..ListFilter::default() };
    assert_eq!(ids(since), [dangling, app]);
    let until = ListFilter { until: "2024-01-03T00:00:00Z".parse().ok(), ..all };
    assert_eq!(ids(until), [middle, base]);
    let reference = |pattern: &str| ListFilter {
        references: vec![pattern.to_owned()],
        ..ListFilter::default()
    };
    assert_eq!(ids(reference("deb*")), [base]);
    assert_eq!(ids(reference("*:1")), [app]);
    let found = store.list(&reference("quay.io/*")).unwrap();
    assert_eq!(found[0].repo_tags, ["quay.io/debian:12"]);
    assert!(store.list(&reference("[")).is_err());
    assert!(
        store
            .list(&ListFilter { before: Some("nothing".into()), ..ListFilter::default() })
            .is_err()
    );
}

#[test]
fn history_says_what_each_layer_weighs_and_who_made_it() {
    let (_directory, store, sink) = fresh();
    let base_history =
        json!({"history": [{"created_by": "ADD base", "created": "2024-01-01T00:00:00Z"}]});
    let base = add(&store, &sink, &["base"], base_history, &["base"]);
    let history = json!({"history": [
        {"created_by": "ADD base"}, {"created_by": "ENV a=b", "empty_layer": true, "comment": "c"},
        {"created_by": "RUN x"}
    ]});
    let app = add(&store, &sink, &["base", "longer"], history, &["app:1", "app:2"]);
    let steps = store.history(&app).unwrap();
    let seen: Vec<_> =
        steps.iter().map(|step| (step.created_by.as_str(), step.size, step.image)).collect();
    assert_eq!(seen, [("RUN x", 6, Some(app)), ("ENV a=b", 0, None), ("ADD base", 4, None)]);
    assert_eq!(steps[0].tags, ["app:1", "app:2"]);
    assert_eq!(store.history(&base).unwrap()[0].image, Some(base));
}

#[test]
fn layers_stay_while_held_or_needed_and_go_after() {
    let (_directory, store, sink) = fresh();
    let image = add(&store, &sink, &["kept"], json!({}), &["app"]);
    let bytes = layer("held");
    let held = store.unpack(&sink, &mut bytes.as_slice(), None).unwrap();
    assert!(sink.collect(&store).is_empty());
    let id = held.layer().id;
    drop(held);
    assert_eq!(sink.collect(&store), [id]);
    assert_eq!(sink.layers().len(), 1);
    let layers = store.image(&image).unwrap().config.rootfs.diff_ids;
    assert_eq!(sink.layers(), layers);
    assert_eq!(store.layers_size().unwrap(), 4);
}

#[test]
fn reconciling_finds_what_a_crash_left_and_what_is_lost() {
    let (_directory, store, sink) = fresh();
    let image = add(&store, &sink, &["needed"], json!({}), &["app"]);
    let needed = store.image(&image).unwrap().config.rootfs.diff_ids;
    let stray = bulkhead_image::Digest::of(b"stray");
    assert!(store.reconcile_layers(&[needed[0], stray]).unwrap().is_empty());
    let mut asked = Vec::new();
    store
        .collect_layers(&mut |id| {
            asked.push(*id);
            false
        })
        .unwrap();
    assert_eq!(asked, [stray], "a layer that is in use is asked for again next time");
    assert_eq!(sink.collect(&store), []);
    assert_eq!(store.reconcile_layers(&[]).unwrap(), needed);
}

#[test]
fn threads_share_one_store() {
    let (_directory, store, sink) = fresh();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (store, sink) = (&store, &sink);
            scope.spawn(move || {
                for round in 0..5 {
                    let layer = format!("{number}.{round}");
                    let tag = format!("app{number}:{round}");
                    let id =
                        add(store, sink, &["shared", &layer], json!({"author": layer}), &[&tag]);
                    assert_eq!(store.resolve(&tag).unwrap(), id);
                    sink.collect(store);
                }
            });
        }
    });
    assert_eq!(store.count().unwrap(), 20);
    assert_eq!(sink.layers().len(), 21);
}

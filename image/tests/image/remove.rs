use bulkhead_image::{
    Error, ErrorKind, ImageId, ImageStore, ImageUser, RemovalStep, RemoveOptions,
};
use serde_json::json;

use crate::archive::{add, add_child};
use crate::sink::fresh;

const PLAIN: RemoveOptions = RemoveOptions { force: false, prune: true };
const FORCE: RemoveOptions = RemoveOptions { force: true, prune: true };

fn nobody(_: &ImageId) -> Vec<ImageUser> {
    Vec::new()
}

fn user(running: bool) -> impl Fn(&ImageId) -> Vec<ImageUser> {
    move |_| vec![ImageUser { container: "0123456789ab".to_owned(), running }]
}

/// The report as the command line shows it.
fn report(steps: &[RemovalStep]) -> Vec<String> {
    steps
        .iter()
        .map(|step| match step {
            RemovalStep::Untagged { name, .. } => format!("Untagged: {name}"),
            RemovalStep::Deleted(id) | RemovalStep::DeletedLayer(id) => format!("Deleted: {id}"),
        })
        .collect()
}

fn refused(
    store: &ImageStore,
    name: &str,
    options: RemoveOptions,
    users: &dyn Fn(&ImageId) -> Vec<ImageUser>,
) -> String {
    let error = store.remove(name, options, users).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    error.to_string()
}

#[test]
fn the_last_name_takes_the_image_and_its_own_layers_along() {
    let (_directory, store, sink) = fresh();
    let other = add(&store, &sink, &["shared"], json!({}), &["other"]);
    let id = add(&store, &sink, &["shared", "own"], json!({}), &["app", "app:1"]);
    let removed = store.remove("app", PLAIN, &nobody).unwrap();
    assert_eq!(report(&removed.steps), ["Untagged: app:latest"]);
    let layers = store.image(&id).unwrap().config.rootfs.diff_ids;
    let removed = store.remove("app:1", PLAIN, &nobody).unwrap();
    let chain = bulkhead_image::chain_ids(&layers);
    assert_eq!(removed.image, id);
    assert_eq!(
        report(&removed.steps),
        ["Untagged: app:1".to_owned(), format!("Deleted: {id}"), format!("Deleted: {}", chain[1])]
    );
    assert_eq!(sink.collect(&store), [layers[1]]);
    assert!(store.image(&other).is_ok());
    assert!(matches!(store.image(&id), Err(Error::NoSuchImage(_))));
    assert!(matches!(store.config_bytes(&id), Err(Error::NoSuchImage(_))));
}

#[test]
fn digests_of_a_repository_go_with_its_last_tag() {
    let (_directory, store, sink) = fresh();
    let digest = format!("app@sha256:{}", "ab".repeat(32));
    let id = add(&store, &sink, &[], json!({}), &["app:1", &digest]);
    let removed = store.remove("app:1", PLAIN, &nobody).unwrap();
    let expected =
        ["Untagged: app:1".to_owned(), format!("Untagged: {digest}"), format!("Deleted: {id}")];
    assert_eq!(report(&removed.steps), expected);
}

#[test]
fn an_id_with_names_in_several_repositories_must_be_forced() {
    let (_directory, store, sink) = fresh();
    let id = add(&store, &sink, &[], json!({}), &["a", "b"]);
    let short = id.short();
    assert_eq!(
        refused(&store, &short, PLAIN, &nobody),
        format!(
            "conflict: unable to delete {short} (must be forced) - image is referenced in multiple \
             repositories"
        )
    );
    let removed = store.remove(&short, FORCE, &nobody).unwrap();
    let expected = [
        "Untagged: a:latest".to_owned(),
        "Untagged: b:latest".to_owned(),
        format!("Deleted: {id}"),
    ];
    assert_eq!(report(&removed.steps), expected);
}

#[test]
fn an_id_with_one_name_is_deleted_with_it() {
    let (_directory, store, sink) = fresh();
    let id = add(&store, &sink, &[], json!({}), &["a"]);
    let removed = store.remove(&id.hex()[..8], PLAIN, &nobody).unwrap();
    assert_eq!(report(&removed.steps), ["Untagged: a:latest".to_owned(), format!("Deleted: {id}")]);
}

#[test]
fn containers_keep_their_image() {
    let (_directory, store, sink) = fresh();
    let id = add(&store, &sink, &[], json!({}), &["app"]);
    let short = id.short();
    assert_eq!(
        refused(&store, "app", PLAIN, &user(false)),
        format!(
            "conflict: unable to remove repository reference \"app\" (must force) - container \
             0123456789ab is using its referenced image {short}"
        )
    );
    assert_eq!(
        refused(&store, &short, PLAIN, &user(false)),
        format!(
            "conflict: unable to delete {short} (must be forced) - image is being used by stopped \
             container 0123456789ab"
        )
    );
    assert_eq!(
        refused(&store, &short, FORCE, &user(true)),
        format!(
            "conflict: unable to delete {short} (cannot be forced) - image is being used by \
             running container 0123456789ab"
        )
    );
    assert_eq!(store.image(&id).unwrap().repo_tags, ["app:latest"], "a refusal changes nothing");
    // One of two names is free to go.
    store.tag(&id, &"app:2".parse().unwrap()).unwrap();
    store.remove("app", PLAIN, &user(true)).unwrap();
    store.remove(&short, FORCE, &user(false)).unwrap();
    assert_eq!(store.count().unwrap(), 0);
}

#[test]
fn nameless_parents_go_along_unless_asked_not_to() {
    let (_directory, store, sink) = fresh();
    let base = add(&store, &sink, &["1"], json!({}), &["base"]);
    let middle = add_child(&store, &sink, &["1", "2"], json!({}), &[], Some(base));
    let top = add_child(&store, &sink, &["1", "2", "3"], json!({}), &["top"], Some(middle));
    assert!(
        refused(&store, &middle.hex(), FORCE, &nobody).contains("image has dependent child images")
    );
    let keep = RemoveOptions { force: false, prune: false };
    let removed = store.remove("top", keep, &nobody).unwrap();
    assert_eq!(removed.steps[1], RemovalStep::Deleted(top));
    assert!(store.image(&middle).is_ok());
    let top = add_child(&store, &sink, &["1", "2", "3"], json!({}), &["top"], Some(middle));
    let removed = store.remove("top", PLAIN, &nobody).unwrap();
    let deleted: Vec<_> = removed
        .steps
        .iter()
        .filter(|step| matches!(step, RemovalStep::Deleted(_)))
        .cloned()
        .collect();
    assert_eq!(deleted, [RemovalStep::Deleted(top), RemovalStep::Deleted(middle)]);
    assert!(store.image(&base).is_ok(), "a parent with a name stays");
}

#[test]
fn what_is_not_there_cannot_be_removed() {
    let (_directory, store, _sink) = fresh();
    let error = store.remove("nothing", PLAIN, &nobody).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::NotFound, "No such image: nothing:latest")
    );
}

use bulkhead_image::{
    EmbeddedFile, Error, ImportOptions, Platform, Reference, RunConfig, build_single_layer_image,
    import,
};

use crate::archive::{gzip, layer};
use crate::sink::fresh;

#[test]
fn a_root_filesystem_becomes_an_image() {
    let (_directory, store, sink) = fresh();
    let name: Reference = "imported:1".parse().unwrap();
    let platform: Platform = "linux/arm64".parse().unwrap();
    let changes = ["CMD [\"sh\"]".to_owned(), "ENV A=b".to_owned()];
    let options = ImportOptions {
        changes: &changes,
        message: "Imported from -",
        name: Some(&name),
        platform: &platform,
    };
    let stream = gzip(&layer("root"));
    let id = import(&mut stream.as_slice(), &sink, &store, &options).unwrap();
    let image = store.image(&id).unwrap();
    assert_eq!(image.repo_tags, ["imported:1"]);
    assert_eq!(image.config.architecture, "arm64");
    let run = image.config.config.unwrap();
    assert_eq!(
        (run.cmd.unwrap(), run.env.unwrap()),
        (vec!["sh".to_owned()], vec!["A=b".to_owned()])
    );
    let history = store.history(&id).unwrap();
    assert_eq!((history[0].comment.as_str(), history[0].size), ("Imported from -", 4));
}

#[test]
fn a_malformed_change_is_refused_before_the_stream_is_read() {
    let (_directory, store, sink) = fresh();
    let changes = ["RUN make".to_owned()];
    let platform = Platform::host();
    let options = ImportOptions { changes: &changes, message: "", name: None, platform: &platform };
    let error = import(&mut layer("x").as_slice(), &sink, &store, &options).unwrap_err();
    assert_eq!(error.to_string(), "RUN is not a valid change command");
    assert_eq!(*sink.unpacked.lock().unwrap(), 0);
    let options = ImportOptions { changes: &[], ..options };
    let error = import(&mut &b"not a tar"[..], &sink, &store, &options).unwrap_err();
    assert!(matches!(error, Error::Layer(_)));
    assert_eq!(store.count().unwrap(), 0);
}

#[test]
fn an_embedded_image_is_the_same_every_time() {
    let (_directory, store, sink) = fresh();
    let name: Reference = "bulkhead/hello".parse().unwrap();
    let run = RunConfig { cmd: Some(vec!["/hello".to_owned()]), ..RunConfig::default() };
    let files = [EmbeddedFile { path: "usr/bin/hello", mode: 0o755, contents: b"\x7fELF" }];
    let make = || build_single_layer_image(&sink, &store, &files, run.clone(), &name).unwrap();
    assert_eq!(make(), make());
    assert_eq!(store.count().unwrap(), 1);
    assert_eq!(store.resolve("bulkhead/hello").unwrap(), make());
}

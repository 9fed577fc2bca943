//! Against a shim that keeps only which layers it was given. A "layer" here is any bytes.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "tests")]

use super::*;
use crate::error::ErrorKind;
use crate::store::Store;
use bulkhead_image::Digest;
use bulkhead_proto::{
    Header, Hello, LayerId, Refusal, Reply, Request, RequestKind, UnpackedLayer, Wire as _,
};
use std::collections::BTreeSet;
use std::io::{self, Cursor};
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use tokio_seqpacket::ancillary::OwnedAncillaryMessage;
use tokio_seqpacket::{UnixSeqpacket, UnixSeqpacketListener};

type Kept = Arc<Mutex<BTreeSet<LayerId>>>;

struct Fixture {
    images: Images,
    kept: Kept,
    users: Arc<Mutex<Vec<ImageUser>>>,
    events: Arc<EventLog>,
    _directory: tempfile::TempDir,
    _notices: tokio::sync::mpsc::UnboundedReceiver<crate::shim_client::Notice>,
}

/// An engine's images on a shim that has one layer too many, and refuses all new ones if asked.
async fn fixture(refusing: bool) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("shim.sock");
    let mut listener = UnixSeqpacketListener::bind(&socket).unwrap();
    let kept = Kept::default();
    kept.lock().unwrap().insert(LayerId::from_bytes([7; 32]));
    let there = Arc::clone(&kept);
    tokio::spawn(async move {
        while let Ok(client) = listener.accept().await {
            tokio::spawn(serve(client, Arc::clone(&there), refusing));
        }
    });
    let (shim, notices) = ShimClient::start(socket, "test");
    let (store, ..) = Store::open(&directory.path().join("engine.db")).unwrap();
    let events = Arc::new(EventLog::new(store, 0, 100));
    let users = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&users);
    let images = Images::open(
        directory.path(),
        shim,
        Arc::clone(&events),
        Arc::new(move |_: &ImageId| told.lock().unwrap().clone()),
    )
    .unwrap();
    Fixture { images, kept, users, events, _directory: directory, _notices: notices }
}

async fn serve(client: UnixSeqpacket, kept: Kept, refusing: bool) {
    let mut buffer = vec![0; bulkhead_proto::MAX_MESSAGE_BYTES];
    loop {
        let mut space = [0; 128];
        let Ok((info, control)) = client.recv_with_ancillary(&mut buffer, &mut space).await else {
            return;
        };
        if info.bytes_read() == 0 {
            return;
        }
        let mut fds: Vec<OwnedFd> = Vec::new();
        for message in control.into_messages() {
            if let OwnedAncillaryMessage::FileDescriptors(rights) = message {
                fds.extend(rights);
            }
        }
        let (request, body) = Header::split(&buffer[..info.bytes_read()]).unwrap();
        let kind = RequestKind::try_from(request.kind).unwrap();
        let reply = match Request::decode(kind, body).unwrap() {
            Request::Hello(_) => Reply::Hello { hello: hello() },
            Request::Recover(_) => Reply::Recovered { known: Default::default() },
            Request::ListLayers(_) => {
                let all: Vec<_> = kept.lock().unwrap().iter().copied().collect();
                Reply::Layers { layers: all.try_into().unwrap() }
            }
            Request::RemoveLayer(id) => {
                assert!(kept.lock().unwrap().remove(&id), "asked for twice");
                Reply::Done
            }
            Request::UnpackLayer(_) if refusing => {
                Reply::refused(Refusal::Invalid { what: "no tar".try_into().unwrap() })
            }
            Request::UnpackLayer(_) => unpack(std::fs::File::from(fds.pop().unwrap()), &kept).await,
            _ => Reply::Done,
        };
        drop(fds);
        let body = reply.encode();
        let (length, kind) = (u32::try_from(body.len()).unwrap(), request.kind + 1);
        let header = Header { kind, large: false, length, sequence: request.sequence };
        if client.send(&[&header.to_bytes()[..], &body].concat()).await.is_err() {
            return;
        }
    }
}

async fn unpack(mut pipe: std::fs::File, kept: &Kept) -> Reply {
    let bytes = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let bytes = bytes.await.unwrap();
    let digest = *Digest::of(&bytes).as_bytes();
    let id = LayerId::from_bytes(digest);
    let known = !kept.lock().unwrap().insert(id);
    let size = bytes.len() as u64;
    let layer = UnpackedLayer { id, digest, packed_bytes: size, bytes: size, entries: 1, known };
    Reply::Unpacked { layer }
}

fn hello() -> Hello {
    Hello {
        version: "0".try_into().unwrap(),
        instance: "0123abcd".try_into().unwrap(),
        cgroup_version: 2,
        policy: "hardened".try_into().unwrap(),
        policy_fingerprint: "0123456789abcdef".try_into().unwrap(),
        cgroup_parent: "/none".try_into().unwrap(),
        default_bridge: "bh0".try_into().unwrap(),
        no_new_privs: true,
        default_pids: 512,
    }
}

fn called(repository: &str) -> ImportOptions {
    let changes = vec!["CMD [\"sh\"]".to_owned(), "LABEL a=b".to_owned()];
    ImportOptions { repository: repository.to_owned(), changes, ..Default::default() }
}

fn bytes(size: usize) -> Box<dyn Read + Send> {
    Box::new(Cursor::new(vec![b'x'; size]))
}

fn filters(text: &str) -> Filters {
    Filters::parse(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_image_is_listed_inspected_tagged_and_removed_with_its_layer() {
    let all = fixture(false).await;
    let (images, mut events) = (&all.images, all.events.listen(Default::default()).await.unwrap());
    // More than a pipe holds.
    let id = images.import(bytes(300_000), called("demo:1")).await.unwrap();
    images.tag("demo:1", "other/name", "").await.unwrap();
    images.reconcile().await.unwrap();
    assert_eq!(all.kept.lock().unwrap().len(), 1, "the layer of nobody is gone");

    let listed = images.list(false, filters(r#"{"label":["a=b"]}"#)).await.unwrap();
    assert_eq!(listed[0].repo_tags, ["demo:1", "other/name:latest"]);
    assert_eq!((listed[0].size, listed[0].containers), (300_000, -1));
    assert!(images.list(false, filters(r#"{"dangling":["1"]}"#)).await.unwrap().is_empty());
    let shown = images.inspect("demo:1").await.unwrap();
    assert_eq!(shown.config.unwrap().cmd.unwrap().0, ["sh"]);
    assert_eq!(shown.comment, "Imported from -");
    assert_eq!(shown.root_fs.layers.unwrap(), [Digest::of(&vec![b'x'; 300_000]).to_string()]);
    assert_eq!(images.history("demo:1").await.unwrap()[0].size, 300_000);
    let resolved = images.resolve("demo:1").await.unwrap();
    assert_eq!((resolved.id_text, resolved.layers.len()), (id.clone(), 1));

    let error = images.remove(&id, false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "two names");
    images.remove("other/name", false).await.unwrap();
    let gone = images.remove("demo:1", false).await.unwrap();
    assert_eq!((&*gone[0].untagged, &gone[1].deleted), ("demo:1", &id));
    assert!(all.kept.lock().unwrap().is_empty());
    let error = images.resolve("demo:1").await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::NotFound, "No such image: demo:1"));
    for (action, name) in [
        ("tag", "demo:1"),
        ("import", &*id),
        ("tag", "other/name:latest"),
        ("untag", &*id),
        ("untag", &*id),
        ("delete", &*id),
    ] {
        let event = events.next().await.unwrap();
        assert_eq!((&*event.action, &*event.actor.attributes["name"]), (action, name));
        assert_eq!(event.actor.attributes.contains_key("a"), action != "delete");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_layer_is_the_archives_fault_and_says_why() {
    let all = fixture(true).await;
    // So much that the reader's leaving is noticed while it is sent.
    let error = all.images.import(bytes(10_000_000), called("demo")).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::BadParameter, "layer: no tar"));
    assert_eq!(all.images.count().unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_that_went_away_left_is_no_image_and_no_layer() {
    struct Gone;
    impl Read for Gone {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let all = fixture(false).await;
    let body = Cursor::new(vec![b'x'; 100_000]).chain(Gone);
    all.images.import(Box::new(body), called("demo")).await.unwrap_err();
    all.images.reconcile().await.unwrap();
    assert_eq!(all.images.count().unwrap(), 0);
    assert!(all.kept.lock().unwrap().is_empty());
    assert_eq!(all.images.load(Box::new(Gone)).await.unwrap_err().kind(), ErrorKind::BadParameter);
}

#[tokio::test(flavor = "multi_thread")]
async fn prune_takes_what_has_no_name_and_no_container() {
    let all = fixture(false).await;
    let named = all.images.import(bytes(10), called("demo")).await.unwrap();
    let nameless = all.images.import(bytes(20), called("")).await.unwrap();
    all.images.reconcile().await.unwrap();
    let user = ImageUser { container: "0123".to_owned(), running: false };
    all.users.lock().unwrap().push(user);
    assert_eq!(all.images.prune(Filters::default()).await.unwrap().images_deleted, None);
    all.users.lock().unwrap().clear();
    let pruned = all.images.prune(Filters::default()).await.unwrap();
    assert_eq!(pruned.images_deleted.unwrap()[0].deleted, nameless);
    assert_eq!(pruned.space_reclaimed, 20);
    let pruned = all.images.prune(filters(r#"{"dangling":["false"]}"#)).await.unwrap();
    assert_eq!(pruned.images_deleted.unwrap()[1].deleted, named);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_image_goes_while_a_container_is_being_made() {
    let all = fixture(false).await;
    all.images.import(bytes(10), called("demo")).await.unwrap();
    let hold = all.images.hold().await;
    let images = all.images.clone();
    let removal = tokio::spawn(async move { images.remove("demo", false).await });
    assert!(all.images.resolve("demo").await.is_ok());
    let user = ImageUser { container: "0123".to_owned(), running: true };
    all.users.lock().unwrap().push(user);
    drop(hold);
    assert_eq!(removal.await.unwrap().unwrap_err().kind(), ErrorKind::Conflict);
}

#[test]
fn names_and_filters_that_are_none_are_refused_in_dockers_words() {
    for (repository, tag, wanted) in [
        (
            "UPPER",
            "",
            "invalid reference format: repository name (library/UPPER) must be lowercase",
        ),
        ("a", "b c", "invalid reference format"),
    ] {
        assert_eq!(show::new_name(repository, tag).unwrap_err().message(), wanted);
    }
    let name = |repository, tag| show::new_name(repository, tag).unwrap().unwrap().to_string();
    assert_eq!(
        (name("a:1", ""), name("a:1", "2"), name("a", "")),
        ("a:1".to_owned(), "a:2".to_owned(), "a:latest".to_owned(),)
    );
    for (text, wanted) in [
        (r#"{"dangling":["perhaps"]}"#, "invalid filter 'dangling=[perhaps]'"),
        (r#"{"colour":["red"]}"#, "invalid filter 'colour'"),
        (r#"{"until":["soon"]}"#, "invalid filter 'until=[soon]'"),
    ] {
        assert_eq!(show::list_filter(false, &filters(text)).unwrap_err().message(), wanted);
    }
    for text in ["24h", "1h30m", "1700000000", "2024-01-02", "2024-01-02T03:04:05Z"] {
        let filter = format!(r#"{{"until":["{text}"]}}"#);
        assert!(show::prune_filter(&filters(&filter)).unwrap().until.is_some(), "{text}");
    }
}

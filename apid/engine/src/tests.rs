//! The engine on a fake shim: what clients see of containers' lives.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use super::*;
use crate::fake_shim::FakeShim;
use bulkhead_proto::{ContainerId, Refusal, RequestKind};
use serde_json::json;
use std::time::Duration;

struct Fixture {
    engine: Engine,
    shim: FakeShim,
    directory: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let shim = FakeShim::start(directory.path());
        let store = bulkhead_image::ImageStore::open(directory.path()).unwrap();
        let config = br#"{"os":"linux","rootfs":{"type":"layers","diff_ids":[]},
            "config":{"Cmd":["say","hello"],"Labels":{"of":"image"}}}"#;
        let names = ["demo".parse::<bulkhead_image::Reference>().unwrap()];
        store.add(&bulkhead_image::NewImage { config, parent: None, names: &names }).unwrap();
        drop(store);
        let engine = open(directory.path(), &shim).await;
        Self { engine, shim, directory }
    }

    /// The daemon is killed and started again.
    async fn restart(self) -> Self {
        let Self { engine, shim, directory } = self;
        engine.shutdown().await;
        drop(engine);
        let engine = open(directory.path(), &shim).await;
        Self { engine, shim, directory }
    }

    async fn create(&self, name: &str, args: &[&str], host: serde_json::Value) -> String {
        let body = json!({"Image": "demo", "Cmd": args, "OpenStdin": true, "StdinOnce": true,
            "HostConfig": host});
        let body = serde_json::from_value(body).unwrap();
        self.engine.create(Some(name), body).await.unwrap().id
    }

    async fn run(&self, name: &str, args: &[&str], host: serde_json::Value) -> String {
        let id = self.create(name, args, host).await;
        self.engine.start(name).await.unwrap();
        id
    }

    fn state(&self, name: &str) -> api::ContainerState {
        self.engine.inspect(name).unwrap().state
    }

    async fn exit_code(&self, name: &str, condition: WaitCondition) -> i64 {
        let waiter = self.engine.wait(name, condition).unwrap();
        within(waiter.finish()).await.status_code
    }

    async fn log(&self, name: &str) -> String {
        let options = LogsOptions { stdout: true, stderr: true, ..LogsOptions::default() };
        text(self.engine.logs(name, options).await.unwrap().output).await
    }
}

async fn open(directory: &std::path::Path, shim: &FakeShim) -> Engine {
    let mut config = EngineConfig::new(directory, shim.socket());
    config.bip = Some("10.1.2.1/24".parse().unwrap());
    within(Engine::open(config)).await.unwrap()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it takes too long")
}

async fn text(output: Output) -> String {
    by_stream(output).await.concat()
}

async fn by_stream(mut output: Output) -> [String; 2] {
    let mut all = [Vec::new(), Vec::new()];
    while let Some((kind, piece)) = within(output.next()).await {
        all[usize::from(kind == StreamKind::Stderr)].extend_from_slice(&piece);
    }
    all.map(|bytes| String::from_utf8(bytes).unwrap())
}

const STREAMS: AttachOptions =
    AttachOptions { stdin: true, stdout: true, stderr: true, stream: true, logs: false };

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_removes_itself_shows_all_output_and_leaves_nothing() {
    let all = Fixture::new().await;
    let mut events = all.engine.events(EventsOptions::default()).await.unwrap();
    let id = all
        .create("web", &["say", "one", "fail", "two", "exit", "7"], json!({"AutoRemove": true}))
        .await;
    let attached = all.engine.attach("web", STREAMS).await.unwrap();
    let waiter = all.engine.wait("web", WaitCondition::Removed).unwrap();
    all.engine.start("web").await.unwrap();
    let seen = by_stream(attached.output).await;
    assert_eq!(seen, ["one\n", "two\n"]);
    assert_eq!(within(waiter.finish()).await.status_code, 7);

    let gone = all.engine.inspect("web").unwrap_err();
    assert_eq!(gone.message(), "No such container: web");
    assert_eq!(all.shim.containers(), 0);
    for action in ["create", "attach", "connect", "start", "die", "disconnect", "destroy"] {
        let event = within(events.next()).await.unwrap();
        assert_eq!(event.action, action);
        if event.r#type == "container" {
            assert_eq!((&event.id, &*event.actor.attributes["name"]), (&id, "web"));
            assert_eq!(event.actor.attributes["of"], "image");
        }
        if action == "die" {
            assert_eq!(event.actor.attributes["exitCode"], "7");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn input_is_read_to_its_end_even_if_it_ends_before_the_start() {
    let all = Fixture::new().await;
    all.create("empty", &["cat", "say", "end"], json!({})).await;
    let attached = all.engine.attach("empty", STREAMS).await.unwrap();
    drop(attached.input);
    all.engine.start("empty").await.unwrap();
    assert_eq!(text(attached.output).await, "end\n");

    all.create("some", &["cat"], json!({})).await;
    let attached = all.engine.attach("some", STREAMS).await.unwrap();
    let mut input = attached.input.unwrap();
    let writer = tokio::spawn(async move {
        input.write(b"hello").await.unwrap();
        input.close().await;
    });
    all.engine.start("some").await.unwrap();
    assert_eq!(text(attached.output).await, "hello");
    writer.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_policy_denies_is_said_with_rule_and_knob() {
    let all = Fixture::new().await;
    all.create("web", &["wait"], json!({})).await;
    all.shim.refuse_next(Refusal::Denied {
        field: "HostConfig.Privileged=true".try_into().unwrap(),
        rule: "privileged".try_into().unwrap(),
        knob: "privileged = \"userns-only\"".try_into().unwrap(),
    });
    let denied = all.engine.start("web").await.unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::Denied);
    let wanted = "HostConfig.Privileged=true denied by policy rule privileged; to permit it: \
                  privileged = \"userns-only\"";
    assert_eq!(denied.message(), wanted);
    assert_eq!(all.state("web").status, "created");
    all.engine.start("web").await.expect("the next one is not refused, and the address is free");
    assert_eq!(all.engine.inspect("web").unwrap().network_settings.ip_address, "10.1.2.2");
    all.engine.remove("web", RemoveOptions { force: true, ..Default::default() }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_not_there_is_dockers_error_and_exit_code() {
    let all = Fixture::new().await;
    all.create("web", &["nonesuch"], json!({})).await;
    let error = all.engine.start("web").await.unwrap_err();
    let wanted = "failed to create task for container: OCI runtime create failed: unable to start \
                  container process: exec: \"nonesuch\": executable file not found in $PATH: unknown";
    assert_eq!((error.kind(), error.message()), (ErrorKind::BadParameter, wanted));
    let state = all.state("web");
    assert_eq!((state.status.as_str(), state.exit_code), ("created", 127));
    all.engine.remove("web", RemoveOptions::default()).await.unwrap();
    assert_eq!(all.shim.containers(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_asks_and_then_kills() {
    let all = Fixture::new().await;
    all.run("polite", &["wait"], json!({})).await;
    all.engine.stop("polite", StopOptions::default()).await.unwrap();
    assert_eq!(all.state("polite").exit_code, 128 + 15);
    all.run("deaf", &["deaf"], json!({})).await;
    let now = StopOptions { timeout: Some(0), ..StopOptions::default() };
    all.engine.stop("deaf", now.clone()).await.unwrap();
    assert_eq!(all.state("deaf").exit_code, 137);
    let again = all.engine.stop("deaf", now).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::NotModified);
    let kill = all.engine.kill("deaf", "").await.unwrap_err();
    assert_eq!(kill.kind(), ErrorKind::Conflict);
    assert!(kill.message().ends_with("is not running"), "{kill}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_container_is_restarted_as_often_as_its_policy_says() {
    let all = Fixture::new().await;
    let policy = json!({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}});
    let mut events = all.engine.events(EventsOptions::default()).await.unwrap();
    all.run("web", &["exit", "3"], policy).await;
    let mut deaths = 0;
    while deaths < 3 {
        deaths += u32::from(within(events.next()).await.unwrap().action == "die");
    }
    // The last one is not followed by a start.
    within(async {
        while all.state("web").status != "exited" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(all.engine.inspect("web").unwrap().restart_count, 2);
    assert_eq!(all.shim.asked(RequestKind::Create), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_between_two_runs_can_be_stopped() {
    let all = Fixture::new().await;
    all.run("web", &["exit", "0"], json!({"RestartPolicy": {"Name": "always"}})).await;
    within(async {
        while all.state("web").status != "restarting" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // Whether it just runs or not.
    all.engine.stop("web", StopOptions::default()).await.unwrap();
    let state = all.state("web");
    assert_eq!((state.status.as_str(), state.running), ("exited", false));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_taken_up_again_and_what_ended_meanwhile_is_not_lost() {
    let all = Fixture::new().await;
    all.run("stays", &["say", "before", "cat", "say", "after"], json!({})).await;
    all.run("goes", &["say", "last words", "wait"], json!({})).await;
    all.run("itself", &["wait"], json!({"AutoRemove": true})).await;
    let address = all.engine.inspect("stays").unwrap().network_settings.ip_address;
    let Fixture { engine, shim, directory } = all;
    engine.shutdown().await;
    drop(engine);
    for id in shim.running() {
        shim.end_if_waiting(id);
    }
    let engine = open(directory.path(), &shim).await;
    let all = Fixture { engine, shim, directory };

    assert_eq!(all.state("stays").status, "running");
    assert_eq!(all.engine.inspect("stays").unwrap().network_settings.ip_address, address);
    let goes = all.state("goes");
    assert_eq!((goes.status.as_str(), goes.exit_code), ("exited", 128 + 9));
    assert_eq!(all.log("goes").await, "last words\n");
    assert!(all.engine.inspect("itself").is_err());
    let attached = all.engine.attach("stays", STREAMS).await.unwrap();
    attached.input.unwrap().close().await;
    assert_eq!(text(attached.output).await, "after\n");
    assert_eq!(all.exit_code("stays", WaitCondition::NotRunning).await, 0);
    assert_eq!(all.log("stays").await, "before\nafter\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_reboot_what_ran_has_ended_and_policies_start_it() {
    let all = Fixture::new().await;
    all.run("plain", &["wait"], json!({})).await;
    all.run("always", &["wait"], json!({"RestartPolicy": {"Name": "always"}})).await;
    all.run("stopped", &["wait"], json!({"RestartPolicy": {"Name": "unless-stopped"}})).await;
    all.engine.stop("stopped", StopOptions::default()).await.unwrap();
    all.create("never", &["wait"], json!({"RestartPolicy": {"Name": "always"}})).await;
    all.shim.reboot();
    let all = all.restart().await;
    let plain = all.state("plain");
    assert_eq!((plain.status.as_str(), plain.exit_code), ("exited", 255));
    within(async {
        while all.state("always").status != "running" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(all.state("stopped").status, "exited");
    assert_eq!(all.state("never").status, "created");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shim_that_dies_in_the_middle_of_a_start_is_not_noticed() {
    let all = Fixture::new().await;
    for (name, moment) in [("create", RequestKind::Create), ("start", RequestKind::Start)] {
        all.create(name, &["wait"], json!({})).await;
        all.shim.die_at(moment);
        within(all.engine.start(name)).await.unwrap();
        assert_eq!(all.state(name).status, "running");
        all.engine.kill(name, "KILL").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_while_the_shim_was_away_is_heard_of() {
    let all = Fixture::new().await;
    all.run("web", &["wait"], json!({})).await;
    all.shim.die();
    for id in all.shim.running() {
        all.shim.end_if_waiting(id);
    }
    all.shim.revive();
    assert_eq!(all.exit_code("web", WaitCondition::NotRunning).await, 128 + 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_shim_has_and_nobody_knows_is_removed() {
    let all = Fixture::new().await;
    all.shim.plant(ContainerId::from_bytes([9; 32]));
    let all = all.restart().await;
    within(async {
        while all.shim.containers() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_yet_let_go_when_we_were_killed_ends() {
    let all = Fixture::new().await;
    let plain = all.create("plain", &["wait"], json!({})).await;
    let gone = all.create("gone", &["wait"], json!({"AutoRemove": true})).await;
    all.shim.plant_created(plain.parse().unwrap());
    all.shim.plant_created(gone.parse().unwrap());
    let all = all.restart().await;
    assert_eq!(all.exit_code("plain", WaitCondition::NotRunning).await, 137);
    within(async {
        while all.engine.inspect("gone").is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    all.engine.remove("plain", RemoveOptions::default()).await.unwrap();
    assert_eq!(all.shim.containers(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execs_exit_code_is_there_when_its_output_ends() {
    let all = Fixture::new().await;
    all.run("web", &["wait"], json!({})).await;
    let exec = |args: &[&str]| {
        let body =
            json!({"Cmd": args, "AttachStdout": true, "AttachStderr": true, "AttachStdin": true});
        serde_json::from_value(body).unwrap()
    };
    for code in 0..20 {
        let text_code = code.to_string();
        let id =
            all.engine.exec_create("web", exec(&["say", "hi", "exit", &text_code])).await.unwrap();
        let attached = all.engine.exec_start(&id, Default::default()).await.unwrap().unwrap();
        assert_eq!(text(attached.output).await, "hi\n");
        let shown = all.engine.exec_inspect(&id).unwrap();
        assert_eq!((shown.running, shown.exit_code), (false, Some(code)));
        let again = all.engine.exec_start(&id, Default::default()).await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Conflict);
    }
    let id = all.engine.exec_create("web", exec(&["cat"])).await.unwrap();
    let attached = all.engine.exec_start(&id, Default::default()).await.unwrap().unwrap();
    let mut input = attached.input.unwrap();
    input.write(b"in").await.unwrap();
    input.close().await;
    assert_eq!(text(attached.output).await, "in");
    let id = all.engine.exec_create("web", exec(&["nonesuch"])).await.unwrap();
    all.engine.exec_start(&id, Default::default()).await.unwrap_err();
    assert_eq!(all.engine.exec_inspect(&id).unwrap().exit_code, Some(127));
    all.engine.kill("web", "").await.unwrap();
    let late = all.engine.exec_create("web", exec(&["say", "x"])).await.unwrap_err();
    assert!(late.message().ends_with("is not running"), "{late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_taken_once_and_can_be_changed() {
    let all = Fixture::new().await;
    let id = all.create("web", &["wait"], json!({})).await;
    let body = || serde_json::from_value(json!({"Image": "demo"})).unwrap();
    let taken = all.engine.create(Some("/web"), body()).await.unwrap_err();
    let wanted = format!(
        "Conflict. The container name \"/web\" is already in use by container \"{id}\". You have to \
         remove (or rename) that container to be able to reuse that name."
    );
    assert_eq!((taken.kind(), taken.message()), (ErrorKind::Conflict, wanted.as_str()));
    all.engine.rename("web", "other").await.unwrap();
    all.engine.create(Some("web"), body()).await.unwrap();
    assert_eq!(all.engine.inspect(&id[..12]).unwrap().name, "/other");
    let all = all.restart().await;
    assert_eq!(all.engine.inspect("other").unwrap().id, id);
    let mut names: Vec<_> = all
        .engine
        .list(&ListOptions { all: true, ..ListOptions::default() })
        .unwrap()
        .into_iter()
        .flat_map(|container| container.names)
        .collect();
    names.sort();
    assert_eq!(names, ["/other", "/web"]);
    let missing = serde_json::from_value(json!({"Image": "nonesuch"})).unwrap();
    let error = all.engine.create(None, missing).await.unwrap_err();
    assert_eq!(error.message(), "No such image: nonesuch:latest");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_container_is_removed_by_force_only() {
    let all = Fixture::new().await;
    all.run("web", &["wait"], json!({})).await;
    let refused = all.engine.remove("web", RemoveOptions::default()).await.unwrap_err();
    let wanted = "cannot remove container \"/web\": container is running: stop the container before \
                  removing or force remove";
    assert_eq!((refused.kind(), refused.message()), (ErrorKind::Conflict, wanted));
    let force = RemoveOptions { force: true, ..RemoveOptions::default() };
    within(all.engine.remove("web", force)).await.unwrap();
    assert!(all.engine.inspect("web").is_err());
    assert_eq!(all.shim.containers(), 0);
    all.run("again", &["wait"], json!({})).await;
    let shown = all.engine.network_inspect("bridge").unwrap();
    assert_eq!(shown.containers.values().next().unwrap().ipv4_address, "10.1.2.2/24");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_container_goes_on_or_is_killed() {
    let all = Fixture::new().await;
    all.run("web", &["wait"], json!({})).await;
    all.engine.pause("web").await.unwrap();
    assert_eq!(all.state("web").status, "paused");
    assert_eq!(all.engine.pause("web").await.unwrap_err().kind(), ErrorKind::Conflict);
    let attach = all.engine.attach("web", STREAMS).await.unwrap_err();
    assert_eq!(attach.kind(), ErrorKind::Conflict);
    all.engine.unpause("web").await.unwrap();
    all.engine.pause("web").await.unwrap();
    let all = all.restart().await;
    assert_eq!(all.state("web").status, "paused");
    all.engine.kill("web", "KILL").await.unwrap();
    assert_eq!(all.state("web").status, "exited");
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_starts_at_once_all_succeed_and_have_their_own_addresses() {
    let all = Fixture::new().await;
    let names: Vec<String> = (0..8).map(|number| format!("web{number}")).collect();
    for name in &names {
        all.create(name, &["wait"], json!({})).await;
    }
    let mut starts = tokio::task::JoinSet::new();
    for name in names.clone() {
        let engine = all.engine.clone();
        starts.spawn(async move { engine.start(&name).await });
    }
    for result in within(starts.join_all()).await {
        result.unwrap();
    }
    let addresses: std::collections::BTreeSet<String> = names
        .iter()
        .map(|name| all.engine.inspect(name).unwrap().network_settings.ip_address)
        .collect();
    assert_eq!(addresses.len(), 8);
    let pruned = all.engine.prune(&Filters::default()).await.unwrap();
    assert_eq!(pruned.containers_deleted.unwrap().len(), 0, "all of them run");
    assert_eq!(all.engine.info().running, 8);
}

//! What networks cost. Needs root.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]
#![allow(clippy::print_stdout, reason = "its purpose")]

mod harness;

use bulkhead_network::{attach, configure_inside, create_network, remove_network};
use harness::{Namespace, create, id, installed, plan, spec};
use std::time::{Duration, Instant};

const ROUNDS: u8 = 100;

#[test]
#[ignore = "a measurement: run alone with --ignored --nocapture"]
fn cost_of_an_interface_and_of_a_network() {
    let host = Namespace::new();
    let network = create(&host, spec(5));
    let containers: Vec<_> = (2..2 + ROUNDS).map(|last| (last, Namespace::new())).collect();
    let (mut outside, mut inside) = (Vec::new(), Vec::new());
    for (last, container) in &containers {
        let (tid, plans) = (container.tid, vec![plan(&network, *last)]);
        let there = plans.clone();
        outside.push(host.run(move || timed(|| attach(tid, &plans).unwrap())));
        inside.push(container.run(move || timed(|| configure_inside(&there).unwrap())));
    }
    report("attach", outside);
    report("configure_inside", inside);

    let make = || host.run(|| timed(|| drop(create_network(&installed(), &spec(6)).unwrap())));
    let unmake = || host.run(|| timed(|| remove_network(&installed(), &id(6)).unwrap()));
    let (made, removed) = (0..20).map(|_| (make(), unmake())).unzip();
    report("create_network", made);
    report("remove_network", removed);
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let (least, median) = (times.first(), times.get(times.len() / 2));
    println!("{what}: least {least:?}, median {median:?}, most {:?}", times.last());
}

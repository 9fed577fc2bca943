//! Command lines of `create` and the bodies they become. The bodies are those of Docker's command
//! line 28.2 without the fields it fills with defaults.

use serde_json::{Value, json};

use super::plan;
use crate::flags::{self, table};

fn typed(line: &[&str]) -> Result<super::Plan, String> {
    let command = table::find("", "run").unwrap();
    let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
    let args = flags::parse(command, &words).map_err(|error| format!("{error:?}"))?;
    plan(&args, args.on("detach"), (0, 0))
}

fn body(line: &[&str]) -> Value {
    typed(line).unwrap().body
}

/// The body's host configuration without what every body has.
fn host(line: &str) -> Value {
    let words: Vec<&str> = line.split_whitespace().chain(["x"]).collect();
    let mut host = body(&words).get_mut("HostConfig").unwrap().take();
    host.as_object_mut().unwrap().remove("ConsoleSize");
    if host["NetworkMode"] == "default" {
        host.as_object_mut().unwrap().remove("NetworkMode");
    }
    host
}

/// The body without host configuration and attached streams.
fn config(line: &str) -> Value {
    let words: Vec<&str> = line.split_whitespace().chain(["x"]).collect();
    let mut body = body(&words);
    for key in ["HostConfig", "Image", "AttachStdin", "AttachStdout", "AttachStderr"] {
        body.as_object_mut().unwrap().remove(key);
    }
    body
}

#[test]
fn nothing_is_sent_that_was_not_asked_for() {
    assert_eq!(
        body(&["busybox"]),
        json!({
            "Image": "busybox",
            "AttachStdin": false, "AttachStdout": true, "AttachStderr": true,
            "HostConfig": {"NetworkMode": "default", "ConsoleSize": [0, 0]},
        })
    );
}

#[test]
fn command_and_streams() {
    let all = body(&["-it", "busybox", "sh", "-c", "-d"]);
    assert_eq!(all["Cmd"], json!(["sh", "-c", "-d"]), "flags end at the image");
    assert_eq!(all["Tty"], json!(true));
    assert_eq!(all["OpenStdin"], json!(true));
    assert_eq!(all["StdinOnce"], json!(true));
    assert_eq!(all["AttachStdin"], json!(true));
    let detached = body(&["-dit", "x"]);
    assert_eq!(detached["AttachStdin"], json!(false));
    assert_eq!(detached["StdinOnce"], Value::Null);
    let some = body(&["-a", "STDIN", "-a", "stderr", "x"]);
    assert_eq!(
        (&some["AttachStdin"], &some["AttachStdout"], &some["AttachStderr"]),
        (&json!(true), &json!(false), &json!(true))
    );
}

#[test]
fn flags_of_the_container() {
    for (line, expected) in [
        (
            "-h web --domainname d -u 1:2 -w /srv",
            json!({"Hostname": "web", "Domainname": "d", "User": "1:2", "WorkingDir": "/srv"}),
        ),
        ("-e A=1 -e B= -l a=b -l c", json!({"Env": ["A=1", "B="], "Labels": {"a": "b", "c": ""}})),
        (
            "--entrypoint sh --stop-signal INT --stop-timeout 0",
            json!({"Entrypoint": ["sh"], "StopSignal": "INT", "StopTimeout": 0}),
        ),
        ("--entrypoint=", json!({"Entrypoint": [""]})),
        ("--no-healthcheck", json!({"Healthcheck": {"Test": ["NONE"]}})),
        (
            "--health-cmd true --health-interval 1m5s --health-retries 3",
            json!({"Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 65_000_000_000_i64, "Retries": 3}}),
        ),
        ("-v /anonymous", json!({"Volumes": {"/anonymous": {}}})),
        (
            "--expose 80 --expose 90-91/udp",
            json!({"ExposedPorts": {"80/tcp": {}, "90/udp": {}, "91/udp": {}}}),
        ),
        (
            "--network my --ip 10.0.0.5 --network-alias w",
            json!({"NetworkingConfig": {"EndpointsConfig": {"my": {"IPAMConfig": {"IPv4Address": "10.0.0.5"}, "Aliases": ["w"]}}}}),
        ),
        (
            "--network name=a,alias=b,driver-opt=k=v --net c",
            json!({"NetworkingConfig": {"EndpointsConfig": {"a": {"Aliases": ["b"], "DriverOpts": {"k": "v"}}, "c": {}}}}),
        ),
    ] {
        assert_eq!(config(line), expected, "{line}");
    }
}

#[test]
fn flags_of_resources() {
    for (line, expected) in [
        ("-m 512m --memory-swap -1", json!({"Memory": 536_870_912, "MemorySwap": -1})),
        (
            "--memory 1.5g --memory-reservation 10k",
            json!({"Memory": 1_610_612_736, "MemoryReservation": 10_240}),
        ),
        (
            "--cpus 1.5 -c 512 --cpuset-cpus 0-1",
            json!({"NanoCpus": 1_500_000_000, "CpuShares": 512, "CpusetCpus": "0-1"}),
        ),
        ("--cpus .000000001", json!({"NanoCpus": 1})),
        ("--pids-limit -1 --oom-score-adj -5", json!({"PidsLimit": -1, "OomScoreAdj": -5})),
        ("--memory-swappiness 0", json!({"MemorySwappiness": 0})),
        ("--memory-swappiness -1", json!({})),
        (
            "--ulimit nofile=1024:2048 --ulimit core=-1",
            json!({"Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 2048}, {"Name": "core", "Soft": -1, "Hard": -1}]}),
        ),
        (
            "--restart on-failure:3",
            json!({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}}),
        ),
        (
            "--device-read-bps /dev/sda:1mb",
            json!({"BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 1_048_576}]}),
        ),
        (
            "--blkio-weight-device /dev/sda:20",
            json!({"BlkioWeightDevice": [{"Path": "/dev/sda", "Weight": 20}]}),
        ),
        ("--gpus all", json!({"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]})),
    ] {
        assert_eq!(host(line), expected, "{line}");
    }
}

#[test]
fn flags_of_isolation() {
    for (line, expected) in [
        (
            "--cap-add NET_ADMIN --cap-drop ALL --privileged",
            json!({"CapAdd": ["NET_ADMIN"], "CapDrop": ["ALL"], "Privileged": true}),
        ),
        (
            "--security-opt no-new-privileges --security-opt seccomp=unconfined",
            json!({"SecurityOpt": ["no-new-privileges", "seccomp=unconfined"]}),
        ),
        ("--security-opt systempaths=unconfined", json!({"MaskedPaths": [], "ReadonlyPaths": []})),
        (
            "--read-only --rm --init",
            json!({"ReadonlyRootfs": true, "AutoRemove": true, "Init": true}),
        ),
        ("--init=false", json!({"Init": false})),
        ("--rm=false", json!({})),
        (
            "--userns host --pid container:a --ipc private --uts host --cgroupns private",
            json!({"UsernsMode": "host", "PidMode": "container:a", "IpcMode": "private", "UTSMode": "host", "CgroupnsMode": "private"}),
        ),
        (
            "--device /dev/fuse --device /dev/a:/dev/b:r --device vendor.com/gpu=all",
            json!({
                "Devices": [
                    {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"},
                    {"PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "r"},
                ],
                "DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["vendor.com/gpu=all"]}],
            }),
        ),
        ("--sysctl net.a=1 --group-add 5", json!({"Sysctls": {"net.a": "1"}, "GroupAdd": ["5"]})),
        ("--add-host a:1.2.3.4 --add-host b=[::1]", json!({"ExtraHosts": ["a:1.2.3.4", "b:::1"]})),
        (
            "--log-driver local --log-opt max-size=1m",
            json!({"LogConfig": {"Type": "local", "Config": {"max-size": "1m"}}}),
        ),
        ("--net host", json!({"NetworkMode": "host"})),
    ] {
        assert_eq!(host(line), expected, "{line}");
    }
}

#[test]
fn flags_of_mounts_and_ports() {
    for (line, expected) in [
        ("-v /a:/b:ro -v vol:/c", json!({"Binds": ["/a:/b:ro", "vol:/c"]})),
        ("--tmpfs /a --tmpfs /b:size=1m", json!({"Tmpfs": {"/a": "", "/b": "size=1m"}})),
        (
            "--mount type=bind,src=/a,dst=/b,ro,bind-propagation=rslave",
            json!({"Mounts": [{"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": true, "BindOptions": {"Propagation": "rslave"}}]}),
        ),
        (
            "--mount dst=/c,volume-opt=a=b,volume-nocopy",
            json!({"Mounts": [{"Type": "volume", "Target": "/c", "VolumeOptions": {"NoCopy": true, "DriverConfig": {"Options": {"a": "b"}}}}]}),
        ),
        (
            "--mount type=tmpfs,dst=/t,tmpfs-size=64m,tmpfs-mode=1770",
            json!({"Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 67_108_864, "Mode": 0o1770}}]}),
        ),
        (
            "-p 127.0.0.1:53:53/udp -p [::1]:1:1",
            json!({"PortBindings": {"53/udp": [{"HostIp": "127.0.0.1", "HostPort": "53"}], "1/tcp": [{"HostIp": "::1", "HostPort": "1"}]}}),
        ),
        (
            "-p 1000-1001:2000-2001 -p 3000-3005:80",
            json!({"PortBindings": {
                "2000/tcp": [{"HostIp": "", "HostPort": "1000"}],
                "2001/tcp": [{"HostIp": "", "HostPort": "1001"}],
                "80/tcp": [{"HostIp": "", "HostPort": "3000-3005"}],
            }}),
        ),
    ] {
        assert_eq!(host(line), expected, "{line}");
    }
}

#[test]
fn relative_sources_are_below_the_current_directory() {
    let here = std::env::current_dir().unwrap();
    let expected = format!("{}:/b", here.join("rel").display());
    assert_eq!(host("-v ./rel:/b")["Binds"][0], json!(expected));
}

#[test]
fn what_cannot_be_said_is_refused_in_docker_words() {
    for (line, why) in [
        ("--rm --restart always", "conflicting options: cannot specify both --restart and --rm"),
        ("--no-healthcheck --health-cmd x", "--no-healthcheck conflicts with --health-* options"),
        ("--health-timeout -1s", "--health-timeout cannot be negative"),
        ("-p abc", "invalid containerPort: abc"),
        ("-p 80/foo", "invalid proto: foo"),
        ("-p x:1:2", "invalid IP address: x"),
        ("-p 70000:1", "invalid hostPort: 70000"),
        ("--expose 1:2", "invalid port format for --expose: 1:2"),
        ("--network a --network a", "network \"a\" is specified multiple times"),
        (
            "--network host --network-alias x",
            "network-scoped aliases are only supported for user-defined networks",
        ),
        (
            "--restart on-failure:x",
            "invalid restart policy format: maximum retry count must be an integer",
        ),
        ("--security-opt x", "Invalid --security-opt: \"x\""),
        ("--log-driver none --log-opt a=b", "invalid logging opts for driver none"),
        ("--storage-opt x", "invalid storage option"),
        ("--memory-swappiness 200", "invalid value: 200. Valid memory swappiness range is 0-100"),
    ] {
        let words: Vec<&str> = line.split_whitespace().chain(["x"]).collect();
        assert_eq!(typed(&words).unwrap_err(), why, "{line}");
    }
}

#[test]
fn values_are_checked_where_they_stand() {
    for (line, why) in [
        ("-m abc", "\"abc\" for \"-m, --memory\" flag: invalid size: 'abc'"),
        ("-m 5x", "\"5x\" for \"-m, --memory\" flag: invalid suffix: 'x'"),
        ("--memory -1", "\"-1\" for \"-m, --memory\" flag: invalid size: '-1'"),
        ("--cpus x", "\"x\" for \"--cpus\" flag: failed to parse x as a rational number"),
        ("--cpus 1.0000000001", "\"1.0000000001\" for \"--cpus\" flag: value is too precise"),
        (
            "--health-interval 5",
            "\"5\" for \"--health-interval\" flag: time: missing unit in duration \"5\"",
        ),
        (
            "--rm=maybe",
            "\"maybe\" for \"--rm\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
        ),
        ("-a foo", "\"foo\" for \"-a, --attach\" flag: valid streams are STDIN, STDOUT and STDERR"),
        ("--ulimit x", "\"x\" for \"--ulimit\" flag: invalid ulimit argument: x"),
        ("--mount type=bind,src=x", "\"type=bind,src=x\" for \"--mount\" flag: target is required"),
        ("--add-host x", "\"x\" for \"--add-host\" flag: bad format for add-host: \"x\""),
        ("--dns x", "\"x\" for \"--dns\" flag: IP address is not correctly formatted: x"),
        (
            "--blkio-weight 70000",
            "\"70000\" for \"--blkio-weight\" flag: strconv.ParseUint: parsing \"70000\": value out of range",
        ),
    ] {
        let words: Vec<&str> = line.split_whitespace().chain(["x"]).collect();
        let error = typed(&words).unwrap_err();
        let expected = format!("{:?}", flags::UsageError::Flag(format!("invalid argument {why}")));
        assert_eq!(error, expected, "{line}");
    }
}

//! From the arguments of the process to the command that runs, and what is said when there is none.

use crate::client::{Client, Endpoint};
use crate::failure::Failure;
use crate::flags::table::{self, GLOBAL, GROUPS};
use crate::flags::{self, Action, Args, Command, UsageError, help};
use crate::output::print;
use crate::policy::PolicyArgs;
use crate::{commands, engine, policy};

/// Parse the arguments of this process and do what they say.
pub(crate) fn run() -> Result<(), Failure> {
    let typed = arguments()?;
    if let Some(exec) = engine::daemon::exec_requested(&typed) {
        return exec;
    }
    let global = parse(&GLOBAL, &typed)?;
    let Some(global) = global else { return print::out(&help::program(help::columns())) };
    if global.on("version") {
        return print::line(concat!("Bulkhead version ", env!("CARGO_PKG_VERSION")));
    }
    let Some((command, rest)) = find(global.positional())? else { return Ok(()) };
    // `COMMAND -H ADDRESS` is not a flag of commands, but of the program.
    let Some(args) = parse(command, rest)? else {
        return print::out(&help::command(command, help::columns()));
    };
    perform(command, &args, global.last("host"))
}

fn arguments() -> Result<Vec<String>, Failure> {
    std::env::args_os()
        .skip(1)
        .map(|argument| {
            argument.into_string().map_err(|argument| {
                Failure::with_code(125, format!("not valid UTF-8: {}", argument.display()))
            })
        })
        .collect()
}

/// The arguments, or nothing if help was asked for.
fn parse(command: &Command, typed: &[String]) -> Result<Option<Args>, Failure> {
    let path = format!("bulkhead {}", command.path);
    let path = path.trim_end();
    match flags::parse(command, typed) {
        Ok(args) => Ok(Some(args)),
        Err(UsageError::Help) => Ok(None),
        Err(UsageError::Flag(why)) => {
            let usage = help::usage(command);
            let hint = format!("Run '{path} --help' for more information");
            Err(Failure::with_code(125, format!("{why}\n\n{usage}\n\n{hint}")))
        }
        Err(UsageError::Count(why)) => {
            let usage = help::usage(command);
            let see = if why.contains("at least") { "See" } else { "Run" };
            let hint = format!("{see} '{path} --help' for more information");
            Err(Failure::new(format!("bulkhead: '{path}' {why}\n\n{usage}\n\n{hint}")))
        }
    }
}

type Found<'a> = (&'static Command, &'a [String]);

/// The command that was named and what follows it; nothing if help was shown instead.
fn find(words: &[String]) -> Result<Option<Found<'_>>, Failure> {
    let Some((first, rest)) = words.split_first() else {
        print::out(&help::program(help::columns()))?;
        return Ok(None);
    };
    if first == "help" {
        return help_about(rest).map(|()| None);
    }
    let Some((group, about)) = GROUPS.into_iter().find(|(name, _)| name == first) else {
        let unknown = || {
            Failure::new(format!(
                "bulkhead: unknown command: bulkhead {first}\n\n\
                 Run 'bulkhead --help' for more information"
            ))
        };
        let command = table::find("", first).ok_or_else(unknown)?;
        return Ok(Some((command, rest)));
    };
    match rest.split_first() {
        Some((name, rest)) if !name.starts_with('-') => {
            let unknown = || {
                Failure::new(format!(
                    "bulkhead: unknown command: bulkhead {group} {name}\n\n\
                     Usage:  bulkhead {group}\n\n\
                     Run 'bulkhead {group} --help' for more information"
                ))
            };
            let command = table::find(group, name).ok_or_else(unknown)?;
            Ok(Some((command, rest)))
        }
        Some(_) | None => {
            print::out(&help::group(group, about))?;
            Ok(None)
        }
    }
}

fn help_about(words: &[String]) -> Result<(), Failure> {
    match find(words)? {
        Some((command, _rest)) => print::out(&help::command(command, help::columns())),
        None => Ok(()),
    }
}

fn perform(command: &Command, args: &Args, host: Option<&str>) -> Result<(), Failure> {
    // These work on the host, without an engine.
    if command.action == Action::Up {
        return engine::up(args);
    }
    if command.action == Action::Down {
        return engine::down(args);
    }
    if let Some(policy) = policy_args(command.action, args)? {
        return report(&policy);
    }
    let client = Client::new(Endpoint::choose(host)?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| Failure::io("the event loop", &error))?;
    let result = runtime.block_on(commands::perform(command, &client, args));
    // Threads that wait for input or output are not waited for: the process ends with them.
    runtime.shutdown_background();
    result
}

fn policy_args(action: Action, args: &Args) -> Result<Option<PolicyArgs>, Failure> {
    let input = args.last("in").unwrap_or("/etc/bulkhead/policy.toml").into();
    let uid = args.int("uid").and_then(|uid| u32::try_from(uid).ok());
    if action == Action::PolicyCheck {
        return Ok(Some(PolicyArgs::Check { input, uid }));
    }
    if action == Action::PolicyCompile {
        let output = args.last("out").ok_or_else(|| {
            Failure::with_code(125, "--out FILE is needed, for example /etc/bulkhead/policy.bin")
        })?;
        return Ok(Some(PolicyArgs::Compile { input, output: output.into(), uid }));
    }
    Ok((action == Action::PolicyExplain).then(|| PolicyArgs::Explain {
        request: args.at(0).into(),
        policy: args.last("policy").unwrap_or("/etc/bulkhead/policy.bin").into(),
        uid,
    }))
}

fn report(args: &PolicyArgs) -> Result<(), Failure> {
    let report = policy::run(args).map_err(|error| Failure::new(error.to_string()))?;
    print::out(&report.text)?;
    if report.good { Ok(()) } else { Err(Failure::silent(1)) }
}

//! `update`.

use serde_json::{Map, Value};

use super::lifecycle::path;
use crate::client::{Call, Client};
use crate::create::resources;
use crate::failure::Failure;
use crate::flags::Args;
use crate::output::print;

/// `update`: other limits for containers.
pub(super) async fn update(client: &Client, args: &Args) -> Result<(), Failure> {
    let mut body = Map::new();
    resources::fill(args, &mut body).map_err(Failure::new)?;
    if body.is_empty() {
        return Err(Failure::new("you must provide one or more flags when using this command"));
    }
    let body = Value::Object(body);
    let mut errors = Vec::new();
    let mut warnings = Vec::new();
    for name in args.positional() {
        match client.json(Call::post(path(name, "update")).body(&body)).await {
            Ok(answer) => {
                let texts = answer.at("Warnings").list().iter();
                warnings.extend(texts.map(|warning| warning.text().to_owned()));
                print::line(name)?;
            }
            Err(error) => errors.push(error.to_string()),
        }
    }
    if !warnings.is_empty() {
        print::line(&warnings.join("\n"))?;
    }
    if errors.is_empty() { Ok(()) } else { Err(Failure::new(errors.join("\n"))) }
}

//! `--format`: Go templates with the functions Docker's command line adds.
//!
//! gotmpl runs the templates. Two things it does not know are done here. A method with an argument
//! (`.Label "name"`) is rewritten to a function call before parsing. And `json` must print objects
//! in the server's order, while a template's maps are sorted: the order of each map's keys is kept
//! beside it, found by the map's address.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use gotmpl::{MissingKey, Template, TemplateError, Value};

use super::json::Json;
use super::table::Layout;
use crate::failure::Failure;

/// The key of a row's labels, which `.Label "name"` looks into. Not a name a template can say.
const LABELS: &str = "\0labels";

/// A list of rows to print.
pub(crate) struct Listing<'a> {
    /// The template, `table TEMPLATE` or `json`.
    pub(crate) format: &'a str,
    /// Column headings by field.
    pub(crate) headings: &'a [(&'a str, &'a str)],
}

impl Listing<'_> {
    /// Fill the template in for each row, aligned in columns under headings if it is a table.
    pub(crate) fn render(&self, rows: &[Row]) -> Result<String, Failure> {
        let (is_table, body) = match self.format {
            "json" => (false, "{{json .}}"),
            format => match format.strip_prefix("table") {
                Some(body) => (true, body),
                None => (false, format),
            },
        };
        let body = body.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n");
        let template = parse(&body, Values::default(), MissingKey::Error)?;
        let mut text = String::new();
        if is_table {
            let headings = Row::of(self.headings.iter().map(|(key, text)| (*key, (*text).into())));
            let head = parse_with(&body, heading_functions(), MissingKey::Error)?;
            text.push_str(&head.execute_to_string(&headings.value()).map_err(|e| failed(&e))?);
            text.push('\n');
        }
        for row in rows {
            text.push_str(&template.execute_to_string(&row.value()).map_err(|e| failed(&e))?);
            text.push('\n');
        }
        Ok(if is_table { Layout::LIST.align(&text) } else { text })
    }
}

/// The fields of one row.
#[derive(Debug, Default, Clone)]
pub(crate) struct Row {
    fields: Vec<(String, Json)>,
    labels: Vec<(String, String)>,
}

impl Row {
    /// A row of these fields.
    pub(crate) fn of<'a>(fields: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let fields =
            fields.into_iter().map(|(key, text)| (key.to_owned(), Json::Text(text))).collect();
        Self { fields, labels: Vec::new() }
    }

    /// With a field that has no value.
    pub(crate) fn with_null(mut self, key: &str) -> Self {
        self.fields.push((key.to_owned(), Json::Null));
        self
    }

    /// With what `.Label "name"` finds.
    pub(crate) fn with_labels(mut self, labels: &Json) -> Self {
        let text = |(key, value): &(String, Json)| (key.clone(), value.text().to_owned());
        self.labels = labels.members().iter().map(text).collect();
        self
    }

    fn value(&self) -> Value {
        let text = |text: &str| Value::String(text.into());
        let mut map: BTreeMap<Arc<str>, Value> = self
            .fields
            .iter()
            .map(|(key, json)| (key.as_str().into(), Values::default().convert(json)))
            .collect();
        let labels: BTreeMap<Arc<str>, Value> =
            self.labels.iter().map(|(key, value)| (key.as_str().into(), text(value))).collect();
        map.insert(LABELS.into(), Value::Map(Arc::new(labels)));
        Value::Map(Arc::new(map))
    }
}

/// Fill a template in with a JSON value, as `inspect --format` does.
pub(crate) fn render(format: &str, json: &Json) -> Result<String, Failure> {
    let mut values = Values::default();
    let root = values.convert(json);
    let template = parse(format, values, MissingKey::Error)?;
    template.execute_to_string(&root).map_err(|error| failed(&error))
}

/// Say what is wrong with a template before anything is asked of the server.
pub(crate) fn check(format: &str) -> Result<(), Failure> {
    let body = format.strip_prefix("table").unwrap_or(format);
    parse(body, Values::default(), MissingKey::Error).map(drop)
}

/// JSON as template values, with the order of keys of each object.
#[derive(Debug, Default, Clone)]
struct Values {
    orders: HashMap<usize, Vec<Arc<str>>>,
}

impl Values {
    fn convert(&mut self, json: &Json) -> Value {
        match json {
            Json::Null => Value::Nil,
            Json::Bool(truth) => Value::Bool(*truth),
            Json::Int(number) => Value::Int(*number),
            Json::Uint(number) => Value::Uint(*number),
            Json::Float(number) => Value::Float(*number),
            Json::Text(text) => Value::String(text.as_str().into()),
            Json::List(list) => Value::List(list.iter().map(|json| self.convert(json)).collect()),
            Json::Object(members) => {
                let keys: Vec<Arc<str>> =
                    members.iter().map(|(key, _)| key.as_str().into()).collect();
                let values = members.iter().map(|(_, json)| self.convert(json));
                let map = Arc::new(keys.iter().cloned().zip(values).collect::<BTreeMap<_, _>>());
                self.orders.insert(Arc::as_ptr(&map).addr(), keys);
                Value::Map(map)
            }
        }
    }

    fn restore(&self, value: &Value) -> Json {
        match value {
            Value::Nil | Value::Function(_) => Json::Null,
            Value::Bool(truth) => Json::Bool(*truth),
            Value::Int(number) => Json::Int(*number),
            Value::Uint(number) => Json::Uint(*number),
            Value::Float(number) => Json::Float(*number),
            Value::String(text) => Json::Text(text.to_string()),
            Value::List(list) => Json::List(list.iter().map(|value| self.restore(value)).collect()),
            Value::Map(map) => {
                let sorted: Vec<Arc<str>>;
                let keys = if let Some(keys) = self.orders.get(&Arc::as_ptr(map).addr()) {
                    keys
                } else {
                    sorted = map.keys().filter(|key| &***key != LABELS).cloned().collect();
                    &sorted
                };
                let member = |key: &Arc<str>| {
                    let value = map.get(key).map_or(Json::Null, |value| self.restore(value));
                    (key.to_string(), value)
                };
                Json::Object(keys.iter().map(member).collect())
            }
        }
    }
}

fn parse(format: &str, values: Values, missing: MissingKey) -> Result<Template, Failure> {
    parse_with(format, functions(values), missing)
}

fn parse_with(
    format: &str,
    functions: gotmpl::FuncMap,
    missing: MissingKey,
) -> Result<Template, Failure> {
    Template::new("")
        .missing_key(missing)
        .funcs(functions)
        .parse(&methods_to_functions(format))
        .map_err(|error| failed(&error))
}

fn failed(error: &TemplateError) -> Failure {
    Failure::new(format!("template parsing error: {error}"))
}

/// `.Label "x"` becomes `label . "x"` and `$v.Label "x"` becomes `label $v "x"`, inside of actions.
fn methods_to_functions(format: &str) -> String {
    const METHOD: &str = ".Label ";
    let mut rest = format;
    let mut rewritten = String::with_capacity(format.len() + 8);
    while let Some(start) = rest.find(METHOD) {
        let (before, after) = rest.split_at(start);
        let seen = format.get(..format.len() - after.len()).unwrap_or("");
        let in_action = seen.rfind("{{") > seen.rfind("}}");
        let object = before.rfind(|c: char| !c.is_alphanumeric() && c != '$' && c != '_');
        let (text, object) = before.split_at(object.map_or(0, |at| at + 1));
        if in_action && (object.is_empty() || object.starts_with('$')) {
            let object = if object.is_empty() { "." } else { object };
            rewritten.push_str(&format!("{text}label {object} "));
        } else {
            rewritten.push_str(before);
            rewritten.push_str(METHOD);
        }
        rest = after.get(METHOD.len()..).unwrap_or("");
    }
    rewritten.push_str(rest);
    rewritten
}

type Function = fn(&[Value]) -> Result<Value, TemplateError>;

fn functions(values: Values) -> gotmpl::FuncMap {
    let plain: [(&str, Function); 8] = [
        ("join", join),
        ("split", split),
        ("lower", |args| Ok(string(text(args, 0)?.to_lowercase()))),
        ("upper", |args| Ok(string(text(args, 0)?.to_uppercase()))),
        ("title", title),
        ("pad", pad),
        ("truncate", truncate),
        ("label", label),
    ];
    let mut functions = gotmpl::FuncMap::new();
    for (name, function) in plain {
        functions.insert(name.to_owned(), Arc::new(function));
    }
    let json = move |args: &[Value]| {
        let value = args.first().ok_or_else(|| exec("json: nothing to print"))?;
        let text = values.restore(value).compact();
        // Rows, and only they, are printed by an encoder of Go's that takes care for HTML.
        let is_row = value.field(LABELS).is_some();
        Ok(string(if is_row { without_html(&text) } else { text }))
    };
    functions.insert("json".to_owned(), Arc::new(json));
    functions
}

/// A heading passes all functions unchanged, but is padded, so that it stands above its column.
fn heading_functions() -> gotmpl::FuncMap {
    let same: Function = |args| Ok(args.first().cloned().unwrap_or(Value::Nil));
    let mut functions = functions(Values::default());
    for name in ["json", "split", "join", "title", "lower", "upper", "truncate"] {
        functions.insert(name.to_owned(), Arc::new(same));
    }
    let label: Function = |args| Ok(args.get(1).cloned().unwrap_or(Value::Nil));
    functions.insert("label".to_owned(), Arc::new(label));
    functions
}

fn without_html(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn string(text: String) -> Value {
    Value::String(text.into())
}

fn exec(what: impl Into<String>) -> TemplateError {
    TemplateError::Exec(what.into())
}

fn text(args: &[Value], index: usize) -> Result<&str, TemplateError> {
    match args.get(index) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(exec(format!("wrong type of value {other}; expected string"))),
        None => Err(exec(format!("wrong number of args: want {}", index + 1))),
    }
}

fn number(args: &[Value], index: usize) -> Result<usize, TemplateError> {
    let value = args.get(index).and_then(Value::as_int).and_then(|n| usize::try_from(n).ok());
    value.ok_or_else(|| exec("expected a number that is not negative"))
}

fn join(args: &[Value]) -> Result<Value, TemplateError> {
    let Some(Value::List(list)) = args.first() else {
        return Err(exec("join: expected a list"));
    };
    let texts: Vec<String> = list.iter().map(ToString::to_string).collect();
    Ok(string(texts.join(text(args, 1)?)))
}

fn split(args: &[Value]) -> Result<Value, TemplateError> {
    let parts = text(args, 0)?.split(text(args, 1)?).map(|part| Value::String(part.into()));
    Ok(Value::List(parts.collect()))
}

/// Go's `strings.Title`: the first letter of each word in upper case.
fn title(args: &[Value]) -> Result<Value, TemplateError> {
    let mut titled = String::new();
    let mut in_word = false;
    for letter in text(args, 0)?.chars() {
        if in_word {
            titled.push(letter);
        } else {
            titled.extend(letter.to_uppercase());
        }
        in_word = letter.is_alphanumeric() || letter == '_' || letter == '\'';
    }
    Ok(string(titled))
}

fn pad(args: &[Value]) -> Result<Value, TemplateError> {
    let source = text(args, 0)?;
    if source.is_empty() {
        return Ok(string(String::new()));
    }
    let (before, after) = (number(args, 1)?, number(args, 2)?);
    Ok(string(format!("{}{source}{}", " ".repeat(before), " ".repeat(after))))
}

fn truncate(args: &[Value]) -> Result<Value, TemplateError> {
    let (source, length) = (text(args, 0)?, number(args, 1)?);
    let cut = source.char_indices().map(|(at, _)| at).take_while(|at| *at <= length).last();
    let whole = source.len() <= length;
    Ok(string(if whole { source } else { source.get(..cut.unwrap_or(0)).unwrap_or("") }.to_owned()))
}

fn label(args: &[Value]) -> Result<Value, TemplateError> {
    let labels = args.first().and_then(|row| row.field(LABELS));
    let value = labels.and_then(|labels| labels.field(text(args, 1).unwrap_or("")));
    Ok(value.cloned().unwrap_or_else(|| string(String::new())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(format: &str, json: &str) -> String {
        render(format, &serde_json::from_str(json).unwrap()).unwrap()
    }

    #[test]
    fn docker_functions_do_what_docker_says() {
        let json = r#"{"Z":[1,{"y":1,"x":2}],"Name":"/quick fox","Env":["A=1","B=2"],"N":null}"#;
        for (format, text) in [
            ("{{json .Z}}", r#"[1,{"y":1,"x":2}]"#),
            ("{{json .}}", json),
            ("{{.Name | upper}}", "/QUICK FOX"),
            ("{{title .Name}}", "/Quick Fox"),
            ("{{lower \"ABC\"}}", "abc"),
            ("{{join .Env \", \"}}", "A=1, B=2"),
            ("{{range .Env}}{{index (split . \"=\") 0}};{{end}}", "A;B;"),
            ("{{pad .Name 1 2}}|", " /quick fox  |"),
            ("{{truncate .Name 3}}", "/qu"),
            ("{{println .Name}}", "/quick fox\n"),
            ("{{.Z}}", "[1 map[x:2 y:1]]"),
            ("{{len .Env}}", "2"),
            ("{{.N}}", "<no value>"),
        ] {
            assert_eq!(rendered(format, json), text, "{format}");
        }
    }

    #[test]
    fn a_missing_key_is_an_error() {
        let json: Json = serde_json::from_str(r#"{"State":{"Running":true}}"#).unwrap();
        assert!(render("{{.State.Nope}}", &json).is_err());
        assert!(render("{{.State.Running", &json).is_err());
    }

    #[test]
    fn a_table_has_headings_and_columns() {
        let rows = [("0123456789ab", "web"), ("ab", "database-server")]
            .map(|(id, name)| Row::of([("ID", id.to_owned()), ("Names", name.to_owned())]));
        let listing = Listing {
            format: "table {{.ID}}\\t{{.Names | upper}}\\t{{truncate .Names 2}}",
            headings: &[("ID", "CONTAINER ID"), ("Names", "NAMES")],
        };
        assert_eq!(
            listing.render(&rows).unwrap(),
            "CONTAINER ID   NAMES             NAMES\n\
             0123456789ab   WEB               we\n\
             ab             DATABASE-SERVER   da\n"
        );
    }

    #[test]
    fn labels_are_found_by_name() {
        let labels: Json = serde_json::from_str(r#"{"com.x":"y"}"#).unwrap();
        let row = Row::of([("ID", "1".to_owned())]).with_labels(&labels);
        let listing = |format| Listing { format, headings: &[("ID", "ID")] };
        for (format, text) in [
            (r#"{{.Label "com.x"}}{{.Label "none"}}"#, "y\n"),
            (r#"{{.Label "com.x" | upper}}.Label "com.x""#, "Y.Label \"com.x\"\n"),
            (r#"{{with .ID}}{{$.Label "com.x"}}{{end}}"#, "y\n"),
            ("{{json .}}", "{\"ID\":\"1\"}\n"),
            ("json", "{\"ID\":\"1\"}\n"),
            (r#"table {{.ID}} {{.Label "com.x"}}"#, "ID com.x\n1 y\n"),
        ] {
            assert_eq!(listing(format).render(std::slice::from_ref(&row)).unwrap(), text);
        }
    }
}

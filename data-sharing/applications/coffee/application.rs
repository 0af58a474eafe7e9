//! Coffee machine: brews cups. A WASI command without dependencies, so that it stays small:
//! reads {"action": …, "key": …, "input": {"cups": n}} and looks for two fields in it.
use std::io::Read;
use std::process::exit;

/// The text after `"name":`, or None. Enough for documents that a schema has checked.
fn after<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let quoted = ["\"", name, "\""].concat();
    let rest = document[document.find(&quoted)? + quoted.len()..].trim_start();
    Some(rest.strip_prefix(':')?.trim_start())
}

fn fail(message: &[u8]) -> ! {
    use std::io::Write;
    let _ = std::io::stderr().write_all(message);
    exit(1)
}

fn main() {
    use std::io::Write;
    let mut document = String::new();
    if std::io::stdin().read_to_string(&mut document).is_err() {
        fail(b"the input is not UTF-8");
    }
    let action = after(&document, "action").and_then(|rest| rest.strip_prefix('"'));
    if !action.is_some_and(|rest| rest.starts_with("brew\"")) {
        fail(b"the machine can brew and nothing else");
    }
    let input = after(&document, "input").unwrap_or("");
    let cups = match after(input, "cups") {
        None => 1,
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            rest[..digits].parse::<u32>().unwrap_or(0)
        }
    };
    if cups == 0 || cups > 12 {
        fail(b"cups must be in 1..12");
    }
    let cups = cups.to_string();
    let water = (cups.parse::<u32>().unwrap_or(1) * 125).to_string();
    let answer = ["{\"performed\":\"brew\",\"cups\":", &cups, ",\"water_ml\":", &water,
                  ",\"said\":\"Brewing, cups: ", &cups, "\"}\n"].concat();
    let _ = std::io::stdout().write_all(answer.as_bytes());
}

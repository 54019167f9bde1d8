//! `sasl.jaas.config`: one line of Java's login configuration.

/// What a line says.
#[derive(PartialEq, Eq)]
pub(super) struct Jaas {
    /// The login module's simple class name, e.g. `PlainLoginModule`.
    pub module: String,
    /// Its options.
    pub options: Vec<(String, String)>,
}

impl Jaas {
    /// The value of an option.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Reads `module required key="value" …;`.
///
/// Fails with what is wrong; the message holds nothing of the line, which has secrets in it.
pub(super) fn parse(line: &str) -> Result<Jaas, String> {
    let mut words = words(line)?.into_iter();
    let module = words.next().ok_or("is empty")?;
    let module = module.rsplit('.').next().unwrap_or_default().to_owned();
    match words.next().as_deref() {
        Some("required" | "requisite" | "sufficient" | "optional") => {}
        _ => return Err("has no control flag such as `required` after the login module".to_owned()),
    }
    let mut options = Vec::new();
    while let Some(key) = words.next() {
        match (words.next().as_deref(), words.next()) {
            (Some("="), Some(value)) if value != "=" => options.push((key, value)),
            _ => return Err("has an option that is not name=\"value\"".to_owned()),
        }
    }
    Ok(Jaas { module, options })
}

/// Words, quoted texts and equal signs, up to the semicolon that must end the line.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ';' if chars.all(char::is_whitespace) => return Ok(words),
            ';' => return Err("has more than one login module".to_owned()),
            '=' => words.push("=".to_owned()),
            '"' => {
                let mut text = String::new();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => text.extend(chars.next()),
                        Some(c) => text.push(c),
                        None => return Err("has a quotation that is not closed".to_owned()),
                    }
                }
                words.push(text);
            }
            c if c.is_whitespace() => {}
            c => {
                let mut text = c.to_string();
                while let Some(c) = chars.next_if(|c| !c.is_whitespace() && !matches!(c, '=' | ';' | '"')) {
                    text.push(c);
                }
                words.push(text);
            }
        }
    }
    Err("does not end with a semicolon".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read() {
        let jaas = parse(
            r#"org.apache.kafka.common.security.plain.PlainLoginModule required username="ann"  password="p;=\" x" ;"#,
        );
        let jaas = jaas.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(jaas.module, "PlainLoginModule");
        assert_eq!(jaas.option("username"), Some("ann"));
        assert_eq!(jaas.option("password"), Some("p;=\" x"));
        assert_eq!(jaas.option("other"), None);
    }

    #[test]
    fn mistakes_are_told_without_the_secret() {
        for (line, part) in [
            ("", "semicolon"),
            (";", "empty"),
            ("M required password=\"hunter2\"", "semicolon"),
            ("M password=\"hunter2\";", "control flag"),
            ("M required password=\"hunter2;", "not closed"),
            ("M required hunter2;", "name=\"value\""),
            ("M required a=\"hunter2\"; N required;", "more than one"),
        ] {
            let error = parse(line).err().unwrap_or_else(|| panic!("{line}"));
            assert!(error.contains(part) && !error.contains("hunter2"), "{line}: {error}");
        }
    }
}

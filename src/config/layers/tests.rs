use super::*;

fn known() -> Dict {
    let text = "
clusters:
  us-east: { bootstrap: 'a:1', client: { sasl.password: x } }
  eu.west: { bootstrap: 'b:1' }
  eu-west: { bootstrap: 'c:1' }
flows:
  us.to.eu: { from: us-east, to: eu.west }
  us: { from: eu.west, to: us-east }
";
    yaml::parse("test", text).unwrap()
}

fn variable(name: &str) -> Result<String, Option<Problem>> {
    paths::from_variable(name, &known()).map(|path| path.join("/"))
}

#[test]
fn variables_find_names_that_they_can_not_spell() {
    for (name, path) in [
        ("MIRRORMESH_MESH", "mesh"),
        ("MIRRORMESH_HTTP__LISTEN", "http/listen"),
        ("MIRRORMESH_CLUSTERS__US_EAST__BOOTSTRAP", "clusters/us-east/bootstrap"),
        ("MIRRORMESH_CLUSTERS__US_EAST__CLIENT__SASL_PASSWORD", "clusters/us-east/client/sasl.password"),
        (
            "MIRRORMESH_CLUSTERS__US_EAST__CLIENT__SSL_KEY_PASSWORD",
            "clusters/us-east/client/ssl.key.password",
        ),
        ("MIRRORMESH_CLUSTERS__US_EAST__CLIENT__NOT_KNOWN", "clusters/us-east/client/not.known"),
        ("MIRRORMESH_FLOWS__US_TO_EU__REPLICATION_FACTOR", "flows/us.to.eu/replication_factor"),
        ("MIRRORMESH_FLOWS__NEW_ONE__FROM", "flows/new_one/from"),
        ("MIRRORMESH_NO__SUCH", "no/such"),
    ] {
        assert_eq!(variable(name).as_deref().ok(), Some(path), "{name}");
    }
}

#[test]
fn variables_that_fit_two_names_are_refused() {
    let problem = variable("MIRRORMESH_CLUSTERS__EU_WEST__BOOTSTRAP").unwrap_err().unwrap();
    assert!(problem.message.contains("eu-west, eu.west"), "{problem}");
    assert!(variable("MIRRORMESH_HTTP____LISTEN").unwrap_err().is_some());
}

#[test]
fn what_kubernetes_announces_is_not_for_us() {
    for name in
        ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_8080_TCP", "UI_SERVICE_HOST"]
    {
        assert!(variable(&format!("MIRRORMESH_{name}")).unwrap_err().is_none(), "{name}");
    }
}

#[test]
fn dotted_keys_find_names_with_dots() {
    for (key, path) in [
        ("memory.budget", "memory/budget"),
        ("clusters.eu.west.bootstrap", "clusters/eu.west/bootstrap"),
        ("clusters.us-east.client.sasl.jaas.config", "clusters/us-east/client/sasl.jaas.config"),
        ("flows.us.to.eu.start", "flows/us.to.eu/start"),
        ("flows.us.start", "flows/us/start"),
        ("flows.other.start", "flows/other/start"),
        ("nothing.like.it", "nothing/like/it"),
    ] {
        assert_eq!(paths::from_dotted(key, &known()).join("/"), path, "{key}");
    }
}

#[test]
fn lists_are_read_where_lists_belong() {
    let topics = ["flows", "us", "topics"].map(str::to_owned);
    let value = |text| paths::value(&topics, text);
    assert_eq!(value("[a, 'b.*']").into_array().unwrap().len(), 2);
    assert_eq!(value("a.*").into_string().unwrap(), "a.*");
    assert_eq!(value("[a-z]+").into_string().unwrap(), "[a-z]+");
    let password = ["clusters", "us-east", "client", "sasl.password"].map(str::to_owned);
    assert_eq!(paths::value(&password, "[007]").into_string().unwrap(), "[007]");
}

#[test]
fn files_that_are_not_ours_are_unusable() {
    for (text, part) in [
        ("a: [", "not valid YAML"),
        ("- a\n- b", "not a map"),
        ("just text", "not a map"),
        ("a: 1\nb: 2\na: 3", "duplicate"),
    ] {
        let problems = yaml::parse("x.yaml", text).unwrap_err();
        assert!(problems.unusable && problems.to_string().contains(part), "{text}: {problems}");
    }
    assert!(read_file(Path::new("/nowhere/at/all.yaml")).unwrap_err().unusable);
}

//! Rules files: where they lie, what they may say, and every mistake at once.

use std::fs;

use koffer_proto::Lang;

use super::{Case, SMALL, project};

/// A case with rules in two folders.
fn case(more: &str) -> Case {
    let mut case = Case::new(&format!("{SMALL}{more}"));
    let folders = ["etc", "usr"].map(|folder| case.path(folder).display().to_string());
    case.env("KOFFER__GATEWAY__RULES", &folders.join(","));
    case
}

fn rule(name: &str, port: &str) -> String {
    format!(
        "[[rule]]\nname = \"{name}\"\nmatch = {{ by = \"serial\", port = \"{port}\" }}\ndriver = \"zvt\"\n"
    )
}

fn names(case: &Case) -> Vec<String> {
    let rules = case.config().rules;
    let served = rules.iter().filter_map(super::super::Rule::served);
    served.map(|(name, _)| name.to_string()).collect()
}

#[test]
fn rules_are_tried_in_the_order_of_their_files_and_a_town_replaces_a_file_of_a_package() {
    let case = case("");
    assert_eq!(names(&case), [""; 0], "folders that are missing are empty");
    case.file("usr/50-till.toml", rule("from-the-package", "1-1"), 0o644);
    case.file("usr/90-last.toml", rule("last", "1-2"), 0o644);
    case.file("usr/readme.txt", "no rules", 0o644);
    let both = rule("first", "1-3") + &rule("second", "1-4");
    case.file("etc/60-case.toml", both, 0o644);
    assert_eq!(
        names(&case),
        ["from-the-package", "first", "second", "last"]
    );
    case.file("etc/50-till.toml", "", 0o644);
    assert_eq!(names(&case), ["first", "second", "last"]);
}

#[test]
fn a_role_may_name_devices_that_rules_make() {
    let case = case("[roles]\ntill = [\"ec-terminal\", \"spare\", \"till-1-1-4\"]\n");
    case.file("etc/a.toml", rule("spare", "1-1"), 0o644);
    case.file("etc/b.toml", rule("till-{port}", "1-2"), 0o644);
    assert_eq!(case.config().roles.len(), 1);
    case.file("etc/b.toml", "", 0o644);
    assert_eq!(
        case.mistakes(),
        [
            "kofferd.toml:12: roles.till: there is no device till-1-1-4 | Possible: ec-terminal, spare."
        ]
    );
}

#[test]
fn every_mistake_in_a_rules_file_is_reported_at_once_in_both_languages() {
    let folder = project().join("gateway/src/config/tests/broken-rules");
    let case = case("");
    let broken = fs::read_to_string(folder.join("all.toml")).unwrap();
    case.file("etc/all.toml", broken, 0o644);
    let mistakes = case.load().unwrap_err().mistakes;
    let told = [Lang::En, Lang::De].map(|lang| case.lines(&mistakes, lang).join("\n"));
    let told = format!("{}\n\n{}\n", told[0], told[1]);
    let expected = folder.join("all.txt");
    if std::env::var_os("KOFFER_BLESS").is_some() {
        fs::write(expected, told).unwrap();
    } else {
        assert_eq!(told, fs::read_to_string(expected).unwrap());
    }
}

#[test]
fn rules_that_contradict_each_other_in_silence_are_mistakes() {
    let case = case("");
    case.file("etc/not.toml", "[rule]\nname = \"x\"\n", 0o644);
    let mistakes = case.mistakes();
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert!(mistakes[0].contains("[[rule]]"), "{mistakes:?}");
}

#[test]
fn the_shipped_example_is_in_order() {
    let example = fs::read_to_string(project().join("systemd/rules.d/50-example.toml")).unwrap();
    let case = Case::new("[gateway]\nid = \"case-7\"\n");
    case.file(
        "kofferd.toml",
        format!(
            "[gateway]\nid = \"case-7\"\nrules = [{:?}]\n[clients.ws-1]\nrole = \"monitor\"\npassword = \"x\"\n",
            case.path("rules.d")
        ),
        0o600,
    );
    case.file("rules.d/50-example.toml", example, 0o644);
    assert_eq!(case.config().rules.len(), 4);
}

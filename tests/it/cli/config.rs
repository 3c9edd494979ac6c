//! `config`, `stats`, `completions`.

use super::Shell;

#[test]
fn cli_7_flags_beat_environment_beats_store_beats_default() {
    Shell::new().session(
        r#"
$ withy config --list
$ withy config durability buffered
$ withy config author bob
$ withy config author
$ withy --author eve config author
$ env -u WITHY_AUTHOR withy config author
$ withy --wait 2 config --list --json
$ env -u WITHY_AUTHOR withy -q put pear green && withy --json log -n 1 | grep -o '"author":"[a-z]*"'
$ withy config --unset author
$ withy config --unset author
$ withy config durability never
$ withy config nothing
$ withy config colour blue
$ withy config
"#,
    );
}

#[test]
fn cli_1_completions_are_scripts() {
    let shell = Shell::empty();
    for name in ["bash", "zsh", "fish"] {
        let (script, code) = shell.run(&format!("withy completions {name}"));
        assert_eq!(code, 0, "{name} is known");
        assert!(script.contains("withy"), "{name} completes withy");
    }
}

//! `tag`.

use super::Shell;

#[test]
fn tag_1_tags_are_made_listed_and_deleted() {
    Shell::new().session(
        r#"
$ withy -q put pear green && withy -q put pear yellow
$ withy tag v1 seq:1 -m 'First pear'
$ withy tag v2
$ withy tag a-late-one seq:1
$ withy tag
$ withy tag --sort -seq
$ withy tag --sort seq -n 1
$ withy tag --list 'v*'
$ withy tag --json -n 1
$ withy tag --show v1
$ withy tag v1
$ withy tag --force v1
$ withy tag bad/name
$ withy tag v3 nowhere
$ withy tag -d v1 v2
$ withy tag -d v1
$ withy tag
"#,
    );
}

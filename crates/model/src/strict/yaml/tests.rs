//! YAML and JSON hold the same documents, and neither loses a digit.

use proptest::prelude::*;
use serde_json::json;

use super::super::from_json;
use super::*;

fn yaml(text: &str) -> Result<Value, NotStrict> {
    from_yaml(text.as_bytes())
}

#[test]
fn yaml_is_read_and_nothing_of_it_lost() {
    let text = "a: [1, -2, 1.50, 'x', ~, true]\nb: &b\n  c: {}\nd: {<<: *b, e: no}\n1: on\n'': |\n  0.1\n";
    assert_eq!(
        yaml(text).unwrap(),
        json!({"a": [1, -2, 1.5, "x", null, true], "b": {"c": {}}, "d": {"c": {}, "e": "no"}, "1": "on", "": "0.1\n"})
    );
    assert_eq!(yaml("").unwrap(), Value::Null);
    for (text, path, place) in [
        ("a: 1\n1: x\n'1': y\n", Some("1"), (3, 1)),
        ("a:\n- x: [0, 12345678901234567890123]\n", Some("a[0].x[1]"), (2, 10)),
        ("é: é # ü\nb: &n 0.12345678901234567890\nc: *n\n", Some("b"), (2, 7)),
        ("a: .inf\n", Some("a"), (1, 4)),
        ("a: [-.INF, .NaN]\n", Some("a[0]"), (1, 5)),
        ("a: 1\na: 2\n", None, (2, 1)),
        ("a: [1\n", None, (1, 4)),
    ] {
        let wrong = yaml(text).unwrap_err();
        assert_eq!((wrong.path.as_deref(), (wrong.line, wrong.column)), (path, place), "{text}: {}", wrong.detail);
    }
    let wrong = from_yaml(b"a: 1\nb: \xc3\xa9\xff").unwrap_err();
    assert_eq!((wrong.path, wrong.line, wrong.column), (None, 2, 5));
}

#[test]
fn numbers_are_kept_or_refused() {
    for (written, read) in [
        ("0", json!(0)),
        ("18446744073709551615", json!(u64::MAX)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("+5", json!(5)),
        ("0x1F", json!(31)),
        ("0o17", json!(15)),
        ("1e20", json!(1e20)),
        ("100000000000000000000", json!(1e20)),
        ("-100000000000000000000", json!(-1e20)),
        ("1E+300", json!(1e300)),
        (".5", json!(0.5)),
        ("+1.50", json!(1.5)),
        ("0.1", json!(0.1)),
        ("5e-324", json!(5e-324)),
        ("1.7976931348623157e308", json!(f64::MAX)),
        ("!!float 3", json!(3.0)),
        ("!!float '1.5'", json!(1.5)),
        // Text, of which no character is lost.
        ("1_000", json!("1_000")),
        ("'0x1FFFFFFFFFFFFFFFFF'", json!("0x1FFFFFFFFFFFFFFFFF")),
        ("\"007\"", json!("007")),
        ("2026-11-27", json!("2026-11-27")),
        ("12:30", json!("12:30")),
        ("1.2.3", json!("1.2.3")),
        ("0x", json!("0x")),
    ] {
        for text in [format!("a: {written}"), format!("a: {written} # said\n"), format!("{{a: {written} }}")] {
            assert_eq!(yaml(&text).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}")), json!({"a": read}), "{text}");
        }
    }
    for lost in [
        "18446744073709551616",
        "18446744073709551617",
        "-9223372036854775809",
        "0x1FFFFFFFFFFFFFFFFF",
        "-0o7777777777777777777777777",
        "12345678901234567890.50",
        "0.12345678901234567890",
        "9007199254740993.0",
        "1e-400",
        "1e999",
        "-1e999",
        "007",
        "-01",
        "00.5",
        ".nan",
    ] {
        let wrong = yaml(&format!("x: 1\na: {lost} # said\n")).expect_err(lost);
        assert_eq!((wrong.path.as_deref(), wrong.line, wrong.column), (Some("a"), 2, 4), "{lost}: {}", wrong.detail);
    }
}

/// Numbers as people and programs write them, the longest ones too.
fn numbers() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,30})",
        "-?(0|[1-9][0-9]{0,20})\\.[0-9]{1,25}",
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,18})?[eE][-+]?[0-9]{1,3}",
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(|number| json!(number).to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
    ]
}

proptest! {
    #[test]
    fn yaml_and_json_keep_and_refuse_the_same_numbers(number in numbers()) {
        let (json, yaml) = (from_json(format!("{{\"a\": [{number}]}}").as_bytes()), yaml(&format!("a:\n- {number}\n")));
        match (json, yaml) {
            (Ok(json), Ok(yaml)) => {
                prop_assert_eq!(json["a"][0].as_f64(), yaml["a"][0].as_f64(), "{}", number);
                prop_assert!(is_same(yaml["a"][0].as_number().unwrap(), &number), "{} became {}", number, yaml);
                prop_assert!(is_same(json["a"][0].as_number().unwrap(), &number), "{} became {}", number, json);
            }
            (Err(_), Err(yaml)) => prop_assert_eq!((yaml.path.as_deref(), yaml.line, yaml.column), (Some("a[0]"), 2, 3), "{}", number),
            (json, yaml) => prop_assert!(false, "{number}: {json:?} as JSON, {yaml:?} as YAML"),
        }
    }

    #[test]
    fn what_was_read_is_read_again(number in numbers()) {
        let Ok(once) = yaml(&number) else { return Ok(()) };
        prop_assert_eq!(yaml(&once.to_string()).unwrap().to_string(), once.to_string());
    }
}

#[test]
fn deep_nesting_is_refused_before_it_takes_a_threads_stack() {
    // Half of what a thread of a node has.
    let read = |text: String| {
        let thread = std::thread::Builder::new().stack_size(1 << 20);
        thread.spawn(move || from_yaml(text.as_bytes()).map(|_| ())).unwrap().join().expect("it was read or refused")
    };
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("{? [", "]}")] {
        let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        assert!(read(nested(1_000)).is_err());
        let _ = read(nested(64));
    }
    assert_eq!(read(format!("{}1{}", "[".repeat(60), "]".repeat(60))), Ok(()));
}

use super::*;
use crate::data::config::SourceConfig;

fn reader(more: &str, channels: &str) -> MessageReader {
    let text =
        format!("kind = 'mqtt'\ntopic = 'imu'\nrate_hz = 50\n{more}\n[channels]\n{channels}\n");
    let SourceConfig::Mqtt(config) = toml::from_str(&text).unwrap() else { panic!("another kind") };
    MessageReader::new(&config)
}

fn values(reader: &MessageReader, message: &str) -> Vec<Result<Vec<f32>, String>> {
    let samples = reader.read(message.as_bytes()).unwrap().into_iter();
    samples.map(|s| s.map(|s| s.values).map_err(|refusal| refusal.to_string())).collect()
}

/// Why the only sample of `message` is refused.
fn refusal(reader: &MessageReader, message: &str) -> String {
    match values(reader, message).as_slice() {
        [Err(refusal)] => refusal.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn numbers_are_found_by_their_places_whatever_lies_around_them() {
    let reader = reader("", "x = 'acc.x'\ny = 'values[1]'\nz = 'acc.deep[0][1].z'");
    let message = r#"{"other":[{"acc":{"x":9}},null],"acc":{"y":[1,2],"x":1.5,
        "deep":[["a",{"z":"-2.5e-1"}],7]},"values":[0,2,{"x":3}],"acc2":{}}"#;
    assert_eq!(values(&reader, message), [Ok(vec![1.5, 2.0, -0.25])]);
    let message = r#"{"acc":{"x":-3,"deep":[[0,{"z":1}]]},"values":[0,18446744073709551615]}"#;
    assert_eq!(values(&reader, message)[0].as_ref().unwrap()[1], 1.844_674_4e19);
}

#[test]
fn a_message_may_be_a_number_or_an_array() {
    assert_eq!(values(&reader("", "x = '$'"), " 0.5 "), [Ok(vec![0.5])]);
    assert_eq!(values(&reader("", "x = '$'"), "\" 0.5 \""), [Ok(vec![0.5])]);
    assert_eq!(values(&reader("", "x = '[1]'\ny = '[0]'"), "[1,2,3]"), [Ok(vec![2.0, 1.0])]);
}

#[test]
fn what_is_missing_or_of_another_kind_is_named() {
    let reader = reader("time = 't'", "x = 'acc.x'\ny = 'v[1]'");
    let refusal = |message| refusal(&reader, message);
    assert_eq!(refusal(r#"{"v":[1,2],"t":0}"#), "acc.x is missing");
    assert_eq!(refusal(r#"{"acc":7,"v":[1,2],"t":0}"#), "acc.x is missing");
    assert_eq!(refusal(r#"{"acc":{"x":null},"v":[1,2],"t":0}"#), "acc.x is missing");
    assert_eq!(refusal(r#"{"acc":{"x":1},"v":[1],"t":0}"#), "v[1] is missing");
    assert_eq!(refusal(r#"{"acc":{"x":true},"v":[1,2],"t":0}"#), "acc.x is no number");
    assert_eq!(refusal(r#"{"acc":{"x":[1]},"v":[1,2],"t":0}"#), "acc.x is no number");
    assert_eq!(refusal(r#"{"acc":{"x":"fast"},"v":[1,2],"t":0}"#), "acc.x is text and no number");
    assert_eq!(refusal(r#"{"acc":{"x":"NaN"},"v":[1,2],"t":0}"#), "acc.x is not a finite number");
    assert_eq!(refusal(r#"{"acc":{"x":1e39},"v":[1,2],"t":0}"#), "acc.x is not a finite number");
    assert_eq!(refusal(r#"{"acc":{"x":1},"v":[1,2]}"#), "t is missing");
    assert_eq!(refusal(r#"{"acc":{"x":1},"v":[1,2],"t":1e300}"#), "t is not a time");
}

#[test]
fn bytes_that_are_no_json_are_refused_whole() {
    let reader = reader("", "x = 'x'");
    let deep = "[".repeat(100_000);
    let deep_in_place = r#"{"x":"#.repeat(50_000);
    for message in ["", "{", "nan", r#"{"x":NaN}"#, r#"{"x":1}{"x":2}"#, r#"{"x":1e999}"#, "{x:1}"]
        .into_iter()
        .chain([deep.as_str(), deep_in_place.as_str()])
    {
        let error = reader.read(message.as_bytes()).unwrap_err();
        assert!(!error.is_empty() && error.len() < 300, "{error}");
    }
    assert!(reader.read(b"{\"x\":\"\xFF\"}").is_err());
}

#[test]
fn time_and_label_come_with_the_sample() {
    let reader = reader("time = 'm.t'\ntime_unit = 'ms'\nlabel = 'what'", "x = 'x'");
    let sample = |message: &str| reader.read(message.as_bytes()).unwrap().remove(0).unwrap();
    let expected = Sample { time_us: Some(1500), label: "walk".into(), values: vec![1.0] };
    assert_eq!(sample(r#"{"x":1,"m":{"t":1.5},"what":"walk"}"#), expected);
    assert_eq!(sample(r#"{"x":1,"m":{"t":"1.5"},"what":null}"#).label, "");
    assert_eq!(sample(r#"{"x":1,"m":{"t":1}}"#).label, "");
    assert_eq!(sample(r#"{"x":1,"m":{"t":1},"what":3}"#).label, "3");
    assert_eq!(refusal(&reader, r#"{"x":1,"m":{"t":1},"what":[]}"#), "what is no label");
}

#[test]
fn a_batch_is_read_in_order_and_bad_samples_in_it_keep_their_places() {
    let reader = reader("batch = 'data.samples'", "x = 'x'\ny = 'v[0]'");
    let message =
        r#"{"id":1,"data":{"samples":[{"x":1,"v":[2]},{"x":3},7,{"v":[5],"x":4}],"n":4}}"#;
    let missing = |path: &str| Err(format!("{path} is missing"));
    let expected = [Ok(vec![1.0, 2.0]), missing("v[0]"), missing("x"), Ok(vec![4.0, 5.0])];
    assert_eq!(values(&reader, message), expected);
    assert_eq!(values(&reader, r#"{"data":{"samples":[]}}"#), []);
    for none in ["{}", "[]", r#"{"data":{"samples":{"x":1}}}"#, r#"{"data":{"samples":3}}"#] {
        assert_eq!(reader.read(none.as_bytes()).unwrap_err(), "data.samples is no array");
    }
}

#[test]
fn a_batch_is_bounded() {
    let reader = reader("batch = '$'", "x = '$'");
    let batch = |count| format!("[{}]", vec!["1"; count].join(","));
    assert_eq!(values(&reader, &batch(BATCH_MAX)).len(), BATCH_MAX);
    let error = reader.read(batch(BATCH_MAX + 1).as_bytes()).unwrap_err();
    assert!(error.contains("more than 4096 samples"), "{error}");
}

#[test]
fn noise_never_panics() {
    let reader = reader("batch = 's'\nlabel = 'l'", "x = 'x[1]'\ny = 'y.z'");
    let mut rng = dunlin_protocol::rng::Rng::new(3);
    let words = ["{", "}", "[", "]", ",", ":", "\"s\"", "\"x\"", "\"y\"", "\"z\"", "1", "-1e3"];
    let mut whole = 0;
    for _ in 0..20_000 {
        let noise: String = (0..rng.below(30)).map(|_| words[rng.below(words.len())]).collect();
        let message = format!("{{\"s\":[{noise}]}}");
        whole += usize::from(reader.read(message.as_bytes()).is_ok());
        let _ = reader.read(noise.as_bytes());
    }
    assert!(whole > 100, "some of it is JSON: {whole}");
}

use super::*;
use crate::data::config::SourceConfig;

fn reader(more: &str, channels: &str) -> MessageReader {
    let text =
        format!("kind = 'mqtt'\ntopic = 'imu'\nrate_hz = 50\n{more}\n[channels]\n{channels}\n");
    let SourceConfig::Mqtt(config) = toml::from_str(&text).unwrap() else { panic!("another kind") };
    MessageReader::new(&config, config.sampling.channels.values().map(|channel| &channel.place))
}

/// The values of the samples of `message`, why there is none, or "filtered".
fn values(reader: &mut MessageReader, message: &str) -> Vec<Result<Vec<f32>, String>> {
    let items = reader.read(message.as_bytes()).unwrap().into_iter();
    let values = |item| match item {
        Item::Sample(sample) => Ok(sample.values),
        Item::Filtered => Err("filtered".to_owned()),
        Item::Refused(_, problem) => Err(problem),
    };
    items.map(values).collect()
}

/// Why the only sample of `message` is refused.
fn refusal(reader: &mut MessageReader, message: &str) -> (Loss, String) {
    match reader.read(message.as_bytes()).unwrap().as_slice() {
        [Item::Refused(loss, problem)] => (*loss, problem.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn numbers_are_found_by_their_places_whatever_lies_around_them() {
    let mut reader = reader("", "x = 'acc.x'\ny = 'values[1]'\nz = 'acc.deep[0][1].z'");
    let message = r#"{"other":[{"acc":{"x":9}},null],"acc":{"y":[1,2],"x":1.5,
        "deep":[["a",{"z":"-2.5e-1"}],7]},"values":[0,2,{"x":3}],"acc2":{}}"#;
    assert_eq!(values(&mut reader, message), [Ok(vec![1.5, 2.0, -0.25])]);
    let message = r#"{"acc":{"x":-3,"deep":[[0,{"z":1}]]},"values":[0,18446744073709551615]}"#;
    assert_eq!(values(&mut reader, message)[0].as_ref().unwrap()[1], 1.844_674_4e19);
}

#[test]
fn a_message_may_be_a_number_or_an_array() {
    assert_eq!(values(&mut reader("", "x = '$'"), " 0.5 "), [Ok(vec![0.5])]);
    assert_eq!(values(&mut reader("", "x = '$'"), "\" 0.5 \""), [Ok(vec![0.5])]);
    assert_eq!(values(&mut reader("", "x = '[1]'\ny = '[0]'"), "[1,2,3]"), [Ok(vec![2.0, 1.0])]);
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_text() {
    let mut reader = reader("time = 't'\nlabel = 'l'", "x = 'acc.x'\ny = 'v[1]'");
    let mut refusal = |message: &str| refusal(&mut reader, message);
    let number = |text: &str| (Loss::Number, text.to_owned());
    let x = |x: &str| format!("{{\"acc\":{{\"x\":{x}}},\"v\":[1,2],\"t\":0}}");
    assert_eq!(refusal(&x("true")), number("acc.x is true, no number"));
    assert_eq!(refusal(&x("[1]")), number("acc.x is an object or array, no number"));
    assert_eq!(refusal(&x("\"fast\"")), number("acc.x is \"fast\", no number"));
    assert_eq!(refusal(&x("\"NaN\"")), number("acc.x is \"NaN\", not a finite number"));
    assert_eq!(refusal(&x("\"1e39\"")), number("acc.x is \"1e39\", not a finite number"));
    assert_eq!(refusal("{}"), (Loss::Missing, "acc.x, v[1] missing".to_owned()));
    let time = |t: &str| format!("{{\"acc\":{{\"x\":1}},\"v\":[1,2]{t}}}");
    assert_eq!(refusal(&time("")), (Loss::Time, "t is missing".to_owned()));
    let (loss, problem) = refusal(&time(",\"t\":\"2026-05-20T00:00:00\""));
    assert_eq!(loss, Loss::Time);
    assert!(problem.starts_with("t \"2026-05-20T00:00:00\" is not a number of s"), "{problem}");
    let (loss, problem) = refusal(&time(",\"t\":1767230700000000"));
    assert!(loss == Loss::Time && problem.contains("unit of times"), "{problem}");
    let (loss, problem) = refusal(&time(",\"t\":1,\"l\":{}"));
    assert!(loss == Loss::Label && problem.starts_with("l is an object"), "{problem}");
}

#[test]
fn a_channel_that_is_not_there_is_missing_and_costs_no_other() {
    let mut reader = reader("", "x = 'acc.x'\ny = 'v[1]'");
    for message in [r#"{"v":[1,2]}"#, r#"{"acc":7,"v":[1,2]}"#, r#"{"acc":{"x":null},"v":[1,2]}"#] {
        let values = values(&mut reader, message).remove(0).unwrap();
        assert!(values[0].is_nan() && values[1] == 2.0, "{message}: {values:?}");
    }
}

#[test]
fn words_stand_for_numbers() {
    let mut reader = reader("text = { Low = 39, High = 401 }", "x = 'sgv'");
    assert_eq!(values(&mut reader, r#"{"sgv":"Low"}"#), [Ok(vec![39.0])]);
    assert_eq!(values(&mut reader, r#"{"sgv":" High "}"#), [Ok(vec![401.0])]);
    assert_eq!(values(&mut reader, r#"{"sgv":"?"}"#), [Err("sgv is \"?\", no number".to_owned())]);
}

#[test]
fn items_are_chosen_by_what_they_hold_and_by_what_stands_around_the_batch() {
    let channels = "x = 'values.x'";
    let mut reader = reader(
        "batch = 'payload'\nwhere = { name = 'accelerometer', '$.device' = [1, 2] }",
        channels,
    );
    let message = |device: &str| {
        format!(
            r#"{{"payload":[{{"name":"accelerometer","values":{{"x":1}}}},
            {{"name":"gyroscope","values":{{"x":-5}}}},{{"values":{{"x":7}}}},
            {{"values":{{"x":"?"}},"name":"accelerometer"}}]{device}}}"#
        )
    };
    let filtered = || Err("filtered".to_owned());
    let bad = Err("values.x is \"?\", no number".to_owned());
    let expected = [Ok(vec![1.0]), filtered(), filtered(), bad];
    assert_eq!(values(&mut reader, &message(r#","device":2"#)), expected);
    for other in [r#","device":3"#, ""] {
        let all = [filtered(), filtered(), filtered(), filtered()];
        assert_eq!(values(&mut reader, &message(other)), all);
    }
}

#[test]
fn bytes_that_are_no_json_are_refused_whole() {
    let mut reader = reader("", "x = 'x'");
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
    let mut reader = reader("time = 'm.t'\ntime_unit = 'ms'\nlabel = 'what'", "x = 'x'");
    let mut sample = |message: &str| match reader.read(message.as_bytes()).unwrap().remove(0) {
        Item::Sample(sample) => sample,
        other @ Item::Filtered | other @ Item::Refused(..) => panic!("{other:?}"),
    };
    let expected = Sample { time_us: Some(1500), label: "walk".into(), values: vec![1.0] };
    assert_eq!(sample(r#"{"x":1,"m":{"t":1.5},"what":"walk"}"#), expected);
    assert_eq!(sample(r#"{"x":1,"m":{"t":"1.5"},"what":null}"#).label, "");
    assert_eq!(sample(r#"{"x":1,"m":{"t":1}}"#).label, "");
    assert_eq!(sample(r#"{"x":1,"m":{"t":1},"what":3}"#).label, "3");
}

#[test]
fn nanoseconds_and_iso_times_are_exact() {
    let time = |more: &str, time: &str| {
        let message = format!("{{\"x\":1,\"t\":{time}}}");
        match reader(more, "x = 'x'").read(message.as_bytes()).unwrap().remove(0) {
            Item::Sample(sample) => sample.time_us,
            other @ Item::Filtered | other @ Item::Refused(..) => panic!("{other:?}"),
        }
    };
    let ns = "time = { place = 't', unit = 'ns' }";
    assert_eq!(time(ns, "1698501144401773000"), Some(1_698_501_144_401_773));
    assert_eq!(time(ns, "\"1698501144401773001\""), Some(1_698_501_144_401_773));
    let iso = "time = { place = 't', format = 'iso' }";
    assert_eq!(time(iso, "\"2026-01-01T00:00:00.25Z\""), Some(1_767_225_600_250_000));
}

#[test]
fn a_batch_is_read_in_order_and_bad_samples_in_it_keep_their_places() {
    let mut reader = reader("batch = 'data.samples'", "x = 'x'\ny = 'v[0]'");
    let message = r#"{"id":1,"data":{"samples":[{"x":1,"v":[2]},{"x":"a","v":[2]},7,{"v":[5],"x":4}],"n":4}}"#;
    let bad = Err("x is \"a\", no number".to_owned());
    let missing = Err("v[0], x missing".to_owned());
    let expected = [Ok(vec![1.0, 2.0]), bad, missing, Ok(vec![4.0, 5.0])];
    assert_eq!(values(&mut reader, message), expected);
    assert_eq!(values(&mut reader, r#"{"data":{"samples":[]}}"#), []);
    for none in ["{}", "[]", r#"{"data":{"samples":{"x":1}}}"#, r#"{"data":{"samples":3}}"#] {
        assert_eq!(reader.read(none.as_bytes()).unwrap_err(), "data.samples is no array");
    }
}

#[test]
fn a_batch_is_bounded() {
    let mut reader = reader("batch = '$'", "x = '$'");
    let batch = |count| format!("[{}]", vec!["1"; count].join(","));
    assert_eq!(values(&mut reader, &batch(BATCH_MAX)).len(), BATCH_MAX);
    let error = reader.read(batch(BATCH_MAX + 1).as_bytes()).unwrap_err();
    assert!(error.contains("more than 4096 samples"), "{error}");
}

#[test]
fn noise_never_panics() {
    let mut reader = reader("batch = 's'\nlabel = 'l'", "x = 'x[1]'\ny = 'y.z'");
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

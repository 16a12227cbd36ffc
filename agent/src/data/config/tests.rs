use super::*;

fn parse(text: &str) -> Result<SourceConfig, toml::de::Error> {
    toml::from_str(text)
}

fn keys(text: &str) -> Vec<String> {
    parse(text).unwrap().check().into_iter().map(|problem| problem.key).collect()
}

#[test]
fn a_short_configuration_gets_the_documented_defaults() {
    let text = "kind = 'csv'\npath = '-'\nrate_hz = 50.0\n[channels]\nacc_x = 'ax'\nacc_y = 1\n";
    let SourceConfig::Csv(config) = parse(text).unwrap() else { panic!("another kind") };
    let Live { sampling, input } = &config;
    assert_eq!(sampling.channels["acc_x"], Column::Name("ax".into()));
    assert_eq!(sampling.channels["acc_y"], Column::Index(1));
    assert_eq!(input.text, TextFormat::default());
    assert_eq!(sampling.time_unit, TimeUnit::Seconds);
    assert_eq!(
        (sampling.quantum, sampling.windows_mb, sampling.period_ns()),
        (None, 64, 20_000_000)
    );
    assert_eq!(sampling.capacity(), 64_000_000 / 30);
    assert!(SourceConfig::Csv(config).check().is_empty());
}

#[test]
fn unknown_keys_and_kinds_are_refused_by_name() {
    let error = parse("kind = 'har'\ndir = 'x'\nperson = 1\nage = 3").unwrap_err().to_string();
    assert!(error.contains("age") && error.contains("person"), "{error}");
    let error = parse("kind = 'serial'").unwrap_err().to_string();
    assert!(error.contains("serial") && error.contains("csv"), "{error}");
    let text = "kind = 'csv'\npath = '-'\nrate_hz = 50.0\n[channels]\nacc_x = 1.5\n";
    assert!(parse(text).unwrap_err().to_string().contains("its name in the header"));
    let text = "kind = 'csv'\npath = '-'\nrate_hz = 50.0\n[channels]\nacc_x = -1\n";
    assert!(parse(text).unwrap_err().to_string().contains("columns count from 0"));
}

/// What the example leaves commented out twice is optional; that the rest can be used is tested
/// with the whole file.
#[test]
fn the_optional_keys_of_the_example_are_known() {
    let example = include_str!("../../../agent.example.toml");
    let is_key = |line: &&str| line.starts_with('[') || line.contains(" = ");
    for kind in ["csv", "iio", "mqtt"] {
        let start = example.find(&format!("# [source]\n# kind = \"{kind}\"")).unwrap();
        let block = example[start..].lines().skip(1).take_while(|line| !line.is_empty());
        let keys = block.map(|line| line.trim_start_matches("# ")).filter(is_key);
        let text: String = keys.flat_map(|line| [line, "\n"]).collect();
        parse(&text.replace("[source.", "[")).unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
}

#[test]
fn all_problems_are_listed_with_their_keys() {
    assert_eq!(keys("kind = 'har'\ndir = ''\nperson = 0"), ["source.dir", "source.person"]);
    let text = "kind = 'csv'\npath = ''\nrate_hz = 0\nheader = false\ndelimiter = 'é'\n\
        quantum = -1.0\nunit = ''\nunits = { acc_z = 'g' }\nwindows_mb = 0\ncapacity_mb = 1\ncapacity_samples = 2\ncolumns = 2\n\
        time = 2\n[channels]\nacc_x = 'ax'\n[quanta]\nacc_z = nan\n";
    assert_eq!(
        keys(text),
        [
            "source.path",
            "source.delimiter",
            "source.rate_hz",
            "source.windows_mb",
            "source.quantum",
            "source.quanta.acc_z",
            "source.quanta.acc_z",
            "source.unit",
            "source.units.acc_z",
            "source.capacity_mb",
            "source.capacity_samples",
            "source.channels.acc_x",
            "source.time",
        ]
    );
    assert_eq!(keys("kind = 'csv'\npath = '-'\nrate_hz = 1\n[channels]"), ["source.channels"]);
}

/// Every key that all live sources share.
const SHARED: &str = "rate_hz = 50\nquantum = 0.01\nunit = 'g'\nunits = { x = 'm/s2' }\ncapacity_samples = 2000\nwindows_mb = 32\n\
    time_unit = 'us'\nlabels_path = 'l'\nquanta = { x = 0.1 }\nchannels = { x = 'accel_x' }\n";

#[test]
fn all_live_sources_share_their_keys_and_refuse_those_that_nobody_knows() {
    let own = [
        "kind = 'csv'\npath = 'p'\ncolumns = 3\n",
        "kind = 'iio'\ndevice = 'd'\nmode = 'buffered'\ntrigger = 't'\nfactors = { x = 2 }\n",
        "kind = 'mqtt'\ntopic = 't'\nusername = 'u'\npassword = 'p'\nbatch = '$'\n",
    ];
    for own in own {
        let config = parse(&format!("{own}{SHARED}")).unwrap();
        assert_eq!(config.check().0, []);
        let error = parse(&format!("{own}{SHARED}colour = 1\n")).unwrap_err().to_string();
        assert!(error.contains("unknown field `colour`"), "{error}");
        assert!(error.contains("labels_path"), "{error}");
        let error = parse(own).unwrap_err().to_string();
        assert!(error.contains("missing field `rate_hz`"), "{error}");
        let error = parse(&format!("{own}rate_hz = 'fast'\n[channels]\n")).unwrap_err().to_string();
        assert!(error.contains("fast") && error.contains("rate_hz"), "{error}");
    }
    let with_mb = SHARED.replace("capacity_samples = 2000", "capacity_mb = 2");
    assert_eq!(keys(&format!("{}{with_mb}", own[1])), [""; 0]);
    assert!(parse(SHARED).unwrap_err().to_string().contains("missing field `kind`"));
}

#[test]
fn all_problems_of_an_iio_source_are_listed() {
    let text = "kind = 'iio'\ndevice = '../x'\nmode = 'polled'\ntrigger = ''\nfactor = 0\nsysfs = ''\n\
        dev = ''\nrate_hz = 0\n[channels]\nx = 'in_accel_x_raw'\ny = 'a/b'\n[factors]\nz = nan\n";
    assert_eq!(
        keys(text),
        [
            "source.device",
            "source.trigger",
            "source.trigger",
            "source.rate_hz",
            "source.factor",
            "source.factors.z",
            "source.factors.z",
            "source.channels.x",
            "source.channels.y",
            "source.sysfs",
            "source.dev",
        ]
    );
    let text = "kind = 'iio'\ndevice = 'x'\nmode = 'fast'\nrate_hz = 50\n[channels]\n";
    let error = parse(text).unwrap_err().to_string();
    assert!(error.contains("polled") && error.contains("buffered"), "{error}");
}

#[test]
fn all_problems_of_an_mqtt_source_are_listed() {
    let with = |own: &str| keys(&format!("kind = 'mqtt'\n{own}\n{SHARED}"));
    assert_eq!(with("topic = 'a/#/b'"), ["source.topic"]);
    assert_eq!(with("topic = ''\nurl = 'localhost'"), ["source.url", "source.topic"]);
    assert_eq!(with("topic = 'a'\npassword = 'p'"), ["source.password"]);
    assert_eq!(with("topic = 'a'\nclient_id = 'a/b'"), ["source.client_id"]);
    assert_eq!(with("topic = 'a'\nurl = 'mqtts://h'\ncert = 'c'"), ["source.key"]);
    assert_eq!(with("topic = 'a'\nca = 'c'"), ["source.url"]);
    assert_eq!(with("topic = 'a'\nkeep_alive_s = 1"), ["source.keep_alive_s"]);
    let secret = "topic = 'a'\nusername = 'u'\npassword_file = '/nowhere/password'";
    assert_eq!(with(secret), ["source.password_file"]);
    let error = parse(&format!("kind = 'mqtt'\ntopic = 'a'\ntime = 'a..b'\n{SHARED}"));
    assert!(error.unwrap_err().to_string().contains("such as acc.x"));
}

#[test]
fn a_client_id_is_made_up_for_each_connection_and_the_password_is_never_printed() {
    let text = format!("kind = 'mqtt'\ntopic = 'a'\nusername = 'u'\npassword = 'hush'\n{SHARED}");
    let config = parse(&text).unwrap();
    assert!(!format!("{config:?}").contains("hush"));
    let SourceConfig::Mqtt(config) = config else { panic!("another kind") };
    let link = config.input.link().unwrap();
    assert!(link.client_id.starts_with("dunlin-") && link.client_id.ends_with("-sensor"));
    assert_ne!(link.client_id, config.input.link().unwrap().client_id);
    assert_eq!(link.password.as_deref(), Some("hush"));
}

#[test]
fn times_become_microseconds_where_they_stay_exact() {
    assert_eq!(TimeUnit::Seconds.to_us(1_700_000_000.02), Some(1_700_000_000_020_000));
    assert_eq!(TimeUnit::Milliseconds.to_us(-1.5), Some(-1_500));
    assert_eq!(TimeUnit::Microseconds.to_us(7.0), Some(7));
    for time in [f64::NAN, f64::INFINITY, 1e300] {
        assert_eq!(TimeUnit::Seconds.to_us(time), None);
    }
}

#[test]
fn a_period_stands_for_a_rate_that_hertz_cannot_tell() {
    let of =
        |rate: &str| parse(&format!("kind = 'csv'\npath = '-'\n{rate}\n[channels]\nx = 'x'\n"));
    let sampling = |rate: &str| match of(rate) {
        Ok(SourceConfig::Csv(config)) => config.sampling,
        other => panic!("{rate}: {other:?}"),
    };
    assert_eq!(sampling("period = '5 min'").period_ns(), 300_000_000_000);
    assert_eq!(sampling("period = '1 month'").period_ns(), 2_629_746_000_000_000);
    assert_eq!(sampling("period = '20 ms'").rate_hz, 50.0);
    assert_eq!(sampling("rate_hz = 62.4").period_ns(), 16_025_641);
    for rate in ["period = '1 month'", "rate_hz = 3.8e-7", "period = '1 us'"] {
        assert_eq!(of(rate).unwrap().check().0, [], "{rate}");
    }
    let both = of("rate_hz = 50\nperiod = '20 ms'").unwrap_err().to_string();
    assert!(both.contains("rate_hz and period are both set"), "{both}");
    let neither = of("").unwrap_err().to_string();
    assert!(neither.contains("`rate_hz`") && neither.contains("`period`"), "{neither}");
    let bad = of("period = '5 lightyears'").unwrap_err().to_string();
    assert!(bad.contains("5 lightyears") && bad.contains("15 min"), "{bad}");
    let keys =
        |rate: &str| of(rate).unwrap().check().into_iter().map(|p| p.key).collect::<Vec<_>>();
    assert_eq!(keys("period = '40 d'"), ["source.period"]);
    assert_eq!(keys("period = '0.5 us'"), ["source.period"]);
    assert_eq!(keys("rate_hz = 1e-7"), ["source.rate_hz"]);
}

#[test]
fn records_are_as_long_as_their_quanta_say() {
    let text = "kind = 'csv'\npath = '-'\nrate_hz = 50\ncapacity_mb = 1\nunit = 'g'\n[channels]\n\
        x = 'x'\ny = 'y'\n[quanta]\ny = 0.5\n[units]\ny = ' m/s2 '\n";
    let SourceConfig::Csv(config) = parse(text).unwrap() else { panic!("another kind") };
    let sampling = &config.sampling;
    assert_eq!((sampling.record_bytes(), sampling.capacity()), (22 + 4 + 2, 1_000_000 / 28));
    let header = sampling.header();
    let both: Vec<(f32, &str)> =
        header.channels.iter().map(|channel| (channel.quantum, channel.unit.as_str())).collect();
    assert_eq!(both, [(0.0, "g"), (0.5, "m/s2")]);
}

#[test]
fn the_readmes_iio_example_has_the_channels_units_and_rate_of_a_shipped_task() {
    let readme = include_str!("../../../../README.md");
    let start = readme.find("[source]\nkind = \"iio\"").unwrap();
    let example = readme[start..].split("```").next().unwrap();
    let text = example.replace("[source]\n", "").replace("[source.", "[");
    let config = parse(&text).unwrap();
    assert_eq!(config.check().0, []);
    let SourceConfig::Iio(config) = config else { panic!("another kind") };
    let task = include_str!("../../../../models/tasks/acc-cnn.toml");
    let task: dunlin_protocol::task::TaskSpec = toml::from_str(task).unwrap();
    for channel in &task.input.channels {
        let header = config.sampling.header();
        let kept = header.channels.iter().find(|kept| kept.name == channel.name).unwrap();
        assert!(crate::data::units::conversion(&kept.unit, &channel.unit).is_some());
    }
    assert_eq!(config.sampling.period_ns(), 20_000_000);
}

#[test]
fn all_problems_of_what_samples_go_through_are_listed() {
    let text = "kind = 'csv'\npath = '-'\nrate_hz = 50\nresample = true\nfactor = 0\noffset = nan\n\
        missing_max_s = -1\nmissing = { z = 'hold' }\n[channels]\nx = 'x'\n[factors]\nx = inf\n\
        [offsets]\ny = 1e31\n";
    assert_eq!(
        keys(text),
        [
            "source.factor",
            "source.offset",
            "source.factors.x",
            "source.offsets.y",
            "source.offsets.y",
            "source.missing.z",
            "source.missing_max_s",
            "source.resample",
        ]
    );
    let unused = "kind = 'csv'\npath = '-'\nrate_hz = 50\nmissing_max_s = 1\n[channels]\nx = 'x'\n";
    assert_eq!(keys(unused), ["source.missing_max_s"]);
    let wrong = unused.replace("missing_max_s = 1", "missing = 'guess'");
    let error = parse(&wrong).unwrap_err().to_string();
    assert!(error.contains("guess") && error.contains("interpolate"), "{error}");
}

#[test]
fn a_unit_that_is_added_later_is_refused_by_sources_that_cannot_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let own = [
        "kind = 'mqtt'\ntopic = 't'\nurl = 'mqtt://127.0.0.1:1'\n",
        "kind = 'iio'\ndevice = 'd'\nmode = 'polled'\nfactor = 2.0\n",
    ];
    for (place, own) in own.into_iter().enumerate() {
        let dir = dir.path().join(place.to_string());
        let text = format!("{own}rate_hz = 50\n");
        let channels = "channels = { x = 'accel_x' }\n";
        let plain = parse(&format!("{text}{channels}")).unwrap();
        drop(crate::data::open(&plain, &dir).unwrap());
        plain.check_ring(&dir).unwrap();
        for unit in ["unit = 'mg'\n", "units = { x = 'mg' }\n"] {
            let changed = parse(&format!("{text}{unit}{channels}")).unwrap();
            for outcome in [changed.check_ring(&dir), crate::data::open(&changed, &dir).map(drop)] {
                let error = outcome.unwrap_err();
                assert!(error.is_config(), "{error}");
                assert!(error.to_string().contains("unit of \"x\" was not set, is mg"), "{error}");
            }
        }
        drop(crate::data::open(&plain, &dir).unwrap());
    }
}

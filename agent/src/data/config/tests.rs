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
    assert_eq!(config.channels["acc_x"], Column::Name("ax".into()));
    assert_eq!(config.channels["acc_y"], Column::Index(1));
    assert!(config.header && config.delimiter == ',' && config.time_unit == TimeUnit::Seconds);
    assert_eq!((config.quantum, config.windows_mb, config.period_ns()), (0.001, 64, 20_000_000));
    assert_eq!(config.capacity(), 64_000_000 / 26);
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

#[test]
fn all_problems_are_listed_with_their_keys() {
    assert_eq!(keys("kind = 'har'\ndir = ''\nperson = 0"), ["source.dir", "source.person"]);
    let text = "kind = 'csv'\npath = ''\nrate_hz = 0\nheader = false\ndelimiter = 'é'\n\
        quantum = -1.0\nwindows_mb = 0\ncapacity_mb = 1\ncapacity_samples = 2\ncolumns = 2\n\
        time = 2\n[channels]\nacc_x = 'ax'\n[quanta]\nacc_z = nan\n";
    assert_eq!(
        keys(text),
        [
            "source.path",
            "source.rate_hz",
            "source.delimiter",
            "source.windows_mb",
            "source.channels.acc_x",
            "source.time",
            "source.quantum",
            "source.quanta.acc_z",
            "source.quanta.acc_z",
            "source.capacity_mb",
            "source.capacity_samples",
        ]
    );
    assert_eq!(keys("kind = 'csv'\npath = '-'\nrate_hz = 1\n[channels]"), ["source.channels"]);
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

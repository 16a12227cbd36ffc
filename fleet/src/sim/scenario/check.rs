//! What is wrong with a scenario.

use std::path::Path;

use dunlin_protocol::codec::Codec;
use dunlin_service::config::Problems;

use super::learning::INVENTED;
use super::{Availability, Class, DEVICES_MAX, Data, Scenario};

/// Tasks with a network that have a name; none in a program without Burn.
#[cfg(feature = "burn")]
const NAMES: &[&str] = &dunlin_models::tasks::NAMES;
#[cfg(not(feature = "burn"))]
const NAMES: &[&str] = &[];

/// Longest time in seconds: about a year.
const SECONDS_MAX: f64 = 3.2e7;
/// Most events an hour of what goes wrong.
const RATE_MAX: f64 = 3600.0;
/// Most windows of one device.
const WINDOWS_MAX: u32 = 100_000;
/// Most kinds of devices.
const CLASSES_MAX: usize = 1000;

/// Problems found so far.
#[derive(Default)]
struct Found(Problems);

impl Found {
    fn unless(&mut self, right: bool, key: &str, text: impl Into<String>) {
        self.0.add_if(!right, key, text);
    }

    fn shares(&mut self, section: &str, shares: &[(&str, f64)]) {
        for (key, share) in shares {
            if !(0.0..=1.0).contains(share) {
                self.0.add_value(&format!("{section}.{key}"), share, "a share from 0 to 1");
            }
        }
    }

    fn up_to(&mut self, section: &str, most: f64, values: &[(&str, f64)]) {
        for (key, value) in values {
            if !(0.0..=most).contains(value) {
                self.0.add_value(&format!("{section}.{key}"), value, format!("0 to {most}"));
            }
        }
    }
}

impl Scenario {
    /// Everything that is wrong.
    pub fn problems(&self) -> Problems {
        let mut found = Found::default();
        found.unless(self.end_h > 0.0 && self.end_h <= 1e5, "end_h", "above 0, at most 100000");
        self.population_problems(&mut found);
        self.learning_problems(&mut found);
        self.round_problems(&mut found);
        let classes = (1..=CLASSES_MAX).contains(&self.classes.len());
        found.unless(classes, "class", format!("1 to {CLASSES_MAX} kinds of devices"));
        let shares: f64 = self.classes.iter().map(|class| class.share).sum();
        found.unless((shares - 1.0).abs() < 1e-6, "class.share", "shares add up to 1");
        self.classes.iter().for_each(|class| class_problems(class, &mut found));
        self.fault_problems(&mut found);
        let words = [self.codec().err(), self.downlink().err(), self.schedule().err()];
        found.0.extend(words.into_iter().flatten());
        found.0
    }

    fn population_problems(&self, found: &mut Found) {
        let population = &self.population;
        let devices = (1..=DEVICES_MAX).contains(&population.devices);
        found.unless(devices, "population.devices", format!("1 to {DEVICES_MAX}"));
        let times = [("join_s", population.join_s), ("stay_h", population.stay_h)];
        found.up_to("population", SECONDS_MAX, &times);
        let traced = population.availability == Availability::Trace;
        found.unless(
            traced == population.trace.is_some(),
            "population.trace",
            "the file of availability = \"trace\", and of no other",
        );
    }

    fn learning_problems(&self, found: &mut Found) {
        let learning = &self.learning;
        let invented = INVENTED.contains(&learning.task_name());
        let named = NAMES.contains(&learning.task_name());
        let task = match &learning.data {
            None => invented,
            Some(Data::Har { .. }) => named || learning.is_task_file(),
            Some(Data::Csv(_)) => named || learning.is_task_file(),
        };
        if !task {
            let text = format!(
                "without learning.data one of {}; with it one of {} or a task file (.toml)",
                INVENTED.join(", "),
                NAMES.join(", ")
            );
            let name = format!("{:?}", learning.task_name());
            found.0.add_value("learning.task", name, text);
        }
        let fewest = u32::from(learning.data.is_none());
        let toy = (1..=8_000).contains(&learning.toy_values);
        found.unless(toy, "learning.toy_values", "1 to 8000");
        let windows = (fewest..=WINDOWS_MAX).contains(&learning.windows);
        found.unless(windows, "learning.windows", format!("{fewest} to {WINDOWS_MAX}"));
        let skews = [("quantity_skew", learning.quantity_skew), ("dirichlet", learning.dirichlet)];
        found.up_to("learning", 1e6, &skews);
        let most = f64::from(learning.windows) * (1.0 + learning.quantity_skew);
        found.unless(
            most <= f64::from(WINDOWS_MAX),
            "learning.quantity_skew",
            format!("a device would have up to {most:.0} windows"),
        );
        if let Some(Data::Csv(data)) = &learning.data
            && let Err(problem) = data.source(Path::new("shard.csv"), &["1"; 9])
        {
            found.0.add("learning.data", problem.trim_start_matches("learning.data:").trim_start());
        }
    }

    fn round_problems(&self, found: &mut Found) {
        let rounds = &self.rounds;
        found.unless(rounds.count > 0, "rounds.count", "1 or more");
        let target = (1..=self.population.devices.max(1)).contains(&rounds.target);
        found.unless(target, "rounds.target", "1 to the number of devices");
        let shares = [("quorum", rounds.quorum), ("min_online", rounds.min_online)];
        found.shares("rounds", &shares);
        found.unless((1.0..=16.0).contains(&rounds.overselect), "rounds.overselect", "1 to 16");
        let deadline = (1.0..=SECONDS_MAX).contains(&rounds.deadline_s);
        found.unless(deadline, "rounds.deadline_s", format!("1 to {SECONDS_MAX}"));
        found.up_to("rounds", SECONDS_MAX, &[("pause_s", rounds.pause_s)]);
    }

    fn fault_problems(&self, found: &mut Found) {
        let faults = &self.faults;
        let rates = [
            ("power_cuts_per_h", faults.power_cuts_per_h),
            ("broker_restarts_per_h", faults.broker_restarts_per_h),
            ("retained_per_h", faults.retained_per_h),
            ("aggregator_kills_per_h", faults.aggregator_kills_per_h),
            ("partitions_per_h", faults.partitions_per_h),
            ("aggregator_cuts_per_h", faults.aggregator_cuts_per_h),
        ];
        found.up_to("faults", RATE_MAX, &rates);
        let skew = [("clock_skew_s", faults.clock_skew_s)];
        found.up_to("faults", 1e6, &skew);
        let shares = [
            ("torn_write", faults.torn_write),
            ("failed_write", faults.failed_write),
            ("broker_forgets", faults.broker_forgets),
            ("killed_writing", faults.killed_writing),
        ];
        found.shares("faults", &shares);
        let drift = (0.0..=100_000.0).contains(&faults.clock_drift_ppm);
        found.unless(drift, "faults.clock_drift_ppm", "0 to 100000");
        for partition in &faults.partition {
            let times = [("at_h", partition.at_h), ("for_s", partition.for_s)];
            found.up_to("faults.partition", SECONDS_MAX, &times);
            found.shares("faults.partition", &[("share", partition.share)]);
        }
    }
}

fn class_problems(class: &Class, found: &mut Found) {
    let section = format!("class {:?}", class.name);
    let rates = [class.up_kbps, class.down_kbps].iter().all(|rate| (0.001..=1e9).contains(rate));
    found.unless(rates, &section, "up_kbps and down_kbps are 0.001 to 1e9");
    let shares = [
        ("share", class.share),
        ("drop_out", class.drop_out),
        ("loss", class.loss),
        ("duplicate", class.duplicate),
        ("reorder", class.reorder),
    ];
    found.shares(&section, &shares);
    let times = [
        ("ms_per_window", class.ms_per_window),
        ("delay_ms", class.delay_ms),
        ("jitter_ms", class.jitter_ms),
    ];
    found.up_to(&section, 1e6, &times);
    found.up_to(&section, RATE_MAX, &[("cuts_per_h", class.cuts_per_h)]);
    for text in &class.codecs {
        if let Err(error) = text.parse::<Codec>() {
            found.0.add(&section, format!("codecs = {text:?}: {error}"));
        }
    }
}

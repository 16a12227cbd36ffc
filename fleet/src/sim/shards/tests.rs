use std::fmt::Write;
use std::fs;

use super::*;
use crate::sim::scenario::Scenario;

fn task(target: &str) -> TaskSpec {
    let text = format!(
        "name = 'test'\nfeatures = 'Raw'\nlayers = []\ntarget = {target}\n[input]\n\
         rate_millihertz = 10000\nwindow = 4\nhop = 4\n\
         channels = [{{ name = 'x', unit = 'g', offset = 0.0, scale = 1.0 }}]\n"
    );
    toml::from_str(&text).unwrap()
}

fn classes() -> TaskSpec {
    task("{ Classes = ['rest', 'walk'] }")
}

/// What the keys of `[learning.data]` are read as, in the folder `dir`.
fn data(dir: &Path, keys: &str) -> Data {
    let text = format!("kind = 'csv'\ndir = '{}'\n{keys}", dir.display());
    toml::from_str(&text).unwrap_or_else(|error| panic!("{error}"))
}

/// Rows of x, where sample `n` of a file has the value `first + n / 4`.
fn rows(first: u32, count: u32) -> String {
    (0..count).fold(String::new(), |mut text, n| {
        writeln!(text, "{}", f64::from(first) + f64::from(n) / 4.0).unwrap();
        text
    })
}

fn load(data: &Data, devices: u32) -> Result<Shards, String> {
    Shards::load(data, &classes(), devices)
}

#[test]
fn shards_are_read_by_the_keys_of_a_source_with_a_label_file_each() {
    let dir = tempfile::tempdir().unwrap();
    for (name, first) in [("a", 0), ("b", 100)] {
        let path = |ending: &str| dir.path().join(format!("{name}{ending}"));
        let body = rows(first, 8).replace('.', ",");
        fs::write(
            path(".txt"),
            format!("# made by us\nof {name}\nvalue;y\n{}", body.replace('\n', ";1\n")),
        )
        .unwrap();
        fs::write(path(".labels.csv"), "from,lasts,what\n0,0.4,1\n0.4,0.4,2\n").unwrap();
    }
    let keys = "files = '*.txt'\nlabels_suffix = '.labels.csv'\nrate_hz = 10\nheader = 'auto'\ncomment = '#'\n\
        delimiter = ';'\ndecimal = ','\nlabels = { 1 = 'walk', 2 = 'rest' }\nchannels = { x = 'value' }\n\
        label_file = { start = 'from', duration = 'lasts', label = 'what' }\n";
    let shards = load(&data(dir.path(), keys), 2).unwrap();
    assert_eq!(shards.of(0).values, [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75]);
    assert_eq!(shards.of(1).values[..2], [100.0, 100.25]);
    assert_eq!((&shards.of(0).labels[..], &shards.of(1).labels[..]), (&[1, 0][..], &[1, 0][..]));
    fs::remove_file(dir.path().join("b.labels.csv")).unwrap();
    let problem = load(&data(dir.path(), keys), 2).unwrap_err();
    assert!(problem.contains("b.labels.csv is not there"), "{problem}");
}

#[test]
fn a_shard_that_does_not_fit_is_an_error_and_no_data_are_given_twice_unasked() {
    let dir = tempfile::tempdir().unwrap();
    for (name, header) in [("a", "x,l"), ("b", "y,l")] {
        let body = rows(0, 8).replace('\n', ",walk\n");
        fs::write(dir.path().join(format!("{name}.csv")), format!("{header}\n{body}")).unwrap();
    }
    let keys = "rate_hz = 10\nlabel = 'l'\nchannels = { x = 'x' }\n";
    let problem = load(&data(dir.path(), keys), 2).unwrap_err();
    assert!(problem.contains("b.csv") && problem.contains("no column for x"), "{problem}");
    let skipped = format!("skip = ['b*']\n{keys}");
    let problem = load(&data(dir.path(), &skipped), 2).unwrap_err();
    assert!(problem.contains("1 parts for 2 devices") && problem.contains("repeat"), "{problem}");
    let shards = load(&data(dir.path(), &format!("repeat = true\n{skipped}")), 2).unwrap();
    assert_eq!(shards.of(0).values, shards.of(1).values);
    fs::write(dir.path().join("b.csv"), "x,l\n1,walk\nnonsense,walk\n").unwrap();
    let problem = load(&data(dir.path(), keys), 2).unwrap_err();
    assert!(problem.contains("b.csv has no window") && problem.contains("line 3"), "{problem}");
    let problem =
        load(&data(dir.path(), "files = '*.dat'\nrate_hz = 10\nchannels = { x = 'x' }"), 1);
    assert!(problem.unwrap_err().contains("*.dat"));
}

#[test]
fn fourteen_files_of_one_person_with_an_index_need_no_converter() {
    let dir = tempfile::tempdir().unwrap();
    let mut index = String::from("file,first,last,activity\n");
    for number in 1..=14_u32 {
        let name = format!("rec{number:02}_person{:02}.txt", number.div_ceil(2));
        fs::write(dir.path().join(&name), rows(number * 10, 8).trim_end()).unwrap();
        writeln!(index, "{number},1,4,walk\n{number},5,8,rest").unwrap();
    }
    fs::write(dir.path().join("index.txt"), index).unwrap();
    let path = dir.path().join("index.txt");
    let keys = format!(
        "files = 'rec*_person*.txt'\nby = '{{2}}'\nrate_hz = 10\nheader = false\nchannels = {{ x = 0 }}\n\
         [label_file]\npath = '{}'\nby = 'rows'\nstart = 'first'\nend = 'last'\nlabel = 'activity'\n\
         where = {{ file = '{{1}}' }}\n",
        path.display()
    );
    let shards = load(&data(dir.path(), &keys), 7).unwrap();
    assert_eq!(shards.parts.len(), 7);
    for (person, windows) in (0_u16..).zip(&shards.parts) {
        let first = f32::from(person) * 20.0 + 10.0;
        let starts: Vec<f32> = windows.values.chunks(4).map(|window| window[0]).collect();
        assert_eq!(starts, [first, first + 1.0, first + 10.0, first + 11.0]);
        assert_eq!(windows.labels, [1, 0, 1, 0]);
    }
}

#[test]
fn persons_may_be_folders_or_a_column() {
    let dir = tempfile::tempdir().unwrap();
    for person in ["ann", "bob"] {
        let folder = dir.path().join(person);
        fs::create_dir(&folder).unwrap();
        for part in 0..2 {
            let first = 3 + u32::from(person == "bob") * 50 + part * 10;
            let text = format!("x,l\n{}", rows(first, 4).replace('\n', ",walk\n"));
            fs::write(folder.join(format!("{part}.csv")), text).unwrap();
        }
    }
    let keys = "rate_hz = 10\nlabel = 'l'\nchannels = { x = 'x' }\n";
    let shards = load(&data(dir.path(), &format!("by = 'folder'\n{keys}")), 2).unwrap();
    assert_eq!(shards.of(1).values, [53.0, 53.25, 53.5, 53.75, 63.0, 63.25, 63.5, 63.75]);
    let both = (0..8).fold(String::from("id,x,l\n"), |mut text, n| {
        write!(text, "one,{n},walk\ntwo,{},rest\n", n + 100).unwrap();
        text
    });
    fs::write(dir.path().join("all.csv"), both).unwrap();
    let data = data(dir.path(), &format!("by = {{ column = 'id' }}\n{keys}"));
    let shards = load(&data, 2).unwrap();
    assert_eq!(shards.of(0).values, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    assert_eq!(shards.of(1).values[..4], [100.0, 101.0, 102.0, 103.0]);
    assert_eq!((&shards.of(0).labels[..], &shards.of(1).labels[..]), (&[1, 1][..], &[0, 0][..]));
}

#[test]
fn labels_that_do_not_fit_are_named_on_both_sides() {
    let names = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let task: Vec<String> = classes().labels().to_vec();
    assert_eq!(label_gaps(&task, &names(&["rest", "walk"])), None);
    assert_eq!(label_gaps(&[], &names(&["rest"])), None);
    let text = label_gaps(&task, &names(&["rest", "wlak"])).unwrap();
    assert!(text.contains("no file has the task's \"walk\""), "{text}");
    assert!(text.contains("does not have the files' \"wlak\""), "{text}");
    let dir = tempfile::tempdir().unwrap();
    let body = rows(0, 8).replace('\n', ",walk\n");
    fs::write(dir.path().join("a.csv"), format!("x,l\n{body}")).unwrap();
    let keys = "rate_hz = 10\nlabel = 'l'\nchannels = { x = 'x' }\n";
    let Data::Csv(data) = data(dir.path(), keys) else { panic!("another kind") };
    let (parts, mut seen) = (files::parts(&data).unwrap(), Seen::default());
    read(&data, &parts, &classes(), &mut seen).unwrap();
    assert_eq!(seen.labels, names(&["walk"]));
}

#[test]
fn what_lies_in_the_folder_and_is_on_no_device_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let keys = "rate_hz = 10\nskip = ['index*']\nchannels = { x = 'x' }\n";
    let told = |by: &str| {
        let Data::Csv(data) = data(dir.path(), &format!("by = '{by}'\n{keys}")) else {
            panic!("another kind")
        };
        files::left_over(&data).unwrap()
    };
    for name in ["a.csv", "index.txt", ".hidden"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    assert_eq!(told("file"), None);
    assert!(told("folder").unwrap().contains("such as a.csv"));
    let by_folder = data(dir.path(), &format!("by = 'folder'\n{keys}"));
    let problem = load(&by_folder, 1).unwrap_err();
    assert!(problem.contains("there is none") && problem.contains("\"file\""), "{problem}");
    let problem = load(&data(dir.path(), keys), 1).unwrap_err();
    assert!(problem.ends_with("by learning.data.skip") && problem.contains("a.csv: is empty"));
    fs::create_dir(dir.path().join("more")).unwrap();
    fs::write(dir.path().join("b.txt"), "").unwrap();
    let text = told("file").unwrap();
    assert!(text.contains("2 in it that no device has, such as b.txt"), "{text}");
}

#[test]
fn keys_that_nobody_knows_or_that_have_no_use_are_refused_when_the_scenario_is_read() {
    let with = |keys: &str| {
        let text = format!(
            "name = 'x'\n[population]\ndevices = 1\n[rounds]\ncount = 1\ntarget = 1\n[learning]\n\
             task = 't.toml'\n[learning.data]\nkind = 'csv'\ndir = 'd'\n{keys}"
        );
        Scenario::parse(&text).err().map_or(String::new(), |problems| format!("{problems:#}"))
    };
    let good = "rate_hz = 10\nchannels = { x = 'x' }\n";
    assert_eq!(with(good), "");
    assert!(with(&format!("colour = 1\n{good}")).contains("unknown field `colour`"));
    assert!(with(&format!("capacity_mb = 1\n{good}")).contains("no use"));
    assert!(with("channels = { x = 'x' }").contains("rate_hz"));
    assert!(with(&format!("decimal = ','\n{good}")).contains("decimal"));
}

/// A file of the project's collection of data, which is no part of the repository.
fn shared(path: &str) -> Option<std::path::PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(path);
    found.is_file().then_some(found)
}

#[test]
fn real_recordings_of_glucose_are_a_device_for_each_person() {
    let Some(archive) = shared("cgm_type2_5_subjects/cgm_5_subjects.csv.gz") else { return };
    let dir = tempfile::tempdir().unwrap();
    let output = std::process::Command::new("gzip").arg("-dc").arg(&archive).output().unwrap();
    fs::write(dir.path().join("cgm.csv"), output.stdout).unwrap();
    let task = toml::from_str(
        "name = 'test'\nfeatures = 'Raw'\nlayers = []\ntarget = 'Reconstruct'\n[input]\n\
         period = '5 min'\nwindow = 6\nhop = 6\nchannels = [{ name = 'glucose', unit = 'mg/dL', \
         offset = 0.0, scale = 1.0 }]\n",
    );
    let keys = "by = { column = 'id' }\nperiod = '5 min'\nunit = 'mg/dL'\n\
        time = { column = 'time', format = 'iso' }\nchannels = { glucose = 'gl' }\n";
    let shards = Shards::load(&data(dir.path(), keys), &task.unwrap(), 5).unwrap();
    assert_eq!(shards.parts.len(), 5);
    assert_eq!(shards.of(1).values[..5], [144.0, 142.0, 141.0, 140.0, 136.0]);
    assert_eq!(shards.of(3).values[..5], [76.0, 72.0, 60.0, 50.0, 53.0]);
    assert_eq!(shards.of(4).values[..5], [91.0, 92.0, 92.0, 91.0, 91.0]);
    assert!(shards.parts.iter().all(|windows| windows.len() > 100));
}

#[test]
fn real_recordings_without_times_get_their_labels_from_one_index() {
    let Some(archive) = shared("hapt_raw/hapt_rawdata.tar.xz") else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut tar = std::process::Command::new("tar");
    tar.arg("-xJf").arg(&archive).arg("-C").arg(dir.path()).arg("--wildcards");
    let status = tar.args(["*labels.txt", "*acc_exp0[1-4]_user*"]).status().unwrap();
    assert!(status.success());
    let folder = dir.path().join("RawData");
    let task = toml::from_str(
        "name = 'test'\nfeatures = 'Raw'\nlayers = []\n\
         target = { Classes = ['walking', 'sitting', 'standing', 'laying'] }\n[input]\nrate_hz = 50\n\
         window = 100\nhop = 100\nchannels = [{ name = 'x', unit = 'g', offset = 0.0, scale = 1.0 }, \
         { name = 'z', unit = 'g', offset = 0.0, scale = 1.0 }]\n",
    );
    let keys = format!(
        "files = 'acc_exp*_user*.txt'\nby = '{{2}}'\nrate_hz = 50\nheader = false\ndelimiter = ' '\n\
         unit = 'g'\nlabels = {{ 1 = 'walking', 4 = 'sitting', 5 = 'standing', 6 = 'laying' }}\n\
         channels = {{ x = 0, z = 2 }}\n[label_file]\npath = '{}'\ndelimiter = ' '\nby = 'rows'\n\
         where = {{ 0 = '{{1}}', 1 = '{{2}}' }}\nlabel = 2\nstart = 3\nend = 4\n",
        folder.join("labels.txt").display()
    );
    let shards = Shards::load(&data(&folder, &keys), &task.unwrap(), 2).unwrap();
    assert_eq!(shards.parts.len(), 2);
    let numbers = |text: &str| -> Vec<Vec<f32>> {
        text.lines().map(|line| line.split(' ').map(|n| n.parse().unwrap()).collect()).collect()
    };
    let index = numbers(&fs::read_to_string(folder.join("labels.txt")).unwrap());
    let mut windows = shards.of(0).iter();
    let mut found = 0;
    for (experiment, name) in [(1.0, "acc_exp01_user01.txt"), (2.0, "acc_exp02_user01.txt")] {
        let rows = numbers(&fs::read_to_string(folder.join(name)).unwrap());
        #[allow(clippy::cast_precision_loss)] // small numbers
        let label_of = |row: usize| {
            let number = row as f32 + 1.0;
            let holds = |r: &&Vec<f32>| r[0] == experiment && r[3] <= number && number <= r[4];
            let label = index.iter().find(holds).map(|row| row[2]);
            label.and_then(|label| [1.0, 4.0, 5.0, 6.0].iter().position(|&n| n == label))
        };
        for at in (0..rows.len() / 100).map(|n| n * 100) {
            let last = at + 100;
            // A window has the label of four fifths of its samples.
            let count = |class| (at..last).filter(|&row| label_of(row) == Some(class)).count();
            let Some(class) = (0..4).find(|&class| count(class) >= 80) else { continue };
            let (values, label) = windows.next().unwrap();
            let expected: Vec<f32> =
                rows[at..last].iter().flat_map(|row| [row[0], row[2]]).collect();
            assert_eq!(
                (values, label.map(usize::from)),
                (&expected[..], Some(class)),
                "{name} {at}"
            );
            found += 1;
        }
    }
    assert!(found > 100 && windows.next().is_none());
}

#[test]
fn what_reading_and_cutting_left_out_is_counted_by_kind() {
    let dir = tempfile::tempdir().unwrap();
    let body = rows(0, 8).replace('\n', ",walk\n") + "oops,walk\n";
    fs::write(dir.path().join("a.csv"), format!("x,l\n{body}")).unwrap();
    let other = rows(0, 4).replace('\n', ",swim\n") + &rows(4, 4).replace('\n', ",rest\n");
    fs::write(dir.path().join("b.csv"), format!("x,l\n{other}")).unwrap();
    let keys = "rate_hz = 10\nlabel = 'l'\nchannels = { x = 'x' }\n";
    let shards = load(&data(dir.path(), keys), 2).unwrap();
    let counts = [("number".to_owned(), 1), ("windows_unlabelled".to_owned(), 1)];
    assert_eq!(shards.left_out, BTreeMap::from(counts));
}

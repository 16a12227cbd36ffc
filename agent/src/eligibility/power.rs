//! Where the power comes from: `/sys/class/power_supply`.

use std::path::Path;

use super::files;

/// What the batteries say together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Battery {
    /// There is no battery.
    None,
    /// None of those that are there tells its charge.
    Unreadable,
    /// Their mean charge, 0 to 100.
    Percent(f32),
}

/// Where the device's power comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Power {
    /// Whether it comes from outside and no battery is drained. A device without a battery has no
    /// other.
    pub external: bool,
    /// What its batteries say together.
    pub battery: Battery,
}

impl Power {
    /// Power of a device without a battery.
    pub const MAINS: Self = Self { external: true, battery: Battery::None };

    /// Reads the supplies in the folder `supplies`, `/sys/class/power_supply`.
    ///
    /// Batteries of other things, such as a mouse, and empty bays do not count. A battery that
    /// discharges decides: a charger that is too weak does not help. One that charges decides too.
    /// Else a line (mains, USB, wireless) does if there is any, and last what the battery says.
    pub(super) fn read(supplies: &Path) -> Self {
        let (mut charges, mut states, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        for supply in files::entries(supplies) {
            let word = |name: &str| files::word(&supply.join(name));
            let foreign = word("scope").as_deref() == Some("Device");
            let absent = word("present").as_deref() == Some("0");
            match word("type").as_deref() {
                _ if foreign || absent => {}
                Some("Battery") => {
                    let charge = files::number(&supply.join("capacity"));
                    charges.push(charge.filter(|percent| (0.0..=100.0).contains(percent)));
                    states.push(word("status").unwrap_or_default());
                }
                Some("Mains" | "USB" | "Wireless") => {
                    // 1 and 2 are connected, with a fixed or a negotiated voltage.
                    lines.extend(files::number(&supply.join("online")).map(|on| on >= 1.0));
                }
                Some(_) | None => {}
            }
        }
        if states.is_empty() {
            return Self::MAINS;
        }
        let any = |wanted: &[&str]| states.iter().any(|state| wanted.contains(&state.as_str()));
        let external = if any(&["Discharging"]) {
            false
        } else if any(&["Charging"]) {
            true
        } else if lines.is_empty() {
            any(&["Full", "Not charging"])
        } else {
            lines.contains(&true)
        };
        Self { external, battery: mean(&charges) }
    }
}

/// The mean charge of those that tell it.
fn mean(charges: &[Option<f32>]) -> Battery {
    let (sum, count) = charges.iter().flatten().fold((0.0, 0.0), |(sum, n), c| (sum + c, n + 1.0));
    if count > 0.0 { Battery::Percent(sum / count) } else { Battery::Unreadable }
}

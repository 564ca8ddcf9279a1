//! When something runs: by a cron expression in a time zone, at intervals, or once.
//!
//! Ticks are a function of the moment alone, so that every node computes the same. An interval is counted from midnight UTC of 1 January
//! 1970: `15m` is at each quarter of an hour, wherever and whenever it was saved.

use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Zoned;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::FieldError;
use crate::time::Timestamp;

/// Shortest interval.
const SHORTEST: Duration = Duration::from_mins(1);
/// Longest interval.
const LONGEST: Duration = Duration::from_hours(24 * 366);
/// Longest cron expression, in bytes.
const CRON_MAX: usize = 200;

/// When something runs: exactly one of `cron`, `every` and `once`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// minute, hour, day of the month, month, day of the week: `0 6 * * 1-5`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// IANA name of the time zone in which `cron` is read, such as `Europe/Berlin`; UTC unless told
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// an interval from a minute upwards: `90s`, `15m`, `6h`, `1d`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<String>,
    /// one moment
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub once: Option<Timestamp>,
}

/// A moment as a clock and a calendar show it somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// such as 2026
    pub year: i16,
    /// 1 to 12
    pub month: i8,
    /// 1 to 31
    pub day: i8,
    /// 0 to 23
    pub hour: i8,
    /// 0 to 59
    pub minute: i8,
    /// days that the month has
    pub days: i8,
    /// the day of the week on which the month begins: 0 is Monday
    pub begins: i8,
}

impl Local {
    /// The day, as it stands in dates: `2026-11-22`.
    pub fn date(&self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// A timing that can be computed.
enum Clockwork {
    Cron(Box<Cron>, TimeZone),
    Every(i64),
    Once(Timestamp),
}

impl Timing {
    /// By a cron expression in a time zone.
    pub fn cron(expression: &str, time_zone: &str) -> Self {
        Self { cron: Some(expression.to_owned()), time_zone: Some(time_zone.to_owned()), ..Self::default() }
    }

    /// What is wrong with it, under paths below `path`.
    pub fn check(&self, path: &str) -> Vec<FieldError> {
        match self.clockwork() {
            Err((field, message)) => {
                let at = if field.is_empty() { path.to_owned() } else { format!("{path}.{field}") };
                vec![FieldError::new(at, "invalid", message)]
            }
            // A day that no calendar has: the thirtieth of February.
            Ok(clockwork @ Clockwork::Cron(..)) if clockwork.next(Timestamp::default()).is_none() => {
                vec![FieldError::new(format!("{path}.cron"), "invalid", "There is no such time in any year.")]
            }
            Ok(_) => Vec::new(),
        }
    }

    /// The first tick after a moment. `None`: there is none any more, or the timing cannot be read.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.clockwork().ok()?.next(after)
    }

    /// The last tick at or before a moment.
    pub fn latest(&self, until: Timestamp) -> Option<Timestamp> {
        self.clockwork().ok()?.latest(until)
    }

    /// The first ticks after a moment, at most so many.
    pub fn upcoming(&self, after: Timestamp, most: usize) -> Vec<Timestamp> {
        let Ok(clockwork) = self.clockwork() else { return Vec::new() };
        let mut ticks = Vec::with_capacity(most);
        let mut last = after;
        while ticks.len() < most
            && let Some(tick) = clockwork.next(last)
        {
            ticks.push(tick);
            last = tick;
        }
        ticks
    }

    /// The time zone in which it is read; UTC where it cannot be.
    pub fn zone(&self) -> &str {
        self.time_zone.as_deref().unwrap_or("UTC")
    }

    /// A moment as a clock and a calendar of the time zone show it.
    pub fn local(&self, moment: Timestamp) -> Option<Local> {
        let moment = zoned(moment, zone(self.zone())?)?;
        let first = moment.date().first_of_month();
        Some(Local {
            year: moment.year(),
            month: moment.month(),
            day: moment.day(),
            hour: moment.hour(),
            minute: moment.minute(),
            days: moment.days_in_month(),
            begins: first.weekday().to_monday_zero_offset(),
        })
    }

    /// When it runs, in words: *every 15 minutes*; *At 06:00, on Monday through Friday*.
    pub fn words(&self) -> String {
        match self.clockwork() {
            Ok(Clockwork::Cron(cron, _)) => {
                let said = cron.describe();
                format!("{}, {} time", said.trim_end_matches('.'), self.zone())
            }
            Ok(Clockwork::Every(micros)) => {
                let seconds = micros / 1_000_000;
                let (many, unit) = [(86_400, "day"), (3600, "hour"), (60, "minute")]
                    .into_iter()
                    .find(|(length, _)| seconds % length == 0)
                    .map_or((seconds, "second"), |(length, unit)| (seconds / length, unit));
                if many == 1 { format!("Every {unit}") } else { format!("Every {many} {unit}s") }
            }
            Ok(Clockwork::Once(_)) => "Once".to_owned(),
            Err((_, why)) => why,
        }
    }

    /// Reads it. `Err`: the field at fault (empty: the whole), and a sentence.
    fn clockwork(&self) -> Result<Clockwork, (&'static str, String)> {
        let zoneless = || match self.time_zone {
            Some(_) => Err(("time_zone", "Only `cron` is read in a time zone.".to_owned())),
            None => Ok(()),
        };
        match (&self.cron, &self.every, &self.once) {
            (Some(cron), None, None) => {
                let zone = zone(self.zone()).ok_or_else(|| {
                    let message =
                        "There is no such time zone. Give its IANA name, such as Europe/Berlin or UTC.";
                    ("time_zone", message.to_owned())
                })?;
                Ok(Clockwork::Cron(Box::new(parse(cron).map_err(|why| ("cron", why))?), zone))
            }
            (None, Some(every), None) => {
                zoneless()?;
                let length = interval(every).ok_or_else(|| {
                    (
                        "every",
                        "Say a number and s, m, h or d, such as 15m; a minute at least, a year at most."
                            .to_owned(),
                    )
                })?;
                Ok(Clockwork::Every(length))
            }
            (None, None, Some(once)) => {
                zoneless()?;
                Ok(Clockwork::Once(*once))
            }
            _ => Err(("", "Say exactly one of `cron`, `every` and `once`.".to_owned())),
        }
    }
}

fn zone(name: &str) -> Option<TimeZone> {
    // Names only: what else jiff reads (`+02:00`, POSIX rules) keeps no daylight saving time that anybody looks up.
    TimeZone::get(name).ok()
}

fn zoned(moment: Timestamp, zone: TimeZone) -> Option<Zoned> {
    Some(jiff::Timestamp::from_microsecond(moment.micros()).ok()?.to_zoned(zone))
}

fn moment(zoned: &Zoned) -> Timestamp {
    Timestamp::from_micros(zoned.timestamp().as_microsecond())
}

fn parse(text: &str) -> Result<Cron, String> {
    if text.len() > CRON_MAX {
        return Err(format!("A cron expression has at most {CRON_MAX} bytes."));
    }
    // `@reboot` and the like: a service has no such moment.
    if text.split_whitespace().count() != 5 {
        return Err("Give five parts: minute, hour, day of the month, month, day of the week.".to_owned());
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(text).map_err(|error| {
        let said = error.to_string();
        format!("It cannot be read: {}.", said.trim_end_matches('.'))
    })
}

/// The length of an interval in microseconds, where it is one.
fn interval(text: &str) -> Option<i64> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let length = Duration::from_secs(digits.parse::<u64>().ok()?.checked_mul(seconds)?);
    let fits = (SHORTEST..=LONGEST).contains(&length);
    fits.then(|| i64::try_from(length.as_micros()).ok()).flatten()
}

impl Clockwork {
    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Once(at) => Some(*at).filter(|at| *at > after),
            Self::Every(length) => {
                let last = after.micros().div_euclid(*length);
                Some(Timestamp::from_micros(last.checked_add(1)?.checked_mul(*length)?))
            }
            Self::Cron(cron, zone) => {
                let from = zoned(after, zone.clone())?;
                let found = moment(&cron.find_next_occurrence(&from, false).ok()?);
                // The search looks at whole seconds: from the middle of one it finds nothing that is past.
                (found > after).then_some(found)
            }
        }
    }

    fn latest(&self, until: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Once(at) => Some(*at).filter(|at| *at <= until),
            Self::Every(length) => {
                Some(Timestamp::from_micros(until.micros().div_euclid(*length).checked_mul(*length)?))
            }
            Self::Cron(cron, zone) => {
                let whole = Timestamp::from_micros(until.seconds().checked_mul(1_000_000)?);
                let from = zoned(whole, zone.clone())?;
                let found = moment(&cron.find_previous_occurrence(&from, true).ok()?);
                (found <= until).then_some(found)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> Timestamp {
        serde_json::from_value(json!(text)).unwrap()
    }

    /// The next ticks after a moment.
    fn ticks(cron: &str, zone: &str, after: &str, wanted: &[&str]) {
        let timing = Timing::cron(cron, zone);
        assert_eq!(timing.check("at"), [], "{cron} {zone}");
        let found = timing.upcoming(at(after), wanted.len());
        let wanted: Vec<Timestamp> = wanted.iter().map(|text| at(text)).collect();
        let said = |all: &[Timestamp]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(said(&found), said(&wanted), "{cron} in {zone} after {after}");
        for tick in wanted {
            assert_eq!(timing.latest(tick), Some(tick), "{cron} in {zone} at {tick}");
            let before = Timestamp::from_micros(tick.micros() - 1);
            assert_eq!(timing.next(before), Some(tick), "{cron} in {zone} just before {tick}");
        }
    }

    #[test]
    fn a_time_that_there_is_not_is_made_up_for_and_one_that_is_twice_is_once() {
        // Berlin, spring: 02:30 of 29 March is not there; the clock goes from 02:00 to 03:00 at 01:00 UTC.
        ticks(
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T00:00:00Z",
            &["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
        );
        // Berlin, autumn: 02:30 of 25 October is there twice, at 00:30 and 01:30 UTC.
        ticks(
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T00:00:00Z",
            &["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
        );
        // The same time of day all the year.
        ticks(
            "0 6 * * 1-5",
            "Europe/Berlin",
            "2026-03-27T06:00:00Z",
            &["2026-03-30T04:00:00Z", "2026-03-31T04:00:00Z"],
        );
        ticks(
            "30 2 * * *",
            "America/New_York",
            "2026-03-07T12:00:00Z",
            &["2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"],
        );
        ticks(
            "30 1 * * *",
            "America/New_York",
            "2026-10-31T12:00:00Z",
            &["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"],
        );
        // No daylight saving, and half an hour beside the others.
        ticks(
            "0 9 * * *",
            "Asia/Kolkata",
            "2026-03-29T00:00:00Z",
            &["2026-03-29T03:30:00Z", "2026-03-30T03:30:00Z"],
        );
        // Half an hour of daylight saving: 02:15 of 4 October is not there, and 01:45 of 5 April is there twice.
        ticks(
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T00:00:00Z",
            &["2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"],
        );
        ticks(
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T00:00:00Z",
            &["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"],
        );
    }

    #[test]
    fn what_is_not_at_a_fixed_time_goes_on_as_time_passes() {
        // Both halves of the hour that is there twice; none of the hour that is not there.
        ticks(
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-10-25T00:00:00Z",
            &["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"],
        );
        ticks(
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-03-29T00:15:00Z",
            &["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"],
        );
    }

    #[test]
    fn intervals_and_single_moments() {
        let every = |text: &str| Timing { every: Some(text.to_owned()), ..Timing::default() };
        let next = |text: &str, after: &str| every(text).next(at(after)).map(|tick| tick.to_string());
        assert_eq!(next("15m", "2026-11-22T10:07:00Z").as_deref(), Some("2026-11-22T10:15:00.000Z"));
        assert_eq!(next("15m", "2026-11-22T10:15:00Z").as_deref(), Some("2026-11-22T10:30:00.000Z"));
        assert_eq!(next("6h", "2026-11-22T10:15:00Z").as_deref(), Some("2026-11-22T12:00:00.000Z"));
        assert_eq!(every("15m").latest(at("2026-11-22T10:29:59Z")), Some(at("2026-11-22T10:15:00Z")));
        for wrong in
            ["", "m", "15", "0m", "59s", "1.5h", "-1h", "400d", "99999999999999999999d", "15 m", "1ä"]
        {
            assert_eq!(every(wrong).check("at")[0].field, "at.every", "{wrong}");
        }
        let once = Timing { once: Some(at("2026-11-22T10:15:00+01:00")), ..Timing::default() };
        assert_eq!(once.upcoming(at("2026-11-22T00:00:00Z"), 5), [at("2026-11-22T09:15:00Z")]);
        assert_eq!(once.next(at("2026-11-22T09:15:00Z")), None);
        for (timing, words) in [
            (every("90s"), "Every 90 seconds"),
            (every("1h"), "Every hour"),
            (every("48h"), "Every 2 days"),
            (once, "Once"),
        ] {
            assert_eq!(timing.words(), words);
        }
        assert!(Timing::cron("0 6 * * 1-5", "Europe/Berlin").words().contains("06:00"));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let wrong = |value: serde_json::Value| {
            let timing: Timing = serde_json::from_value(value).unwrap();
            timing.check("at").into_iter().map(|error| error.field).collect::<Vec<_>>()
        };
        for (value, field) in [
            (json!({}), "at"),
            (json!({"cron": "0 6 * * *", "every": "1h"}), "at"),
            (json!({"cron": "0 6 * *"}), "at.cron"),
            (json!({"cron": "0 0 6 * * *"}), "at.cron"),
            (json!({"cron": "61 6 * * *"}), "at.cron"),
            (json!({"cron": "@daily"}), "at.cron"),
            (json!({"cron": "0 0 30 2 *"}), "at.cron"),
            (json!({"cron": "* * * * *".repeat(60)}), "at.cron"),
            (json!({"cron": "0 6 * * *", "time_zone": "Europe/Atlantis"}), "at.time_zone"),
            (json!({"cron": "0 6 * * *", "time_zone": ""}), "at.time_zone"),
            (json!({"every": "1h", "time_zone": "UTC"}), "at.time_zone"),
        ] {
            assert_eq!(wrong(value.clone()), [field], "{value}");
        }
        assert_eq!(wrong(json!({"cron": "0 0 29 2 *"})), [""; 0], "it is there every four years");
    }
}

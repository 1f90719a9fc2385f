//! Looks whether all is there that the firmware embeds, and notes the time of the build: whatever
//! the network says later, the device's clock never goes below it.

use std::env;
use std::path::Path;
use std::time::SystemTime;

/// The TUF root. Without it the firmware could not verify any release.
const ROOT: &str = "trust/root.json";
/// A time for builds that give the same bytes every time, in Unix seconds.
const FIXED_TIME: &str = "SOURCE_DATE_EPOCH";

fn main() {
    for input in ["Cargo.toml", "build.rs", "src", ROOT] {
        println!("cargo::rerun-if-changed={input}");
    }
    println!("cargo::rerun-if-env-changed={FIXED_TIME}");
    if !Path::new(ROOT).is_file() {
        println!(
            "cargo::error=there is no `{ROOT}`, so this firmware could not verify any release: \
             make it with `cargo esp-ota keys new`"
        );
    }
    match build_time() {
        Ok(time) => println!("cargo::rustc-env=BUILD_TIME={time}"),
        Err(why) => println!("cargo::error={why}"),
    }
    println!("cargo::rustc-link-arg-bins=-Tlinkall.x"); // esp-hal's memory map
    if env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "xtensa") {
        println!("cargo::rustc-link-arg-bins=-nostartfiles");
    }
}

/// Never a time to come: a device that is told one would find all metadata expired.
fn build_time() -> Result<u64, String> {
    let now = SystemTime::UNIX_EPOCH.elapsed().map_err(|error| error.to_string())?.as_secs();
    let Some(fixed) = env::var_os(FIXED_TIME) else { return Ok(now) };
    match fixed.to_str().and_then(|text| text.parse().ok()) {
        Some(time) if time <= now => Ok(time),
        Some(time) => Err(format!("`{FIXED_TIME}` is {time}, but it is only {now}")),
        None => Err(format!("`{FIXED_TIME}` is not a number of seconds since 1970")),
    }
}

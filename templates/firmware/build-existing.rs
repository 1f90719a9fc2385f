//! What the update agent has to know of the build.

fn main() {
    // The build is made anew when one of these changes.
    for input in ["src", "trust/root.json"] {
        println!("cargo::rerun-if-changed={input}");
    }
    // The device's clock never goes below this time.
    let time = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a year after 1970");
    println!("cargo::rustc-env=BUILD_TIME={}", time.as_secs());
}

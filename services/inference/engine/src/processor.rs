//! Whether this machine can run the code that was built.
//!
//! ggml's CPU code is compiled for one instruction set. Without this check an older processor would end the worker
//! with an illegal instruction in the middle of loading.

/// The instruction sets that ggml was built with and this processor lacks.
pub fn missing() -> Vec<&'static str> {
    wanted()
        .into_iter()
        .filter(|(_, present)| !present)
        .map(|(name, _)| name)
        .collect()
}

/// What `.cargo/config.toml` has ggml built with.
#[cfg(target_arch = "x86_64")]
fn wanted() -> Vec<(&'static str, bool)> {
    vec![
        ("AVX2", std::arch::is_x86_feature_detected!("avx2")),
        ("FMA", std::arch::is_x86_feature_detected!("fma")),
        ("F16C", std::arch::is_x86_feature_detected!("f16c")),
        ("BMI2", std::arch::is_x86_feature_detected!("bmi2")),
    ]
}

#[cfg(not(target_arch = "x86_64"))]
fn wanted() -> Vec<(&'static str, bool)> {
    Vec::new()
}

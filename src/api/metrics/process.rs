//! This process: its build, its age, and what the system says of it.

use super::page::Page;
use crate::time::Timestamp;

pub(super) fn write(page: &mut Page<'_>, started: Timestamp) -> std::fmt::Result {
    page.info(
        "build",
        "The version that is running",
        [("version", env!("CARGO_PKG_VERSION"))],
    )?;
    page.gauge(
        "process_start_time_seconds",
        "When it started, in seconds since 1970",
        started.0 as f64 / 1_000_000.0,
    )?;
    #[cfg(target_os = "linux")]
    match linux::look() {
        Ok(usage) => usage.write(page)?,
        // Without /proc there is no number rather than a wrong one.
        Err(problem) => tracing::debug!("the system does not say how much we use: {problem}"),
    }
    Ok(())
}

#[cfg(target_os = "linux")]
mod linux {
    use procfs::process::{LimitValue, Process};
    use procfs::{ProcResult, page_size, ticks_per_second};

    use super::Page;

    /// What a process uses.
    pub(super) struct Usage {
        resident_bytes: u64,
        cpu_seconds: f64,
        open_fds: u64,
        /// `None` where there is no limit.
        max_fds: Option<u64>,
    }

    pub(super) fn look() -> ProcResult<Usage> {
        let process = Process::myself()?;
        let stat = process.stat()?;
        let limits = process.limits()?;
        Ok(Usage {
            resident_bytes: stat.rss * page_size(),
            cpu_seconds: (stat.utime + stat.stime) as f64 / ticks_per_second() as f64,
            open_fds: process.fd_count()? as u64,
            max_fds: match limits.max_open_files.soft_limit {
                LimitValue::Value(most) => Some(most),
                LimitValue::Unlimited => None,
            },
        })
    }

    impl Usage {
        pub(super) fn write(&self, page: &mut Page<'_>) -> std::fmt::Result {
            page.gauge(
                "process_resident_memory_bytes",
                "Memory that it has in use",
                self.resident_bytes,
            )?;
            page.counter(
                "process_cpu_seconds",
                "CPU time that it has used",
                self.cpu_seconds,
            )?;
            page.gauge(
                "process_open_fds",
                "Files and sockets that it has open",
                self.open_fds,
            )?;
            match self.max_fds {
                Some(most) => page.gauge(
                    "process_max_fds",
                    "Files and sockets that it may have open",
                    most,
                ),
                None => Ok(()),
            }
        }
    }
}

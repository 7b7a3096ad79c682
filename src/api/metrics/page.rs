//! The text that Prometheus reads: families of counters, gauges and histograms, in OpenMetrics or in the older form.

use std::fmt::Result;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;

use crate::tally::Distribution;

/// The media type of what the encoder writes.
pub(super) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The media type of [`classic`].
pub(super) const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Names and values of the labels of one number.
type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// Where metrics are written. Names come without prefix, those of counters without `_total`.
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

impl Page<'_> {
    /// A number that goes up and down.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> Result {
        self.family(name, help, MetricType::Gauge)?
            .encode_gauge(&value)
    }

    /// The same for each set of labels; there may be none.
    pub(super) fn gauges<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<'a, N>, u64)>,
    ) -> Result {
        let mut family = self.family(name, help, MetricType::Gauge)?;
        (values.into_iter())
            .try_for_each(|(labels, value)| family.encode_family(&labels)?.encode_gauge(&value))
    }

    /// A number that only grows.
    pub(super) fn counter(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeCounterValue,
    ) -> Result {
        count(&mut self.family(name, help, MetricType::Counter)?, &value)
    }

    /// The same for each set of labels.
    pub(super) fn counters<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<'a, N>, u64)>,
    ) -> Result {
        let mut family = self.family(name, help, MetricType::Counter)?;
        (values.into_iter())
            .try_for_each(|(labels, value)| count(&mut family.encode_family(&labels)?, &value))
    }

    /// How large something was, in buckets.
    pub(super) fn histogram(&mut self, name: &str, help: &str, value: &Distribution) -> Result {
        distribute(&mut self.family(name, help, MetricType::Histogram)?, value)
    }

    /// The same for each set of labels.
    pub(super) fn histograms<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<'a, N>, Distribution)>,
    ) -> Result {
        let mut family = self.family(name, help, MetricType::Histogram)?;
        (values.into_iter())
            .try_for_each(|(labels, value)| distribute(&mut family.encode_family(&labels)?, &value))
    }

    /// What is always so, in labels.
    pub(super) fn info<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: Labels<'_, N>,
    ) -> Result {
        self.family(name, help, MetricType::Info)?
            .encode_info(&labels)
    }

    fn family<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        kind: MetricType,
    ) -> std::result::Result<MetricEncoder<'s>, std::fmt::Error> {
        self.0.encode_descriptor(name, help, None, kind)
    }
}

fn count(encoder: &mut MetricEncoder<'_>, value: &impl EncodeCounterValue) -> Result {
    encoder.encode_counter::<NoLabelSet, _, u64>(value, None)
}

fn distribute(encoder: &mut MetricEncoder<'_>, value: &Distribution) -> Result {
    encoder.encode_histogram::<NoLabelSet>(value.sum, value.count(), &value.buckets, None)
}

/// OpenMetrics as Prometheus' older text form, for whoever asks for nothing else: there a family bears the whole
/// name of its numbers, and there are no families of infos and no end.
pub(super) fn classic(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help = None;
    for line in openmetrics.lines() {
        if let Some(line) = line.strip_prefix("# HELP ") {
            help = line.split_once(' ');
        } else if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.split_once(' ').unwrap_or((family, "untyped"));
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                _ => ("", kind),
            };
            if let Some((_, help)) = help.take() {
                text += &format!("# HELP {name}{suffix} {help}\n");
            }
            text += &format!("# TYPE {name}{suffix} {kind}\n");
        } else if line != "# EOF" {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_form_names_each_family_as_its_numbers() {
        let openmetrics = "# HELP a_b Things.\n# TYPE a_b counter\na_b_total{x=\"# TYPE\"} 1\n\
            # HELP a_g How many.\n# TYPE a_g gauge\na_g 2\n\
            # HELP a_build What.\n# TYPE a_build info\na_build_info{version=\"1\"} 1\n# EOF\n";
        assert_eq!(
            classic(openmetrics),
            "# HELP a_b_total Things.\n# TYPE a_b_total counter\na_b_total{x=\"# TYPE\"} 1\n\
            # HELP a_g How many.\n# TYPE a_g gauge\na_g 2\n\
            # HELP a_build_info What.\n# TYPE a_build_info gauge\na_build_info{version=\"1\"} 1\n"
        );
    }
}

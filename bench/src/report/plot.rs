//! Plots as SVG.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::figure::{Figure, distinct};

const SIZE: (u32, u32) = (900, 480);

/// Bars for each subject, in groups by workload, on a logarithmic axis.
pub(super) fn bars(file: &Path, title: &str, figures: &[&Figure]) -> Result<(), Box<dyn Error>> {
    let workloads = distinct(figures.iter().map(|figure| figure.workload.clone()));
    let has_cost = |subject: &&String| figures.iter().any(|figure| figure.subject == **subject && figure.value >= 1.0);
    let names = distinct(figures.iter().map(|figure| &figure.subject));
    let subjects: Vec<_> = names.into_iter().filter(|name| has_cost(name)).collect();
    let most = figures.iter().map(|figure| figure.value).fold(10.0, f64::max);

    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart =
        framed(&root, title).build_cartesian_2d(0.0..workloads.len() as f64, (10.0..most * 4.0).log_scale())?;
    let name_of = |x: &f64| workloads.get(*x as usize).filter(|_| x.fract() != 0.0).cloned().unwrap_or_default();
    chart.configure_mesh().disable_x_mesh().x_labels(workloads.len() * 2 + 1).x_label_formatter(&name_of).draw()?;
    for (place, subject) in subjects.iter().enumerate() {
        let color = Palette99::pick(place).to_rgba();
        let width = 0.9 / subjects.len() as f64;
        let bars = workloads.iter().enumerate().filter_map(|(group, workload)| {
            let own = figures.iter().find(|figure| figure.subject == **subject && figure.workload == *workload)?;
            let left = group as f64 + 0.05 + place as f64 * width;
            Some(Rectangle::new([(left, 10.0), (left + width * 0.9, own.value.max(10.0))], color.filled()))
        });
        let sample = move |(x, y): (i32, i32)| Rectangle::new([(x, y - 5), (x + 10, y + 5)], color.filled());
        chart.draw_series(bars)?.label(subject.as_str()).legend(sample);
    }
    legend(&mut chart)?;
    Ok(root.present()?)
}

/// A line for each subject of a workload, on logarithmic axes.
pub(super) fn curves(file: &Path, title: &str, figures: &[&Figure]) -> Result<(), Box<dyn Error>> {
    let xs: Vec<_> = figures.iter().filter_map(|figure| figure.x).collect();
    let (from, to) = (xs.iter().copied().fold(f64::MAX, f64::min), xs.iter().copied().fold(1.0, f64::max));
    let values = || figures.iter().map(|figure| figure.value);
    // Above the lines there is room for what they are called.
    let (least, most) = (values().fold(f64::MAX, f64::min).max(1.0) / 2.0, values().fold(10.0, f64::max) * 50.0);
    let unit = figures.first().map_or("", |figure| &figure.unit);

    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (x, y) = ((from.max(1.0)..to).log_scale(), (least..most).log_scale());
    let mut chart = framed(&root, title).build_cartesian_2d(x, y)?;
    let whole = |value: &f64| format!("{value:.0}");
    chart.configure_mesh().y_desc(unit).x_label_formatter(&whole).y_label_formatter(&whole).draw()?;
    for (place, subject) in distinct(figures.iter().map(|figure| &figure.subject)).into_iter().enumerate() {
        let color = Palette99::pick(place).to_rgba();
        let is_own = |figure: &&&Figure| figure.subject == *subject;
        let points = figures.iter().filter(is_own).filter_map(|figure| Some((figure.x?, figure.value)));
        let sample = move |(x, y): (i32, i32)| PathElement::new([(x, y), (x + 14, y)], color.stroke_width(2));
        chart.draw_series(LineSeries::new(points, color.stroke_width(2)).point_size(3))?.label(subject).legend(sample);
    }
    legend(&mut chart)?;
    Ok(root.present()?)
}

/// A title, and room for the labels of the axes.
fn framed<'a, 'b>(root: &'a DrawingArea<SVGBackend<'b>, Shift>, title: &str) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut chart = ChartBuilder::on(root);
    chart.caption(title, ("sans-serif", 20)).margin(12).margin_right(40).x_label_area_size(30).y_label_area_size(70);
    chart
}

fn legend<'a, X, Y>(chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>) -> Result<(), Box<dyn Error>>
where
    X: Ranged,
    Y: Ranged,
{
    let mut labels = chart.configure_series_labels();
    labels.position(SeriesLabelPosition::UpperLeft).background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3));
    Ok(labels.draw()?)
}

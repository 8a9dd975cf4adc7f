//! The same charts as pictures: SVG with plain text, PNG with a font that is part of the program.
//!
//! Colours are Okabe and Ito's, which the colour-blind tell apart.

use std::sync::Once;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use super::report::{CandidateLine, Report};
use crate::profile::sweep::Way;

const FONT: &[u8] = include_bytes!("DejaVuSans-subset.ttf");
const WIDTH: u32 = 1100;
const ROW: u32 = 18;
const LINES_HEIGHT: u32 = 360;
const HEAD: u32 = 56;
const LABEL: i32 = 340;
const RIGHT: i32 = 110;
/// Most rows of a picture: above, it would be taller than viewers show.
const MAX_ROWS: usize = 1_500;
/// Longest label, characters.
const LABEL_CHARACTERS: usize = 44;

const DEVICE: RGBColor = RGBColor(0, 114, 178);
const SAVE: RGBColor = RGBColor(86, 180, 233);
const LINK: RGBColor = RGBColor(230, 159, 0);
const LOAD: RGBColor = RGBColor(0, 158, 115);
const CLOUD: RGBColor = RGBColor(204, 121, 167);
const BEST: RGBColor = RGBColor(213, 94, 0);
const INK: RGBColor = RGBColor(27, 31, 36);
const FAINT: RGBColor = RGBColor(101, 109, 118);

/// Why a picture was not drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChartError {
    /// The drawing failed.
    #[error("drawing: {0}")]
    Draw(String),
    /// The picture could not be packed.
    #[error("writing the PNG: {0}")]
    Png(#[from] png::EncodingError),
    /// More rows than a picture holds.
    #[error("{got} rows, a picture holds {MAX_ROWS}: use the page")]
    TooLong {
        /// How many.
        got: usize,
    },
}

/// The charts as SVG.
///
/// # Errors
/// When there are too many rows.
pub fn svg(report: &Report) -> Result<String, ChartError> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, size(report)?).into_drawing_area();
        draw(&root, report)?;
        root.present().map_err(failed)?;
    }
    Ok(text)
}

/// The charts as PNG.
///
/// # Errors
/// As [`svg`].
pub fn png(report: &Report) -> Result<Vec<u8>, ChartError> {
    let (width, height) = size(report)?;
    let mut pixels = vec![0_u8; (width * height * 3) as usize];
    {
        let root = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        draw(&root, report)?;
        root.present().map_err(failed)?;
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(bytes)
}

fn failed(why: impl std::fmt::Display) -> ChartError {
    ChartError::Draw(why.to_string())
}

/// One bar of stacked parts.
struct Bar<'a> {
    label: &'a str,
    parts: Vec<(RGBColor, f64)>,
}

fn stacks(report: &Report) -> Vec<Bar<'_>> {
    if !report.measured.is_empty() {
        return report.measured.iter().map(measured_bar).collect();
    }
    let bar = |candidate| candidate_bar(candidate, report.uplink_kbit_s, report.rtt_ms);
    report.candidates.iter().map(bar).collect()
}

fn measured_bar(measured: &super::MeasuredBar) -> Bar<'_> {
    const COLOURS: [RGBColor; 5] = [DEVICE, SAVE, LINK, LOAD, CLOUD];
    Bar {
        label: &measured.label,
        parts: COLOURS.into_iter().zip(measured.parts_ms).collect(),
    }
}

fn candidate_bar(candidate: &CandidateLine, kbit_s: f64, rtt_ms: f64) -> Bar<'_> {
    let CandidateLine {
        device_ms, cloud_ms, ..
    } = *candidate;
    let link_ms = total(candidate, kbit_s, rtt_ms) - device_ms - cloud_ms;
    Bar {
        label: &candidate.label,
        parts: vec![(DEVICE, device_ms), (LINK, link_ms), (CLOUD, cloud_ms)],
    }
}

fn total(line: &CandidateLine, kbit_s: f64, rtt_ms: f64) -> f64 {
    let link = if line.remote {
        line.bytes as f64 * 8.0 / kbit_s + rtt_ms
    } else {
        0.0
    };
    line.device_ms + link + line.cloud_ms
}

fn size(report: &Report) -> Result<(u32, u32), ChartError> {
    let rows = stacks(report).len() + report.kernels.len();
    if rows > MAX_ROWS {
        return Err(ChartError::TooLong { got: rows });
    }
    let rows = u32::try_from(rows).unwrap_or(u32::MAX);
    let lines = if report.candidates.is_empty() { 0 } else { LINES_HEIGHT };
    Ok((WIDTH, HEAD * 3 + rows * ROW + lines))
}

fn draw<DB: DrawingBackend>(root: &DrawingArea<DB, Shift>, report: &Report) -> Result<(), ChartError> {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        // Fails only for bytes that are no font; ours are, and a missing font would show in the first picture.
        let _known_good = register_font("sans-serif", FontStyle::Normal, FONT);
    });
    root.fill(&WHITE).map_err(failed)?;
    text(root, &report.title, (12, 10), 18.0, INK)?;
    let verdict = report.verdicts.first().map_or("", String::as_str);
    text(root, &shorten(verdict, 150), (12, 34), 12.0, FAINT)?;
    let mut top = HEAD;
    let bars = stacks(report);
    top = draw_bars(root, &bars, "time from input to answer, ms", top)?;
    if !report.candidates.is_empty() {
        let area = root.clone().shrink((0, top), (WIDTH, LINES_HEIGHT));
        draw_lines(&area, report).map_err(failed)?;
        top += LINES_HEIGHT;
    }
    let kernels: Vec<Bar<'_>> = report
        .kernels
        .iter()
        .map(|kernel| Bar {
            label: &kernel.name,
            parts: vec![(DEVICE, kernel.ms)],
        })
        .collect();
    draw_bars(root, &kernels, "kernels, ms", top)?;
    Ok(())
}

fn text<DB: DrawingBackend>(
    root: &DrawingArea<DB, Shift>,
    words: &str,
    at: (i32, i32),
    size: f64,
    colour: RGBColor,
) -> Result<(), ChartError> {
    let style = TextStyle::from(("sans-serif", size).into_font()).color(&colour);
    root.draw(&Text::new(words.to_owned(), at, style)).map_err(failed)
}

/// Draws rows from `top` on and gives where the next chart begins.
fn draw_bars<DB: DrawingBackend>(
    root: &DrawingArea<DB, Shift>,
    bars: &[Bar<'_>],
    title: &str,
    top: u32,
) -> Result<u32, ChartError> {
    if bars.is_empty() {
        return Ok(top);
    }
    let sum = |bar: &Bar<'_>| bar.parts.iter().map(|part| part.1).sum::<f64>();
    let most = bars.iter().map(sum).fold(f64::MIN_POSITIVE, f64::max);
    let room = f64::from(i32::try_from(WIDTH).unwrap_or(i32::MAX) - LABEL - RIGHT);
    #[allow(clippy::cast_possible_truncation, reason = "a share of the picture's width")]
    let x = |amount: f64| LABEL + (amount / most * room).round() as i32;
    let mut y = i32::try_from(top).unwrap_or(i32::MAX);
    text(root, title, (12, y), 13.0, FAINT)?;
    y += 24;
    for bar in bars {
        let label = shorten(bar.label, LABEL_CHARACTERS);
        text(root, &label, (12, y + 3), 11.0, INK)?;
        let mut done = 0.0;
        for (colour, amount) in &bar.parts {
            let corners = [(x(done), y + 2), (x(done + amount), y + 15)];
            root.draw(&Rectangle::new(corners, colour.filled())).map_err(failed)?;
            done += amount;
        }
        text(root, &format!("{done:.3}"), (x(done) + 5, y + 3), 11.0, FAINT)?;
        y += i32::try_from(ROW).unwrap_or(18);
    }
    let rows = u32::try_from(bars.len()).unwrap_or(u32::MAX);
    Ok(top + 24 + rows * ROW + 16)
}

fn shorten(text: &str, most: usize) -> String {
    let all: Vec<char> = text.chars().collect();
    if all.len() <= most {
        return text.to_owned();
    }
    let (head, tail) = (most / 2, most - most / 2 - 1);
    let start: String = all.iter().take(head).collect();
    let end: String = all.iter().skip(all.len() - tail).collect();
    format!("{start}…{end}")
}

/// A speed with the unit that leaves few digits.
fn speed(kbit_s: f64) -> String {
    match kbit_s {
        n if n >= 1e6 => format!("{} Gbit/s", n / 1e6),
        n if n >= 1e3 => format!("{} Mbit/s", n / 1e3),
        n => format!("{n} kbit/s"),
    }
}

/// Latency over the link's speed: the best of all, of the device's and of the cloud's ways.
fn draw_lines<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    report: &Report,
) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
    let speeds: Vec<f64> = (0..=240)
        .map(|step| 10_f64.powf(1.0 + f64::from(step) / 40.0))
        .collect();
    let best = |way: Option<Way>, kbit_s: f64| {
        let of = report.candidates.iter().filter(|c| way.is_none_or(|way| c.way == way));
        of.map(|c| total(c, kbit_s, report.rtt_ms))
            .fold(f64::INFINITY, f64::min)
    };
    let series = |way| -> Vec<(f64, f64)> {
        let points = speeds.iter().map(|kbit_s| (*kbit_s, best(way, *kbit_s)));
        points.filter(|(_, ms)| ms.is_finite() && *ms > 0.0).collect()
    };
    let all = series(None);
    let low = all.iter().map(|p| p.1).fold(f64::INFINITY, f64::min) / 1.5;
    let high = all.iter().map(|p| p.1).fold(0.0, f64::max) * 4.0;
    let mut chart = ChartBuilder::on(area)
        .caption(
            "time by speed of the link",
            ("sans-serif", 13.0).into_font().color(&FAINT),
        )
        .margin(12)
        // Half of the last label stands right of the last line.
        .margin_right(48)
        .x_label_area_size(30)
        .y_label_area_size(60)
        .build_cartesian_2d((10.0..10_000_000.0).log_scale(), (low..high).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("speed of the link")
        .y_desc("ms")
        .x_label_formatter(&|kbit_s| speed(*kbit_s))
        .label_style(("sans-serif", 11.0).into_font().color(&FAINT))
        .draw()?;
    for (way, colour, thick) in [
        (Some(Way::Edge), DEVICE, 1),
        (Some(Way::Cloud), CLOUD, 1),
        (None, BEST, 3),
    ] {
        chart.draw_series(LineSeries::new(series(way), colour.stroke_width(thick)))?;
    }
    Ok(())
}

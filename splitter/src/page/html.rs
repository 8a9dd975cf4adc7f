//! The page: one file with the picture, its data, its style and its behaviour inside; it loads nothing.

use super::drawing::Drawing;
use super::layout::Layout;
use super::svg::{self, escape};

const PAGE: &str = include_str!("assets/page.html");
const STYLE: &str = include_str!("assets/page.css");
const SCRIPT: &str = include_str!("assets/page.js");

/// One self-contained HTML file; `model` is how the commands that it shows name the model.
///
/// # Errors
/// When the drawing does not serialise.
pub fn html(drawing: &Drawing, layout: &Layout, model: &str) -> Result<String, serde_json::Error> {
    // `<` cannot end the script element, and U+2028 cannot end a line of it.
    let data = serde_json::to_string(drawing)?
        .replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029");
    let mut scene = String::with_capacity(drawing.boxes.len() * 400);
    svg::scene(&mut scene, drawing, layout);
    let mut page = String::with_capacity(PAGE.len() + data.len() + scene.len() + STYLE.len() + SCRIPT.len());
    let width = format!("{:.0}", layout.width);
    let height = format!("{:.0}", layout.height);
    let title = escape(&drawing.title);
    let model = escape(model);
    let mut rest = PAGE;
    // One pass over the template: what is filled in is never searched for placeholders.
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, behind)) = after.split_once("}}") else {
            break;
        };
        page.push_str(before);
        page.push_str(match name {
            "title" => &title,
            "model" => &model,
            "graph-style" => svg::STYLE,
            "style" => STYLE,
            "script" => SCRIPT,
            "scene" => &scene,
            "width" => &width,
            "height" => &height,
            "data" => &data,
            _ => "",
        });
        rest = behind;
    }
    page.push_str(rest);
    Ok(page)
}

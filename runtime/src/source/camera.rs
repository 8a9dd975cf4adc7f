//! Inputs from a camera, an RTSP stream or a video, through the system's ffmpeg.
//!
//! Owns: one ffmpeg process, its pictures, and which of them are taken. Must not know: parts, what becomes of a picture.
//! Why a program and not a library: V4L2, RTSP and each camera's formats are its trade, boards have it built for their
//! decoders, and a crash of it costs a picture. It writes plain PPM pictures (netpbm's P6) into a pipe.
//!
//! A camera is live: only the newest picture waits, and one that nothing had time for is replaced and counted. What is lost
//! is opened again, for ever, with growing waits; a video and a synthetic source end.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use image::{DynamicImage, RgbImage};

use super::{Input, Reader, Source, SourceError};
use crate::broker::backoff::Backoff;
use crate::limits::{MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE};

const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Longest silence of an RTSP server, µs, as ffmpeg takes it.
const RTSP_TIMEOUT_US: &str = "5000000";
/// Longest number in a picture's header, digits.
const MAX_DIGITS: usize = 6;

/// What is filmed and how often.
#[derive(Debug, Clone)]
pub struct CameraConfig {
    /// `/dev/videoN`, `rtsp://…`, `lavfi:SPEC`, or a video that ffmpeg opens.
    pub source: String,
    /// Pictures a second; the source's own where none.
    pub frames_per_s: Option<f32>,
    /// Takes every picture, however late, instead of the newest only.
    pub every: bool,
}

/// Pictures as they come.
pub struct Camera {
    shared: Arc<Shared>,
    reader: Reader,
    count: u64,
    /// When the last input was there.
    begun: Option<Instant>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    skipped: AtomicU64,
}

#[derive(Default)]
struct State {
    newest: Option<DynamicImage>,
    over: bool,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Camera {
    /// Opens it; pictures come from now on.
    ///
    /// # Errors
    /// When there is no ffmpeg.
    pub fn open(config: CameraConfig, reader: Reader) -> Result<Self, SourceError> {
        let refuse = |why: String| SourceError::Unreadable {
            path: "--camera".to_owned(),
            why,
        };
        let found = Command::new("ffmpeg").arg("-version").stdin(Stdio::null()).output();
        found.map_err(|why| refuse(format!("needs the program ffmpeg (Debian: apt install ffmpeg): {why}")))?;
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("camera".to_owned());
        thread
            .spawn(move || film(&config, &of_thread))
            .map_err(|why| refuse(format!("no thread: {why}")))?;
        Ok(Self {
            shared,
            reader,
            count: 0,
            begun: None,
        })
    }

    /// Pictures that were replaced by newer ones before anything had time for them.
    pub fn skipped(&self) -> u64 {
        self.shared.skipped.load(Ordering::Relaxed)
    }
}

impl Source for Camera {
    fn next(&mut self) -> Result<Option<Input>, SourceError> {
        let mut state = self.shared.lock();
        let picture = loop {
            if let Some(picture) = state.newest.take() {
                break picture;
            }
            if state.over {
                log::info!("event=camera_ended pictures={} skipped={}", self.count, self.skipped());
                return Ok(None);
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        drop(state);
        self.begun = Some(Instant::now());
        self.shared.changed.notify_all();
        self.count += 1;
        self.reader
            .image(&picture, &format!("picture {}", self.count))
            .map(Some)
    }

    fn begun(&self) -> Option<Instant> {
        self.begun
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

/// Films until the source is over or nobody looks any more.
fn film(config: &CameraConfig, shared: &Shared) {
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    loop {
        let filmed = film_once(config, shared, &mut backoff);
        let mut state = shared.lock();
        let ended = matches!(filmed, Ok(true)) && !is_live(&config.source);
        if state.closed || ended {
            state.over = true;
            shared.changed.notify_all();
            return;
        }
        drop(state);
        let wait = backoff.next_wait();
        let why = filmed.map_or_else(|why| why.to_string(), |_| "ffmpeg ended".to_owned());
        log::warn!("event=camera_lost retry_ms={} why={why:?}", wait.as_millis());
        std::thread::sleep(wait);
    }
}

/// One life of ffmpeg; true when it ended well.
fn film_once(config: &CameraConfig, shared: &Shared, backoff: &mut Backoff) -> io::Result<bool> {
    let mut child = Command::new("ffmpeg")
        .args(arguments(config))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let said = child.stderr.take().map(|stderr| {
        let source = config.source.clone();
        std::thread::spawn(move || last_line(stderr, &source))
    });
    let filmed = pictures(&mut child, config.every, shared, backoff);
    drop(child.kill());
    let status = child.wait()?;
    let said = said.and_then(|thread| thread.join().ok()).unwrap_or_default();
    filmed?;
    if status.success() || said.is_empty() {
        return Ok(status.success());
    }
    Err(io::Error::other(said))
}

fn pictures(child: &mut Child, every: bool, shared: &Shared, backoff: &mut Backoff) -> io::Result<()> {
    let out = child
        .stdout
        .take()
        .ok_or_else(|| io::Error::other("ffmpeg has no output"))?;
    let mut out = BufReader::with_capacity(1 << 20, out);
    while let Some(picture) = read_ppm(&mut out)? {
        backoff.reset();
        let mut state = shared.lock();
        while every && state.newest.is_some() && !state.closed {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return Ok(());
        }
        if state.newest.replace(picture).is_some() {
            shared.skipped.fetch_add(1, Ordering::Relaxed);
        }
        drop(state);
        shared.changed.notify_all();
    }
    Ok(())
}

/// True for what has no end of its own.
fn is_live(source: &str) -> bool {
    ["/dev/", "rtsp://", "rtsps://"]
        .iter()
        .any(|live| source.starts_with(live))
}

fn arguments(config: &CameraConfig) -> Vec<String> {
    let source = config.source.as_str();
    let rate = config.frames_per_s.map(|rate| rate.to_string());
    let mut arguments = vec!["-hide_banner", "-nostdin", "-loglevel", "error"];
    if source.starts_with("/dev/") {
        arguments.extend(["-f", "v4l2", "-i", source]);
    } else if is_live(source) {
        arguments.extend(["-rtsp_transport", "tcp", "-timeout", RTSP_TIMEOUT_US, "-i", source]);
    } else if let Some(spec) = source.strip_prefix("lavfi:") {
        arguments.extend(["-re", "-f", "lavfi", "-i", spec]);
    } else {
        arguments.extend(["-re", "-i", source]);
    }
    let filter = rate.map(|rate| format!("fps={rate}"));
    if let Some(filter) = &filter {
        arguments.extend(["-vf", filter]);
    }
    arguments.extend(["-an", "-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-"]);
    arguments.into_iter().map(str::to_owned).collect()
}

/// The last thing that ffmpeg says, without the source: its URL may hold a password.
fn last_line(stderr: impl Read, source: &str) -> String {
    let lines = BufReader::new(stderr).lines().map_while(Result::ok);
    let last = lines.filter(|line| !line.trim().is_empty()).last().unwrap_or_default();
    last.replace(source, "the source").chars().take(300).collect()
}

/// The next picture of a stream of binary PPM: `P6`, width, height, 255, then the pixels (netpbm's ppm(5)). None at its end.
fn read_ppm(stream: &mut impl BufRead) -> io::Result<Option<DynamicImage>> {
    if stream.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let bad = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut magic = [0; 3];
    stream.read_exact(&mut magic)?;
    if &magic != b"P6\n" {
        return Err(bad(format!("expected a PPM picture, got {magic:?}")));
    }
    let [width, height, most] = [number(stream)?, number(stream)?, number(stream)?];
    let pixels = u64::from(width) * u64::from(height);
    if most != 255 || pixels == 0 || pixels > MAX_IMAGE_PIXELS || width.max(height) > MAX_IMAGE_SIDE {
        return Err(bad(format!("a picture of {width} × {height} pixels up to {most}")));
    }
    let bytes = usize::try_from(pixels * 3).map_err(|_| bad(format!("{pixels} pixels")))?;
    let mut data = vec![0; bytes];
    stream.read_exact(&mut data)?;
    let image = RgbImage::from_raw(width, height, data).ok_or_else(|| bad("too few pixels".to_owned()))?;
    Ok(Some(DynamicImage::ImageRgb8(image)))
}

/// Digits up to one white space.
fn number(stream: &mut impl BufRead) -> io::Result<u32> {
    let mut digits = String::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        match byte {
            [digit @ b'0'..=b'9'] if digits.len() < MAX_DIGITS => digits.push(char::from(digit)),
            [b' ' | b'\n'] if !digits.is_empty() => break,
            [other] => {
                let text = format!("byte {other} in a picture's header");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
    }
    digits.parse().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests say what failed by panicking")]
    use super::*;

    #[test]
    fn pictures_follow_each_other_in_the_stream() {
        let mut stream: &[u8] = b"P6\n2 1\n255\nabcdefP6\n1 1\n255\nxyz";
        let first = read_ppm(&mut stream).unwrap().unwrap().into_rgb8();
        assert_eq!(
            (first.dimensions(), first.as_raw().as_slice()),
            ((2, 1), b"abcdef".as_slice())
        );
        assert_eq!(read_ppm(&mut stream).unwrap().unwrap().into_rgb8().as_raw(), b"xyz");
        assert!(read_ppm(&mut stream).unwrap().is_none());
    }

    #[test]
    fn what_is_no_picture_is_refused_before_memory_is_taken() {
        for bad in [
            &b"P5\n2 1\n255\nab"[..],
            b"P6\n999999 999999\n255\n",
            b"P6\n0 1\n255\n",
            b"P6\n2 1\n65535\nabcdef",
            b"P6\n12345678 1\n255\n",
            b"P6\n2 1\n255\nabc",
            b"P6\n-2 1\n255\n",
        ] {
            assert!(read_ppm(&mut &*bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn a_password_in_the_url_is_not_repeated() {
        let url = "rtsp://me:canary@camera/stream";
        let said = last_line(format!("x\n{url}: Connection refused\n\n").as_bytes(), url);
        assert_eq!(said, "the source: Connection refused");
    }
}

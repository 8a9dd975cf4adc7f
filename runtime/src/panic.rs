//! Panics: one line on standard error and an exit code, whether the program was built to unwind or to abort.
//!
//! Owns: what a panic means where it happens. Must not know: what panics.
//! Boards' programs are built without unwinding: nothing there could go on after a panic, and the service starts anew. Programs
//! that catch panics (`kerf`, which asks engines about models that they may not like) do not call [`end_program`].

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::Cell;

use crate::exit::Exit;

thread_local! {
    static MEANING: Cell<Exit> = const { Cell::new(Exit::Bug) };
}

/// From now on a panic of any thread ends the program with one line and the code of [`meaning`], else 1.
pub fn end_program(program: &'static str) {
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload_as_str().unwrap_or("no text").replace('\n', " ");
        let place = panic.location().map(|place| format!(" at {place}")).unwrap_or_default();
        let exit = MEANING.get();
        let kind = if exit == Exit::Bug {
            "a bug"
        } else {
            "the engine gave up"
        };
        eprintln!("{program}: {kind}: {text}{place}");
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            eprintln!("{trace}");
        }
        std::process::exit(exit as i32);
    }));
}

/// Runs something of a library that may panic over what it is given: until it returns, a panic of this thread ends the
/// program with `exit`.
pub fn meaning<T>(exit: Exit, run: impl FnOnce() -> T) -> T {
    /// Put back even where the panic is caught further up.
    struct Before(Exit);
    impl Drop for Before {
        fn drop(&mut self) {
            MEANING.set(self.0);
        }
    }
    let _before = Before(MEANING.replace(exit));
    run()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use std::process::Command;

    const CASE: &str = "KERF_TEST_PANIC";

    /// Under the emulator, where one runs the tests: the system does not know the processor.
    fn this_program() -> Command {
        let program = std::env::current_exe().unwrap();
        let Some(emulator) = std::env::var_os("KERF_EMULATOR") else {
            return Command::new(program);
        };
        let mut command = Command::new(emulator);
        command.arg(program);
        command
    }

    /// This very test, started once more, is the program that panics.
    #[test]
    fn a_panic_ends_the_program_with_one_line_and_its_code() {
        match std::env::var(CASE).as_deref() {
            Ok("engine") => {
                end_program("stage");
                meaning(Exit::ModelRefused, || panic!("no such\noperator"));
            }
            Ok(_) => {
                end_program("stage");
                meaning(Exit::ModelRefused, || ());
                let _ = std::thread::spawn(|| panic!("index 3")).join();
            }
            Err(_) => {
                for (case, code, text) in [
                    ("engine", 10, "stage: the engine gave up: no such operator at "),
                    ("thread", 1, "stage: a bug: index 3 at "),
                ] {
                    let mut again = this_program();
                    again.args([
                        "--exact",
                        "panic::tests::a_panic_ends_the_program_with_one_line_and_its_code",
                    ]);
                    again.args(["--nocapture"]).env(CASE, case).env_remove("RUST_BACKTRACE");
                    let output = again.output().unwrap();
                    assert_eq!(output.status.code(), Some(code), "{case}");
                    let said = String::from_utf8_lossy(&output.stderr);
                    assert!(said.lines().count() == 1 && said.starts_with(text), "{said}");
                }
            }
        }
    }
}

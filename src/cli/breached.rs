//! `regain breached`: the list of stolen passwords.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};

use super::{Failure, say};
use crate::{
    breached::{Lines, List, build},
    domain::clock::{Clock as _, SystemClock},
};

#[derive(Debug, Args)]
pub(super) struct BreachedArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the file for breached_passwords_file from a list of SHA-1 hashes, such as that of Have I Been Pwned, or of
    /// passwords.
    Build(BuildArguments),
    /// Read a file through: whether it is whole, how many passwords are in it, how large it is, how long a question takes,
    /// and how often a password that is not in it is taken for one that is.
    Examine {
        /// The file.
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
struct BuildArguments {
    /// The list, in any order: a line each with a SHA-1 hash in hexadecimal, perhaps with a colon and how often it was seen.
    /// "-": from standard input.
    list: PathBuf,
    /// The file that is made; an existing one is replaced when the new one is whole. Beside it there has to be room for
    /// 8 bytes a line meanwhile.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// The lines are passwords, not hashes.
    #[arg(long)]
    passwords: bool,
    /// Leave out what was seen less often than this.
    #[arg(long, value_name = "TIMES", default_value_t = 1, conflicts_with = "passwords")]
    at_least: u64,
    /// Of so many passwords that are not in the list one may be taken for one that is: 2, 4, 8 and so on; twice as many cost
    /// one bit more for each password of the list.
    #[arg(long, value_name = "NUMBER", default_value_t = 16_384, value_parser = clap::value_parser!(u64).range(2..=1 << 32))]
    one_in: u64,
}

pub(super) fn run(arguments: &BreachedArguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::Build(arguments) => make(arguments),
        Command::Examine { file } => examine(file),
    }
}

fn make(arguments: &BuildArguments) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure(format!("{}: {error}", arguments.list.display()));
    let source: Box<dyn BufRead> = if arguments.list.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(&arguments.list).map_err(|error| failed(&error))?;
        Box::new(BufReader::with_capacity(1 << 20, file))
    };
    let lines =
        if arguments.passwords { Lines::Passwords } else { Lines::Hashes { least: arguments.at_least } };
    let bits = u8::try_from(arguments.one_in.next_power_of_two().trailing_zeros()).unwrap_or(u8::MAX);
    let shows = io::stderr().is_terminal();
    let mut progress = |read: u64| {
        if shows {
            let _ = write!(io::stderr(), "\r{read} lines read");
        }
    };
    let built =
        build(source, lines, bits, &arguments.output, &mut progress).map_err(|error| failed(&error))?;
    if shows {
        let _ = writeln!(io::stderr());
    }
    say(&format!(
        "{}: {} passwords of {} lines in {} bytes; one in {} others is taken for one of them",
        arguments.output.display(),
        built.entries,
        built.lines,
        built.length,
        1_u64 << bits,
    ));
    Ok(())
}

/// So many questions are asked to measure.
const QUESTIONS: u64 = 1_000_000;

fn examine(file: &Path) -> Result<(), Failure> {
    let failed = |error: crate::breached::Error| Failure(format!("{}: {error}", file.display()));
    let list = List::open(file).map_err(failed)?;
    list.verify().map_err(failed)?;
    let began = SystemClock.now();
    let mut hits = 0_u64;
    for number in 0..QUESTIONS {
        hits += u64::from(list.has_key(scattered(number)).map_err(failed)?);
    }
    let took = SystemClock.now().since(began).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "to be read by people")]
    let (entries, length, questions) = (list.entries() as f64, list.length() as f64, QUESTIONS as f64);
    say(&format!("{}: whole", file.display()));
    say(&format!("passwords  {}", list.entries()));
    say(&format!(
        "size       {} bytes, {:.1} bits a password",
        list.length(),
        length * 8.0 / entries.max(1.0)
    ));
    say(&format!("question   {:.1} µs", took * 1e6 / questions));
    let rate = QUESTIONS.checked_div(hits).map_or_else(
        || format!("none of {QUESTIONS}"),
        |one_in| format!("one in {one_in} ({hits} of {QUESTIONS})"),
    );
    say(&format!("mistaken   {rate}"));
    Ok(())
}

/// Numbers without order, each once (splitmix64; Steele, Lea, Flood 2014).
const fn scattered(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

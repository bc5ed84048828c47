//! Indented JSON whose lists of numbers stand on one line: a figure of a thousand points is not four thousand lines.

use std::io::{self, Write};

use serde_json::ser::{Formatter, PrettyFormatter};

/// Keys whose values are such lists.
const FLAT: [&str; 4] = ["points", "cells", "interval", "auroc_interval"];

/// Formats as [`PrettyFormatter`] does, lists under these keys excepted.
#[derive(Default)]
pub(super) struct Flat {
    pretty: PrettyFormatter<'static>,
    /// Whether a key is being written.
    key: bool,
    /// Whether the value of such a key comes next.
    next: bool,
    /// How many lists are open since one began that stands on a line.
    depth: usize,
}

impl Formatter for Flat {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.next || self.depth > 0 {
            self.depth += 1;
            writer.write_all(b"[")
        } else {
            self.pretty.begin_array(writer)
        }
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.depth > 0 {
            self.depth -= 1;
            writer.write_all(b"]")
        } else {
            self.pretty.end_array(writer)
        }
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        match (self.depth > 0, first) {
            (true, true) => Ok(()),
            (true, false) => writer.write_all(b", "),
            (false, _) => self.pretty.begin_array_value(writer, first),
        }
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.depth > 0 { Ok(()) } else { self.pretty.end_array_value(writer) }
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.key = true;
        self.pretty.begin_object_key(writer, first)
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.key = false;
        self.pretty.end_object_key(writer)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.next = false;
        self.pretty.end_object_value(writer)
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        if self.key {
            self.next = FLAT.contains(&text);
        }
        writer.write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::{Serializer, json};

    use super::*;

    #[test]
    fn points_stand_on_one_line_and_everything_else_is_indented() {
        let value =
            json!({"series": [{"label": "a", "points": [[1, 2.5], [3, 4]]}], "cells": [], "after": [1]});
        let mut text = Vec::new();
        value.serialize(&mut Serializer::with_formatter(&mut text, Flat::default())).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        assert!(text.contains("      \"points\": [[1, 2.5], [3, 4]]\n"), "{text}");
        assert!(text.contains("  \"cells\": [],\n  \"after\": [\n    1\n  ]\n"), "{text}");
    }
}

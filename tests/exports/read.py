#!/usr/bin/env python3
"""Reads an export as a program of somebody else would: read.py FORMAT FILE

Prints JSON: {"title": …, "language": …, "columns": […], "rows": [[…], …]}, and for a workbook what else it says. What a
format has no word for is null. Anything that is not as it should be ends it with an error.
"""

import csv
import datetime
import html.parser
import json
import sys
import xml.etree.ElementTree
import zipfile


def read_csv(file):
    with open(file, encoding="utf-8-sig", newline="") as lines:
        columns, *rows = csv.reader(lines, strict=True)
    return {"columns": columns, "rows": rows}


def read_xlsx(file):
    import openpyxl
    from openpyxl.utils.escape import unescape

    def value_of(cell):
        assert cell.data_type != "f", f"a formula: {cell.value}"
        value = cell.value
        if isinstance(value, datetime.datetime):
            assert cell.is_date
            return value.isoformat(timespec="milliseconds") + "Z"
        return unescape(value) if isinstance(value, str) else value

    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        first = archive.namelist()[0]
    book = openpyxl.load_workbook(file)
    sheets = [[[value_of(cell) for cell in row] for row in sheet.iter_rows()] for sheet in book]
    one = book.worksheets[0]
    # The same again, as pandas and others read large ones.
    quick = openpyxl.load_workbook(file, read_only=True)
    assert [sheet.max_row for sheet in book] == [len(list(sheet.rows)) for sheet in quick]
    return {
        "title": book.properties.title,
        "language": book.properties.language,
        "columns": sheets[0][0],
        "rows": [row for sheet in sheets for row in sheet[1:]],
        "first": first,
        "sheets": book.sheetnames,
        "frozen": one.freeze_panes,
        "filter": one.auto_filter.ref,
        "is_bold": all(cell.font.b for cell in one[1]),
        "is_right_to_left": bool(one.sheet_view.rightToLeft),
        "quoted": [cell.value for row in one.iter_rows() for cell in row if cell.quotePrefix],
    }


class Page(html.parser.HTMLParser):
    ALLOWED = set("html head meta title style body table caption thead tbody tr th td".split())

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.read = {"columns": [], "rows": []}
        self.open, self.words = [], ""

    def handle_starttag(self, tag, attributes):
        assert tag in self.ALLOWED, tag
        attributes = dict(attributes)
        assert not [name for name in attributes if name.startswith("on")], attributes
        self.words = ""
        if tag == "html":
            self.read |= {"language": attributes["lang"], "direction": attributes["dir"]}
        if tag == "tr" and "tbody" in self.open:
            self.read["rows"].append([])
        if tag == "th":
            assert attributes["scope"] == "col"
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag
        if tag == "caption":
            self.read["title"] = self.words
        if tag == "th":
            self.read["columns"].append(self.words)
        if tag == "td":
            self.read["rows"][-1].append(self.words)

    def handle_comment(self, comment):
        raise AssertionError(comment)

    def handle_data(self, data):
        self.words += data


def read_html(file):
    page = Page()
    with open(file, encoding="utf-8", newline="") as text:
        page.feed(text.read())
    page.close()
    assert page.open == [], page.open
    return page.read


def read_txt(file):
    with open(file, encoding="utf-8-sig", newline="") as text:
        title, empty, columns, *rows, last = text.read().split("\r\n")
    assert (empty, last) == ("", "")
    return {"title": title, "columns": columns.split("\t"), "rows": [row.split("\t") for row in rows]}


def read_xml(file):
    root = xml.etree.ElementTree.parse(file).getroot()
    columns, *rows = root
    assert root.tag == "export" and {row.tag for row in rows} <= {"row"}
    keys = [column.get("key") for column in columns]
    assert all(cell.tag in keys and len(cell) == 0 for row in rows for cell in row)

    def value_of(cell):
        return None if cell is None else cell.text or ""

    return {
        "title": root.get("title"),
        "language": root.get("{http://www.w3.org/XML/1998/namespace}lang"),
        "columns": [column.get("title") for column in columns],
        "keys": keys,
        "kinds": [column.get("kind") for column in columns],
        "rows": [[value_of(row.find(key)) for key in keys] for row in rows],
    }


def read_jsonl(file):
    with open(file, encoding="utf-8", newline="\n") as lines:
        rows = [json.loads(line) for line in lines]
    return {"columns": list(rows[0]) if rows else [], "rows": [list(row.values()) for row in rows]}


read = {"csv": read_csv, "xlsx": read_xlsx, "html": read_html, "txt": read_txt, "xml": read_xml, "jsonl": read_jsonl}
# Texts may be longer than the csv module allows by default.
csv.field_size_limit(1 << 20)
print(json.dumps(read[sys.argv[1]](sys.argv[2])))

"""fail2ban_match.py FILTER MODE < LOG: the address that fail2ban would take from each line, or "-".

Reads the filter as fail2ban does: values refer to others by %(name)s and <name>, the date is found by
datepattern and cut out of the line, and failregex is searched in what is left.
"""
import configparser
import re
import sys

IPV4 = r"(?:\d{1,3}\.){3}\d{1,3}"
IPV6 = r"(?:[0-9a-fA-F]{1,4}::?|::){1,7}(?:[0-9a-fA-F]{1,4}|(?<=:):)"
DATE = {"%Y": r"\d{4}", "%m": r"\d\d", "%d": r"\d\d", "%H": r"\d\d", "%M": r"\d\d", "%S": r"\d\d",
        "%f": r"\d{1,6}", "%z": r"[+-]\d{4}"}


def main():
    reader = configparser.ConfigParser()
    reader.optionxform = str
    reader.read(sys.argv[1])
    values = dict(reader["Definition"])
    values["mode"] = sys.argv[2]
    regex = values["failregex"]
    for _ in range(10):
        regex = re.sub(r"<([\w-]+)>", lambda m: values.get(m.group(1), m.group(0)), regex)
    regex = regex.replace("<ADDR>", rf"\[?(?P<addr>{IPV4}|{IPV6})\]?")
    date = re.sub(r"%\w", lambda m: DATE[m.group(0)], values["datepattern"])
    for raw in sys.stdin.buffer.read().split(b"\n")[:-1]:
        line = raw.decode("utf-8", "replace")
        when = re.search(date, line)
        found = when and re.search(regex, line[:when.start()] + line[when.end():])
        print(found.group("addr") if found else "-")


main()

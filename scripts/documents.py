# SPDX-License-Identifier: GPL-2.0-or-later
"""What README.md and kipc(7) tell their reader to type, and what they show of its output.

A block of code in them is one of these:
 - a session: it begins with a prompt, "$ " of the user alice or "# " of root. Lines with a
   prompt are commands, those below one are what it prints;
 - a file: its name and a colon stand before it;
 - anything else, and then NOT_RUN says why it is not tried.

What came is as shown if it is the same line for line, where
 - blanks are as good as one blank, since columns are as wide as what is in them;
 - "..." alone on a line is any number of lines; the command must then succeed;
 - <pid> and the other words of PLACEHOLDERS stand for what differs from run to run;
 - "y" behind "[Y/n]" is typed by the reader;
 - what the shell says of its jobs ("[1] 4711") is left out on both sides.
"""

import pathlib
import re
import typing

TOP = pathlib.Path(__file__).resolve().parent.parent
README = "README.md"
MANUAL = "man/kipc.7"
PROMPTS = {"$": "alice", "#": "root"}

# What is typed together, and the headings of each document that it comes from
SESSIONS = {
    "first": (README, ("Installing", "From the shell", "A server and a client",
                         "Programs written for other queues", "Looking on")),
    "names": (README, ("Names",)),
    "manual": (MANUAL, ("EXAMPLES",)),
    "signed": (README, ("Secure Boot",)),
    "removing": (README, ("Removing",)),
    "source_installing": (README, ("Without the packages",)),
    "source_removing": (README, ("Removing that",)),
}

# A line of a block that is neither a session nor a file, and why it is not tried
NOT_RUN = {
    (README, "make demo      # a real job in a test VM: server, clients, crashes, every answer"
             " checked"): "boots test VMs, which cannot be done in one of them",
    (README, "make check-all # checks and tests, in test VMs too: an hour and more, some of that"
             " once only"): "what CI runs",
    (README, "make packages"): "needs the packages of scripts/packages; what check-packages"
                               " itself begins with",
    (README, 'KERNEL=="kipc", MODE="0666"'): "a line of a file, one of many that can be wanted",
}

# Code within a sentence: what begins with one of these words is a command ...
COMMAND_WORDS = {"apt-get", "cc", "dkms", "dmesg", "insmod", "kipc", "ls", "lsof", "make", "man",
                 "modprobe", "mokutil", "rmmod", "scripts/setup", "sudo", "systemctl", "udevadm",
                 "usermod"}
# ... which is part of one in a session, or not tried for one of these reasons
NOT_TYPED = {
    r"make": "the program",
    r"make (vm|bench|demo|help|check.*|packages|-C examples)": "works on the source tree, and"
                                                              " is what CI is made of",
    r"scripts/setup": "is the first step of CI",
    r"man -l man/kipc\.7": "shows a page of the source tree, which check-docs renders",
    r"kipc top": "fills the terminal; --batch is tried, and selftests/tool_watch.sh types keys",
    r"kipc( --help)?": "the program; check-manuals compares its help with the pages",
    r"(dmesg|dkms status|lsof /dev/kipc|ls -l /dev/kipc)": "looks for what is wrong",
    r"mokutil --import( /var/lib/dkms/mok\.pub)?": "goes on in the firmware of a real machine",
    r"apt-get install linux-headers-\$\(uname -r\)": "mends what is wrong",
}

PLACEHOLDERS = {
    "<id>": r"\d+",
    "<pid>": r"\d+",
    # Of a process that was watched; the kernel does not always remember it
    "<name>": r"(kipc|<\.\.\.>)",
    "<time>": r"\d[\d:.]*",
    "<release>": r"\d+\.\d+\.\d+-\d+-amd64",
    "<version>": re.escape((TOP / "VERSION").read_text(encoding="utf-8").strip()),
}

JOB = re.compile(r"\[\d+\][-+]? +(\d+|(Running|Done|Terminated|Interrupt|Exit \d+)( .*)?)")
ANSWERED = re.compile(r"(.*\[Y/n\]) (\w+)")


class Block(typing.NamedTuple):
    document: str
    line: int
    heading: str
    file: str       # the name that stands before it, or ""
    lines: list


class Step(typing.NamedTuple):
    where: str
    who: str
    command: str
    shown: list
    answers: list


def readme_blocks(text):
    """Fenced and indented blocks of code."""
    heading, before = "", ""
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        line, start = lines[at], at
        block = None
        if line.startswith("```"):
            end = lines.index("```", at + 1)
            block, start, at = lines[at + 1:end], at + 1, end
        elif line.startswith("    "):
            while at + 1 < len(lines) and lines[at + 1].startswith("    "):
                at += 1
            block = [text[4:] for text in lines[start:at + 1]]
        elif line.startswith("#"):
            heading = line.lstrip("# ")
        if block is not None:
            name = re.search(r"`([\w.-]+)`:$", before)
            yield Block(README, start + 1, heading, name[1] if name else "", block)
            before = ""
        elif line:
            before = line
        at += 1


def unescape(line):
    """A line of a literal display, as its reader sees it."""
    line = line.removeprefix(r"\&")
    return line.replace(r"\-", "-").replace(r"\(aq", "'").replace(r"\e", "\\")


def manual_blocks(text):
    """Literal displays."""
    heading, before = "", ""
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.startswith((".Sh ", ".Ss ")):
            heading = line[4:]
        elif line.startswith(".Bd -literal"):
            end = lines.index(".Ed", at)
            name = re.fullmatch(r"\.Pa (\S+) :", before)
            yield Block(MANUAL, at + 2, heading, name[1] if name else "",
                        [unescape(line) for line in lines[at + 1:end]])
            at = end
        before = lines[at]
        at += 1


def blocks(document):
    text = (TOP / document).read_text(encoding="utf-8")
    return list(readme_blocks(text) if document == README else manual_blocks(text))


def is_session(block):
    return block.lines[0][:2] in ("$ ", "# ")


def steps_of(block):
    steps = []
    for number, line in enumerate(block.lines):
        if line[:2] in ("$ ", "# "):
            where = f"{block.document}:{block.line + number}"
            steps.append(Step(where, PROMPTS[line[0]], line[2:], [], []))
        else:
            answered = ANSWERED.fullmatch(line)
            if answered:
                steps[-1].answers.append(answered[2])
            steps[-1].shown.append(line)
    return steps


def session(name):
    """What is typed in a session, and the files for alice: names and contents."""
    document, headings = SESSIONS[name]
    steps, files = [], {}
    for block in blocks(document):
        if block.heading in headings and block.file:
            files[block.file] = "\n".join(block.lines) + "\n"
        elif block.heading in headings and is_session(block):
            steps += steps_of(block)
    return steps, files


def inline_commands(document):
    """Commands within sentences: (where, text)."""
    if document == README:
        text = re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"),
                      (TOP / document).read_text(encoding="utf-8"), flags=re.M | re.S)
        found = re.finditer(r"(?<!`)`([^`\n]+)`", text)
    else:
        text = (TOP / document).read_text(encoding="utf-8")
        found = re.finditer(r"^\.(?:Ql|Li|Dl|Ic) (.*)$", text, re.M)
    for match in found:
        if match[1].split()[0] in COMMAND_WORDS:
            yield f"{document}:{text.count(chr(10), 0, match.start()) + 1}", match[1]


def not_tried():
    """Reasons why not all that these documents tell to type is tried, or is excepted."""
    reasons = []
    excepted, excuses = set(), set()
    typed = [step.command for name in SESSIONS for step in session(name)[0]]
    for document in (README, MANUAL):
        headings = {heading for other, names in SESSIONS.values() if other == document
                    for heading in names}
        for block in blocks(document):
            where = f"{document}:{block.line}"
            if is_session(block) and block.heading not in headings:
                reasons.append(f"{where}: no session takes what is under '{block.heading}'")
            elif block.file and block.heading not in headings:
                reasons.append(f"{where}: {block.file} is in no session")
            elif not is_session(block) and not block.file:
                excepted |= {(document, line) for line in block.lines}
                reasons += [f"{where}: neither a session nor a file: {line}"
                            for line in block.lines if (document, line) not in NOT_RUN]
        for heading in headings - {block.heading for block in blocks(document)}:
            reasons.append(f"{document}: nothing to type under '{heading}'")
        for where, command in inline_commands(document):
            fitting = {excuse for excuse in NOT_TYPED if re.fullmatch(excuse, command)}
            excuses |= fitting
            if not fitting and not any(command in step for step in typed):
                reasons.append(f"{where}: not tried: {command}")
    reasons += [f"{document}: no longer there: {line}" for document, line in NOT_RUN
                if (document, line) not in excepted]
    reasons += [f"no longer there: {excuse}" for excuse in NOT_TYPED if excuse not in excuses]
    return reasons


def pattern(line):
    """A regular expression for a line that is shown."""
    words = [PLACEHOLDERS.get(word, re.escape(word))
             for word in re.split(r"(<\w+>)", " ".join(line.split()))]
    return "".join(words)


def clean(text):
    """The lines on a terminal as its reader sees them."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    lines = [" ".join(line.split()) for line in text.split("\n")]
    lines = [line for line in lines if not JOB.fullmatch(line)]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def is_as_shown(step, text, status):
    """Whether what came is what the document shows."""
    shown = [line for line in step.shown if not JOB.fullmatch(line)]
    if "..." in shown and status:
        return False
    whole = "".join(r"(?:.*\n)*?" if line == "..." else pattern(line) + r"\n" for line in shown)
    return re.fullmatch(whole, "".join(line + "\n" for line in clean(text))) is not None

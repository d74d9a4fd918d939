"""Progress: a bar on a terminal, plain lines elsewhere."""

import io

from nayer.engine.progress import MultiReporter, NullReporter, Terminal


def test_off_a_terminal_one_plain_line_per_interval():
    stream = io.StringIO()
    terminal = Terminal(interval=0.0, stream=stream)
    terminal.begin("distill", total=4, done=1)
    terminal.advance(2, "agreement 50 %")
    terminal.advance(4, "agreement 90 %")
    terminal.end()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("distill: 50 %, agreement 50 %, ")
    assert "epochs/min" in lines[0]
    assert "left" in lines[0]


def test_interval_keeps_the_log_short():
    stream = io.StringIO()
    terminal = Terminal(interval=1000, stream=stream)
    terminal.begin("distill", total=4, done=0)
    terminal.advance(1, "")
    assert stream.getvalue() == ""


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_bar_shows_the_newest_values(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = FakeTerminal()
    terminal = Terminal(interval=1000, stream=stream)
    terminal.begin("distill", total=4, done=0)
    terminal.advance(2, "agreement 50 %")
    terminal.end()
    assert "agreement 50 %" in stream.getvalue()
    assert "epochs/min" in stream.getvalue()
    assert "━" in stream.getvalue()


def test_several_pass_everything_on_and_know_the_tracked_run():
    class Tracked(NullReporter):
        run_id = "abc"

        def epoch(self, stage, epoch, values):
            self.seen = (stage, epoch, values)

    tracked = Tracked()
    several = MultiReporter(NullReporter(), tracked)
    several.epoch("distill", 3, {"loss": 1.0})
    assert several.run_id == "abc"
    assert tracked.seen == ("distill", 3, {"loss": 1.0})

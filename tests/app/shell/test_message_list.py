"""The list of messages shows whole sentences, whatever its width."""

from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.shell.messages import MessageList
from app.state.messages import Messages


def test_the_list_shows_whole_sentences(qtbot: QtBot) -> None:
    messages = Messages()
    tree = MessageList(messages)
    qtbot.addWidget(tree)
    tree.resize(500, 300)
    tree.show()
    messages.info("short")
    messages.warning("The T2 does not look like the T2 images the model was trained on. " * 4)
    QApplication.processEvents()

    def heights() -> list[int]:
        rows = [tree.topLevelItem(n) for n in range(2)]
        return [tree.visualItemRect(row).height() for row in rows if row is not None]

    long, short = heights()
    assert long > 3 * short
    tree.resize(2400, 300)
    qtbot.waitUntil(lambda: heights()[0] < long, timeout=5_000)

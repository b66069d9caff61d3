"""The user guide inside the program, from the pages that are installed with it; no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import QSize, Qt, QTimer, QUrl
from PySide6.QtGui import (
    QDesktopServices,
    QImage,
    QImageReader,
    QKeySequence,
    QResizeEvent,
    QShortcut,
    QTextCursor,
    QTextDocument,
)
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSplitter,
    QTextBrowser,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.processes.jobs import Jobs
from app.shell.guide_pages import Page, read_pages, slug, with_narrow_pictures

MARGIN = 56
"""Pixels of a page's width that pictures leave free."""


class GuideView(QTextBrowser):
    """Shows one page; its pictures arrive from a thread, in the width there is.

    Args:
        pages: every page by its path.
        jobs: threads that read the pictures.
        parent: owner.
    """

    def __init__(self, pages: dict[Path, Page], jobs: Jobs, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pages, self._jobs = pages, jobs
        self._wanted: dict[str, tuple[QUrl, QSize]] = {}
        self._width = 0
        self.setOpenLinks(False)
        self.document().setDocumentMargin(16)
        self.anchorClicked.connect(self.follow)
        self.sourceChanged.connect(self._arrived)
        self._settled = QTimer(self, singleShot=True, interval=200)
        self._settled.timeout.connect(self._refit)

    def show_page(self, path: Path, heading: str = "") -> None:
        """Go to a page, and to one of its headings."""
        url = QUrl.fromLocalFile(str(path))
        url.setFragment(slug(heading))
        self.setSource(url)

    def follow(self, link: QUrl) -> None:
        """Follow a link: another page here, anything else in the system's browser."""
        url = self.source().resolved(link)
        if url.isLocalFile() and Path(url.toLocalFile()) in self._pages:
            self.setSource(url)
        elif url.scheme() in ("http", "https"):
            QDesktopServices.openUrl(url)

    def loadResource(self, kind: int, name: QUrl | str) -> Any:
        """Give pages as Markdown; of pictures at first only their size."""
        name = QUrl(name)
        url = self.source().resolved(name)
        path = Path(url.toLocalFile())
        if path in self._pages:
            return with_narrow_pictures(self._pages[path].text)
        if kind != QTextDocument.ResourceType.ImageResource.value:
            return None
        natural = QImageReader(str(path)).size()
        if not natural.isValid():
            return None
        room = max(200, self.viewport().width() - MARGIN)
        room = room // 2 - 12 if url.hasQuery() else room
        size = natural.scaled(min(room, natural.width()), 10**5, Qt.AspectRatioMode.KeepAspectRatio)
        if not self._wanted:
            QTimer.singleShot(0, self, self._read_pictures)
        self._wanted[name.toString()] = (name, size)
        empty = QImage(size, QImage.Format.Format_ARGB32)
        empty.fill(Qt.GlobalColor.transparent)
        return empty

    def _read_pictures(self) -> None:
        wanted, self._wanted = self._wanted, {}
        ratio, source = self.devicePixelRatioF(), self.source()
        files = {key: source.resolved(url).toLocalFile() for key, (url, _) in wanted.items()}

        def work() -> dict[str, QImage]:
            return {key: _picture(files[key], size, ratio) for key, (_, size) in wanted.items()}

        def put(images: dict[str, QImage]) -> None:
            if self.source() != source:
                return
            document = self.document()
            for key, image in images.items():
                resource = QTextDocument.ResourceType.ImageResource.value
                document.addResource(resource, wanted[key][0], image)
            document.markContentsDirty(0, document.characterCount())

        self._jobs.submit("Reading the guide's pictures", work, put, lambda sentence: None)

    def _arrived(self, url: QUrl) -> None:
        self._width = self.viewport().width()
        if not url.fragment():
            return
        block = self.document().begin()
        while block.isValid():
            if block.blockFormat().headingLevel() and slug(block.text()) == url.fragment():
                end = QTextCursor(self.document())
                end.movePosition(QTextCursor.MoveOperation.End)
                self.setTextCursor(end)  # so that the heading comes to the top, not the bottom
                self.setTextCursor(QTextCursor(block))
                return
            block = block.next()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit the pictures anew when the width has settled."""
        super().resizeEvent(event)
        if self._width and abs(self.viewport().width() - self._width) > MARGIN // 2:
            self._settled.start()

    def _refit(self) -> None:
        bar = self.verticalScrollBar()
        place = bar.value() / max(1, bar.maximum())
        self.reload()
        self._width = self.viewport().width()
        bar.setValue(round(place * bar.maximum()))


class Guide(QDialog):
    """Contents on the left, a page on the right, words to find above.

    Args:
        folder: where the pages lie.
        jobs: threads that read the pictures.
        parent: the window.
    """

    def __init__(self, folder: Path, jobs: Jobs, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("User guide")
        self.resize(1080, 800)
        self.pages = read_pages(folder)
        by_path = {page.path: page for page in self.pages}
        self.view = GuideView(by_path, jobs)
        self.contents = QTreeWidget()
        self.contents.setHeaderHidden(True)
        self.words = QLineEdit(placeholderText="Find in the guide")
        self.words.setClearButtonEnabled(True)
        self.found = QLabel()
        back, forward = QPushButton("Back"), QPushButton("Forward")
        row = QHBoxLayout()
        for widget in (back, forward, self.words, self.found):
            row.addWidget(widget)
        split = QSplitter()
        split.addWidget(self.contents)
        split.addWidget(self.view)
        split.setSizes([240, 840])
        column = QVBoxLayout(self)
        column.addLayout(row)
        column.addWidget(split, 1)
        for button, go in ((back, self.view.backward), (forward, self.view.forward)):
            button.setAutoDefault(False)
            button.setEnabled(False)
            button.clicked.connect(go)
        self.view.backwardAvailable.connect(back.setEnabled)
        self.view.forwardAvailable.connect(forward.setEnabled)
        self.words.returnPressed.connect(self.find_next)
        self._add_keys()
        self._fill()
        self.view.sourceChanged.connect(self._mark)
        if self.pages:
            self.view.show_page(self.pages[0].path)
        else:
            self.view.setPlainText("The guide is not installed with this program.")

    def _add_keys(self) -> None:
        keys = QKeySequence.StandardKey
        for key, act in (
            (keys.Find, self.words.setFocus),
            (keys.FindNext, self.find_next),
            (keys.Back, self.view.backward),
            (keys.Forward, self.view.forward),
        ):
            QShortcut(QKeySequence(key), self, act)

    def _fill(self) -> None:
        for page in self.pages:
            top = QTreeWidgetItem(self.contents, [page.title])
            top.setToolTip(0, page.title)
            top.setData(0, Qt.ItemDataRole.UserRole, (page.path, ""))
            for heading in page.headings:
                item = QTreeWidgetItem(top, [heading])
                item.setToolTip(0, heading)
                item.setData(0, Qt.ItemDataRole.UserRole, (page.path, heading))
        self.contents.itemClicked.connect(lambda item: self._go(item))
        self.contents.itemActivated.connect(lambda item: self._go(item))

    def _go(self, item: QTreeWidgetItem) -> None:
        self.view.show_page(*item.data(0, Qt.ItemDataRole.UserRole))

    def _mark(self, url: QUrl) -> None:
        """Open the contents at the page that is shown."""
        path = Path(url.toLocalFile())
        for n in range(self.contents.topLevelItemCount()):
            item = self.contents.topLevelItem(n)
            if item is not None:
                item.setExpanded(self.pages[n].path == path)

    def find_next(self) -> None:
        """Go to the next place of the words, on this page or the ones after it."""
        words = self.words.text().strip()
        if not words or not self.pages:
            return
        self.found.clear()
        if self.view.find(words):
            return
        here = Path(self.view.source().toLocalFile())
        at = next((n for n, page in enumerate(self.pages) if page.path == here), 0)
        for page in [*self.pages[at + 1 :], *self.pages[: at + 1]]:
            if words.lower() in page.text.lower():
                self.view.show_page(page.path)
                self.view.moveCursor(QTextCursor.MoveOperation.Start)
                if self.view.find(words):
                    return
        self.found.setText("Not found")


def _picture(file: str, size: QSize, ratio: float) -> QImage:
    """Return a picture of a file at a size in logical pixels; runs in a thread."""
    image = QImage(file).scaled(
        size * ratio,
        Qt.AspectRatioMode.IgnoreAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )
    image.setDevicePixelRatio(ratio)
    return image

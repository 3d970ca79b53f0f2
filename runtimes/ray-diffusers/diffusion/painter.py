"""Paints tasks of one shape together; one that fails takes no other with it."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from diffusion.fault import Fault
from diffusion.studio import Frame, Shown, Studio
from diffusion.task import Task

log = logging.getLogger(__name__)


class Gone(Exception):
    """Nobody waits for these pictures any more."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One picture of a task."""

    task: Task
    frame: Frame


@dataclass(frozen=True, slots=True)
class Painter:
    """Paints in the thread that calls it."""

    studio: Studio
    batch: int
    """Most pictures at once."""

    def paint(self, tasks: Sequence[Task]) -> None:
        """Paint all tasks, which have one shape; each is told what becomes of it."""
        for task in tasks:
            task.begin()
        pieces = [Piece(t, Frame(t.job, i)) for t in tasks for i in range(len(t.job.seeds))]
        chunks = list(_chunks(pieces, self._most(tasks)))
        for number, chunk in enumerate(chunks):
            wanted = [piece for piece in chunk if not piece.task.gone]
            if wanted:
                self._try(wanted, number, len(chunks))
        for task in tasks:
            task.finish()

    def _most(self, tasks: Sequence[Task]) -> int:
        """Return how many go at once; a reference picture is one for all of a batch."""
        return 1 if tasks[0].job.shape.reference_scale is not None else self.batch

    def _try(self, pieces: Sequence[Piece], number: int, chunks: int) -> None:
        """Paint pieces together or, if that fails, each by itself: the fault may be one's own."""
        try:
            self._paint(pieces, number, chunks)
        except Gone:
            return
        except Exception as error:  # noqa: BLE001  whatever it is, it is told to who asked
            if len(pieces) == 1:
                pieces[0].task.fail(_fault(error))
                return
            log.warning("a batch of %d failed, one by one now: %s", len(pieces), error)
            for piece in pieces:
                if not piece.task.gone:
                    self._try([piece], number, chunks)

    def _paint(self, pieces: Sequence[Piece], number: int, chunks: int) -> None:
        tasks = list(dict.fromkeys(piece.task for piece in pieces))

        def tell(part: float) -> None:
            if all(task.gone for task in tasks):
                raise Gone
            for task in tasks:
                task.progress((number + part) / chunks)

        shown = self.studio.paint([piece.frame for piece in pieces], tell)
        for piece, each in zip(pieces, shown, strict=True):
            _take(piece, each)


def _take(piece: Piece, shown: Shown) -> None:
    if piece.task.gone:
        return
    try:
        piece.task.take(piece.frame.index, shown)
    except OSError as error:
        piece.task.fail(
            Fault("internal", f"the picture cannot be written: {error}", retriable=True)
        )


def _fault(error: Exception) -> Fault:
    if isinstance(error, Fault):
        return error
    log.error("a picture failed", exc_info=error)
    return Fault("internal", f"{type(error).__name__}: {error!s:.300}", retriable=True)


def _chunks(pieces: Sequence[Piece], most: int) -> Iterator[Sequence[Piece]]:
    for start in range(0, len(pieces), most):
        yield pieces[start : start + most]

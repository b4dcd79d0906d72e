"""Tasks that fill the disk on which their worker keeps its state, free it, and need it."""

from pathlib import Path

from glidepath import dag, task


@task
def write(path: str) -> None:
    """Writes to a file until the disk is full."""
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1024))
        except OSError:
            return


@task
def remove(path: str) -> None:
    Path(path).unlink()


@task
def give(size: int) -> bytes:
    return bytes(size)


@task
def give_late(folder: str, size: int) -> bytes:
    """Makes late.begun and waits for late.go."""
    import time

    Path(folder, "late.begun").touch()
    for _ in range(3000):
        if Path(folder, "late.go").exists():
            return bytes(size)
        time.sleep(0.02)
    raise TimeoutError("nobody let it go")


@dag
def fill(path: str) -> None:
    write(path)


@dag
def free(path: str) -> None:
    remove(path)


@dag
def needy(size: int) -> None:
    give(size)


@dag
def late(folder: str, size: int) -> None:
    give_late(folder, size)

"""A card reader maker's library for tests: real machine code behind `iReadCardBas`, answering what a file says."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = r"""
#include <stdio.h>
#include <string.h>

int iReadCardBas(int type, char *told)
{
    FILE *file = fopen(ANSWER, "rb");
    char answer[1025];
    int code = -11;
    size_t length;
    if (file == NULL) return -11;
    length = fread(answer, 1, sizeof answer - 1, file);
    fclose(file);
    answer[length] = 0;
    if (type < 1 || type > 4) return -1;
    sscanf(answer, "%d", &code);
    strcpy(told, strchr(answer, '\n') + 1);
    return code;
}
"""


class VendorLibrary:
    """The library, and the card that its reader sees."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler; ./dev test without arguments installs gcc")
        self.path = folder / "libSSCardDriver.so"
        self._answer = folder / "answer"
        source = folder / "driver.c"
        source.write_text(SOURCE)
        define = f'-DANSWER="{self._answer}"'
        subprocess.run([compiler, "-shared", "-fPIC", define, "-o", self.path, source], check=True)
        self.say(-2)

    def say(self, code: int, told: str = "") -> None:
        """What every question is answered with from now on."""
        written = self._answer.with_suffix(".new")
        written.write_bytes(f"{code}\n{told}".encode("gb18030"))
        written.replace(self._answer)

    def unplug(self) -> None:
        """Nothing at the end of the cable."""
        self._answer.unlink()

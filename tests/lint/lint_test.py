"""The checks of this folder, each against a small tree that breaks its rules: a check that cannot fail is no check."""
import json
import pathlib
import subprocess
import tempfile
import unittest

import boundary
import clang_tidy
import cuda_architectures
import format as clang_format  # the check of this folder
import hardening
import headers
import layering
import shell
import stands_alone


class LintTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = pathlib.Path(self.folder.name).resolve()
        for name in layering.ALLOWED:
            self.write(f"src/{name}/CMakeLists.txt", f"allreco_library({name})\n")

    def write(self, name: str, text: str) -> pathlib.Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def assert_problems(self, found: tuple[list[str], int], *wanted: str):
        problems = found[0]
        self.assertEqual(len(problems), len(wanted), problems)
        for text in wanted:
            self.assertEqual(sum(text in problem for problem in problems), 1, f"{text}: {problems}")

    def write_build(self, *names: str) -> pathlib.Path:
        """A build directory as CMake leaves it, with a precompiled header that clang cannot read."""
        build = self.root / "build"
        entries = [{"directory": str(build), "file": str(self.root / name),
                    "command": f"ccache c++ -Winvalid-pch -include {build}/cmake_pch.hxx -std=c++20 -o a.o -c {self.root / name}"}
                   for name in names]
        self.write("build/compile_commands.json", json.dumps(entries))
        self.write("build/cmake_pch.hxx", "#error of GCC alone\n")
        return build

    def test_cuda_architectures_end_with_ptx(self):
        for names, wanted in (("80-real 90-real 100", []), ("80 90-real 100-real", ["no PTX of the newest architecture (100)"]),
                              ("80-real 100-real 100-virtual", []), ("90-real 100-real", ["write 100 without -real"])):
            self.write("CMakeLists.txt", f"set(CMAKE_CUDA_ARCHITECTURES {names}) # these\n")
            self.assert_problems(cuda_architectures.check(self.root), *wanted)

    def test_clang_tidy_finds_what_its_configuration_asks_for(self):
        self.write(".clang-tidy", "Checks: '-*,modernize-use-nullptr'\nWarningsAsErrors: '*'\n")
        self.write("src/core/bad.cpp", "int* nothing() { return 0; }\n")
        self.write("src/core/good.cpp", "int* nothing() { return nullptr; }\n")
        known = clang_tidy.compile_commands(self.root, self.write_build("src/core/bad.cpp", "src/core/good.cpp"))
        sources = clang_tidy.sources_of([pathlib.Path("src")], known)
        self.assert_problems(clang_tidy.check(self.root, sources, known), "use nullptr")
        self.assertEqual(clang_tidy.check(self.root, sources, known, seconds=-1), ([], 0), "no time is left")

    def test_clang_tidy_looks_at_what_changed(self):
        def git(*arguments: str) -> None:
            subprocess.run(["git", "-C", self.root, "-c", "user.name=a", "-c", "user.email=a@b", *arguments], check=True,
                           capture_output=True)

        names = [f"src/core/{name}.cpp" for name in ("committed", "edited", "new", "same", "header")]
        known = clang_tidy.compile_commands(self.root, self.write_build(*names, "src/model/ops/isa_x.cpp"))
        self.assertEqual(clang_tidy.changed_files(self.root, "HEAD~1"), None, "there is no git")
        git("init")
        for name in ("edited", "same", "header"):
            self.write(f"src/core/{name}.cpp", "")
        git("add", "src")
        git("commit", "-m", "a")
        self.assertEqual(clang_tidy.changed_files(self.root, "HEAD~1"), None, "there is one commit alone")
        self.write("src/core/committed.cpp", "")
        git("add", "src")
        git("commit", "-m", "b")
        for name in ("edited.cpp", "new.cpp", "header.h"):
            self.write(f"src/core/{name}", "int x;\n")
        changed = clang_tidy.sources_of(clang_tidy.changed_files(self.root, clang_tidy.before_last_change(self.root)), known)
        self.assertEqual([path.stem for path in changed], ["committed", "edited", "header", "new"])

    def test_layering_allows_the_arrows_and_the_one_place_of_a_library(self):
        self.write("src/train/a.cpp", '#include "model/x.h"\n#include "train/y.h"\n#include <vector>\n')
        self.write("src/dist/a.cpp", "#include <mpi.h>\n#include <nccl.h>\n")
        self.write("src/data/store/hdf5_file.h", "#include <hdf5.h>\n")
        self.write("src/model/ops/cuda/a.cpp", "#include <ATen/cuda/CUDAContext.h>\n")
        self.write("tests/model/a.cpp", "#include <torch/csrc/autograd/custom_function.h>\n")
        self.assert_problems(layering.check(self.root))

    def test_layering_finds_each_kind_of_wrong_include(self):
        self.write("src/core/a.h", '#include "dist/x.h"\n')
        self.write("src/data/a.cpp", '#include "model/x.h"\n')
        self.write("src/eval/a.cpp", '#include "../train/x.h"\n')
        self.write("src/dist/a.h", "#include <mpi.h>\n")
        self.write("src/data/b.cpp", "#  include <hdf5.h>\n")
        self.write("src/data/c.cpp", "#include <sentencepiece_processor.h>\n")
        self.write("src/cli/a.cpp", "#include <boost/program_options/parsers.hpp>\n")
        self.write("src/model/a.cpp", "#include <cuda_runtime.h>\n")
        self.write("src/model/b.cpp", "#include <torch/types.h>\n")
        self.write("src/model/c.cpp", "#include <regex>\n")
        self.write("src/extra/a.cpp", "#include <vector>\n")
        self.write("tests/model/a.cpp", "#include <ATen/ATen.h>\n")
        self.write("src/model/CMakeLists.txt", "allreco_library(model DEPENDS allreco_core allreco_dist)\n")
        self.assert_problems(
            layering.check(self.root), "src/core/a.h:1: core must not include dist", "data must not include model",
            "src/eval/a.cpp:1: includes ../train/x.h", "MPI stays", "HDF5 stays", "sentencepiece stays",
            "Boost.Program_options stays", "CUDA stays", "torch's C++ front end", "use core/regex.h", "folder extra has no arrows",
            "tests/model/a.cpp:1: must not include ATen/ATen.h", "model must not link dist")

    def test_boundary_finds_what_goes_round_the_places_for_it(self):
        self.write("src/core/log.cpp", "std::fwrite(text.data(), 1, 2, stdout);\n")
        self.write("src/core/input_file.cpp", "::open(path, O_RDONLY);\n")
        self.write("src/data/good.cpp", "// std::cout\nsnprintf(b, 2, x); std::ofstream out(path); fwrite(a, 1, 2, spool);\n")
        self.write("src/data/a.cpp", "\nfmt::print(x);\n")
        self.write("src/data/b.cpp", "std::cerr << title;\n")
        self.write("src/data/c.cpp", "std::fputs(title, stderr);\n")
        self.write("src/data/d.cpp", "fprintf(stderr, title);\n")
        self.write("src/data/e.cpp", "std::ifstream in(path);\n")
        self.write("src/data/f.cpp", "int fd = ::open(path, 0);\n")
        self.write("src/data/g.cpp", "void* p = ::mmap(0, 1);\n")
        self.write("src/data/h.cpp", "std::fwrite(t, 1, 2, stderr);\n")
        self.write("src/data/i.cpp", "FILE* f = std::fopen(path, mode);\n")
        self.assert_problems(
            boundary.check(self.root), "src/data/a.cpp:2: writes to the terminal", "src/data/b.cpp:1: writes",
            "src/data/c.cpp:1: writes", "src/data/d.cpp:1: writes", "src/data/e.cpp:1: opens a file",
            "src/data/f.cpp:1: opens a file", "src/data/g.cpp:1: maps memory", "src/data/h.cpp:1: writes",
            "src/data/i.cpp:1: opens a file")

    def test_stands_alone_finds_machine_paths_links_and_hosts(self):
        host = "pypi" + ".org"
        self.write("a.md", "fine: build/work/x, ${ROOT}/root/y, http://example.com/opt/z, $HOME/x\n")
        self.write("b.json", '{"path": "/' + 'root/model"}\n')
        self.write("c.sh", "\nls ../" + "shared/data\n")
        self.write("d.txt", f"https://{host}/simple\n")
        self.write("e.bin", "\0/" + "work/\n")
        (self.root / "link").symlink_to("/etc/passwd")
        self.assert_problems(stands_alone.check(self.root), "b.json:1: names an absolute", "c.sh:2: names a folder",
                             "d.txt:1: names the host", "link: links to /etc/passwd")

    def test_hardening_tells_a_program_with_all_flags_from_one_without(self):
        source = self.write("a.cpp", "#include <cstring>\n#include <vector>\nint main(int c, char** v) {\n"
                            "  char name[9];\n  std::strcpy(name, v[0]);\n  return std::vector<int>(9)[c] + name[0];\n}\n")
        hard = ["-fPIE", "-pie", "-Wl,-z,relro,-z,now,-z,noexecstack", "-fstack-protector-strong", "-U_FORTIFY_SOURCE",
                "-D_FORTIFY_SOURCE=2", "-D_GLIBCXX_ASSERTIONS"]
        soft = ["-fno-pie", "-no-pie", "-Wl,-z,norelro,-z,lazy,-z,execstack", "-fno-stack-protector", "-U_FORTIFY_SOURCE"]
        for name, flags in (("hard", hard), ("soft", soft)):
            subprocess.run(["g++", "-O2", *flags, source, "-o", self.root / name], check=True)
        self.assert_problems(hardening.check(self.root / "hard"))
        self.assert_problems(hardening.check(self.root / "soft"), "-pie", "-z now", "-z relro", "noexecstack",
                             "stack protectors", "fortified", "assertions")

    def test_shell_finds_scripts_by_ending_and_by_first_line(self):
        self.write("launch/good.sh", '#!/bin/bash\necho "$1"\n')
        self.write("launch/bad.sh", "#!/bin/bash\necho $1\n")
        self.write(".ci/run", "#!/usr/bin/env bash\nrm $2\n")
        self.write("notes.txt", "echo $1\n")
        problems, num_scripts = shell.check(self.root)
        self.assertEqual(num_scripts, 3)
        self.assert_problems((problems, 3), "launch/bad.sh:2", ".ci/run:2")

    def test_format_finds_what_clang_format_would_change(self):
        self.write(".clang-format", "BasedOnStyle: Google\n")
        self.write("src/core/good.cpp", "int x = 1;\n")
        self.write("src/core/bad.cpp", "int  x=1;\n")
        self.assert_problems(clang_format.check(self.root), "src/core/bad.cpp")

    def test_headers_finds_one_that_needs_another(self):
        self.write("src/core/a.cpp", '#include "core/covered.h"\n')
        self.write("src/core/covered.h", "std::string would_not_compile;\n")  # the build's matter
        self.write("src/core/good.h", "#include <string>\ninline std::string x;\n")
        self.write("src/core/bad.h", "inline std::string x;\n")
        entry = {"file": f"{self.root}/src/core/a.cpp",
                 "command": f"ccache c++ -I{self.root}/src -Winvalid-pch -include pch.hxx -o allreco_core.dir/a.o -c a.cpp"}
        other = {**entry, "command": "c++ -o other_program.dir/a.o -c a.cpp"}
        self.write("build/compile_commands.json", json.dumps([entry, other]))
        self.assert_problems((headers.check(self.root, self.root / "build"), 1), "src/core/bad.h does not compile")


if __name__ == "__main__":
    unittest.main()

// readers_bench REVIEWS [MEGABYTES [REPEATS]]: the lines of a review file (any dialect, plain or compressed), repeated
// up to so many megabytes in a temporary file, through each stage of prepare's readers, and beside zlib and nlohmann's
// parser. Prints MB/s of uncompressed bytes, wall and CPU, the best of the repeats, and the processor.
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "core/check.h"
#include "data/input/byte_source.h"
#include "data/input/json_lines.h"
#include "data/input/line_reader.h"
#include "data/input/reviews.h"

namespace {

namespace fs = std::filesystem;
using namespace allreco::data;

std::string repeated_lines(const fs::path& path, size_t num_bytes) {
  std::string once;
  LineReader reader(path);
  for (std::string line; reader.next(line);) once += line + "\n";
  if (once.empty()) allreco::core::user_error("{} holds no lines", path.string());
  std::string text;
  text.reserve(num_bytes + once.size());
  while (text.size() < num_bytes) text += once;
  return text;
}

void write(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

void write_gz(const fs::path& path, const std::string& text) {
  gzFile file = gzopen(path.c_str(), "wb6");
  for (size_t at = 0; at < text.size(); at += 1 << 20)
    gzwrite(file, text.data() + at, static_cast<unsigned>(std::min<size_t>(1 << 20, text.size() - at)));
  gzclose(file);
}

void write_zst(const fs::path& path, const std::string& text) {
  std::string frame(ZSTD_compressBound(text.size()), '\0');
  frame.resize(ZSTD_compress(frame.data(), frame.size(), text.data(), text.size(), 3));
  write(path, frame);
}

void read_with_zlib(const fs::path& path) {
  std::vector<char> buffer(1 << 18);
  gzFile file = gzopen(path.c_str(), "rb");
  gzbuffer(file, 1 << 18);
  while (gzread(file, buffer.data(), 1 << 18) > 0) continue;
  gzclose(file);
}

void read_bytes(const fs::path& path) {
  const auto source = open_source({.path = path});
  std::vector<char> buffer(1 << 18);
  while (source->read(buffer.data(), buffer.size()) > 0) continue;
}

void read_lines(const fs::path& path) {
  LineReader reader(path);
  for (std::string_view line; reader.next(line);) continue;
}

void read_json(const fs::path& path) {
  LineReader reader(path);
  allreco::core::Json object;
  for (std::string_view line; reader.next(line);) parse_object(line, object);
}

void read_rows(const fs::path& path) {
  ReviewReader reader({.path = path});
  for (ReviewRow row; reader.next(row);) continue;
}

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

void measure(const char* what, size_t num_bytes, int repeats, const std::function<void()>& work) {
  double best_wall = 1e9, best_cpu = 1e9;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const double cpu = cpu_seconds();
    work();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    best_wall = std::min(best_wall, elapsed.count());
    best_cpu = std::min(best_cpu, cpu_seconds() - cpu);
  }
  const double megabytes = static_cast<double>(num_bytes) / 1e6;
  std::printf("%-44s %8.0f MB/s wall  %8.0f MB/s a core\n", what, megabytes / best_wall, megabytes / best_cpu);
}

std::string processor() {
  std::ifstream lines("/proc/cpuinfo");
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2 || argc > 4) {
    std::fputs("usage: readers_bench REVIEWS [MEGABYTES [REPEATS]]\n", stderr);
    return 2;
  }
  const std::string text = repeated_lines(argv[1], (argc > 2 ? std::stoul(argv[2]) : 256) * 1'000'000);
  const int repeats = argc > 3 ? std::stoi(argv[3]) : 3;
  const fs::path folder = fs::temp_directory_path() / ("readers_bench-" + std::to_string(::getpid()));
  fs::create_directory(folder);
  const fs::path plain = folder / "plain", gz = folder / "a.gz", zst = folder / "a.zst";
  write(plain, text);
  write_gz(gz, text);
  write_zst(zst, text);
  std::printf("%s; %zu MB, gzip %ju MB, zstd %ju MB\n", processor().c_str(), text.size() / 1'000'000,
              static_cast<uintmax_t>(fs::file_size(gz) / 1'000'000),
              static_cast<uintmax_t>(fs::file_size(zst) / 1'000'000));
  const auto run = [&](const char* what, const std::function<void()>& work) {
    measure(what, text.size(), repeats, work);
  };
  run("plain: lines", [&] { read_lines(plain); });
  run("plain: reviews (simdjson)", [&] { read_rows(plain); });
  run("plain: parsed by nlohmann's parser", [&] { read_json(plain); });
  run("gzip: bytes (ISA-L, thread)", [&] { read_bytes(gz); });
  run("gzip: bytes (zlib)", [&] { read_with_zlib(gz); });
  run("gzip: reviews", [&] { read_rows(gz); });
  run("zstd: bytes (thread)", [&] { read_bytes(zst); });
  run("zstd: reviews", [&] { read_rows(zst); });
  fs::remove_all(folder);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "readers_bench: %s\n", error.what());
  return 1;
}

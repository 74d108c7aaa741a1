// Text files of tests, plain and compressed.
#pragma once
#include <zlib.h>
#include <zstd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/check.h"
#include "core/files.h"

namespace allreco::data {

inline void write_gz(const std::filesystem::path& path, const std::string& text) {
  gzFile file = gzopen(path.c_str(), "wb9");
  core::require(file != nullptr, "cannot write a test's file");
  core::require(text.empty() || gzwrite(file, text.data(), static_cast<unsigned>(text.size())) > 0, "gzwrite failed");
  core::require(gzclose(file) == Z_OK, "gzclose failed");
}

/// One zstd frame.
inline std::string zstd_frame(const std::string& text) {
  std::string frame(ZSTD_compressBound(text.size()), '\0');
  const size_t size = ZSTD_compress(frame.data(), frame.size(), text.data(), text.size(), 3);
  core::require(ZSTD_isError(size) == 0, "cannot compress a test's text");
  frame.resize(size);
  return frame;
}

/// Text that compresses badly, so that cuts and flipped bytes hit data: `num_lines` lines {"n":<i>,"x":"<noise>"}.
inline std::string noisy_lines(int num_lines) {
  std::string text;
  std::uint32_t noise = 1;
  for (int i = 0; i < num_lines; ++i) {
    text += fmt::format("{{\"n\":{},\"x\":\"", i);
    for (int k = 0; k < 8; ++k) text += fmt::format("{:08x}", noise = noise * 1664525u + 1013904223u);
    text += "\"}\n";
  }
  return text;
}

}  // namespace allreco::data

// Which bytes of which files a reader takes: what spreads one or several input files over ranks.
#pragma once
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

namespace allreco::data {

inline constexpr std::uint64_t kWholeFile = std::numeric_limits<std::uint64_t>::max();

/// The lines that begin at bytes [begin, end) of a plain file; a compressed file is one part.
struct InputPart {
  std::filesystem::path path;
  std::uint32_t input = 0;  // the file's index in the option's list
  std::uint64_t begin = 0;
  std::uint64_t end = kWholeFile;
};

/// Splits the comma-separated list of --reviews or --metadata. UserError for an empty entry, and for a file that is
/// named twice, under whatever name: its rows would count twice.
std::vector<std::filesystem::path> input_files(const std::string& list);

/// A pure function of the files and of part_bytes (so the same for any number of ranks), in the order of the files,
/// then of bytes. An empty file is one part. UserError when a file cannot be read. REQUIRES part_bytes > 0.
std::vector<InputPart> input_parts(const std::vector<std::filesystem::path>& files, std::uint64_t part_bytes);

}  // namespace allreco::data

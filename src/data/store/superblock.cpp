#include "data/store/superblock.h"

#include <array>

#include "core/check.h"

namespace allreco::data {

namespace {

// Signature; versions of superblock, free space, root group, reserved, shared headers; sizes of addresses and lengths.
constexpr std::array<char, 15> kOldest{'\x89', 'H', 'D', 'F', '\r', '\n', '\x1a', '\n', 0, 0, 0, 0, 0, 8, 8};

}  // namespace

void check_superblock(const core::InputFile& file) {
  std::array<char, kOldest.size()> found{};
  if (file.size() >= found.size()) file.read(0, found.size(), found.data());
  if (found == kOldest) return;
  core::user_error(
      "cannot open {} as HDF5: it does not begin as a file in HDF5's oldest format does. Prepare the dataset again or "
      "copy it again",
      file.path().string());
}

}  // namespace allreco::data

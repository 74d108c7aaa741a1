// Files of both formats as HDF5 itself writes them.
#include "data/store/superblock.h"

#include <gtest/gtest.h>
#include <hdf5.h>

#include <fstream>

#include "core/check.h"
#include "data/store/hdf5_file.h"
#include "support/temporary_directory.h"

namespace allreco::data {
namespace fs = std::filesystem;

namespace {

void write_file(const fs::path& path, H5F_libver_t oldest) {
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  ASSERT_GE(H5Pset_libver_bounds(access, oldest, H5F_LIBVER_LATEST), 0);
  ASSERT_GE(H5Fclose(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access)), 0);
  H5Pclose(access);
}

}  // namespace

TEST(SuperblockTest, TheOldestFormatIsReadAndNewerOnesAreNot) {
  const support::TemporaryDirectory scratch;
  const fs::path path = scratch.path() / "a.h5";
  write_file(path, H5F_LIBVER_EARLIEST);
  EXPECT_NO_THROW(Hdf5Reader{path});
  write_file(path, H5F_LIBVER_V18);
  EXPECT_THROW(Hdf5Reader{path}, core::UserError);
  write_file(path, H5F_LIBVER_LATEST);
  EXPECT_THROW(Hdf5Reader{path}, core::UserError);
}

TEST(SuperblockTest, WhatIsShorterThanASuperblockIsRefused) {
  const support::TemporaryDirectory scratch;
  const fs::path path = scratch.path() / "a.h5";
  std::ofstream(path) << "\x89HDF\r\n\x1a\n";
  EXPECT_THROW(check_superblock(core::InputFile(path)), core::UserError);
}

}  // namespace allreco::data

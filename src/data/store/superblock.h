// The first bytes of an HDF5 file, looked at before the library sees them.
#pragma once
#include "core/input_file.h"

namespace allreco::data {

/// UserError unless the file begins with the oldest superblock of HDF5 (version 0, addresses of 8 bytes), as
/// docs/formats.md asks of shards. The newer ones name further messages for the library to decode before anyone has
/// asked for them (shared message tables, file space, cache images), and it has decoded hostile ones beyond their end.
void check_superblock(const core::InputFile& file);

}  // namespace allreco::data

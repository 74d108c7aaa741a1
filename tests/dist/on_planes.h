// A fixture for suites that run on every data plane: mpi (in a lone process, self), nccl_double, which is the NCCL
// plane's logic over the double, and nccl, the same over NCCL itself, where a GPU is visible; ranks may share it.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "dist/communicator.h"

namespace allreco::dist {

class OnPlane : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override;
  void TearDown() override { own_.reset(); }

  Communicator& plane() const;
  at::Device device() const { return device_; }

 private:
  std::unique_ptr<Communicator> own_;  // null: the session's
  at::Device device_ = at::kCPU;
};

/// Instantiate with the prefix Mpi, so that the suite runs under mpirun.
inline auto every_plane() { return ::testing::Values("mpi", "nccl_double", "nccl"); }
inline std::string name_of_plane(const ::testing::TestParamInfo<std::string>& info) { return info.param; }

}  // namespace allreco::dist

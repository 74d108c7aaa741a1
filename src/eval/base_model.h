// Loading the frozen base on all ranks of a run: from mapped files, or from one reader over the network.
#pragma once
#include <c10/core/Device.h>

#include <string>

#include "dist/node_shared.h"
#include "dist/session.h"
#include "model/weights.h"

namespace allreco::eval {

struct BaseModelRequest {
  std::string model_name_or_path;  // a Hugging Face directory, or random:<shape>
  std::string dtype = "auto";      // auto, float32 or bfloat16
  c10::Device device{c10::DeviceType::CPU};
  std::string model_loading = "mmap";  // mmap or broadcast
};

/// Collective. The same weights, config and fingerprint either way.
/// mmap: every rank maps the files itself (model::load_base_model); ranks of a node share them through the page cache.
/// broadcast: rank 0 alone touches the files, and reads each byte once; each node holds one copy in the compute dtype
/// in memory that its ranks share, or, on GPUs, only until it is on the device. For file systems that many readers slow
/// down; a file that is cut meanwhile is an error of all ranks instead of a SIGBUS.
model::BaseModel load_base_model(dist::Session& session, const BaseModelRequest& request);

/// Collective: load_base_model's broadcast, over given nodes. Only rank 0's `model_name_or_path` is read.
model::BaseModel broadcast_base_model(dist::Session& session, const dist::NodeGroups& nodes,
                                      const BaseModelRequest& request);

}  // namespace allreco::eval
